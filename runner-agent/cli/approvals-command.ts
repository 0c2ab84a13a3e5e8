/** `codex-flow approvals`: what running steps ask leave for, and the answers of people. */
import type { Command } from "commander";
import type { ApprovalView, EdgeClient } from "../../client/http.ts";
import type { ApprovalDecision } from "../../contract/approvals.ts";
import { ConflictError } from "../../contract/errors.ts";
import { LIST_MAX_ITEMS } from "../../contract/limits.ts";
import { EXIT } from "./exit-codes.ts";
import type { Act, Invocation } from "./invocation.ts";
import { byOption, examples, whoSays } from "./option-values.ts";
import { UsageError } from "./problem.ts";
import { resolveRun } from "./short-ids.ts";

interface DecideOptions {
  by?: string;
  forSession?: boolean;
}

type Verb = "accept" | "decline" | "cancel";

const VERBS: Record<Verb, { description: string; example: string }> = {
  accept: { description: "Approve a request; the step continues", example: "the step continues immediately" },
  decline: {
    description: "Decline a request; the step continues without it",
    example: "the agent gets the answer",
  },
  cancel: { description: "Decline a request and interrupt the agent's turn", example: "the turn ends" },
};
const RUN = "run_0123456789abcdef_1";

export function registerApprovals(program: Command, act: Act): void {
  const approvals = program
    .command("approvals")
    .description("Approval requests of running steps: list, accept, decline, cancel");

  const list = approvals
    .command("list", { isDefault: true })
    .description("List pending approvals (the same as `codex-flow approvals`)")
    .option("--run <id>", "only approvals of this run");
  for (const command of [approvals, list])
    examples(command, [
      ["codex-flow approvals list", "approvals of all runs"],
      [`codex-flow approvals list --run ${RUN} --json`, "of one run, for a script"],
    ]);
  act(list, listApprovals);
  for (const verb of ["accept", "decline", "cancel"] as const) registerVerb(approvals, act, verb);
}

function registerVerb(approvals: Command, act: Act, verb: Verb): void {
  const command = byOption(
    approvals
      .command(verb)
      .description(VERBS[verb].description)
      .argument("<run>", "id of the run")
      .argument("[approval]", "id of the approval; optional when only one is pending"),
  );
  if (verb === "accept")
    command.option("--for-session", "also accept the same request for the rest of this session");
  examples(command, [
    [`codex-flow approvals ${verb} ${RUN} a1-1`, VERBS[verb].example],
    [`codex-flow approvals ${verb} ${RUN} --by "Ada on call"`, "the only pending one, decided by Ada"],
  ]);
  act<DecideOptions>(command, (invocation, options, run, approval) =>
    decide(invocation, verb, options, run, approval),
  );
}

async function listApprovals(invocation: Invocation, options: { run?: string }): Promise<number> {
  const { client } = await invocation.connect();
  const runs =
    options.run === undefined ? await waitingRuns(client) : [await resolveRun(client, options.run)];
  const approvals: ApprovalView[] = [];
  for (const run of runs) approvals.push(...(await pendingOf(client, run)));
  const { renderApprovals } = await import("./render/approvals.ts");
  await invocation.output.show({ approvals }, (style) => renderApprovals(style, approvals));
  return EXIT.ok;
}

/** Ids of all runs with open approvals, over all pages. */
async function waitingRuns(client: EdgeClient): Promise<string[]> {
  const waiting: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await client.listRuns({
      status: "running",
      attention: true,
      limit: LIST_MAX_ITEMS,
      cursor,
    });
    waiting.push(...page.runs.filter((run) => (run.pendingApprovals ?? 0) > 0).map((run) => run.id));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return waiting;
}

async function pendingOf(client: EdgeClient, run: string): Promise<ApprovalView[]> {
  return (await client.listApprovals(run)).filter((approval) => approval.state === "pending");
}

async function decide(
  invocation: Invocation,
  verb: Verb,
  options: DecideOptions,
  typed = "",
  named?: string,
): Promise<number> {
  const { client } = await invocation.connect();
  const run = await resolveRun(client, typed);
  const decision: ApprovalDecision = options.forSession === true ? "accept_for_session" : verb;
  const id = named ?? (await theOnlyOne(client, run, verb));
  // Who names it has looked at it; what nobody has named is not dangerous, see below.
  const confirm = verb === "accept" && named !== undefined ? { confirm: true } : {};
  const approval = await client.decideApproval(run, id, { decision, by: whoSays(options), ...confirm });
  const { renderDecided } = await import("./render/approvals.ts");
  await invocation.output.show({ approval }, (style) => renderDecided(style, approval));
  return EXIT.ok;
}

/** What leaves the sandbox is asked twice: whoever accepts it has to name it. */
async function theOnlyOne(client: EdgeClient, run: string, verb: Verb): Promise<string> {
  const [first, ...more] = await pendingOf(client, run);
  if (first === undefined)
    throw new ConflictError(
      "approval_over",
      `run ${run} waits for no approval${await lastAnswer(client, run)}`,
    );
  const command = (id: string) => `codex-flow approvals ${verb} ${run} ${id}`;
  if (more.length > 0)
    throw new UsageError(
      `run ${run} waits for ${more.length + 1} approvals: ${[first, ...more].map(({ id }) => id).join(", ")}`,
      `name one: ${command(first.id)}; \`codex-flow approvals list --run ${run}\` shows what they are`,
    );
  if (verb === "accept" && first.dangerous === true) {
    const { visible } = await import("./render/text.ts");
    throw new UsageError(
      `approval ${first.id} leaves the sandbox: ${visible(first.title)}`,
      `name it, when you mean it: ${command(first.id)}`,
    );
  }
  return first.id;
}

/** Who was first, when somebody was. */
async function lastAnswer(client: EdgeClient, run: string): Promise<string> {
  const last = (await client.listApprovals(run)).at(-1);
  if (last === undefined) return "";
  const { answerText } = await import("./render/approvals.ts");
  return `; the last one, ${last.id}: ${answerText(last)}`;
}
