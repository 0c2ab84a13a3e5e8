/** What time does to a run: the three clocks of an attempt (invariant 11), the lease, and the grace of invariant 16. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  LOST_AFTER_MS,
  PING_INTERVAL_MS,
  PONG_TIMEOUT_MS,
  RETRY_BACKOFF_MAX_MS,
  RETRY_MAX_ATTEMPTS,
  WALL_MARGIN_MS,
} from "../../contract/limits.ts";
import { endAttempt, recordResult, requestCancel, RESEND_AFTER_MS } from "../../contract/run-lifecycle.ts";
import { LOOK_AT_LIVE_MS, nextDue, noteSeen, noteUnseen, tick } from "../../contract/run-clocks.ts";
import { RETRY_REASONS } from "../../contract/flow-manifest.ts";
import { END_REASONS, type RunRecord } from "../../contract/run-record.ts";
import {
  at,
  BEGIN_MS,
  claimed,
  CRASHED,
  EXITED,
  GONE,
  leaseOf,
  retrying,
  waitingRun,
} from "../support/run-life.ts";

const QUEUE_MS = 10_000;
const TIMEOUT_MS = 300_000;
const STEP_MS = 1000;

describe("waiting (queue_ms)", () => {
  const run = waitingRun({ queueMs: QUEUE_MS });

  test("ends a run that no runner took, with a reason of its own", () => {
    expect(tick(run, undefined, at(BEGIN_MS + QUEUE_MS - 1))).toBe(run);
    expect(tick(run, undefined, at(BEGIN_MS + QUEUE_MS))).toMatchObject({
      status: "failed",
      error: { code: "queue_timeout" },
      completedAt: BEGIN_MS + QUEUE_MS,
      attempts: [],
    });
  });

  test("does not run while a runner has the run", () => {
    const running = claimed(run);
    const seen = BEGIN_MS + QUEUE_MS;
    expect(tick(running, seen, at(seen))).toBe(running);
  });

  test("begins anew for the next attempt, and only when its backoff is over", () => {
    const backoffMs = 5 * QUEUE_MS;
    const first = claimed(waitingRun({ queueMs: QUEUE_MS, ...retrying(2, backoffMs) }));
    const again = endAttempt(first, 1, 1, CRASHED, at(BEGIN_MS));
    expect(again.notBefore).toBe(BEGIN_MS + backoffMs);
    expect(tick(again, undefined, at(again.notBefore))).toBe(again);
    expect(tick(again, undefined, at(again.notBefore + QUEUE_MS))).toMatchObject({
      status: "failed",
      error: { code: "queue_timeout" },
    });
  });
});

describe("wall (timeout_ms)", () => {
  const run = claimed(waitingRun({ timeoutMs: TIMEOUT_MS }));
  const wall = BEGIN_MS + TIMEOUT_MS + WALL_MARGIN_MS;

  test("ends the attempt of a connected runner that does not keep it itself", () => {
    expect(tick(run, wall - 1, at(wall - 1))).toBe(run);
    expect(tick(run, wall, at(wall))).toMatchObject({
      status: "failed",
      error: { code: "timeout" },
      attempts: [{ status: "timeout", end: { reason: "timeout" } }],
    });
  });

  test("leaves a result standing that the step had given (invariant 9)", () => {
    const told = recordResult(run, 1, 1, { status: "changed" }, BEGIN_MS);
    expect(tick(told, wall, at(wall))).toMatchObject({ status: "completed", result: { status: "changed" } });
  });

  test("proves no cancel (invariant 10)", () => {
    const requested = requestCancel(run, "Ada", BEGIN_MS);
    expect(tick(requested, wall, at(wall))).toMatchObject({
      status: "failed",
      error: { code: "cancel_unproved" },
    });
  });

  test("gives way to the lease while the runner is away: it may hold the result of a step that ended in time", () => {
    const away = noteUnseen(run, 1, wall - 5);
    expect(tick(away, undefined, at(wall + 5))).toBe(away);
    expect(nextDue(away, undefined, wall + 5)).toBe(wall - 5 + LOST_AFTER_MS);
    expect(tick(away, undefined, at(wall - 5 + LOST_AFTER_MS))).toMatchObject({
      attempts: [{ status: "lost" }],
    });
  });

  test("ends an attempt whose runner reconnects again and again one grace after it, not one grace after each", () => {
    let record = run;
    let now = wall - LOST_AFTER_MS;
    // Each connection lasts a second, and each outage half of the grace: no look of the edge meets an open socket.
    while (record.status === "running" && now < wall + 10 * LOST_AFTER_MS) {
      record = noteUnseen(noteSeen(record, 1, now), 1, now + STEP_MS);
      const due = nextDue(record, undefined, now + STEP_MS) ?? Infinity;
      now += LOST_AFTER_MS / 2;
      if (due <= now) record = tick(record, undefined, at(due));
    }
    expect(record).toMatchObject({
      status: "failed",
      completedAt: wall + STEP_MS + LOST_AFTER_MS,
      attempts: [{ status: "timeout", end: { reason: "timeout" } }],
    });
  });

  test("leaves a runner that comes back behind it time to hand over", () => {
    const back = noteSeen(noteUnseen(run, 1, wall - 5), 1, wall + 5);
    expect(nextDue(back, wall + 5, wall + 5)).toBeGreaterThan(wall + 5);
  });
});

describe("the lease", () => {
  const run = claimed(waitingRun());

  test("is lost when an open socket shows no life for the whole time, whatever the reason (invariant 7)", () => {
    const seen = BEGIN_MS + 1000;
    expect(tick(run, seen, at(seen + LOST_AFTER_MS - 1))).toBe(run);
    expect(tick(run, seen, at(seen + LOST_AFTER_MS))).toMatchObject({
      status: "failed",
      error: { code: "lost" },
      attempts: [{ status: "lost", end: { reason: "abandoned" } }],
    });
  });

  test("is lost when no socket came back in time", () => {
    const away = noteUnseen(run, 1, BEGIN_MS + 1000);
    expect(away).toMatchObject({ rev: run.rev, updatedAt: run.updatedAt, status: "running" });
    expect(tick(away, undefined, at(BEGIN_MS + 999 + LOST_AFTER_MS))).toBe(away);
    const lost = tick(away, undefined, at(BEGIN_MS + 1000 + LOST_AFTER_MS));
    expect(lost).toMatchObject({ status: "failed", attempts: [{ status: "lost" }] });
    expect(lost.attempts[0]).not.toHaveProperty("unseenSince");
  });

  test("is kept by a socket that comes back", () => {
    const back = noteSeen(noteUnseen(run, 1, BEGIN_MS), 1, BEGIN_MS + 500);
    expect(back).toEqual(run);
    expect(tick(back, BEGIN_MS + LOST_AFTER_MS, at(BEGIN_MS + LOST_AFTER_MS))).toBe(back);
  });

  test("counts from the first time that the runner was not seen", () => {
    const away = noteUnseen(run, 1, BEGIN_MS);
    expect(noteUnseen(away, 1, BEGIN_MS + 500)).toBe(away);
    expect(noteUnseen(run, 2, BEGIN_MS)).toBe(run);
    expect(noteSeen(away, 2, BEGIN_MS)).toBe(away);
  });

  test("is granted the whole time by an object that has just woken and sees no socket (invariant 16)", () => {
    const woken = BEGIN_MS + 20 * LOST_AFTER_MS;
    const granted = tick(run, undefined, at(woken));
    expect(granted).toMatchObject({ status: "running", attempts: [{ unseenSince: woken }] });
    expect(tick(granted, undefined, at(woken + LOST_AFTER_MS - 1))).toBe(granted);
    expect(tick(granted, undefined, at(woken + LOST_AFTER_MS))).toMatchObject({
      attempts: [{ status: "lost" }],
    });
  });

  test("is granted anew by an object that slept through the deadline: it was away itself (invariant 16)", () => {
    const away = noteUnseen(run, 1, BEGIN_MS);
    const woken = BEGIN_MS + 3 * LOST_AFTER_MS;
    const granted = tick(away, undefined, at(woken));
    expect(granted).toMatchObject({ status: "running", attempts: [{ unseenSince: woken }] });
    expect(tick(granted, undefined, at(woken + LOST_AFTER_MS))).toMatchObject({
      attempts: [{ status: "lost" }],
    });
  });

  test("of a runner that is declared lost proves a cancel (invariant 10)", () => {
    const requested = noteUnseen(requestCancel(run, "Ada", BEGIN_MS), 1, BEGIN_MS);
    expect(tick(requested, undefined, at(BEGIN_MS + LOST_AFTER_MS))).toMatchObject({
      status: "canceled",
      cancel: { state: "canceled" },
    });
  });
});

describe("a clock that jumps (invariant 16)", () => {
  const HOUR_MS = 3_600_000;
  const start = BEGIN_MS + 1000;
  const run = claimed(waitingRun({ timeoutMs: TIMEOUT_MS }));

  test("an hour ahead loses no runner that is connected, and costs its step no time", () => {
    const now = start + HOUR_MS;
    const jumped = tick(run, start, at(now));
    expect(jumped).toMatchObject({ status: "running", attempts: [{ unseenSince: now, skippedMs: HOUR_MS }] });
    const alive = tick(jumped, now + 10, at(now + 20));
    expect(alive).toMatchObject({ status: "running" });
    expect(alive.attempts[0]).not.toHaveProperty("unseenSince");
    const wall = BEGIN_MS + HOUR_MS + TIMEOUT_MS + WALL_MARGIN_MS;
    expect(tick(alive, wall - 1, at(wall - 1))).toMatchObject({ status: "running" });
    expect(tick(alive, wall, at(wall))).toMatchObject({ error: { code: "timeout" } });
  });

  test("an hour back hides no runner that is gone for longer than the grace, connected or not", () => {
    const now = start - HOUR_MS;
    for (const [gone, lastSeen] of [
      [run, start],
      [noteUnseen(run, 1, start), undefined],
    ] as const) {
      expect(nextDue(gone, lastSeen, now)).toBe(now + LOST_AFTER_MS);
      const noted = tick(gone, lastSeen, at(now));
      expect(noted).toMatchObject({ status: "running", attempts: [{ unseenSince: now }] });
      expect(tick(noted, lastSeen, at(now + LOST_AFTER_MS - 1))).toMatchObject({ status: "running" });
      expect(tick(noted, lastSeen, at(now + LOST_AFTER_MS))).toMatchObject({ error: { code: "lost" } });
    }
  });

  test("an hour back does not make a run wait an hour longer, and leaves a backoff alone", () => {
    const waiting = waitingRun({ queueMs: QUEUE_MS });
    const now = BEGIN_MS - HOUR_MS;
    expect(nextDue(waiting, undefined, now)).toBe(now);
    const again = tick(waiting, undefined, at(now));
    expect(again).toMatchObject({ status: "queued", queuedAt: now, notBefore: now, sendAt: now });
    expect(tick(again, undefined, at(now + QUEUE_MS))).toMatchObject({ error: { code: "queue_timeout" } });
    const backing = endAttempt(
      claimed(waitingRun(retrying(2, HOUR_MS))),
      1,
      1,
      CRASHED,
      at(BEGIN_MS, { random: 1 }),
    );
    expect(tick(backing, undefined, at(BEGIN_MS))).toBe(backing);
  });

  test("back and forth, any number of times: who shows life is never lost, who is gone is lost soon after the last jump", () => {
    // Far enough apart for a heartbeat in between; less than the grace could be an alarm that is late.
    const jump = fc.record({
      afterMs: fc.integer({ min: 2 * PING_INTERVAL_MS, max: 5 * LOST_AFTER_MS }),
      byMs: fc.oneof(
        fc.integer({ min: -HOUR_MS, max: -LOST_AFTER_MS }),
        fc.integer({ min: LOST_AFTER_MS + PING_INTERVAL_MS, max: HOUR_MS }),
      ),
    });
    fc.assert(
      fc.property(fc.array(jump, { maxLength: 6 }), fc.boolean(), fc.boolean(), (jumps, alive, connected) => {
        let record = claimed(waitingRun({ timeoutMs: 24 * HOUR_MS }));
        if (!connected) record = noteUnseen(record, 1, BEGIN_MS);
        /** The world's time since the start, and how far the wall's clock is off. */
        let time = 0;
        let offset = 0;
        let pingedAt = BEGIN_MS;
        let due = nextDue(record, connected ? pingedAt : undefined, BEGIN_MS) ?? 0;
        const end =
          jumps.reduce((sum, { afterMs }) => sum + afterMs, 0) + 3 * LOST_AFTER_MS + HOUR_MS * jumps.length;
        const times = jumps.map((_one, n) =>
          jumps.slice(0, n + 1).reduce((sum, { afterMs }) => sum + afterMs, 0),
        );
        for (; time <= end && record.status === "running"; time += STEP_MS) {
          for (const [n, when] of times.entries())
            if (when > time - STEP_MS && when <= time) offset += jumps[n]?.byMs ?? 0;
          const now = BEGIN_MS + time + offset;
          if (alive && time % PING_INTERVAL_MS === 0) pingedAt = now;
          if (now < due) continue;
          const lastSeen = connected ? pingedAt : undefined;
          record = tick(record, lastSeen, at(now));
          due = nextDue(record, lastSeen, now) ?? Infinity;
        }
        if (alive && connected) expect(record.status).toBe("running");
        else expect(record).toMatchObject({ status: "failed", error: { code: "lost" } });
      }),
      {
        numRuns: 200,
        examples: [
          // Set forward, back within the grace that began with it, and forward again.
          [
            [
              { afterMs: 30_001, byMs: 75_000 },
              { afterMs: 30_000, byMs: -60_000 },
              { afterMs: 30_000, byMs: 75_000 },
            ],
            true,
            true,
          ],
        ],
      },
    );
  });
});

describe("a retry", () => {
  test("follows exactly the ends that its policy names, and never a canceled one", () => {
    const ends = { lost: { reason: "abandoned" }, timeout: { reason: "timeout" }, failed: CRASHED } as const;
    for (const named of RETRY_REASONS)
      for (const happened of RETRY_REASONS) {
        const retry = { attempts: 2, on: [named], backoffMs: 0 };
        const over = endAttempt(claimed(waitingRun({ retry })), 1, 1, ends[happened], at(BEGIN_MS));
        expect(over.status, `${happened}, policy names ${named}`).toBe(
          named === happened ? "queued" : "failed",
        );
      }
  });

  test("follows a FLOW_RESULT of failed like any failure", () => {
    const told = recordResult(claimed(waitingRun(retrying(2))), 1, 1, { status: "failed" }, BEGIN_MS);
    expect(endAttempt(told, 1, 2, EXITED, at(BEGIN_MS))).toMatchObject({
      status: "queued",
      attempts: [{ status: "completed", result: { status: "failed" } }],
    });
  });

  test("backs off with doubling and a jitter of a quarter, bounded, and is sent when the backoff is over", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: RETRY_BACKOFF_MAX_MS }),
        fc.integer({ min: 1, max: RETRY_MAX_ATTEMPTS - 1 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (backoffMs, failures, random) => {
          let run = waitingRun(retrying(RETRY_MAX_ATTEMPTS, backoffMs));
          let now = BEGIN_MS;
          for (let attempt = 1; attempt <= failures; attempt += 1) {
            now = run.notBefore;
            run = endAttempt(claimed(run, now), attempt, 1, CRASHED, at(now, { random }));
          }
          const base = Math.min(backoffMs * 2 ** (failures - 1), RETRY_BACKOFF_MAX_MS);
          expect(run.notBefore - now).toBeGreaterThanOrEqual(Math.floor(base * 0.75));
          expect(run.notBefore - now).toBeLessThanOrEqual(Math.ceil(base * 1.25));
          expect(run).toMatchObject({ status: "queued", sendAt: run.notBefore, sends: 0 });
        },
      ),
    );
  });

  test("ends with the last attempt", () => {
    let run = waitingRun(retrying(3, 0));
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      expect(run.status).toBe("queued");
      run = endAttempt(claimed(run), attempt, 1, CRASHED, at(BEGIN_MS));
    }
    expect(run).toMatchObject({ status: "failed", error: { code: "exit_code" } });
    expect(run.attempts.map(({ number, lease, status }) => [number, lease, status])).toEqual([
      [1, leaseOf(1), "failed"],
      [2, leaseOf(2), "failed"],
      [3, leaseOf(3), "failed"],
    ]);
  });
});

describe("when to wake", () => {
  test("is at the end of the lease for a runner that has missed a heartbeat, whose socket is still open", () => {
    const running = claimed(waitingRun({ timeoutMs: TIMEOUT_MS }));
    const missed = BEGIN_MS + PING_INTERVAL_MS + PONG_TIMEOUT_MS + 1;
    expect(nextDue(running, BEGIN_MS, missed)).toBe(BEGIN_MS + LOST_AFTER_MS);
  });

  test("is never for a run that is over and owes nothing", () => {
    for (const reason of END_REASONS) {
      const over = endAttempt(claimed(waitingRun()), 1, 1, { reason, tree: GONE }, at(BEGIN_MS));
      expect(nextDue(over, undefined, BEGIN_MS)).toBeUndefined();
    }
  });

  test("is for the next send while chained events are owed", () => {
    const told = recordResult(claimed(waitingRun()), 1, 1, { status: "changed", next: [{ id: "a" }] }, 1);
    const over = endAttempt(told, 1, 2, EXITED, at(BEGIN_MS));
    expect(nextDue(over, undefined, BEGIN_MS)).toBe(BEGIN_MS + RESEND_AFTER_MS[0]);
  });

  test("is for whatever clock comes first", () => {
    const waiting = waitingRun({ queueMs: 100 });
    expect(nextDue(waiting, undefined, BEGIN_MS)).toBe(BEGIN_MS + 100);
    expect(nextDue(waitingRun(), undefined, BEGIN_MS)).toBe(BEGIN_MS + RESEND_AFTER_MS[0]);
    const running: RunRecord = claimed(waitingRun({ timeoutMs: TIMEOUT_MS }));
    expect(nextDue(running, BEGIN_MS + 7, BEGIN_MS + 7)).toBe(BEGIN_MS + 7 + LOOK_AT_LIVE_MS);
    const wall = BEGIN_MS + TIMEOUT_MS + WALL_MARGIN_MS;
    expect(nextDue(running, wall - 10, wall - 10)).toBe(wall);
    expect(nextDue(running, undefined, BEGIN_MS + 9)).toBe(BEGIN_MS + 9 + LOST_AFTER_MS);
  });
});
