/**
 * Which runs need a person, and what ends that need. The only place that decides it: views, lists and the command line
 * carry the answer as `needsAttention`.
 *
 * A run needs attention once it has ended blocked, failed or in need of intervention. That ends when a later run of the
 * same step and event ends well, or when somebody acknowledges it.
 */
import { changed, isTerminal, type RunRecord } from "./run-record.ts";

/** Whether a run that ended so asks for a person. */
export function isBadEnd(effectiveStatus: string): boolean {
  return (
    effectiveStatus === "blocked" || effectiveStatus === "needs_intervention" || effectiveStatus === "failed"
  );
}

type Ended = Pick<RunRecord, "status" | "result" | "acknowledged" | "supersededBy">;

function endedBadly({ status, result }: Ended): boolean {
  return isBadEnd(result?.status ?? status);
}

/** Whether the run still needs a person. */
export function needsAttention(run: Ended): boolean {
  return endedBadly(run) && run.acknowledged === undefined && run.supersededBy === undefined;
}

export type AcknowledgeOutcome =
  | { kind: "acknowledged"; run: RunRecord }
  /** It is over and done with already, by an earlier acknowledgement or a later run: nothing changes. */
  | { kind: "settled" }
  /** It has not ended, or has ended well: there is nothing to acknowledge. */
  | { kind: "not_needed" };

/** Somebody has dealt with how a run ended. The first acknowledgement stays. */
export function acknowledge(run: RunRecord, by: string, now: number): AcknowledgeOutcome {
  if (!isTerminal(run.status) || !endedBadly(run)) return { kind: "not_needed" };
  if (!needsAttention(run)) return { kind: "settled" };
  return { kind: "acknowledged", run: changed(run, now, { acknowledged: { by, at: now } }) };
}

/** The earlier runs of the same step that no longer need attention once `good` has ended well. */
export function supersededBy(good: RunRecord, runs: readonly RunRecord[], now: number): RunRecord[] {
  if (good.status !== "completed" || endedBadly(good)) return [];
  return runs
    .filter(
      (run) =>
        run.n < good.n &&
        run.flow.name === good.flow.name &&
        run.step.name === good.step.name &&
        isTerminal(run.status) &&
        needsAttention(run),
    )
    .map((run) => changed(run, now, { supersededBy: good.id }));
}
