/** Runs brought to a point of their life by the contract's own functions, for tests of what happens next. */
import type { RunPolicy } from "../../contract/flow-manifest.ts";
import { claim, type EndOptions } from "../../contract/run-lifecycle.ts";
import { waitingAttempt, type AttemptEnd, type RunRecord } from "../../contract/run-record.ts";
import { BEGIN_MS, runRecord } from "./run-fixtures.ts";

export { BEGIN_MS };

export const RUNNER = { runnerId: "runner_1", runnerName: "box" };
export const GONE = { empty: true, survivors: [] };
export const EXITED: AttemptEnd = { reason: "exited", exit: { code: 0, signal: null }, tree: GONE };
export const CRASHED: AttemptEnd = { reason: "exited", exit: { code: 1, signal: null }, tree: GONE };

/** Options of an end at a time; the jitter is in the middle, and every chained event is fine. */
export function at(now: number, change: Partial<EndOptions> = {}): EndOptions {
  return { now, random: 0.5, checkEvent: () => [], ...change };
}

/** A queued run with this policy. */
export function waitingRun(policy: Partial<RunPolicy> = {}, change: Partial<RunRecord> = {}): RunRecord {
  const run = runRecord(change);
  return { ...run, policy: { ...run.policy, ...policy } };
}

/** A policy that tries again whatever went wrong. */
export function retrying(attempts: number, backoffMs = 1000): Partial<RunPolicy> {
  return { retry: { attempts, on: ["lost", "timeout", "failed"], backoffMs } };
}

export function leaseOf(attempt: number): string {
  return `lease_${attempt}`;
}

/** The run with its waiting attempt claimed; throws when that is refused. */
export function claimed(run: RunRecord, now = run.notBefore): RunRecord {
  const attempt = waitingAttempt(run) ?? 0;
  const outcome = claim(run, { ...RUNNER, attempt, lease: leaseOf(attempt) }, now);
  if (outcome.kind === "refused") throw new Error(`the claim was refused: ${outcome.reason.message}`);
  return outcome.run;
}
