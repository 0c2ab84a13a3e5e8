/**
 * Decisions of an event object that are no decision about one run's life (those stand in contract/run-lifecycle):
 * what a change owes the outside, what of a frame of output is new, when to wake.
 */
import { LOST_AFTER_MS, OUTPUT_MAX_BYTES } from "../../contract/limits.ts";
import {
  isPooled,
  isTerminal,
  liveAttempt,
  waitingAttempt,
  type RunRecord,
} from "../../contract/run-record.ts";
import type { EndOptions, OutputProgress } from "../../contract/run-lifecycle.ts";
import { runSummary } from "../../contract/run-view.ts";
import { checkSentEvent } from "../../contract/validate.ts";
import type { OutputChunk, RunRoute } from "../../contract/runner-link.ts";

import type { AttemptPosition } from "./calls.ts";

/** What is owed to the outside for one run (invariant 6). Each may be performed again without harm. */
export type OwedEffect =
  /** Tell the pool, through the queue, that an attempt waits. */
  | { kind: "send"; n: number }
  /** Tell the pool that an attempt is over: its place and its concurrency key are free. */
  | { kind: "settle"; n: number; attempt: number }
  /** Bring the day's ledger up to date. */
  | { kind: "project"; n: number }
  /** Have the next events of the result sent. */
  | { kind: "chain"; n: number };

/** What a committed change owes at once. `before` is absent for a new run. */
export function effectsOfChange(before: RunRecord | undefined, after: RunRecord, now: number): OwedEffect[] {
  if (before?.rev === after.rev) return [];
  const { n } = after;
  const effects: OwedEffect[] = listed(before) === listed(after) ? [] : [{ kind: "project", n }];
  if (isPooled(after)) effects.push(...poolEffects(before, after, now));
  if (isTerminal(after.status) && before !== undefined && !isTerminal(before.status) && owesChain(after))
    effects.push({ kind: "chain", n });
  return effects;
}

function poolEffects(before: RunRecord | undefined, after: RunRecord, now: number): OwedEffect[] {
  const { n } = after;
  const effects: OwedEffect[] = [];
  const waits = waitingAttempt(after);
  if (waits !== undefined && waits !== (before && waitingAttempt(before)) && after.notBefore <= now)
    effects.push({ kind: "send", n });
  const taken = before && (liveAttempt(before)?.number ?? waitingAttempt(before));
  const takenNow = liveAttempt(after)?.number ?? waits;
  if (taken !== undefined && taken !== takenNow) effects.push({ kind: "settle", n, attempt: taken });
  return effects;
}

/** What a list shows of a run, as one text. When it changed last is no change by itself. */
function listed(run: RunRecord | undefined): string | undefined {
  return run && JSON.stringify({ ...runSummary(run), updatedAt: undefined });
}

/** Pool and ledger have taken this very state of the run: telling them again could change nothing. */
export function isTold(run: RunRecord): boolean {
  return run.toldRev === run.rev;
}

/** What a run may still owe when an alarm finds it: all that a crash could have cut off. */
export function effectsOfState(run: RunRecord, now: number): OwedEffect[] {
  const effects = owedByState(run, now);
  return isPooled(run) ? effects : effects.filter(({ kind }) => kind !== "send" && kind !== "settle");
}

function owedByState(run: RunRecord, now: number): OwedEffect[] {
  const { n } = run;
  const due = run.sendAt <= now;
  const effects: OwedEffect[] = [];
  if (run.status === "queued" && due) {
    if (!isTold(run)) effects.push({ kind: "project", n });
    effects.push({ kind: "send", n });
    if (!isTold(run) && run.attempts.length > 0)
      effects.push({ kind: "settle", n, attempt: run.attempts.length });
  }
  if (isTerminal(run.status)) {
    // One more than it ever started: a run that ended while it waited has a place in the backlog, and no attempt.
    if (!isTold(run))
      effects.push({ kind: "project", n }, { kind: "settle", n, attempt: run.attempts.length + 1 });
    if (due && owesChain(run)) effects.push({ kind: "chain", n });
  }
  return effects;
}

export function owesChain(run: RunRecord): boolean {
  return run.chained?.some((entry) => entry.state === "owed") === true;
}

/** What of a frame is new, and what the attempt's output has come to with it. */
export interface AcceptedOutput {
  fresh: OutputChunk[];
  /** Sequence number of the first stored chunk; the frame's key. */
  firstSeq: number;
  progress: OutputProgress;
}

/**
 * Takes a frame of output. What is already committed is skipped; a gap means that frames were lost on the way, and
 * the runner must go on from the last acknowledged one. Beyond the run's bound bytes are counted, not kept; the
 * sequence goes on, so that the runner's journal empties (invariant 12).
 */
export function acceptOutput(
  progress: OutputProgress,
  ackedSeq: number,
  chunks: OutputChunk[],
  usedByOtherAttempts: number,
): AcceptedOutput | { gap: number } {
  const committed = Math.max(progress.ackedSeq, ackedSeq);
  const fresh: OutputChunk[] = [];
  let { bytes, dropped } = progress;
  let expected = committed + 1;
  for (const chunk of chunks) {
    if (chunk.seq <= committed) continue;
    if (chunk.seq !== expected) return { gap: expected };
    expected += 1;
    const size = new TextEncoder().encode(chunk.text).length;
    // After the first one dropped also what would still fit: what is kept is the beginning, without a hole.
    if (dropped > 0 || usedByOtherAttempts + bytes + size > OUTPUT_MAX_BYTES) {
      dropped += size;
      continue;
    }
    bytes += size;
    fresh.push(chunk);
  }
  return {
    fresh,
    firstSeq: committed + 1,
    progress: { ...progress, ackedSeq: expected - 1, bytes, dropped },
  };
}

/** What the queue carries for the attempt that waits. */
export function routeOf(run: RunRecord, attempt: number): RunRoute {
  return {
    runId: run.id,
    attempt,
    pool: run.pool,
    flow: run.flow,
    step: run.step.name,
    eventId: run.eventId,
    labels: run.labels,
    priority: run.priority,
    ...(run.concurrency === undefined ? {} : { concurrency: run.concurrency }),
    queuedAt: run.queuedAt,
    ...(run.claimKey === undefined ? {} : { claimKey: run.claimKey }),
    ...(run.continues === undefined
      ? {}
      : { runnerId: run.continues.runnerId, runnerName: run.continues.runnerName }),
  };
}

/** What the end of an attempt may depend on besides the attempt. */
export function endOptions(now: number): EndOptions {
  return {
    now,
    random: Math.random(),
    checkEvent: (event) => {
      const checked = checkSentEvent(event);
      return checked.ok ? [] : checked.faults;
    },
  };
}

/** When an event that has reached its age is deleted, or looked at again because a run still lives. */
export function retentionDue(createdAt: number, retentionMs: number, now: number, allOver: boolean): number {
  const due = createdAt + retentionMs;
  return due > now || allOver ? due : now + LOST_AFTER_MS;
}

/** What a pool should hold of a run. */
export function positionOf(run: RunRecord | undefined, now: number): AttemptPosition {
  if (run === undefined) return { kind: "nothing" };
  const waits = waitingAttempt(run);
  if (waits !== undefined)
    return run.notBefore > now ? { kind: "nothing" } : { kind: "waiting", attempt: waits };
  const live = liveAttempt(run);
  return live === undefined
    ? { kind: "nothing" }
    : { kind: "running", attempt: live.number, runnerId: live.runnerId };
}
