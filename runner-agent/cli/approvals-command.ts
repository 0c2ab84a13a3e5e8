/** `codex-flow approvals`: what running steps wait for, and the answer to it. */
import type { Command } from "commander";
import type { ApprovalView, EdgeClient } from "../../client/http.ts";
import type { ApprovalDecision } from "../../contract/approvals.ts";
import { LIST_MAX_ITEMS } from "../../contract/limits.ts";
import { EXIT } from "./exit-codes.ts";
import type { Act } from "./invocation.ts";
import { examples } from "./option-values.ts";
import { UsageError } from "./problem.ts";
import { whoAsks } from "./who-asks.ts";

const DESCRIPTIONS: Record<"accept" | "decline" | "cancel", string> = {
  accept: "Allow what a step waits for",
  decline: "Do not allow it; the step goes on without",
  cancel: "Do not allow it, and interrupt the turn that asks",
};

export function registerApprovals(program: Command, act: Act): void {
  const approvals = program
    .command("approvals")
    .description("What running steps wait for somebody to allow: list, accept, decline, cancel");
  const list = approvals
    .command("list", { isDefault: true })
    .description("Open approvals, of all runs or of one")
    .option("--run <id>", "only of this run, decided ones too");
  examples(list, [
    ["codex-flow approvals list", "what waits, and the command that answers it"],
    ["codex-flow approvals list --run run_0123456789abcdef_1 --json", "one run, for a script"],
  ]);
  act<{ run?: string }>(list, async (invocation, options) => {
    const { client } = await invocation.connect();
    const found =
      options.run === undefined ? await openApprovals(client) : await client.listApprovals(options.run);
    const { renderApprovals } = await import("./render/approvals.ts");
    await invocation.output.show({ approvals: found }, (style) => renderApprovals(style, found));
    return EXIT.ok;
  });
  for (const verb of ["accept", "decline", "cancel"] as const) registerVerb(approvals, act, verb);
}

function registerVerb(approvals: Command, act: Act, verb: keyof typeof DESCRIPTIONS): void {
  const command = approvals
    .command(verb)
    .description(DESCRIPTIONS[verb])
    .argument("<run>", "id of the run")
    .argument("[approval]", "id of the approval; may be left out when only one waits");
  if (verb === "accept")
    command.option("--for-session", "and the same again, without asking, in this thread");
  examples(command, [
    [`codex-flow approvals ${verb} run_0123456789abcdef_1 a1-1`, "the first answer counts"],
  ]);
  act<{ forSession?: boolean }>(command, async (invocation, options, run: string, id?: string) => {
    const { client } = await invocation.connect();
    const decision: ApprovalDecision = options.forSession === true ? "accept_for_session" : verb;
    const approval = await client.decideApproval(run, id ?? (await onlyOne(client, run)), {
      decision,
      by: whoAsks(),
    });
    const { renderDecided } = await import("./render/approvals.ts");
    await invocation.output.show({ approval }, (style) => renderDecided(style, approval));
    return EXIT.ok;
  });
}

/** Lists know which runs wait for an answer; what they wait for stands with each. */
async function openApprovals(client: EdgeClient): Promise<ApprovalView[]> {
  const { runs } = await client.listRuns({ status: "running", limit: LIST_MAX_ITEMS });
  const waiting = runs.filter((run) => (run.pendingApprovals ?? 0) > 0);
  const found = await Promise.all(waiting.map((run) => client.listApprovals(run.id)));
  return found.flat().filter((approval) => approval.state === "pending");
}

async function onlyOne(client: EdgeClient, run: string): Promise<string> {
  const open = (await client.listApprovals(run)).filter((approval) => approval.state === "pending");
  const [first] = open;
  if (first !== undefined && open.length === 1) return first.id;
  throw new UsageError(
    first === undefined
      ? `run ${run} waits for no approval`
      : `run ${run} waits for ${open.length} approvals`,
    first === undefined
      ? `see what it does: codex-flow runs show ${run}`
      : `say which one: ${open.map((approval) => approval.id).join(", ")}`,
  );
}
