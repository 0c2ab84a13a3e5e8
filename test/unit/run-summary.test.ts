/** What a list shows of a run, and how much of an event's runs one answer carries. */
import { describe, expect, test } from "vitest";
import { LISTED_TEXT_MAX_CHARS, RUNS_PER_EVENT_MAX } from "../../contract/limits.ts";
import { boundedRuns, boundedSummary, runSummary, runView } from "../../contract/run-view.ts";
import { runRecord } from "../support/run-fixtures.ts";

const LARGE = "x".repeat(200 * 1024);
const largeRun = (n: number) =>
  runRecord(
    {
      status: "completed",
      result: {
        status: "changed",
        message: `done ${LARGE}`,
        artifacts: { diff: LARGE, pushed: true },
        next: [{ id: "next", type: "after", payload: LARGE }],
      },
      error: { code: "late", message: LARGE },
      cancel: {
        state: "signalled",
        by: "ada",
        requestedAt: 0,
        survivors: Array.from({ length: 5000 }, (_unused, pid) => pid),
      },
    },
    n,
  );

describe("a run's summary", () => {
  test("carries the status, a cut message and counts, but no artifacts and no next events", () => {
    const summary = runSummary(largeRun(1));
    expect(summary.result).toEqual({
      status: "changed",
      message: expect.stringMatching(/^done x+…$/) as string,
    });
    expect(summary.result?.message).toHaveLength(LISTED_TEXT_MAX_CHARS);
    expect(summary).toMatchObject({ effectiveStatus: "changed", artifactCount: 2, nextCount: 1 });
    expect(summary.error).toHaveLength(LISTED_TEXT_MAX_CHARS);
    expect(JSON.stringify(summary).length).toBeLessThan(2048);
  });

  test("keeps a message that fits, and says nothing of artifacts when there are none", () => {
    const summary = runSummary(
      runRecord({ status: "completed", result: { status: "completed", message: "ok" } }),
    );
    expect(summary.result).toEqual({ status: "completed", message: "ok" });
    expect(summary).not.toHaveProperty("artifactCount");
    expect(summary).not.toHaveProperty("nextCount");
  });

  test("does not end in half a surrogate pair when the message is cut inside one", () => {
    const message = `${"a".repeat(LISTED_TEXT_MAX_CHARS - 2)}😀😀`;
    const cut = runSummary(runRecord({ status: "completed", result: { status: "completed", message } }));
    expect(cut.result?.message?.isWellFormed()).toBe(true);
  });

  test("stays the same when it is bounded again, so that a ledger may bound what it reads", () => {
    const summary = runSummary(largeRun(1));
    expect(boundedSummary(summary)).toEqual(summary);
  });
});

describe("the runs of one event in one answer", () => {
  test("are cut once the answer is full, and each cut run says so and keeps its status", () => {
    const runs = boundedRuns(
      Array.from({ length: RUNS_PER_EVENT_MAX }, (_unused, at) => runView(largeRun(at + 1))),
    );
    expect(runs).toHaveLength(RUNS_PER_EVENT_MAX);
    expect(runs[0]).not.toHaveProperty("cut");
    expect(runs[0]?.result?.artifacts).toMatchObject({ pushed: true });
    expect(runs.at(-1)).toMatchObject({ cut: true, effectiveStatus: "changed", attempts: [] });
    expect(runs.at(-1)?.result).not.toHaveProperty("artifacts");
    expect(JSON.stringify(runs).length).toBeLessThan(16 * 1024 * 1024);
  });

  test("are whole when they fit", () => {
    const runs = [runView(runRecord()), runView(runRecord({}, 2))];
    expect(boundedRuns(runs)).toEqual(runs);
  });
});
