/** Waits until runs are over, saying each change once. Asks again and again; the edge is free to hold an answer back. */
import { setTimeout as sleep } from "node:timers/promises";
import { EdgeAnswerError, EdgeUnreachableError, type DispatchedRun } from "../../client/http.ts";
import { MAX_FAILURES, retryDelayMs } from "./retry-delay.ts";
import { isOver } from "./run-outcome.ts";

/** How long one request asks the edge to hold its answer: also how late a change may be seen. */
const HOLD_SECONDS = 5;
/** Least time from one request to the next. */
const PACE_MS = 1000;
const SECOND_MS = 1000;

export interface WaitOptions<Run> {
  runs: Run[];
  /** The same runs as they are now; may take up to so many seconds. */
  refresh: (holdSeconds: number) => Promise<Run[]>;
  /** How long to wait; without end when absent. */
  seconds?: number | undefined;
  onChange: (run: Run) => void;
}

/** The runs at the end, and whether all are over. Failures that may pass are waited out. */
export async function waitForRuns<Run extends DispatchedRun>(
  options: WaitOptions<Run>,
): Promise<{ runs: Run[]; over: boolean }> {
  const deadline = options.seconds === undefined ? Infinity : performance.now() + options.seconds * SECOND_MS;
  const said = new Map<string, string>();
  let { runs } = options;
  let failures = 0;
  for (;;) {
    for (const run of runs) {
      const state = JSON.stringify([
        run.effectiveStatus,
        run.waiting?.code,
        run.attemptCount,
        run.pendingApprovals,
        run.awaySince,
        isOver(run),
      ]);
      if (said.get(run.id) !== state) options.onChange(run);
      said.set(run.id, state);
    }
    if (runs.every(isOver)) return { runs, over: true };
    const askedAt = performance.now();
    const leftMs = deadline - askedAt;
    if (leftMs <= 0) return { runs, over: false };
    let pauseMs = PACE_MS;
    try {
      runs = await options.refresh(Math.ceil(Math.min(HOLD_SECONDS, leftMs / SECOND_MS)));
      failures = 0;
    } catch (error) {
      const passing =
        error instanceof EdgeUnreachableError || (error instanceof EdgeAnswerError && error.retryable);
      failures += 1;
      if (!passing || failures > MAX_FAILURES) throw error;
      pauseMs = retryDelayMs(failures, Math.random());
    }
    if (!runs.every(isOver))
      await sleep(Math.max(0, Math.min(askedAt + pauseMs, deadline) - performance.now()));
  }
}
