/** `wait`: answer when the runs are over, or when the bound is reached. */
import { BadRequestError } from "../contract/errors.ts";
import { parseRunId } from "../contract/ids.ts";
import { CANCEL_WAIT_MAX_SECONDS, WAIT_MAX_SECONDS } from "../contract/limits.ts";
import type { RunView } from "../contract/run-view.ts";
import type { Env } from "./env.ts";

/** Milliseconds to wait: `true` or empty for the longest, a number of seconds, 0 or `false` for none. */
export function waitMs(value: string | boolean | number | undefined): number {
  if (value === undefined || value === false || value === "false") return 0;
  if (value === true || value === "true" || value === "") return WAIT_MAX_SECONDS * 1000;
  const seconds = Number(value);
  if (!Number.isFinite(seconds) || seconds < 0)
    throw new BadRequestError("invalid_wait", `wait must be true or seconds up to ${WAIT_MAX_SECONDS}`, [
      { path: "?wait", message: "is not a number of seconds" },
    ]);
  return Math.min(seconds, WAIT_MAX_SECONDS) * 1000;
}

/** How long a cancel waits for its proof, ms; without a value, CANCEL_WAIT_MAX_SECONDS. */
export function cancelWaitMs(value: string | undefined): number {
  return Math.min(waitMs(value ?? true), CANCEL_WAIT_MAX_SECONDS * 1000);
}

/** Runs of one event as they are when all are over, or when the time is up. */
export async function waitForRuns(env: Env, runs: RunView[], timeoutMs: number): Promise<RunView[]> {
  const parsed = runs.flatMap((run) => parseRunId(run.id) ?? []);
  const key = parsed[0]?.eventKey;
  if (timeoutMs === 0 || key === undefined) return runs;
  return env.EVENTS.getByName(key).waitUntilOver(
    parsed.map(({ n }) => n),
    timeoutMs,
  );
}
