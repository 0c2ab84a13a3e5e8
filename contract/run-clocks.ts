/**
 * What time alone does to a run (invariant 11), and when to look again: pure functions of the record, the clock and
 * the last sign of life of the runner. The silence of a step is the runner's to notice: it sees every byte, while the
 * edge is told at a pace that spares the bill.
 *
 * The edge has no clock but the wall's, which may jump: set right, or gone on while the machine slept. A time that
 * lies in the future was written before the clock was set back, and says nothing. A silence that no alarm on time
 * would have met is a jump, or a sleep of the object, and not held against the runner (invariant 16): it has the whole
 * grace from then on, and what was jumped over does not count as time of its step, which the runner's own clock has
 * not seen either. Only `queue_ms` cannot tell, since nobody shows life while a run waits.
 *
 * Where another attempt is lost, a relayed session is away: that is noted and shown, and it is waited for as long as its
 * lease lasts (`leaseMs`). Its agent works on, or sleeps with its box: the relay keeps wall and silence itself, and time
 * that the edge has not seen it for is none that it counts.
 */
import { expireApprovals, pendingApprovals } from "./approvals.ts";
import {
  LOST_AFTER_MS,
  PING_INTERVAL_MS,
  PONG_TIMEOUT_MS,
  RETRY_BACKOFF_MAX_MS,
  WALL_MARGIN_MS,
} from "./limits.ts";
import { endAttempt, resendAfterMs, type EndOptions } from "./run-lifecycle.ts";
import {
  changed,
  isPooled,
  leaseMs,
  liveAttempt,
  withAttempt,
  type AttemptRecord,
  type RunRecord,
} from "./run-record.ts";

/** A retry's backoff with its jitter. */
const BACKOFF_LONGEST_MS = 1.25 * RETRY_BACKOFF_MAX_MS;
/** An alarm fires a moment after it is due; one that is later than this has met a jump or a sleep. */
const LATE_ALARM_MS = 15_000;
const HOUR_MS = 3_600_000;
/** A runner that comes back after its attempt's wall clock has this long to hand over what it holds. */
const HANDOVER_GRACE_MS = 10_000;

/**
 * How often the edge looks whether a runner whose socket is open still shows life. Each look is billed as a request and
 * a written row. A socket that closes starts the lease clock at once; only a runner that vanishes without a close (its
 * power, its network) is noticed by a look, and then has the whole grace once more, since nobody looked meanwhile: it is
 * lost 150 to 165 s after its last sign of life.
 */
export const LOOK_AT_LIVE_MS = 90_000;

/** The runner's socket for an attempt closed or was not found: the lease clock runs from here (invariant 7). */
export function noteUnseen(run: RunRecord, number: number, since: number): RunRecord {
  const live = liveAttempt(run);
  if (live?.number !== number || live.unseenSince !== undefined) return run;
  const isKnown = live.overdueSince !== undefined && live.overdueSince <= since;
  return unseenFrom(run, isKnown ? live : withOverdue(run, live, since), since);
}

/** Notes that the runner is away although the time of its step is over, or takes that note away. */
function withOverdue(run: RunRecord, live: AttemptRecord, now: number): AttemptRecord {
  const { overdueSince: _before, ...rest } = live;
  return isPooled(run) && now >= wallDeadline(run, live) ? { ...rest, overdueSince: now } : rest;
}

function unseenFrom(run: RunRecord, live: AttemptRecord, since: number, lastSeen?: number): RunRecord {
  const { graceFromSeen: _before, ...rest } = live;
  const graceFromSeen = lastSeen === undefined ? {} : { graceFromSeen: lastSeen };
  return { ...run, attempts: withAttempt(run, { ...rest, ...graceFromSeen, unseenSince: since }) };
}

export function noteSeen(run: RunRecord, number: number, now: number): RunRecord {
  const live = liveAttempt(run);
  if (live?.number !== number || live.unseenSince === undefined) return run;
  const { unseenSince, graceFromSeen: _grace, awaySince, ...rest } = live;
  const seen = isPooled(run) ? rest : withSkipped(rest, now - unseenSince);
  const attempts = withAttempt(run, seen);
  return awaySince === undefined ? { ...run, attempts } : changed(run, now, { attempts });
}

/** Time that does not count as the step's. */
function withSkipped(live: AttemptRecord, ms: number): AttemptRecord {
  return ms <= 0 ? live : { ...live, skippedMs: (live.skippedMs ?? 0) + ms };
}

/** Another one would be lost by now; this one is waited for. */
function noteAway(
  run: RunRecord,
  live: AttemptRecord,
  { since, lastSeen, now }: { since: number; lastSeen: number | undefined; now: number },
): RunRecord {
  const awaySince = since === lastSeen ? since : Math.min(since, live.graceFromSeen ?? since);
  return changed(unseenFrom(run, { ...live, awaySince }, since, lastSeen), now, {});
}

/**
 * The last sign of life that is known; undefined when nobody has looked yet, or only the future is said to have seen it.
 * Which of two times came first, a clock that jumps does not tell; that a sign is another than before, it does.
 */
function aliveAt(live: AttemptRecord, lastSeen: number | undefined, now: number): number | undefined {
  const { graceFromSeen, unseenSince } = live;
  const shownSince = lastSeen !== undefined && graceFromSeen !== undefined && lastSeen !== graceFromSeen;
  const signs = [lastSeen, shownSince ? undefined : unseenSince].filter(
    (sign) => sign !== undefined && sign <= now,
  );
  return signs.length === 0 ? undefined : Math.max(...(signs as number[]));
}

/** The attempt has the whole grace from now on. */
function granted(
  run: RunRecord,
  live: AttemptRecord,
  { since, lastSeen, now }: { since: number | undefined; lastSeen: number | undefined; now: number },
): RunRecord {
  return unseenFrom(run, withOverdue(run, withSkipped(live, now - (since ?? now)), now), now, lastSeen);
}

/** The clock was set back: a wait that begins later than any backoff could mean begins now. */
function withWaitFromNow(run: RunRecord, now: number): RunRecord {
  const latest = now + (run.attempts.length === 0 ? 0 : BACKOFF_LONGEST_MS);
  return run.status === "queued" && run.queuedAt > latest
    ? changed(run, now, { queuedAt: now, notBefore: now, sendAt: now })
    : run;
}

/**
 * Time has passed. `lastSeen` is the last sign of life on the open socket of the live attempt, or undefined when
 * none is open.
 */
export function tick(before: RunRecord, lastSeen: number | undefined, options: EndOptions): RunRecord {
  const { now } = options;
  const run = withWaitFromNow(before, now);
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
  return live === undefined ? run : tickAttempt(expireApprovals(run, now), live, lastSeen, options);
}

function tickAttempt(
  run: RunRecord,
  live: AttemptRecord,
  lastSeen: number | undefined,
  options: EndOptions,
): RunRecord {
  const { now } = options;
  const since = aliveAt(live, lastSeen, now);
  const jumpMs = since === lastSeen ? LATE_ALARM_MS : LOST_AFTER_MS;
  const waitMs = patienceMs(run, live);
  if (since === undefined || now >= since + waitMs + jumpMs)
    return granted(run, live, { since, lastSeen, now });
  if (showsLife(lastSeen, now)) {
    const seen = since === lastSeen ? noteSeen(run, live.number, now) : run;
    return now >= wallDeadline(run, liveAttempt(seen) ?? live)
      ? endAttempt(seen, live.number, undefined, { reason: "timeout" }, options)
      : seen;
  }
  if (now < since + waitMs)
    return now < lastDeadline(live, now)
      ? run
      : endAttempt(run, live.number, undefined, { reason: "timeout" }, options);
  if (waitMs < leaseMs(run)) return noteAway(run, live, { since, lastSeen, now });
  const error = { code: "lost", message: whyLost(run, live) };
  return endAttempt(run, live.number, undefined, { reason: "abandoned", error }, options);
}

/** The silence after which something becomes of the attempt: a relayed session is first away, then lost. */
function patienceMs(run: RunRecord, live: AttemptRecord): number {
  return live.awaySince === undefined ? LOST_AFTER_MS : leaseMs(run);
}

function showsLife(lastSeen: number | undefined, now: number): lastSeen is number {
  return lastSeen !== undefined && lastSeen <= now && now < lastSeen + LOST_AFTER_MS;
}

function whyLost(run: RunRecord, { runnerName, awaySince }: AttemptRecord): string {
  if (awaySince === undefined) return `runner ${runnerName} was not seen for ${LOST_AFTER_MS / 1000} s`;
  const since = new Date(awaySince).toISOString();
  return `the relay on ${runnerName} was not seen for ${leaseMs(run) / HOUR_MS} h, since ${since}`;
}

function queueDeadline(run: RunRecord): number {
  return run.queuedAt + run.policy.queueMs;
}

/**
 * Kept by the runner; the edge looks at it only while that one is connected and shows life. A runner that is away may hold
 * the result of a step that ended long ago: then the lease clock alone decides how long it is waited for.
 */
function wallDeadline(run: RunRecord, live: AttemptRecord): number {
  return live.startedAt + run.policy.timeoutMs + WALL_MARGIN_MS + (live.skippedMs ?? 0);
}

/**
 * When an attempt whose time is over ends, whether or not its runner comes back in between: one grace after the first
 * moment without its runner. A runner that loses its socket again and again, before it can hand anything over, would
 * otherwise get a new grace with each connection.
 */
function lastDeadline({ overdueSince }: AttemptRecord, now: number): number {
  return overdueSince === undefined || overdueSince > now ? Infinity : overdueSince + LOST_AFTER_MS;
}

/** When time alone can change this run, or something it owes is due again. Undefined: only a message can. */
export function nextDue(run: RunRecord, lastSeen: number | undefined, now: number): number | undefined {
  if (run.status === "queued")
    return withWaitFromNow(run, now) === run
      ? Math.min(queueDeadline(run), isPooled(run) ? run.sendAt : Infinity)
      : now;
  const live = liveAttempt(run);
  if (live === undefined)
    return run.chained?.some((entry) => entry.state === "owed") === true ? run.sendAt : undefined;
  const expiries = pendingApprovals(run).map((approval) => approval.expiresAt);
  const silent = (aliveAt(live, lastSeen, now) ?? now) + patienceMs(run, live);
  if (lastSeen === undefined) return Math.min(silent, Math.max(lastDeadline(live, now), now), ...expiries);
  const pinged = lastSeen <= now && now - lastSeen <= PING_INTERVAL_MS + PONG_TIMEOUT_MS;
  const look = pinged ? now + LOOK_AT_LIVE_MS : Math.min(silent, now + LOOK_AT_LIVE_MS);
  if (!showsLife(lastSeen, now)) return Math.min(look, Math.max(lastDeadline(live, now), now), ...expiries);
  const wall = wallDeadline(run, live);
  return Math.min(wall > now ? wall : now + HANDOVER_GRACE_MS, look, ...expiries);
}

/** What was owed to the queue has been sent again. */
export function resent(run: RunRecord, now: number): RunRecord {
  return { ...run, sends: run.sends + 1, sendAt: now + resendAfterMs(run.sends + 1) };
}
