/**
 * Admission around an act: nothing is done, and nothing of a run is looked at, before ChatAccess has admitted the request
 * and written it down; and whatever came of it is written down as well. Asked again at every click, of what the clicker may
 * do now: buttons stay in a chat for ever.
 */
import { FlowError } from "../../contract/errors.ts";
import type { ChatScope } from "../../contract/chat/scopes.ts";
import type { Admission } from "../../durable-objects/chat-access/calls.ts";
import { CHAT_ACCESS } from "../../durable-objects/chat-access/naming.ts";
import type { Env } from "../env.ts";
import { refused, type ChatAnswer } from "./answer.ts";
import { DIRECT_MESSAGES, placeOf, requestKey, standingOf, type Asker } from "./asker.ts";

/** What is asked for. */
export interface Asked {
  /** Absent: anybody may, and it is only kept from being replayed. */
  scope?: ChatScope;
  /** In a few words, for the audit. */
  act: string;
  /** Run, event id. */
  subject?: string;
}

/** An object that has just been reset is there again at the second call. */
const CONCLUDE_TRIES = 2;

type Denial = Extract<Admission, { verdict: "denied" }>;

/**
 * Admits the request, acts, and notes what came of it. What the act throws as a FlowError is an answer, anything else is
 * noted and thrown on.
 */
export async function withAdmission<Answer extends { kind: string }>(
  env: Env,
  asker: Asker,
  asked: Asked,
  act: (scopes: ReadonlySet<ChatScope>) => Promise<Answer> | Answer,
): Promise<Answer | ChatAnswer> {
  const access = env.CHAT_ACCESS.getByName(CHAT_ACCESS);
  const admission = await access.admit({
    key: requestKey(asker),
    place: placeOf(asker),
    ...standingOf(asker),
    ...asked,
  });
  if (admission.verdict === "replayed") return { kind: "replayed" };
  if (admission.verdict === "denied") return denied(asker, asked, admission);
  const conclude = (outcome: string): Promise<void> => noteOutcome(access, admission.row, outcome);
  try {
    const answer = await act(new Set(admission.scopes));
    await conclude("outcome" in answer ? String(answer.outcome) : answer.kind);
    return answer;
  } catch (error) {
    if (!(error instanceof FlowError)) {
      await conclude("failed: the edge could not do it");
      throw error;
    }
    await conclude(`refused: ${error.code}`);
    return refused(
      error.code,
      error.message,
      error.details.map(({ path, message }) => `${path} ${message}`),
    );
  }
}

/** Never throws: what was done is done, and who asked is told so, whether or not it could be written down. */
async function noteOutcome(
  access: { conclude(row: number, outcome: string): Promise<void> },
  row: number,
  outcome: string,
): Promise<void> {
  for (let tries = CONCLUDE_TRIES; tries > 0; tries -= 1)
    try {
      await access.conclude(row, outcome);
      return;
    } catch (error) {
      if (tries > 1) continue;
      console.error(
        JSON.stringify({ message: "an outcome is not in the audit", row, outcome, error: String(error) }),
      );
    }
}

/** Whether somebody may, for a list of choices; nothing is written down. */
export async function mayNow(env: Env, asker: Asker, scope: ChatScope): Promise<boolean> {
  const scopes = await env.CHAT_ACCESS.getByName(CHAT_ACCESS).scopesOf(standingOf(asker));
  return scopes.includes(scope);
}

function denied({ place, tenant }: Asker, { scope, act }: Asked, { reason }: Denial): ChatAnswer {
  const title = `You may not do this: ${act}`;
  if (reason === "unknown_server")
    return { kind: "denied", message: { tone: "bad", title, lines: strangers(tenant) } };
  const giver =
    place.platform === "discord"
      ? "An administrator of this server, or somebody with the scope admin, gives it with /roles set."
      : "Somebody with the scope admin gives it with /roles, and the owner of the edge names the first ones in TELEGRAM_ADMINS.";
  const why: Record<typeof reason, string> = {
    denied_role: "A role or an entry of yours is denied everything here, whatever else you have.",
    missing_scope: `It needs the scope ${scope ?? ""}, which none of your roles has.`,
    unconfigured: `It needs the scope ${scope ?? ""}, and nobody here has been given any yet.`,
  };
  return {
    kind: "denied",
    message: { tone: "bad", title, lines: [why[reason], giver, "Nothing was done."] },
  };
}

/** To whom the edge does not know: what its owner would have to do. */
function strangers(tenant: string): string[] {
  return tenant === DIRECT_MESSAGES
    ? ["Only in a server that has the bot and that the owner of the edge has let in.", "Nothing was done."]
    : [
        "The owner of the edge has not let this server in, so nobody here may do anything, its administrators neither.",
        `The owner does it in a terminal: codex-flow discord allow ${tenant}`,
        "Nothing was done.",
      ];
}
