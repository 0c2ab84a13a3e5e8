/**
 * What `fire` and `run` share: flows of a workspace that run in this process, with their output on standard error
 * while it comes. Owns the signals meanwhile: the first one ends the steps with all they have started, and their runs
 * are shown as canceled.
 */
import { resolve } from "node:path";
import type { FlowLocalClientOptions } from "../../client/flow-types.ts";
import type { RunView } from "../../contract/run-view.ts";
import { openStore } from "../local/local-client.ts";
import { LocalFlows, type LocalAnswer } from "../local/local-flows.ts";
import { localRunView, outputView } from "../local/views.ts";
import type { Invocation } from "./invocation.ts";
import { createLogPrinter } from "./log-printer.ts";
import type { Output } from "./output.ts";
import type { LocalResult } from "./render/local.ts";
import { visible } from "./render/text.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export interface LocalSessionOptions {
  workspace: string;
  state?: FlowLocalClientOptions["state"];
  /** What steps are told as the edge's url; else that of the environment. */
  edgeUrl?: string | undefined;
}

/** Runs what `start` starts to its end, with what followed from it. Resolves to the runs in their order. */
export async function runLocally(
  invocation: Invocation,
  { workspace, state, edgeUrl }: LocalSessionOptions,
  start: (flows: LocalFlows) => Promise<LocalAnswer>,
): Promise<{ answer: LocalAnswer; runs: RunView[] }> {
  const { output, host } = invocation;
  const cwd = resolve(workspace);
  const printer = createLogPrinter(logOutput(output));
  const seen = new Map<string, RunView>();
  const flows = new LocalFlows({
    cwd,
    store: openStore(state, cwd),
    environment: host.environment,
    edgeUrl: edgeUrl ?? host.environment["CODEX_FLOW_URL"] ?? "",
    watcher: {
      changed(run) {
        const before = seen.get(run.id);
        seen.set(run.id, localRunView(run));
        if (run.status === "running" && before?.attemptCount !== run.attempts.length && !output.json)
          printer.remark(`${run.flow.name}/${run.step.name}  ${run.id}`);
      },
      output(_run, piece) {
        if (!output.json) printer.chunk(outputView(piece, 0));
      },
    },
  });
  const stop = (signal: NodeJS.Signals): void => {
    if (!output.json) printer.remark(`${signal}: ending what runs`);
    flows.stop(signal);
  };
  for (const signal of SIGNALS) process.on(signal, stop);
  try {
    const answer = await start(flows);
    for (const fault of answer.faults)
      output.note(({ colors }) => colors.yellow(`broken package: ${visible(fault)}`));
    await answer.work;
    if (seen.size > 0) return { answer, runs: [...seen.values()] };
    // With state on disk an event may be one that ran before, or that another process runs.
    await flows.over(answer.runIds, Infinity);
    const kept = await Promise.all(answer.runIds.map((id) => flows.run(id)));
    return { answer, runs: kept.map(({ run }) => localRunView(run)) };
  } finally {
    for (const signal of SIGNALS) process.off(signal, stop);
  }
}

/** What a step prints is no answer of this program: all of it goes to standard error. */
function logOutput(output: Output): Output {
  return { ...output, out: output.err, style: output.noteStyle };
}

/** A run as `fire` and `run` answer it: the ancestor's three fields, and what is known beside them. */
export function localResult(run: RunView): LocalResult {
  const { flowName: flow, stepName: step, id: runId, eventId, error, errorCode } = run;
  return {
    flow,
    step,
    // What ended without a result of its own has one here, so that its status can be read in one place.
    result: run.result ?? { status: "failed", message: error ?? run.status },
    runId,
    eventId,
    ...(errorCode === undefined ? {} : { errorCode }),
  };
}
