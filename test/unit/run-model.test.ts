/**
 * Any sequence of facts, in any order, on time or late: the rules that no history may break (invariants 4, 5, 10, 11),
 * and that an alarm always finds something to do, or sleeps.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { RESULT_STATUSES } from "../../contract/flow-result.ts";
import { LOST_AFTER_MS, PING_INTERVAL_MS, WALL_MARGIN_MS } from "../../contract/limits.ts";
import {
  claim,
  deadLetter,
  endAttempt,
  noteChained,
  recordResult,
  recordSignalled,
  requestCancel,
  resume,
} from "../../contract/run-lifecycle.ts";
import { nextDue, noteSeen, noteUnseen, resent, tick } from "../../contract/run-clocks.ts";
import { RETRY_REASONS, type RunPolicy, type StepKind } from "../../contract/flow-manifest.ts";
import {
  isTerminal,
  liveAttempt,
  waitingAttempt,
  END_REASONS,
  type AttemptRecord,
  type RunRecord,
} from "../../contract/run-record.ts";
import { effectsOfState } from "../../durable-objects/flow-event/rules.ts";
import { at, BEGIN_MS, waitingRun } from "../support/run-life.ts";

/** Something that happens to a run at a time. `attempt` says to which attempt a fact belongs, live or not. */
type Fact =
  | { kind: "claim"; attempt: number; runnerId: string }
  | { kind: "result"; attempt: number; seq: number; status: (typeof RESULT_STATUSES)[number] }
  | {
      kind: "end";
      attempt: number;
      seq: number;
      reason: (typeof END_REASONS)[number];
      code: number | null;
      empty: boolean;
    }
  | { kind: "cancel" }
  | { kind: "signalled"; attempt: number; survivors: number[] }
  | { kind: "unseen"; attempt: number }
  | { kind: "seen"; attempt: number }
  | { kind: "tick"; lastSeen: number | undefined; random: number }
  | { kind: "deadLetter"; attempt: number }
  | { kind: "resent" }
  | { kind: "chained"; index: number };

const attempt = fc.integer({ min: 0, max: 4 });
const seq = fc.integer({ min: 1, max: 6 });
const fact: fc.Arbitrary<Fact> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("claim"), attempt, runnerId: fc.constantFrom("r1", "r2") }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("result"),
      attempt,
      seq,
      status: fc.constantFrom(...RESULT_STATUSES),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("end"),
      attempt,
      seq,
      reason: fc.constantFrom(...END_REASONS),
      code: fc.constantFrom(0, 1, null),
      empty: fc.boolean(),
    }),
  },
  fc.record({ kind: fc.constant("cancel") }),
  fc.record({
    kind: fc.constant("signalled"),
    attempt,
    survivors: fc.array(fc.integer({ min: 2, max: 9 }), { maxLength: 3 }),
  }),
  fc.record({ kind: fc.constant("unseen"), attempt }),
  fc.record({ kind: fc.constant("seen"), attempt }),
  fc.record({
    kind: fc.constant("tick"),
    lastSeen: fc.option(fc.nat(2 * LOST_AFTER_MS), { nil: undefined }),
    random: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
  fc.record({ kind: fc.constant("deadLetter"), attempt }),
  fc.record({ kind: fc.constant("resent") }),
  fc.record({ kind: fc.constant("chained"), index: fc.nat(3) }),
);

const policy = fc.record({
  timeoutMs: fc.integer({ min: 1, max: 10 * LOST_AFTER_MS }),
  silenceMs: fc.integer({ min: 1, max: LOST_AFTER_MS }),
  queueMs: fc.integer({ min: 1, max: 20 * LOST_AFTER_MS }),
  retry: fc.record({
    attempts: fc.integer({ min: 1, max: 4 }),
    on: fc.subarray([...RETRY_REASONS]),
    backoffMs: fc.constantFrom(0, 1, 5000, LOST_AFTER_MS),
  }),
});
/** Kinds of steps whose clocks differ. */
const kind = fc.constantFrom<StepKind>("bun", "relay");

function waiting(given: Partial<RunPolicy>, runner: StepKind): RunRecord {
  const run = waitingRun(given);
  return { ...run, step: { ...run.step, runner } };
}

/** Facts, each so long after the one before. */
const history = fc.array(fc.tuple(fact, fc.constantFrom(0, 1, 4000, LOST_AFTER_MS, 5 * LOST_AFTER_MS)), {
  maxLength: 40,
});

function apply(run: RunRecord, given: Fact, now: number): RunRecord {
  switch (given.kind) {
    case "claim": {
      const by = { attempt: given.attempt, runnerId: given.runnerId, runnerName: "box" };
      const outcome = claim(run, { ...by, lease: `lease ${run.rev} ${given.runnerId}` }, now);
      return outcome.kind === "claimed" ? outcome.run : run;
    }
    case "result":
      return recordResult(
        run,
        given.attempt,
        given.seq,
        { status: given.status, next: [{ id: "e" }, { id: 1 }] },
        now,
      );
    case "end": {
      const tree = { empty: given.empty, survivors: given.empty ? [] : [7] };
      const end = { reason: given.reason, exit: { code: given.code, signal: null }, tree };
      return endAttempt(run, given.attempt, given.seq, end, at(now));
    }
    case "cancel":
      return requestCancel(run, "somebody", now);
    case "signalled":
      return recordSignalled(run, given.attempt, given.survivors, now);
    case "unseen":
      return noteUnseen(run, given.attempt, now);
    case "seen":
      return noteSeen(run, given.attempt, now);
    case "tick":
      return tick(run, given.lastSeen === undefined ? undefined : now - given.lastSeen, at(now, given));
    case "deadLetter":
      return deadLetter(run, given.attempt, now);
    case "resent":
      return resent(run, now);
    case "chained":
      return noteChained(run, given.index, { state: "sent", runIds: ["run_x"] }, now);
  }
}

/** What an attempt that is over may still gain: evidence. */
function withoutEvidence(known: AttemptRecord): Omit<AttemptRecord, "late" | "ackedSeq"> {
  const { late: _late, ackedSeq: _ackedSeq, ...rest } = known;
  return rest;
}

const awaySince = (run: RunRecord): number | undefined => liveAttempt(run)?.awaySince;

function checkStep(before: RunRecord, after: RunRecord): void {
  expect(after.rev).toBeGreaterThanOrEqual(before.rev);
  const running = after.attempts.filter((known) => known.status === "running");
  expect(running.length).toBe(after.status === "running" ? 1 : 0);
  if (after.status === "running") expect(running[0]).toBe(liveAttempt(after));
  expect(waitingAttempt(after)).toBe(after.status === "queued" ? after.attempts.length + 1 : undefined);
  expect(after.attempts.length).toBeLessThanOrEqual(after.policy.retry.attempts);
  expect(after.attempts.map((known) => known.number)).toEqual(
    after.attempts.map((_known, index) => index + 1),
  );

  // No attempt is forgotten, and one that is over only gains evidence (invariant 4).
  const live = liveAttempt(before)?.number;
  for (const known of before.attempts) {
    const now = after.attempts[known.number - 1];
    expect(now?.lease).toBe(known.lease);
    expect(now?.ackedSeq).toBeGreaterThanOrEqual(known.ackedSeq);
    if (now !== undefined && known.number !== live)
      expect(withoutEvidence(now)).toEqual(withoutEvidence(known));
  }
  // The first terminal state wins (invariant 5).
  if (isTerminal(before.status)) {
    expect([after.status, after.result, after.error, after.completedAt]).toEqual([
      before.status,
      before.result,
      before.error,
      before.completedAt,
    ]);
    expect(after.cancel).toEqual(before.cancel);
  }
  expect(after.completedAt !== undefined).toBe(isTerminal(after.status));
  // What a projection shows changes only with `rev`.
  if (after.rev === before.rev)
    expect([after.status, after.cancel, after.result, after.error, awaySince(after)]).toEqual([
      before.status,
      before.cancel,
      before.result,
      before.error,
      awaySince(before),
    ]);
  // Canceled is proved (invariant 10), and a cancel is never taken back.
  if (after.cancel?.state === "canceled") expect(after.status).toBe("canceled");
  if (before.cancel !== undefined) expect(after.cancel).toMatchObject({ by: before.cancel.by });
}

test("no history breaks the life of a run", () => {
  fc.assert(
    fc.property(policy, kind, history, (given, runner, facts) => {
      let run = waiting(given, runner);
      let now = BEGIN_MS;
      for (const [one, later] of facts) {
        now += later;
        const next = apply(run, one, now);
        checkStep(run, next);
        run = next;
      }
      for (const { number, lease } of run.attempts) {
        const outcome = resume(run, { attempt: number, lease });
        expect(outcome).toMatchObject({ kind: "resumed", live: liveAttempt(run)?.number === number });
      }
    }),
    { numRuns: 2000 },
  );
});

test("an alarm set to what is due makes progress each time, until the run ends or only a message can help", () => {
  fc.assert(
    fc.property(policy, kind, history, (given, runner, facts) => {
      let run = waiting(given, runner);
      let now = BEGIN_MS;
      for (const [one, later] of facts) {
        now += later;
        run = apply(run, one, now);
      }
      let seen = 0;
      for (let due = nextDue(run, undefined, now); due !== undefined; due = nextDue(run, undefined, now)) {
        // As the object's alarm does it: late facts aside, it never fires before it is set.
        now = Math.max(due, now);
        const before = run;
        run = tick(run, undefined, at(now));
        const sends = effectsOfState(run, now).some(({ kind }) => kind === "send" || kind === "chain");
        if (sends) run = resent(run, now);
        checkStep(before, run);
        expect(run, `nothing happened at ${now}`).not.toBe(before);
        const next = nextDue(run, undefined, now);
        if (next !== undefined) expect(next).toBeGreaterThanOrEqual(now);
        // At the same instant only a run that has just been queued again may be due once more: to be sent.
        if (next === now) expect([run.status, run.sends]).toEqual(["queued", 0]);
        seen += 1;
        if (isTerminal(run.status) && seen > 20) break;
      }
      expect(liveAttempt(run)).toBeUndefined();
      expect(isTerminal(run.status)).toBe(true);
    }),
    { numRuns: 1000 },
  );
});

test("with a runner that stays connected, the alarm ends at the wall clock", () => {
  fc.assert(
    fc.property(policy, fc.integer({ min: 0, max: PING_INTERVAL_MS }), (given, pingAgeMs) => {
      const alone = waitingRun({ ...given, retry: { ...given.retry, attempts: 1 } });
      const by = { attempt: 1, runnerId: "r1", runnerName: "box", lease: "lease" };
      const outcome = claim(alone, by, BEGIN_MS);
      if (outcome.kind === "refused") throw new Error(outcome.reason.message);
      let { run } = outcome;
      let now = BEGIN_MS;
      while (!isTerminal(run.status)) {
        const due = nextDue(run, now - pingAgeMs, now);
        expect(due).toBeGreaterThan(now);
        now = due ?? now;
        run = tick(run, now - pingAgeMs, at(now));
      }
      expect(now).toBe(BEGIN_MS + given.timeoutMs + WALL_MARGIN_MS);
      expect(run.attempts[0]?.status).toBe("timeout");
    }),
  );
});
