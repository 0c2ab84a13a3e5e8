/** The audit of chaos can fail: each way to be wrong, made by hand, is found, and a right record passes. */
import { describe, expect, test } from "vitest";
import { audit, type Evidence, type Finding } from "../../bench/chaos/audit.ts";
import { planRounds, type Kind, type StepPayload } from "../../bench/chaos/plan.ts";
import { expectedOutput, parseMarks } from "../../bench/chaos/workload.ts";
import { attemptId } from "../../contract/ids.ts";
import type { AttemptView, RunView } from "../../contract/run-view.ts";

const BEGAN = Date.parse("2026-11-01T12:00:00Z");
const AT = new Date(BEGAN).toISOString();
const WORK: StepPayload = { lines: 2, pauseMs: 0 };

const runIdOf = (n: number): string => `run_${String(n).padStart(16, "0")}_1`;

function attempt(runId: string, number: number, more: Partial<AttemptView> = {}): AttemptView {
  return {
    id: attemptId(runId, number),
    attemptNumber: number,
    status: "completed",
    workerId: "runner_1",
    runnerName: "first",
    startedAt: AT,
    completedAt: AT,
    ...more,
  };
}

function chunk(number: number, text: string): NonNullable<RunView["output"]>[number] {
  return { cursor: `${number}.1`, attempt: number, seq: 1, kind: "stdout", text, createdAt: AT };
}

function run(id: string, payload: StepPayload, more: Partial<RunView> = {}): RunView {
  return {
    id,
    eventId: "e",
    flowName: "quick",
    flowVersion: 1,
    flowDigest: "sha256:d",
    stepName: "step",
    runner: "node",
    backend: "edge",
    pool: "default",
    origin: "event",
    depth: 0,
    status: "completed",
    effectiveStatus: "completed",
    needsAttention: false,
    result: { status: "completed", message: attemptId(id, 1) },
    attempts: [attempt(id, 1)],
    attemptCount: 1,
    outputBytes: 0,
    outputDropped: 0,
    output: [chunk(1, expectedOutput(attemptId(id, 1), payload))],
    createdAt: AT,
    updatedAt: AT,
    completedAt: AT,
    ...more,
  };
}

const marksOf = (id: string, fromMs = 0): string =>
  [
    ["start", 0],
    ["tick", 10],
    ["end", 20],
  ]
    .map(([what, ms]) => `${what} ${id} 7 ${BEGAN + fromMs + Number(ms)}\n`)
    .join("");

/** One event, sent and done as it should be. */
function right(kind: Kind = "quick", payload: StepPayload = WORK, n = 1): Evidence {
  const id = runIdOf(n);
  const eventId = `event ${n}`;
  return {
    sent: [{ id: eventId, kind, payload, answers: [{ status: "accepted", runIds: [id] }] }],
    kept: new Map([[eventId, { id: eventId, runs: [run(id, payload)] }]]),
    marks: parseMarks(marksOf(attemptId(id, 1))),
    deeds: { killedAttempts: [], killedAgents: [] },
    processes: [],
  };
}

/** The record with its one run told otherwise. */
function told(more: Partial<RunView>, kind: Kind = "quick", payload: StepPayload = WORK): Evidence {
  const evidence = right(kind, payload);
  evidence.kept.set("event 1", { id: "event 1", runs: [run(runIdOf(1), payload, more)] });
  return evidence;
}

const faults = (evidence: Evidence): Finding["fault"][] => audit(evidence).map(({ fault }) => fault);

const FIRST = attemptId(runIdOf(1), 1);
const failed = (code: string): Partial<RunView> => ({
  status: "failed",
  result: undefined,
  errorCode: code,
  attempts: [attempt(runIdOf(1), 1, { status: code === "lost" ? "lost" : "failed", errorCode: code })],
});

test("a right record has no findings", () => {
  expect(audit(right())).toEqual([]);
});

describe("lost is", () => {
  test("an event that the edge does not know", () => {
    expect(faults({ ...right(), kept: new Map(), marks: [] })).toEqual(["lost"]);
  });

  test("an event with fewer runs than steps", () => {
    expect(faults(right("pair"))).toEqual(["lost"]);
  });

  test("a run that the sender was told of and that is not there", () => {
    const evidence = right();
    evidence.sent[0]?.answers.push({ status: "duplicate", runIds: [runIdOf(9)] });
    expect(faults(evidence)).toEqual(["lost"]);
  });

  test("output with a hole, in whatever way its attempt ended", () => {
    const text = expectedOutput(FIRST, WORK).replace("line 1", "line 7");
    const output = [chunk(1, text)];
    expect(faults(told({ output }))).toEqual(["lost"]);
    const killed = told({ ...failed("killed"), output });
    killed.deeds.killedAttempts.push(FIRST);
    expect(faults(killed)).toEqual(["lost"]);
  });

  test("output of a completed run that is not whole", () => {
    expect(faults(told({ output: [chunk(1, `line 1 of ${FIRST}\n`)] }))).toEqual(["lost"]);
  });

  test("a completed attempt whose step never came to its end", () => {
    expect(faults({ ...right(), marks: parseMarks(`start ${FIRST} 7 ${BEGAN}\n`) })).toEqual(["lost"]);
  });

  test.each(["lost", "killed", "timeout"])("a failure (%s) that no deed explains", (code) => {
    expect(faults(told(failed(code)))).toEqual(["lost"]);
  });

  test("not one that follows from a deed", () => {
    const stepKilled = told(failed("killed"));
    stepKilled.deeds.killedAttempts.push(FIRST);
    expect(faults(stepKilled)).toEqual([]);
    const agentKilled = told(failed("lost"));
    agentKilled.deeds.killedAgents.push({ name: "first", at: BEGAN + 5 });
    expect(faults(agentKilled)).toEqual([]);
  });

  test("an attempt that was lost although its agent was killed before it, or another one was", () => {
    for (const deed of [
      { name: "first" as const, at: BEGAN - 60_000 },
      { name: "second" as const, at: BEGAN + 5 },
    ]) {
      const evidence = told(failed("lost"));
      evidence.deeds.killedAgents.push(deed);
      expect(faults(evidence)).toEqual(["lost"]);
    }
  });

  test("a chained event that never came", () => {
    const payload: StepPayload = { ...WORK, next: [{ id: "next", type: "chaos.quick", payload: WORK }] };
    const chained = [{ index: 0, eventId: "next", state: "sent" }];
    expect(faults(told({ chained }, "chaining", payload))).toEqual(["lost"]);
    expect(faults(told({}, "chaining", payload))).toEqual(["lost", "lost"]);
  });
});

describe("doubled is", () => {
  test("an attempt that started twice", () => {
    const evidence = right();
    evidence.marks.push(...parseMarks(`start ${FIRST} 8 ${BEGAN}\n`));
    expect(faults(evidence)).toEqual(["doubled"]);
  });

  test("an attempt that started and that the edge does not know", () => {
    const evidence = right();
    evidence.marks.push(...parseMarks(marksOf(attemptId(runIdOf(1), 2))));
    expect(faults(evidence)).toEqual(["doubled"]);
  });

  test("an event with more runs than steps", () => {
    const evidence = right();
    const other = runIdOf(2);
    evidence.kept.get("event 1")?.runs.push(run(other, WORK));
    evidence.sent[0]?.answers[0]?.runIds.push(other);
    evidence.marks.push(...parseMarks(marksOf(attemptId(other, 1))));
    expect(faults(evidence)).toEqual(["doubled"]);
  });

  test("an event that was accepted twice", () => {
    const evidence = right();
    evidence.sent[0]?.answers.push({ status: "accepted", runIds: [runIdOf(1)] });
    expect(faults(evidence)).toEqual(["doubled"]);
  });

  test("a run with two completed attempts, and one with the result of another attempt", () => {
    const two = told({
      attempts: [attempt(runIdOf(1), 1), attempt(runIdOf(1), 2)],
      output: [1, 2].map((n) => chunk(n, expectedOutput(attemptId(runIdOf(1), n), WORK))),
    });
    two.marks.push(...parseMarks(marksOf(attemptId(runIdOf(1), 2))));
    expect(faults(two)).toEqual(["doubled"]);
    const result = { status: "completed" as const, message: attemptId(runIdOf(1), 2) };
    expect(faults(told({ result }))).toEqual(["doubled"]);
  });

  test("two runs at a time under one concurrency key", () => {
    const payload: StepPayload = { ...WORK, key: "red" };
    const one = right("keyed", payload, 1);
    const other = right("keyed", payload, 2);
    const both = (fromMs: number): Evidence => ({
      ...one,
      sent: [...one.sent, ...other.sent],
      kept: new Map([...one.kept, ...other.kept]),
      marks: [...one.marks, ...parseMarks(marksOf(attemptId(runIdOf(2), 1), fromMs))],
    });
    expect(faults(both(10))).toEqual(["doubled"]);
    expect(faults(both(30))).toEqual([]);
  });

  test("a chained event of a run that failed", () => {
    const payload: StepPayload = { ...WORK, next: [{ id: "next", type: "chaos.quick", payload: WORK }] };
    const evidence = told({ ...failed("killed"), output: [] }, "chaining", payload);
    evidence.deeds.killedAttempts.push(FIRST);
    expect(faults(evidence)).toEqual([]);
    evidence.kept.set("next", { id: "next", runs: [] });
    expect(faults(evidence)).toEqual(["doubled"]);
  });
});

describe("stuck is", () => {
  test.each(["queued", "running"] as const)("a run that is %s at the end", (status) => {
    const { completedAt: _completedAt, ...open } = run(runIdOf(1), WORK, {
      status,
      attempts: [],
      output: [],
    });
    const evidence = { ...right(), marks: [] };
    evidence.kept.set("event 1", { id: "event 1", runs: [open] });
    expect(faults(evidence)).toEqual(["stuck"]);
  });

  test("a process that still bears the id of a run", () => {
    expect(faults({ ...right(), processes: [{ pid: 7, runId: runIdOf(1) }] })).toEqual(["stuck"]);
  });
});

test("the same seed plans the same, another seed something else", () => {
  expect(planRounds(7, 20)).toEqual(planRounds(7, 20));
  expect(planRounds(8, 20)).not.toEqual(planRounds(7, 20));
  // A longer storm begins like a shorter one.
  expect(planRounds(7, 20).slice(0, 5)).toEqual(planRounds(7, 5));
});
