/**
 * A relayed session whose box is away: it is waited for, that is shown, and what the edge has not seen costs it no time
 * (invariants 7, 11 and 16). Another attempt is lost by then.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  LOST_AFTER_MS,
  PING_INTERVAL_MS,
  PONG_TIMEOUT_MS,
  RELAY_LOST_AFTER_MS,
  WALL_MARGIN_MS,
} from "../../contract/limits.ts";
import { LOOK_AT_LIVE_MS, nextDue, noteSeen, noteUnseen, tick } from "../../contract/run-clocks.ts";
import { requestCancel, resume } from "../../contract/run-lifecycle.ts";
import { isTerminal, liveAttempt, type RunRecord } from "../../contract/run-record.ts";
import { runSummary, runView } from "../../contract/run-view.ts";
import { effectsOfChange } from "../../durable-objects/flow-event/rules.ts";
import { at, BEGIN_MS, claimed, leaseOf, RUNNER, waitingRun } from "../support/run-life.ts";

const TIMEOUT_MS = 1_800_000;
const HOUR_MS = 3_600_000;
const STEP_MS = 5_000;
/** Longer than any history here. */
const CLOCK_MS = 100 * HOUR_MS;

function session(timeoutMs = TIMEOUT_MS): RunRecord {
  const run = waitingRun({ timeoutMs, retry: { attempts: 1, on: [], backoffMs: 0 } });
  return claimed({ ...run, step: { ...run.step, runner: "relay" } });
}

/** The alarm comes whenever it is due until `until`, and no socket is there. */
function waitedFor(run: RunRecord, from: number, until: number): { run: RunRecord; alarms: number } {
  let alarms = 0;
  let now = from;
  for (let due = nextDue(run, undefined, now) ?? Infinity; due <= until && !isTerminal(run.status);) {
    now = Math.max(due, now);
    run = tick(run, undefined, at(now));
    due = nextDue(run, undefined, now) ?? Infinity;
    alarms += 1;
  }
  return { run, alarms };
}

const left = noteUnseen(session(), 1, BEGIN_MS);
const awayAt = BEGIN_MS + LOST_AFTER_MS;

describe("whose socket is gone", () => {
  test("is away where another attempt is lost, and says since when: in its view, in lists, and to whoever shows it", () => {
    expect(tick(left, undefined, at(awayAt - 1))).toBe(left);
    const away = tick(left, undefined, at(awayAt));
    const awaySince = new Date(BEGIN_MS).toISOString();
    expect(away.rev).toBe(left.rev + 1);
    expect(effectsOfChange(left, away, awayAt)).toEqual([{ kind: "project", n: 1 }]);
    expect(runSummary(away)).toMatchObject({ status: "running", awaySince });
    expect(runView(away).attempts[0]).toMatchObject({
      status: "running",
      leaseExpiresAt: BEGIN_MS + RELAY_LOST_AFTER_MS,
    });
    const { step, ...rest } = left;
    const ordinary = { ...rest, step: { ...step, runner: "bun" as const } };
    expect(tick(ordinary, undefined, at(awayAt))).toMatchObject({
      status: "failed",
      error: { code: "lost" },
    });
  });

  test("is waited for until its lease ends, whatever its timeout, in two alarms; then it is lost and says why", () => {
    const end = BEGIN_MS + RELAY_LOST_AFTER_MS;
    const waited = waitedFor(left, BEGIN_MS, end - 1);
    expect(waited).toMatchObject({ run: { status: "running" }, alarms: 1 });
    const { run, alarms } = waitedFor(waited.run, end - 1, end);
    expect(alarms).toBe(1);
    const why = `the relay on ${RUNNER.runnerName} was not seen for 24 h, since ${new Date(BEGIN_MS).toISOString()}`;
    expect(run).toMatchObject({ status: "failed", error: { code: "lost", message: why } });
    expect(runView(run)).not.toHaveProperty("awaySince");
    expect(run.attempts[0]).not.toHaveProperty("awaySince");
  });

  test("canceled meanwhile: it is asked when it is back, and if it never is, the end of its lease is the proof", () => {
    const canceled = requestCancel(tick(left, undefined, at(awayAt)), "Ada", awayAt + 1);
    expect(canceled).toMatchObject({ status: "running", cancel: { state: "cancel_requested" } });
    const back = noteSeen(canceled, 1, awayAt + HOUR_MS);
    expect(resume(back, { attempt: 1, lease: leaseOf(1) })).toMatchObject({ live: true });
    expect(back.cancel).toMatchObject({ state: "cancel_requested" });
    const { run } = waitedFor(canceled, awayAt + 1, BEGIN_MS + RELAY_LOST_AFTER_MS);
    expect(run).toMatchObject({ status: "canceled", cancel: { state: "canceled" } });
  });

  test("is granted the whole lease anew by an object that has slept through its end (invariant 16)", () => {
    const away = tick(left, undefined, at(awayAt));
    const woken = BEGIN_MS + 2 * RELAY_LOST_AFTER_MS;
    const granted = tick(away, undefined, at(woken));
    expect(granted).toMatchObject({ status: "running" });
    expect(nextDue(granted, undefined, woken)).toBe(woken + RELAY_LOST_AFTER_MS);
  });
});

describe("that comes back", () => {
  test("goes on as if nothing had been, and that is shown at once", () => {
    const away = tick(left, undefined, at(awayAt));
    const back = noteSeen(away, 1, awayAt + HOUR_MS);
    expect(back.rev).toBe(away.rev + 1);
    expect(runView(back)).not.toHaveProperty("awaySince");
    expect(runView(back).attempts).toEqual(runView(session()).attempts);
    expect(effectsOfChange(away, back, awayAt)).toEqual([{ kind: "project", n: 1 }]);
  });

  test.each([
    ["on a new socket", false],
    ["on the one that it had", true],
  ])("behind its timeout, %s, has the time that it was not seen for: it may have slept", (_name, open) => {
    const seenAt = BEGIN_MS + 60_000;
    const backAt = BEGIN_MS + 2 * HOUR_MS;
    let run = open ? session() : noteUnseen(session(), 1, seenAt);
    for (let now = seenAt; now < backAt;) {
      now = Math.max(now, nextDue(run, open ? seenAt : undefined, now) ?? Infinity);
      if (now < backAt) run = tick(run, open ? seenAt : undefined, at(now));
    }
    expect(liveAttempt(run)).toMatchObject({ awaySince: seenAt });
    if (!open) run = noteSeen(run, 1, backAt);
    run = tick(run, backAt, at(backAt));
    expect(run.status).toBe("running");
    const wall = backAt + TIMEOUT_MS + WALL_MARGIN_MS - 60_000;
    expect(tick(run, wall - 1, at(wall - 1)).status).toBe("running");
    expect(tick(run, wall, at(wall))).toMatchObject({ error: { code: "timeout" } });
  });
});

describe("whose socket seems open", () => {
  test("is looked at as long as it does, at the pace of one that lives", () => {
    let run = session();
    let now = BEGIN_MS + PING_INTERVAL_MS + PONG_TIMEOUT_MS + 1;
    const until = BEGIN_MS + 2 * HOUR_MS;
    let looks = 0;
    for (; now < until; looks += 1) {
      run = tick(run, BEGIN_MS, at(now));
      now = nextDue(run, BEGIN_MS, now) ?? Infinity;
    }
    expect(run).toMatchObject({ status: "running", attempts: [{ awaySince: BEGIN_MS }] });
    expect(looks).toBeLessThanOrEqual((2 * HOUR_MS) / LOOK_AT_LIVE_MS + 4);
    // Its connection has outlived the sleep, and nothing but a heartbeat comes on it.
    const next = nextDue(run, now + 1, now + 1) ?? Infinity;
    expect(next - now).toBeLessThanOrEqual(LOOK_AT_LIVE_MS + 1);
    expect(now - until).toBeLessThanOrEqual(LOOK_AT_LIVE_MS);
    expect(runView(tick(run, next - 1, at(next)))).not.toHaveProperty("awaySince");
  });

  test("any outages, each shorter than the lease: it lives on, whether its sockets close or not", () => {
    const outage = fc.record({
      /** Life before it, and how long it lasts. */
      lifeMs: fc.integer({ min: 2 * LOST_AFTER_MS, max: 5 * LOST_AFTER_MS }),
      awayMs: fc.integer({ min: 0, max: RELAY_LOST_AFTER_MS / 100 }),
      closes: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(outage, { minLength: 1, maxLength: 4 }), (outages) => {
        let run = session(CLOCK_MS);
        let due = nextDue(run, BEGIN_MS, BEGIN_MS) ?? 0;
        let now = BEGIN_MS;
        let pingedAt = BEGIN_MS;
        let open = true;
        const goOn = (ms: number, alive: boolean): void => {
          for (const until = now + ms; now < until; now += STEP_MS) {
            if (alive) pingedAt = now;
            if (now < due) continue;
            run = tick(run, open ? pingedAt : undefined, at(now));
            due = nextDue(run, open ? pingedAt : undefined, now) ?? Infinity;
          }
        };
        for (const { lifeMs, awayMs, closes } of outages) {
          goOn(lifeMs, true);
          expect(runView(run)).not.toHaveProperty("awaySince");
          if (closes) {
            open = false;
            run = noteUnseen(run, 1, now);
            due = nextDue(run, undefined, now) ?? Infinity;
          }
          goOn(awayMs, false);
          expect(run.status).toBe("running");
          // A look, the grace from then on, and the alarm's own step.
          if (awayMs > 3 * LOST_AFTER_MS + STEP_MS) expect(runView(run)).toHaveProperty("awaySince");
          if (closes) run = noteSeen(run, 1, now);
          open = true;
          pingedAt = now;
          due = nextDue(run, pingedAt, now) ?? Infinity;
        }
        goOn(2 * LOST_AFTER_MS, true);
        expect(run).toMatchObject({ status: "running", attempts: [{ status: "running" }] });
        expect(runView(run)).not.toHaveProperty("awaySince");
      }),
      { numRuns: 100 },
    );
  });
});
