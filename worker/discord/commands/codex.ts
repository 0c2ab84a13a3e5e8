/** `/codex`: start Codex, speak to it, stop it, answer what it asks, give it more. */
import { APPROVAL_DECISIONS } from "../../../contract/approvals.ts";
import type { BudgetUse } from "../../../contract/budget.ts";
import { SESSION_POLICIES, type SessionPolicy } from "../../../contract/codex-prompt.ts";
import { refused, type ChatAnswer } from "../../chat/answer.ts";
import { openApprovals } from "../../chat/approvals.ts";
import { ask, type Ask } from "../../chat/start.ts";
import { cancel, decide, raiseBudget, say } from "../../chat/steer.ts";
import { askForm } from "../forms.ts";
import type { Options } from "../interaction.ts";
import { aboutRun, always, type Command, type Commands, type Invocation } from "./command.ts";

const sayCommand: Command = aboutRun("run:reply", (runId, { env, asker, options }) =>
  say(env, asker, runId, options.text("text") ?? ""),
);

export const CODEX_COMMANDS: Commands = {
  "codex ask": {
    scope: "run:start",
    inline: (options) => askOf(options).prompt === "",
    run: ({ env, asker, options }) => {
      const asked = askOf(options);
      return asked.prompt === "" ? askForm(asked) : ask(env, asker, asked);
    },
  },
  "codex say": sayCommand,
  "codex steer": sayCommand,
  "codex stop": aboutRun("run:reply", (runId, { env, asker }) => cancel(env, asker, runId)),
  // It may ask to confirm, and says for all to see who has decided.
  "codex approve": { ...aboutRun("run:approve", approve), inline: always },
  "codex budget": aboutRun("run:approve", (runId, { env, asker, options }) =>
    raiseBudget(env, asker, runId, additionIn(options)),
  ),
};

/** What `/codex ask` and its form say alike. */
export function askOf(options: Options): Ask {
  const project = options.text("project");
  const workdir = options.text("workdir");
  const session: SessionPolicy | undefined = options.word("session", SESSION_POLICIES);
  return {
    prompt: options.text("prompt") ?? "",
    ...(project === undefined ? {} : { project }),
    ...(workdir === undefined ? {} : { workdir }),
    ...(session === undefined ? {} : { session }),
  };
}

async function approve(runId: string, { env, asker, options }: Invocation): Promise<ChatAnswer> {
  const decision = options.word("decision", APPROVAL_DECISIONS) ?? "accept";
  const named = options.text("approval");
  if (named !== undefined) return decide(env, asker, { runId, approval: named, decision });
  const open = await openApprovals(env, runId);
  const [only] = open;
  if (only === undefined) return refused("nothing_open", "This run has no pending approvals", [runId]);
  if (open.length > 1)
    return refused(
      "several_open",
      "This run has several pending approvals. Name one:",
      open.map(({ id, title }) => `${id}: ${title}`),
    );
  return decide(env, asker, { runId, approval: only.id, decision });
}

/** Amounts of a command are numbers, those of a form texts. */
export function additionIn(options: Options): BudgetUse {
  const amount = (name: string): number | undefined => {
    const value = options.number(name) ?? Number(options.text(name) ?? "");
    return Number.isFinite(value) && value > 0 ? value : undefined;
  };
  const tokens = amount("tokens");
  const seconds = amount("seconds");
  const usd = amount("usd");
  return {
    ...(tokens === undefined ? {} : { tokens: Math.ceil(tokens) }),
    ...(seconds === undefined ? {} : { seconds }),
    ...(usd === undefined ? {} : { usd }),
  };
}
