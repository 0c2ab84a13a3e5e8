/** Which runs need a person, and what ends that need. */
import { describe, expect, test } from "vitest";
import { acknowledge, needsAttention, supersededBy } from "../../contract/attention.ts";
import { RESULT_STATUSES } from "../../contract/flow-result.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import { runRecord } from "../support/run-fixtures.ts";

const ended = (status: (typeof RESULT_STATUSES)[number], n = 1, change: Partial<RunRecord> = {}): RunRecord =>
  runRecord({ status: "completed", result: { status }, ...change }, n);

test.each([
  ["blocked", true],
  ["needs_intervention", true],
  ["failed", true],
  ["completed", false],
  ["changed", false],
  ["skipped", false],
] as const)("a run whose result is %s needs attention: %s", (status, needed) => {
  expect(needsAttention(ended(status))).toBe(needed);
});

test("a run that failed without a result needs attention, a canceled or waiting one does not", () => {
  expect(needsAttention(runRecord({ status: "failed" }))).toBe(true);
  expect(needsAttention(runRecord({ status: "canceled" }))).toBe(false);
  expect(needsAttention(runRecord())).toBe(false);
});

describe("acknowledging", () => {
  test("a failed run records who and when, and ends its need of attention", () => {
    const before = ended("failed");
    const outcome = acknowledge(before, "ada", 7);
    if (outcome.kind !== "acknowledged") throw new Error(outcome.kind);
    expect(outcome.run).toMatchObject({ acknowledged: { by: "ada", at: 7 }, rev: before.rev + 1 });
    expect(needsAttention(outcome.run)).toBe(false);
    expect(acknowledge(outcome.run, "bob", 8)).toEqual({ kind: "settled" });
  });

  test("a run that lives or ended well is refused, since there is nothing to acknowledge", () => {
    for (const run of [
      runRecord(),
      runRecord({ status: "running" }),
      ended("changed"),
      runRecord({ status: "canceled" }),
    ])
      expect(acknowledge(run, "ada", 7)).toEqual({ kind: "not_needed" });
  });
});

describe("a later run of the same step that ends well", () => {
  test("supersedes the earlier runs that needed attention, and no other", () => {
    const acknowledged = ended("blocked", 3, { acknowledged: { by: "ada", at: 1 } });
    const otherStep = ended("failed", 4, { step: { name: "other", runner: "bun" } });
    const later = ended("failed", 6);
    const runs = [ended("failed", 1), ended("changed", 2), acknowledged, otherStep, later];
    const settled = supersededBy(ended("completed", 5), runs, 9);
    expect(settled.map(({ n, supersededBy: id }) => [n, id])).toEqual([[1, ended("completed", 5).id]]);
    expect(settled.map(needsAttention)).toEqual([false]);
  });

  test("supersedes nothing when it ends badly or canceled", () => {
    for (const run of [
      ended("failed", 5),
      runRecord({ status: "canceled" }, 5),
      runRecord({ status: "running" }, 5),
    ])
      expect(supersededBy(run, [ended("failed", 1)], 9)).toEqual([]);
  });
});
