/** The ancestor's normaliser, rule by rule: what a server may send, and what a product sees of it. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RESULT_STATUSES } from "../../contract/flow-result.ts";
import { PROCESS_STATUSES } from "../../contract/run-record.ts";
import { runSummary, runView } from "../../contract/run-view.ts";
import {
  normalizeCancelResult,
  normalizeDispatchResult,
  normalizeEvent,
  normalizeEventList,
  normalizeRun,
  normalizeRunList,
} from "../../client/view-model.ts";
import { attemptRecord, runRecord } from "../support/run-fixtures.ts";

/** What every run view has when the server sent nothing. */
const NOTHING = {
  id: "",
  status: "unknown",
  effectiveStatus: "unknown",
  needsAttention: false,
  attemptCount: 0,
  attempts: [],
  output: [],
};

/** The view has these fields; one that is written as undefined must not be there at all. */
function expectSeen(view: object, seen: Record<string, unknown>): void {
  const there = Object.entries(seen).filter(([, value]) => value !== undefined);
  expect(view).toMatchObject(Object.fromEntries(there));
  for (const [name, value] of Object.entries(seen))
    if (value === undefined) expect(view).not.toHaveProperty(name);
}

describe("a run", () => {
  const rows: Array<{ rule: string; sent: unknown; seen: Record<string, unknown> }> = [
    { rule: "nothing known is a run of unknown status", sent: {}, seen: NOTHING },
    { rule: "no object is the same", sent: null, seen: NOTHING },
    { rule: "an array is no object", sent: [{ id: "r" }], seen: NOTHING },
    { rule: "id", sent: { id: "r1", runId: "r2" }, seen: { id: "r1" } },
    { rule: "runId where there is no id", sent: { runId: "r2" }, seen: { id: "r2" } },
    { rule: "an empty id is none", sent: { id: "", runId: "r2" }, seen: { id: "r2" } },
    {
      rule: "names and the version",
      sent: { eventId: "e", flowName: "f", flowVersion: 3, stepName: "s", runner: "bun", backend: "b" },
      seen: { eventId: "e", flowName: "f", flowVersion: 3, stepName: "s", runner: "bun", backend: "b" },
    },
    { rule: "a version is a number", sent: { flowVersion: "3" }, seen: { flowVersion: undefined } },
    { rule: "names are strings", sent: { flowName: 7, runner: {} }, seen: { flowName: undefined } },
    {
      rule: "a status of a process alone",
      sent: { status: "running" },
      seen: {
        processStatus: "running",
        resultStatus: undefined,
        effectiveStatus: "running",
        status: "running",
      },
    },
    {
      rule: "completed is a status of a result too",
      sent: { status: "completed" },
      seen: { processStatus: "completed", resultStatus: "completed", effectiveStatus: "completed" },
    },
    {
      rule: "so is failed, which needs no attention",
      sent: { status: "failed" },
      seen: { resultStatus: "failed", effectiveStatus: "failed", needsAttention: false },
    },
    {
      rule: "the status in result stands over that of the process",
      sent: { status: "completed", result: { status: "blocked" } },
      seen: {
        processStatus: "completed",
        resultStatus: "blocked",
        effectiveStatus: "blocked",
        status: "blocked",
        needsAttention: true,
        resultPayload: { status: "blocked" },
      },
    },
    {
      rule: "needs_intervention needs attention",
      sent: { status: "completed", result: { status: "needs_intervention" } },
      seen: { effectiveStatus: "needs_intervention", needsAttention: true },
    },
    {
      rule: "a result of a status that is none of the six says nothing",
      sent: { status: "completed", result: { status: "great" } },
      seen: { resultStatus: "completed", resultPayload: { status: "great" } },
    },
    {
      rule: "a name that every object has is no status",
      sent: { status: "constructor" },
      seen: { resultStatus: undefined, effectiveStatus: "constructor", needsAttention: false },
    },
    {
      rule: "a wrapped result hides its status: the ancestor's server does so",
      sent: { status: "completed", result: { flow: "f", step: "s", result: { status: "blocked" } } },
      seen: { effectiveStatus: "completed", needsAttention: false },
    },
    { rule: "result may be anything", sent: { result: "text" }, seen: { resultPayload: "text" } },
    {
      rule: "result goes before resultJson, even as null",
      sent: { result: null, resultJson: { status: "blocked" } },
      seen: { resultPayload: null, effectiveStatus: "unknown" },
    },
    {
      rule: "resultJson as an object",
      sent: { resultJson: { status: "changed" } },
      seen: { resultPayload: { status: "changed" }, effectiveStatus: "changed" },
    },
    {
      rule: "resultJson as JSON in a string",
      sent: { status: "completed", resultJson: '{"status":"skipped"}' },
      seen: { resultPayload: { status: "skipped" }, effectiveStatus: "skipped" },
    },
    {
      rule: "resultJson that is no JSON stays a text",
      sent: { resultJson: "{" },
      seen: { resultPayload: "{", effectiveStatus: "unknown" },
    },
    { rule: "blank resultJson is none", sent: { resultJson: " " }, seen: { resultPayload: undefined } },
    { rule: "resultJson as a number is none", sent: { resultJson: 1 }, seen: { resultPayload: undefined } },
    {
      rule: "attempts as an array are counted",
      sent: { attempts: [{ id: "a1" }, { attemptId: "a2" }] },
      seen: { attemptCount: 2, attempts: [{ id: "a1" }, { id: "a2" }] },
    },
    { rule: "attempts as a number", sent: { attempts: 3 }, seen: { attemptCount: 3, attempts: [] } },
    {
      rule: "attemptCount goes before both",
      sent: { attempts: [{ id: "a1" }], attemptCount: 5 },
      seen: { attemptCount: 5 },
    },
    { rule: "0 attempts are a count", sent: { attemptCount: 0, attempts: 4 }, seen: { attemptCount: 0 } },
    {
      rule: "an attempt with all its fields",
      sent: {
        attempts: [
          {
            attemptId: "a",
            status: "lost",
            attemptNumber: 2,
            workerId: "w",
            leaseExpiresAt: 99,
            startedAt: "s",
            completedAt: "c",
            error: "e",
          },
        ],
      },
      seen: {
        attempts: [
          {
            id: "a",
            status: "lost",
            attemptNumber: 2,
            workerId: "w",
            leaseExpiresAt: 99,
            startedAt: "s",
            completedAt: "c",
            error: "e",
          },
        ],
      },
    },
    {
      rule: "output; the last piece is the latest",
      sent: {
        output: [
          { kind: "stdout", text: "one", createdAt: "c" },
          { kind: "stderr", text: "two" },
        ],
      },
      seen: {
        output: [
          { kind: "stdout", text: "one", createdAt: "c" },
          { kind: "stderr", text: "two" },
        ],
        latestOutput: { kind: "stderr", text: "two" },
      },
    },
    {
      rule: "output of an unknown kind, without text",
      sent: { output: [{}, "x"] },
      seen: {
        output: [
          { kind: "output", text: "" },
          { kind: "output", text: "", raw: "x" },
        ],
      },
    },
    {
      rule: "output goes before stdout and stderr, even when it is empty",
      sent: { output: [], stdout: "one" },
      seen: { output: [], latestOutput: undefined },
    },
    {
      rule: "stdout and stderr are output where there is none",
      sent: { stdout: "one", stderr: "two" },
      seen: {
        output: [
          { kind: "stdout", text: "one" },
          { kind: "stderr", text: "two" },
        ],
        latestOutput: { kind: "stderr", text: "two" },
      },
    },
    { rule: "an empty stdout is no output", sent: { stdout: "", stderr: "" }, seen: { output: [] } },
    { rule: "error", sent: { error: "broke" }, seen: { error: "broke" } },
    { rule: "an error is a string", sent: { error: { code: 1 } }, seen: { error: undefined } },
    {
      rule: "dates that are strings",
      sent: { createdAt: "a", startedAt: "b", completedAt: "c", updatedAt: "d" },
      seen: { createdAt: "a", startedAt: "b", completedAt: "c", updatedAt: "d" },
    },
    {
      rule: "dates that are numbers are dropped",
      sent: { createdAt: 1, startedAt: 2, completedAt: 3, updatedAt: 4 },
      seen: { createdAt: undefined, startedAt: undefined, completedAt: undefined, updatedAt: undefined },
    },
    {
      rule: "finishedAt where there is no completedAt",
      sent: { finishedAt: "c" },
      seen: { completedAt: "c" },
    },
    { rule: "a run in {run}", sent: { run: { id: "r" } }, seen: { id: "r", raw: { id: "r" } } },
    {
      rule: "what is not known stays in raw",
      sent: { id: "r", unit: "u" },
      seen: { raw: { id: "r", unit: "u" } },
    },
  ];
  test.each(rows)("$rule", ({ sent, seen }) => {
    expectSeen(normalizeRun(sent), seen);
  });

  test("an attempt's dates are strings and its lease a number; all else is dropped", () => {
    const sent = { id: "a", startedAt: 1, completedAt: 2, leaseExpiresAt: "3", attemptNumber: "4" };
    expect(normalizeRun({ attempts: [sent] }).attempts).toEqual([{ id: "a", raw: sent }]);
  });

  test("shows no field that was not sent", () => {
    expect(normalizeRun({})).toEqual({ ...NOTHING, raw: {} });
    expect(Object.keys(normalizeRun({}))).not.toContain("resultStatus");
  });

  test.each(RESULT_STATUSES)("of result %s has that status, whatever the process", (status) => {
    for (const process of PROCESS_STATUSES) {
      const view = normalizeRun({ status: process, result: { status } });
      expect(view).toMatchObject({ status, resultStatus: status, processStatus: process });
      expect(view.needsAttention).toBe(status === "blocked" || status === "needs_intervention");
    }
  });
});

describe("an event", () => {
  const rows: Array<{ rule: string; sent: unknown; seen: Record<string, unknown> }> = [
    { rule: "nothing known", sent: undefined, seen: { id: "", runIds: [], runs: [] } },
    { rule: "id", sent: { id: "e1", eventId: "e2" }, seen: { id: "e1" } },
    { rule: "eventId where there is no id", sent: { eventId: "e2" }, seen: { id: "e2" } },
    {
      rule: "its fields",
      sent: { type: "t", source: "s", occurredAt: "o", receivedAt: "r", createdAt: "c", payload: { n: 1 } },
      seen: { type: "t", source: "s", occurredAt: "o", receivedAt: "r", createdAt: "c", payload: { n: 1 } },
    },
    { rule: "a payload of null is one", sent: { payload: null }, seen: { payload: null } },
    {
      rule: "dates that are numbers are dropped",
      sent: { receivedAt: 1, createdAt: 2 },
      seen: { receivedAt: undefined, createdAt: undefined },
    },
    { rule: "runIds", sent: { runIds: ["a", "b"] }, seen: { runIds: ["a", "b"], runs: [] } },
    {
      rule: "the ids of its runs join runIds, each once",
      sent: { runIds: ["a"], runs: [{ id: "a" }, { runId: "b" }] },
      seen: { runIds: ["a", "b"], runs: [{ id: "a" }, { id: "b" }] },
    },
    {
      rule: "runs beside {event}",
      sent: { event: { id: "e", extra: 1 }, runs: [{ id: "a", result: { status: "blocked" } }] },
      seen: { id: "e", runIds: ["a"], runs: [{ needsAttention: true }], raw: { id: "e", extra: 1 } },
    },
    {
      rule: "runs inside {event}",
      sent: { event: { id: "e", runs: [{ id: "a" }] } },
      seen: { runIds: ["a"] },
    },
  ];
  test.each(rows)("$rule", ({ sent, seen }) => {
    expectSeen(normalizeEvent(sent), seen);
  });
});

describe("the answer to a dispatch or a replay", () => {
  const rows: Array<{ rule: string; sent: unknown; seen: Record<string, unknown> }> = [
    { rule: "nothing known", sent: "text", seen: { runIds: [], runs: [], raw: "text" } },
    {
      rule: "the ancestor's",
      sent: { status: "accepted", eventId: "e", runIds: ["a"], matched: 1 },
      seen: { status: "accepted", eventId: "e", runIds: ["a"], matched: 1, runs: [], idempotent: undefined },
    },
    { rule: "matched 0 is a number", sent: { matched: 0 }, seen: { matched: 0 } },
    { rule: "runIds, else the ids of the runs", sent: { runs: [{ id: "a" }] }, seen: { runIds: ["a"] } },
    {
      rule: "empty runIds are none",
      sent: { runIds: [], runs: [{ runId: "a" }] },
      seen: { runIds: ["a"], runs: [{ id: "a" }] },
    },
    { rule: "idempotent", sent: { idempotent: false }, seen: { idempotent: false } },
    { rule: "idempotent is a boolean", sent: { idempotent: "yes" }, seen: { idempotent: undefined } },
    { rule: "event", sent: { event: { eventId: "e" } }, seen: { event: { id: "e", runs: [] } } },
    { rule: "what is not known stays in raw", sent: { conflict: true }, seen: { raw: { conflict: true } } },
  ];
  test.each(rows)("$rule", ({ sent, seen }) => {
    expectSeen(normalizeDispatchResult(sent), seen);
  });
});

describe("lists and cancel", () => {
  test("runs, with the event that was asked for and where the next page begins", () => {
    const sent = { runs: [{ runId: "a" }, null], eventId: "e", nextCursor: "n" };
    expect(normalizeRunList(sent)).toMatchObject({
      runs: [{ id: "a" }, { id: "" }],
      eventId: "e",
      nextCursor: "n",
      raw: sent,
    });
  });

  test("events", () => {
    expect(normalizeEventList({ events: [{ eventId: "e", runs: [{ id: "a" }] }] })).toMatchObject({
      events: [{ id: "e", runIds: ["a"] }],
    });
  });

  test("no list is an empty one", () => {
    expect(normalizeRunList({ runs: { length: 1 } })).toMatchObject({ runs: [] });
    expect(normalizeEventList(undefined)).toMatchObject({ events: [] });
  });

  test.each([{ run: { id: "a", status: "canceled" } }, { id: "a", status: "canceled" }])(
    "cancel: %j",
    (sent) => {
      expect(normalizeCancelResult(sent)).toMatchObject({ run: { id: "a", status: "canceled" }, raw: sent });
    },
  );
});

test.each(RESULT_STATUSES)("this edge's own run of result %s shows it, whole and in a list", (status) => {
  const record = runRecord({ status: "completed", result: { status }, attempts: [attemptRecord()] });
  const [whole, listed] = [runView(record), runSummary(record)];
  for (const sent of [whole, listed])
    expect(normalizeRun(JSON.parse(JSON.stringify(sent)))).toMatchObject({
      id: record.id,
      status: whole.effectiveStatus,
      resultPayload: { status },
      attemptCount: 1,
      flowName: "release",
      flowVersion: 2,
      runner: "bun",
      createdAt: whole.createdAt,
    });
  expect(normalizeRun(whole).attempts).toMatchObject([
    { attemptNumber: 1, workerId: "runner_1", status: "running" },
  ]);
});

test("nothing that JSON can say makes it throw", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (sent) => {
      for (const normalize of [
        normalizeRun,
        normalizeEvent,
        normalizeDispatchResult,
        normalizeRunList,
        normalizeEventList,
        normalizeCancelResult,
      ])
        normalize(sent);
    }),
  );
});
