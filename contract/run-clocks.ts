/**
 * What time alone does to a run (invariant 11), and when to look again: pure functions of the record, the clock and
 * the last sign of life of the runner. The silence of a step is the runner's to notice: it sees every byte, while the
 * edge is told at a pace that spares the bill.
 */
import { LOST_AFTER_MS, PING_INTERVAL_MS, PONG_TIMEOUT_MS, WALL_MARGIN_MS } from "./limits.ts";
import {
  changed,
  endAttempt,
  liveAttempt,
  resendAfterMs,
  withAttempt,
  type EndOptions,
} from "./run-lifecycle.ts";
import type { AttemptRecord, RunRecord } from "./run-record.ts";

/** A runner that comes back after its attempt's wall clock has this long to hand over what it holds. */
const HANDOVER_GRACE_MS = 10_000;

/**
 * How often the edge looks whether a runner whose socket is open still shows life. Each look is billed as a request and
 * a written row. A socket that closes starts the lease clock at once; only a runner that vanishes without a close (its
 * power, its network) is noticed by a look: 60 s after its last sign of life at the soonest, 105 s at the latest.
 */
export const LOOK_AT_LIVE_MS = 90_000;

/** The runner's socket for an attempt closed or was not found: the lease clock runs from here (invariant 7). */
export function noteUnseen(run: RunRecord, number: number, since: number): RunRecord {
  const live = liveAttempt(run);
  if (live?.number !== number || live.unseenSince !== undefined) return run;
  return unseenFrom(run, live, since);
}

function unseenFrom(run: RunRecord, live: AttemptRecord, since: number): RunRecord {
  return { ...run, attempts: withAttempt(run, { ...live, unseenSince: since }) };
}

export function noteSeen(run: RunRecord, number: number): RunRecord {
  const live = liveAttempt(run);
  if (live?.number !== number || live.unseenSince === undefined) return run;
  const seen = { ...live };
  delete seen.unseenSince;
  return { ...run, attempts: withAttempt(run, seen) };
}

/**
 * Time has passed. `lastSeen` is the last sign of life on the open socket of the live attempt, or undefined when
 * none is open.
 */
export function tick(run: RunRecord, lastSeen: number | undefined, options: EndOptions): RunRecord {
  const { now } = options;
  if (run.status === "queued" && now >= queueDeadline(run))
    return changed(run, now, {
      status: "failed",
      completedAt: now,
      error: {
        code: "queue_timeout",
        message: `no runner of pool ${run.pool} took the run within ${run.policy.queueMs} ms`,
      },
    });
  const live = liveAttempt(run);
  if (live === undefined) return run;
  if (lastSeen !== undefined && now >= wallDeadline(run, live))
    return endAttempt(run, live.number, undefined, { reason: "timeout" }, options);
  const since = lastSeen ?? live.unseenSince;
  // This object has just woken (a deploy, a crash), or it slept through the deadline: it was away itself, and grants
  // the whole time before it declares anything lost (invariant 16).
  if (since === undefined || (lastSeen === undefined && now >= since + 2 * LOST_AFTER_MS))
    return unseenFrom(run, live, now);
  if (now < since + LOST_AFTER_MS) return run;
  const error = {
    code: "lost",
    message: `runner ${live.runnerName} was not seen for ${LOST_AFTER_MS / 1000} s`,
  };
  return endAttempt(run, live.number, undefined, { reason: "abandoned", error }, options);
}

function queueDeadline(run: RunRecord): number {
  return run.queuedAt + run.policy.queueMs;
}

/**
 * Kept by the runner; the edge looks at it only while that one is connected. A runner that is away may hold the result
 * of a step that ended long ago: then the lease clock alone decides how long it is waited for.
 */
function wallDeadline(run: RunRecord, live: AttemptRecord): number {
  return live.startedAt + run.policy.timeoutMs + WALL_MARGIN_MS;
}

/** When time alone can change this run, or something it owes is due again. Undefined: only a message can. */
export function nextDue(run: RunRecord, lastSeen: number | undefined, now: number): number | undefined {
  if (run.status === "queued") return Math.min(queueDeadline(run), run.sendAt);
  const live = liveAttempt(run);
  if (live === undefined)
    return run.chained?.some((entry) => entry.state === "owed") === true ? run.sendAt : undefined;
  if (lastSeen === undefined) return (live.unseenSince ?? now) + LOST_AFTER_MS;
  const wall = wallDeadline(run, live);
  const pinged = now - lastSeen <= PING_INTERVAL_MS + PONG_TIMEOUT_MS;
  const look = pinged ? now + LOOK_AT_LIVE_MS : lastSeen + LOST_AFTER_MS;
  return Math.min(wall > now ? wall : now + HANDOVER_GRACE_MS, look);
}

/** What was owed to the queue has been sent again. */
export function resent(run: RunRecord, now: number): RunRecord {
  return { ...run, sends: run.sends + 1, sendAt: now + resendAfterMs(run.sends + 1) };
}
