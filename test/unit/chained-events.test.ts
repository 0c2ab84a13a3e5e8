/** What becomes of the events that a FLOW_RESULT asks for in `next`: bounded, owed, sent once. */
import { describe, expect, test } from "vitest";
import { CHAIN_MAX_DEPTH, CHAIN_MAX_EVENTS } from "../../contract/limits.ts";
import {
  endAttempt,
  noteChained,
  recordResult,
  requestCancel,
  RESEND_AFTER_MS,
} from "../../contract/run-lifecycle.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import { at, BEGIN_MS, claimed, CRASHED, EXITED, GONE, retrying, waitingRun } from "../support/run-life.ts";

describe("the events that a result asks for", () => {
  const ended = (next: unknown[], depth = 0, checkEvent = at(0).checkEvent): RunRecord =>
    endAttempt(
      recordResult(claimed(waitingRun({}, { depth })), 1, 1, { status: "changed", next }, BEGIN_MS),
      1,
      2,
      EXITED,
      at(BEGIN_MS + 50, { checkEvent }),
    );

  test("are owed, and sent once", () => {
    const run = ended([{ id: "a" }, { id: "b" }]);
    expect(run.chained).toEqual([
      { index: 0, eventId: "a", state: "owed" },
      { index: 1, eventId: "b", state: "owed" },
    ]);
    expect(run.sendAt).toBe(BEGIN_MS + 50 + RESEND_AFTER_MS[0]);
    const sent = noteChained(run, 1, { state: "sent", runIds: ["run_x"] }, BEGIN_MS + 60);
    expect(sent.chained?.[1]).toEqual({ index: 1, eventId: "b", state: "sent", runIds: ["run_x"] });
    expect(sent).toMatchObject({ rev: run.rev + 1, status: "completed" });
    expect(noteChained(sent, 1, { state: "sent", runIds: ["run_y"] }, BEGIN_MS + 70)).toBe(sent);
    expect(noteChained(sent, 2, { state: "sent", runIds: [] }, BEGIN_MS + 70)).toBe(sent);
  });

  test("are refused one by one when they are no events, and shown", () => {
    const run = ended([{ id: "a" }, "junk", null], 0, (event) =>
      typeof event === "object" && event !== null ? [] : [{ path: "/type", message: "is required" }],
    );
    expect(run.chained).toEqual([
      { index: 0, eventId: "a", state: "owed" },
      { index: 1, eventId: null, state: "refused", reason: "/type is required" },
      { index: 2, eventId: null, state: "refused", reason: "/type is required" },
    ]);
    expect(noteChained(run, 1, { state: "sent", runIds: ["run_x"] }, BEGIN_MS)).toBe(run);
  });

  test("are bounded in number, and one entry says so for all that follow", () => {
    const run = ended(Array.from({ length: CHAIN_MAX_EVENTS + 20 }, (_unused, n) => ({ id: `e:${n}` })));
    expect(run.chained).toHaveLength(CHAIN_MAX_EVENTS + 1);
    expect(run.chained?.filter((entry) => entry.state === "owed")).toHaveLength(CHAIN_MAX_EVENTS);
    expect(run.chained?.at(-1)?.reason).toContain(String(CHAIN_MAX_EVENTS));
  });

  test("are bounded in depth", () => {
    expect(ended([{ id: "a" }], CHAIN_MAX_DEPTH - 1).chained?.[0]?.state).toBe("owed");
    const refused = ended([{ id: "a" }], CHAIN_MAX_DEPTH).chained?.[0];
    expect(refused?.state).toBe("refused");
    expect(refused?.reason).toContain(`the limit is ${CHAIN_MAX_DEPTH}`);
  });

  test.each([
    ["failed after all", (run: RunRecord) => endAttempt(run, 1, 2, CRASHED, at(BEGIN_MS))],
    [
      "was canceled",
      (run: RunRecord) =>
        endAttempt(requestCancel(run, "Ada", 1), 1, 2, { reason: "canceled", tree: GONE }, at(BEGIN_MS)),
    ],
  ])("are not sent by a run that %s", (_how, end) => {
    const run = recordResult(
      claimed(waitingRun()),
      1,
      1,
      { status: "completed", next: [{ id: "a" }] },
      BEGIN_MS,
    );
    expect(end(run).chained).toBeUndefined();
  });

  test("are not sent by an attempt that is tried again", () => {
    const run = claimed(waitingRun(retrying(2)));
    const told = recordResult(run, 1, 1, { status: "failed", next: [{ id: "a" }] }, BEGIN_MS);
    const again = endAttempt(told, 1, 2, EXITED, at(BEGIN_MS));
    expect(again.status).toBe("queued");
    expect(again.chained).toBeUndefined();
  });
});
