/** `codex-flow run`: one step of a flow package of a workspace, whatever triggers it; also for programs that run it. */
import type { Command } from "commander";
import { attemptId } from "../../contract/ids.ts";
import type { EventFlags } from "./event-input.ts";
import { exitCodeOfRuns } from "./exit-codes.ts";
import type { Act, Invocation } from "./invocation.ts";
import { examples } from "./option-values.ts";
import { UsageError } from "./problem.ts";
import { existingFolder } from "./workspace-folder.ts";

interface RunOptions {
  event?: string;
  payload?: string;
  workspace: string;
  runId?: string;
  attemptId?: string;
  replay?: boolean;
  workspaceBackendUrl?: string;
}

export function registerRun(program: Command, act: Act): void {
  const run = program
    .command("run")
    .description("Run one step on this machine, without an edge; ignores its trigger and schema")
    .argument("<flow>", "name of the flow")
    .argument("<step>", "name of the step")
    .option("--event <file>", "the event as JSON; - for standard input")
    .option("--payload <json>", "payload; without --event, an event is generated for it")
    .option("--workspace <dir>", "folder that holds .codex/flows and flows", ".")
    .option("--run-id <id>", "id of the run, if the calling program has one")
    .option("--attempt-id <id>", "<run-id>_a<n> for the n-th attempt; the run id itself for the first")
    .option("--replay", "mark the run as a replay for the step")
    .option("--workspace-backend-url <url>", "value of CODEX_FLOW_URL for the step");
  examples(run, [
    ["codex-flow run hello greet --event event.json", "while you write a step"],
    [`codex-flow run codex-ask ask --payload '{"prompt":"What is this?"}'`, "ask Codex on this box"],
    ["codex-flow run hello greet --event - --json < event.json", "{flow, step, result} and nothing else"],
  ]);
  act(run, runStep);
}

async function runStep(invocation: Invocation, options: RunOptions, flow = "", step = ""): Promise<number> {
  const ids = readIds(options);
  const workspace = await existingFolder(options.workspace);
  const { readEvent } = await import("./event-input.ts");
  const event = await readEvent(options.event, madeUp(options, `${flow}.${step}`));
  const { localResult, runLocally } = await import("./local-session.ts");
  const { runs } = await runLocally(
    invocation,
    { workspace, edgeUrl: options.workspaceBackendUrl },
    (flows) => flows.runStep(flow, step, event, { ...ids, replay: options.replay }),
  );
  const [run, ...chained] = runs;
  if (run === undefined) throw new Error("the step was started and has no run");
  const { renderLocalRun } = await import("./render/local.ts");
  const document = {
    ...localResult(run),
    ...(chained.length === 0 ? {} : { chained: chained.map(localResult) }),
  };
  await invocation.output.show(document, (style) => runs.map((one) => renderLocalRun(style, one)).join("\n"));
  return exitCodeOfRuns(runs);
}

/** Nothing asks for the type of an event that is only a payload. */
function madeUp({ event, payload }: RunOptions, type: string): EventFlags {
  if (payload === undefined) return {};
  return event === undefined ? { type, payload } : { payload };
}

/** Also the name of files and the mark of processes. */
const RUN_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;
const ATTEMPT_SUFFIX = /^_a([1-9][0-9]{0,5})$/;

/** The ancestor's attempts have the run's id; here each has its own, with its number. */
function readIds({ runId, attemptId: attempt }: RunOptions): { runId?: string; firstAttempt?: number } {
  if (runId !== undefined && !RUN_ID.test(runId))
    throw new UsageError(`--run-id ${runId} is no id`, "use letters, digits, _ . and -, at most 128");
  if (attempt === undefined) return runId === undefined ? {} : { runId };
  const of = runId ?? attempt.replace(/_a[0-9]+$/, "");
  if (attempt === of) return { runId: of };
  const [, number] = (attempt.startsWith(of) ? ATTEMPT_SUFFIX.exec(attempt.slice(of.length)) : null) ?? [];
  if (number === undefined || !RUN_ID.test(of))
    throw new UsageError(
      `--attempt-id ${attempt} is no attempt of run ${of}`,
      `write ${attemptId(of, 1)} for its first attempt, or leave it out`,
    );
  return { runId: of, firstAttempt: Number(number) };
}
