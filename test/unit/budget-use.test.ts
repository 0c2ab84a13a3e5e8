/** What a run has used of its budget, from what its attempts have told: in any order, late, or more than once. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BUDGET_UNITS, largest, noteUse, sum, usedBy, type BudgetUse } from "../../contract/budget.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import { runView } from "../../contract/run-view.ts";
import { attemptRecord, runRecord } from "../support/run-fixtures.ts";

const count = fc.integer({ min: 0, max: 1_000_000 });
const use: fc.Arbitrary<BudgetUse> = fc.record(
  { tokens: count, seconds: count, usd: count },
  { requiredKeys: [] },
);

const run = runRecord({
  status: "running",
  attempts: [attemptRecord({ number: 1, status: "lost" }), attemptRecord({ number: 2, status: "running" })],
});
const told = (to: RunRecord, reports: { number: number; used: BudgetUse }[]): RunRecord =>
  reports.reduce((noted, { number, used }) => noteUse(noted, number, used), to);

describe("what attempts tell", () => {
  test("comes to the same in any order, and said twice", () => {
    const reports = fc.array(fc.record({ number: fc.integer({ min: 1, max: 2 }), used: use }));
    fc.assert(
      fc.property(reports, fc.func(fc.integer()), (all, order) => {
        const shuffled = [...all, ...all].sort((a, b) => order(a) - order(b));
        expect(told(run, shuffled)).toEqual(told(run, all));
      }),
    );
  });

  test("never makes less of what was told before", () => {
    fc.assert(
      fc.property(use, use, (before, after) => {
        const used = told(
          run,
          [before, after].map((one) => ({ number: 2, used: one })),
        ).attempts[1]?.used;
        for (const unit of BUDGET_UNITS)
          expect(used?.[unit] ?? 0).toBe(Math.max(before[unit] ?? 0, after[unit] ?? 0));
      }),
    );
  });

  test("is no news the second time, or of an attempt that nobody knows: nothing need be written", () => {
    const once = noteUse(run, 1, { tokens: 7 });
    expect(noteUse(once, 1, { tokens: 7 })).toBe(once);
    expect(noteUse(once, 1, { tokens: 6 })).toBe(once);
    expect(noteUse(once, 1, undefined)).toBe(once);
    expect(noteUse(once, 3, { tokens: 8 })).toBe(once);
    expect(once.rev).toBe(run.rev);
  });
});

describe("what a run has used", () => {
  const continues = { runId: "run_x_1", threadId: "t", runnerId: "r", runnerName: "r" };
  const attemptsOf = (uses: BudgetUse[]) => uses.map((used, n) => attemptRecord({ number: n + 1, used }));

  test("is what the runs before have used and each attempt by itself, once", () => {
    fc.assert(
      fc.property(use, fc.array(use), (used, uses) => {
        const total = usedBy({ continues: { ...continues, used }, attempts: attemptsOf(uses) });
        for (const unit of BUDGET_UNITS)
          expect(total[unit] ?? 0).toBe([used, ...uses].reduce((all, one) => all + (one[unit] ?? 0), 0));
      }),
    );
  });

  test("is nothing before one of them has told anything", () => {
    expect(usedBy(runRecord())).toEqual({});
    expect(usedBy(run)).toEqual({});
  });

  test("stands in its view where it has a budget", () => {
    const spent = told(run, [{ number: 2, used: { tokens: 8 } }]);
    expect(runView(spent)).not.toHaveProperty("budgetUsed");
    const limited = { ...spent, policy: { ...spent.policy, budget: { tokens: 10 } } };
    expect(runView(limited)).toMatchObject({ budget: { tokens: 10 }, budgetUsed: { tokens: 8 } });
  });
});

test("a unit that neither knows stays unknown; nothing of one is something known", () => {
  expect(largest({ tokens: 0 }, undefined)).toEqual({ tokens: 0 });
  expect(largest({ tokens: 3, usd: 1 }, { tokens: 2, seconds: 5 })).toEqual({
    tokens: 3,
    seconds: 5,
    usd: 1,
  });
  expect(sum(undefined, largest(undefined, undefined))).toEqual({});
});
