/** Who may change a run, and when: claims, fencing, results, cancel, the queue. */
import { serialize } from "node:v8";
import { describe, expect, test } from "vitest";
import type { FlowResult } from "../../contract/flow-result.ts";
import { EVIDENCE_MAX_CHARS, RESULT_MAX_BYTES, RETRY_MAX_ATTEMPTS } from "../../contract/limits.ts";
import {
  claim,
  deadLetter,
  endAttempt,
  newRun,
  recordResult,
  recordSignalled,
  requestCancel,
  RESEND_AFTER_MS,
  resume,
} from "../../contract/run-lifecycle.ts";
import { resent } from "../../contract/run-clocks.ts";
import { resolveManifest } from "../../contract/flow-manifest.ts";
import { liveAttempt, waitingAttempt, type RunRecord } from "../../contract/run-record.ts";
import {
  at,
  BEGIN_MS,
  claimed,
  CRASHED,
  EXITED,
  GONE,
  leaseOf,
  retrying,
  RUNNER,
  waitingRun,
} from "../support/run-life.ts";

const DONE: FlowResult = { status: "completed" };

test("a new run carries its step's policy and the concurrency key of its event", () => {
  const flow = resolveManifest(
    {
      name: "release",
      version: 3,
      steps: [
        {
          name: "rebase",
          runner: "codex",
          script: "prompt.md",
          pool: "gpu",
          labels: ["linux"],
          priority: 7,
          timeout_ms: 11,
          silence_ms: 12,
          queue_ms: 13,
          concurrency: { key: "{{payload.repo}}", limit: 2 },
          retry: { attempts: 3, on: ["failed"], backoff_ms: 14 },
        },
      ],
    },
    "sha256:1",
  );
  const [step] = flow.steps;
  if (step === undefined) throw new Error("the manifest has one step");
  const event = { id: "e:1", type: "t", receivedAt: "2026-03-01T12:00:00Z", payload: { repo: "codex" } };
  const given = { eventKey: "0123456789abcdef", n: 4, event, flow, step, origin: "replay" as const };
  const run = newRun({ ...given, replayOf: "run_0123456789abcdef_1", depth: 2, now: BEGIN_MS });
  expect(run).toMatchObject({
    id: "run_0123456789abcdef_4",
    eventId: "e:1",
    flow: { name: "release", version: 3, digest: "sha256:1" },
    step: { name: "rebase", runner: "codex" },
    policy: {
      timeoutMs: 11,
      silenceMs: 12,
      queueMs: 13,
      retry: { attempts: 3, on: ["failed"], backoffMs: 14 },
    },
    pool: "gpu",
    labels: ["linux"],
    priority: 7,
    concurrency: { key: "codex", limit: 2 },
    origin: "replay",
    replayOf: "run_0123456789abcdef_1",
    depth: 2,
    status: "queued",
    attempts: [],
    rev: 1,
    sends: 1,
    sendAt: BEGIN_MS + RESEND_AFTER_MS[0],
  });
});

describe("a claim", () => {
  const run = waitingRun();

  test("starts the attempt with its lease", () => {
    const outcome = claim(run, { ...RUNNER, attempt: 1, lease: "lease_x" }, BEGIN_MS + 5);
    expect(outcome).toMatchObject({
      kind: "claimed",
      fresh: true,
      attempt: { number: 1, status: "running", lease: "lease_x", startedAt: BEGIN_MS + 5, ...RUNNER },
      run: { status: "running", startedAt: BEGIN_MS + 5, rev: run.rev + 1 },
    });
    expect(run.status).toBe("queued");
  });

  test("wins once: everybody else is refused (invariant 4)", () => {
    const taken = claimed(run);
    for (const by of [
      { ...RUNNER, runnerId: "runner_2", attempt: 1, lease: "lease_2" },
      { ...RUNNER, attempt: 2, lease: "lease_2" },
      { ...RUNNER, runnerId: "runner_2", attempt: 2, lease: "lease_2" },
    ])
      expect(claim(taken, by, BEGIN_MS)).toMatchObject({
        kind: "refused",
        reason: { code: "not_claimable" },
      });
  });

  test("whose answer was lost hands the same lease out again, until something was sent with it", () => {
    const taken = claimed(run);
    const again = { ...RUNNER, attempt: 1, lease: "lease_of_the_second_try" };
    expect(claim(taken, again, BEGIN_MS + 9)).toMatchObject({
      kind: "claimed",
      fresh: false,
      run: taken,
      attempt: { lease: leaseOf(1) },
    });
    const sent = recordResult(taken, 1, 1, DONE, BEGIN_MS);
    expect(claim(sent, again, BEGIN_MS)).toMatchObject({ kind: "refused" });
  });

  test.each([0, 2, 3])("for attempt %i of a run that waits with its first is refused", (attempt) => {
    expect(claim(run, { ...RUNNER, attempt, lease: "x" }, BEGIN_MS)).toMatchObject({
      kind: "refused",
      reason: { code: "not_claimable" },
    });
  });

  test("before the backoff is over is refused as too early", () => {
    const again = endAttempt(claimed(waitingRun(retrying(2))), 1, 1, CRASHED, at(BEGIN_MS));
    const by = { ...RUNNER, attempt: 2, lease: "x" };
    expect(claim(again, by, again.notBefore - 1)).toMatchObject({ reason: { code: "too_early" } });
    expect(claim(again, by, again.notBefore)).toMatchObject({ kind: "claimed" });
  });

  test.each<[string, RunRecord]>([
    ["canceled", requestCancel(run, "Ada", BEGIN_MS)],
    ["given up by the queue", deadLetter(run, 1, BEGIN_MS)],
    ["completed", endAttempt(recordResult(claimed(run), 1, 1, DONE, BEGIN_MS), 1, 2, EXITED, at(BEGIN_MS))],
  ])("of a run that is %s is refused (invariant 5)", (_how, over) => {
    for (const attempt of [1, 2])
      expect(claim(over, { ...RUNNER, attempt, lease: "x" }, BEGIN_MS + 1)).toMatchObject({
        kind: "refused",
      });
  });
});

describe("the lease (invariant 4)", () => {
  const first = claimed(waitingRun(retrying(3)));
  const second = claimed(endAttempt(first, 1, 1, { reason: "abandoned" }, at(BEGIN_MS + 10)));

  test("of the live attempt resumes, an older one only hands over evidence, any other is unknown", () => {
    expect(resume(second, { attempt: 2, lease: leaseOf(2) })).toMatchObject({ kind: "resumed", live: true });
    expect(resume(second, { attempt: 1, lease: leaseOf(1) })).toMatchObject({ kind: "resumed", live: false });
    for (const by of [
      { attempt: 2, lease: leaseOf(1) },
      { attempt: 1, lease: leaseOf(2) },
      { attempt: 3, lease: leaseOf(2) },
      { attempt: 0, lease: leaseOf(1) },
    ])
      expect(resume(second, by)).toMatchObject({ kind: "refused", reason: { code: "unknown_lease" } });
  });

  test.each<[string, RunRecord]>([
    ["another attempt runs", second],
    ["the next one waits", endAttempt(second, 2, 1, CRASHED, at(BEGIN_MS + 20))],
    [
      "the run is over",
      endAttempt(recordResult(second, 2, 1, DONE, BEGIN_MS), 2, 2, EXITED, at(BEGIN_MS + 20)),
    ],
  ])("once lost, what still comes is evidence and changes nothing else: %s", (_when, run) => {
    const now = BEGIN_MS + 99;
    const late = endAttempt(recordResult(run, 1, 7, { status: "changed" }, now), 1, 8, EXITED, at(now + 1));
    expect(late.attempts[0]).toEqual({
      ...run.attempts[0],
      ackedSeq: 8,
      late: { receivedAt: now + 1, result: { status: "changed" }, end: EXITED },
    });
    const { attempts: changedAttempts, ...rest } = late;
    const { attempts, ...before } = run;
    expect(rest).toEqual(before);
    expect(changedAttempts.slice(1)).toEqual(attempts.slice(1));
  });

  test("a result or an end that was committed before is the same one again", () => {
    const told = recordResult(first, 1, 3, DONE, BEGIN_MS);
    for (const seq of [1, 2, 3]) {
      expect(recordResult(told, 1, seq, { status: "failed" }, BEGIN_MS)).toBe(told);
      expect(endAttempt(told, 1, seq, CRASHED, at(BEGIN_MS))).toBe(told);
    }
  });

  test("of an attempt that never was changes nothing", () => {
    expect(recordResult(first, 2, 1, DONE, BEGIN_MS)).toBe(first);
    expect(endAttempt(first, 2, 1, EXITED, at(BEGIN_MS))).toBe(first);
  });
});

describe("a result", () => {
  const run = claimed(waitingRun());

  test("is provisional: a later one replaces it, and the last one stands (invariant 9)", () => {
    const twice = recordResult(recordResult(run, 1, 1, { status: "failed" }, 1), 1, 2, DONE, 2);
    expect(twice.status).toBe("running");
    expect(twice.result).toBeUndefined();
    expect(endAttempt(twice, 1, 3, { reason: "reaped", tree: GONE }, at(BEGIN_MS))).toMatchObject({
      status: "completed",
      result: DONE,
      attempts: [{ status: "completed", result: DONE, ackedSeq: 3 }],
    });
  });

  test("of a step that then exits with another code than 0 is shown on the attempt and is not the run's", () => {
    const over = endAttempt(recordResult(run, 1, 1, DONE, 1), 1, 2, CRASHED, at(BEGIN_MS));
    expect(over).toMatchObject({
      status: "failed",
      error: { code: "exit_code" },
      attempts: [{ result: DONE }],
    });
    expect(over.result).toBeUndefined();
  });

  test("is cut down where it decides nothing any more, so that a run fits into one stored value", () => {
    // What an object can store under one key; a run that outgrew it could not end any more.
    const storedValueMaxBytes = 2_000_000;
    // Two bytes a character when stored, since one of them is outside Latin-1.
    const big: FlowResult = { status: "failed", message: `…${"x".repeat(RESULT_MAX_BYTES - 100)}` };
    let worst = waitingRun(retrying(RETRY_MAX_ATTEMPTS));
    for (let attempt = 1; attempt <= RETRY_MAX_ATTEMPTS; attempt += 1) {
      worst = recordResult(claimed(worst), attempt, 1, big, BEGIN_MS);
      worst = endAttempt(worst, attempt, undefined, { reason: "reaped" }, at(worst.notBefore));
      worst = recordResult(worst, attempt, 2, big, BEGIN_MS);
    }
    expect(worst).toMatchObject({ status: "completed", result: big });
    expect(worst.attempts).toHaveLength(RETRY_MAX_ATTEMPTS);
    expect(serialize(worst).length).toBeLessThan(storedValueMaxBytes);
    expect(worst.attempts[0]?.result?.message).toContain(`cut: larger than ${EVIDENCE_MAX_CHARS} characters`);
    expect(worst.attempts[0]?.late?.result?.status).toBe("failed");
  });
});

describe("a cancel (invariant 10)", () => {
  test("of a run that waits is terminal at once", () => {
    expect(requestCancel(waitingRun(), "Ada", BEGIN_MS + 3)).toMatchObject({
      status: "canceled",
      completedAt: BEGIN_MS + 3,
      cancel: { state: "canceled", by: "Ada", requestedAt: BEGIN_MS + 3 },
      attempts: [],
    });
  });

  test("of a running one goes requested, signalled with its survivors, canceled with the proof", () => {
    const requested = requestCancel(claimed(waitingRun(retrying(3))), "Ada", 1);
    expect(requested).toMatchObject({ status: "running", cancel: { state: "cancel_requested" } });
    const signalled = recordSignalled(requested, 1, [5, 6], 2);
    const fewer = recordSignalled(signalled, 1, [6], 3);
    expect(recordSignalled(fewer, 1, [6], 4)).toBe(fewer);
    expect(fewer).toMatchObject({
      status: "running",
      cancel: { state: "signalled", signalledAt: 2, survivors: [6] },
    });
    const over = endAttempt(fewer, 1, 1, { reason: "canceled", tree: GONE }, at(BEGIN_MS));
    expect(over).toMatchObject({ status: "canceled", cancel: { state: "canceled", by: "Ada" } });
  });

  test("that leaves processes behind says so and is not canceled", () => {
    const run = recordSignalled(requestCancel(claimed(waitingRun()), "Ada", 1), 1, [5], 2);
    const tree = { empty: false, survivors: [5] };
    expect(endAttempt(run, 1, 1, { reason: "canceled", tree }, at(BEGIN_MS))).toMatchObject({
      status: "failed",
      error: { code: "cancel_unproved" },
      cancel: { state: "signalled", survivors: [5] },
    });
  });

  test("asked for twice stays the first one", () => {
    const requested = requestCancel(claimed(waitingRun()), "Ada", 1);
    expect(requestCancel(requested, "Bob", 2)).toBe(requested);
  });

  test("of a run that is over changes nothing (invariant 5)", () => {
    const over = endAttempt(claimed(waitingRun()), 1, 1, CRASHED, at(BEGIN_MS));
    expect(requestCancel(over, "Ada", 1)).toBe(over);
  });

  test("that nobody asked for, or of another attempt, is not signalled", () => {
    const run = claimed(waitingRun());
    expect(recordSignalled(run, 1, [5], 2)).toBe(run);
    const requested = requestCancel(run, "Ada", 1);
    expect(recordSignalled(requested, 2, [5], 2)).toBe(requested);
  });

  test("ends the retries", () => {
    const run = requestCancel(claimed(waitingRun(retrying(3))), "Ada", 1);
    expect(endAttempt(run, 1, 1, { reason: "abandoned" }, at(BEGIN_MS))).toMatchObject({
      status: "canceled",
    });
    expect(
      endAttempt(recordResult(run, 1, 1, { status: "failed" }, 2), 1, 2, EXITED, at(BEGIN_MS)),
    ).toMatchObject({ status: "completed", result: { status: "failed" } });
  });
});

describe("the queue", () => {
  test("is asked again at growing intervals, and the last one repeats", () => {
    let run = waitingRun();
    const waits: number[] = [run.sendAt - BEGIN_MS];
    for (let n = 0; n < RESEND_AFTER_MS.length + 1; n += 1) {
      const now = run.sendAt;
      run = resent(run, now);
      waits.push(run.sendAt - now);
    }
    expect(waits).toEqual([...RESEND_AFTER_MS, RESEND_AFTER_MS.at(-1), RESEND_AFTER_MS.at(-1)]);
  });

  test("that gives up ends a run that waits for this attempt, and no other", () => {
    const run = waitingRun();
    expect(deadLetter(run, 1, 5)).toMatchObject({ status: "failed", error: { code: "dead_lettered" } });
    expect(deadLetter(run, 2, 5)).toBe(run);
    const running = claimed(run);
    expect(deadLetter(running, 1, 5)).toBe(running);
    const over = endAttempt(running, 1, 1, CRASHED, at(BEGIN_MS));
    expect(deadLetter(over, 2, 5)).toBe(over);
    expect(waitingAttempt(over) ?? liveAttempt(over)).toBeUndefined();
  });
});
