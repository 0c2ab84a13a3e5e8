/** `/runners`, `/status` and `/roles`: the deployment, and who may use it. */
import { CHAT_SCOPES, type ChatScope } from "../../../contract/chat/scopes.ts";
import { CHAT_ACCESS } from "../../../durable-objects/chat-access/naming.ts";
import { refused } from "../../chat/answer.ts";
import { listGrants, setGrant } from "../../chat/settings.ts";
import { status } from "../../chat/status.ts";
import { runners } from "../../chat/watch.ts";
import type { DiscordAnswer } from "../answers.ts";
import { always, type Commands, type Invocation } from "./command.ts";

export const DEPLOYMENT_COMMANDS: Commands = {
  runners: { scope: "run:read", run: ({ env }) => runners(env) },
  status: { scope: "run:read", run: ({ env, asker, scopes }) => status(env, asker, scopes) },
  "roles list": { scope: "admin", run: ({ env, asker }) => listGrants(env, asker) },
  "roles set": { scope: "admin", inline: always, run: chooseScopes },
};

/** Before the subject, in the custom id of the choice that `/roles set` gives. */
export const GRANT_CHOICE = "v1:grant:";
const DENY = "deny";

const MEANINGS: Record<ChatScope, string> = {
  "run:read": "See events, runs and their output",
  "run:start": "Start runs, ask Codex, replay, turn relays on",
  "run:reply": "Speak to Codex, stop runs",
  "run:approve": "Answer what a run asks leave for, raise budgets",
  admin: "All of these, and set up channels and roles",
};

async function chooseScopes({ env, asker, options }: Invocation): Promise<DiscordAnswer> {
  const subject = options.subject("who");
  if (subject === undefined) return refused("nobody_said", "Say a role or a user");
  const grants = await env.CHAT_ACCESS.getByName(CHAT_ACCESS).grants(asker.tenant);
  const now = grants.find((row) => row.subject === subject)?.grant;
  return {
    kind: "choose",
    outcome: `choosing for ${subject}`,
    title: `What may <@${subject.startsWith("role:") ? "&" : ""}${subject.replace(/^\w+:/, "")}> do?`,
    customId: GRANT_CHOICE + subject,
    options: [
      ...CHAT_SCOPES.map((scope) => ({
        label: scope,
        value: scope,
        description: MEANINGS[scope],
        chosen: now?.deny !== true && now?.scopes.includes(scope) === true,
      })),
      {
        label: DENY,
        value: DENY,
        description: "Nothing at all, whatever else they have",
        chosen: now?.deny === true,
      },
    ],
  };
}

/** What was chosen there. Nothing chosen takes the grant away. */
export function grantChosen(
  { env, asker }: Invocation,
  subject: string,
  values: string[],
): Promise<DiscordAnswer> {
  const scopes = CHAT_SCOPES.filter((scope) => values.includes(scope));
  return setGrant(env, asker, subject, values.includes(DENY) ? { scopes: [], deny: true } : { scopes });
}
