/** What counts to a step's budget, from Codex's reports, and when it is used up. */
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { TokenCounts } from "../../contract/agent-item.ts";
import type { BudgetUse } from "../../contract/budget.ts";
import { BudgetMeter } from "../../runner-agent/codex/step/budget-meter.ts";
import { BudgetWatch } from "../../runner-agent/codex/step/budget-watch.ts";
import type { ModelPrice } from "../../runner-agent/config/codex-config.ts";

function counts(input: number, cached: number, output: number): TokenCounts {
  return {
    totalTokens: input + output,
    inputTokens: input,
    cachedInputTokens: cached,
    outputTokens: output,
    reasoningOutputTokens: 0,
  };
}

function meter({
  price,
  ...given
}: Partial<ConstructorParameters<typeof BudgetMeter>[0]> & { price?: ModelPrice } = {}): BudgetMeter {
  const made = new BudgetMeter({ limits: undefined, before: undefined, ...given });
  made.priced(price);
  return made;
}

test("of a thread that has worked before, only what comes now counts", () => {
  const budget = meter({ limits: { tokens: 1_000 } });
  budget.reported({ call: counts(100, 0, 20), thread: counts(50_100, 0, 9_020) });
  budget.reported({ call: counts(200, 0, 30), thread: counts(50_300, 0, 9_050) });
  expect(budget.tokens).toMatchObject({ inputTokens: 300, outputTokens: 50 });
  expect(budget.state).toMatchObject({ used: { tokens: 350 }, shares: [{ unit: "tokens", share: 0.35 }] });
});

test("the same report again adds nothing", () => {
  const budget = meter();
  for (let n = 0; n < 3; n += 1) budget.reported({ call: counts(100, 40, 20), thread: counts(100, 40, 20) });
  expect(budget.state.used.tokens).toBe(120);
});

test("a report that was missed is made up for by the next one's totals", () => {
  const budget = meter();
  budget.reported({ call: counts(100, 0, 20), thread: counts(100, 0, 20) });
  budget.reported({ call: counts(100, 0, 20), thread: counts(300, 0, 60) });
  expect(budget.state.used.tokens).toBe(360);
});

test("exactly at the limit it is used up; raised, it is not", () => {
  const budget = meter({ limits: { tokens: 120 } });
  budget.reported({ call: counts(100, 0, 20), thread: counts(100, 0, 20) });
  expect(budget.state.exceeded).toBe("tokens");
  budget.raise({ tokens: 121 });
  expect(budget.state.exceeded).toBeUndefined();
});

test("what the runs before have used counts from the start", () => {
  const budget = meter({ limits: { tokens: 1_000 }, before: { tokens: 990, seconds: 5 } });
  expect(budget.state.exceeded).toBeUndefined();
  budget.reported({ call: counts(10, 0, 0), thread: counts(10, 0, 0) });
  expect(budget.state).toMatchObject({ exceeded: "tokens", used: { tokens: 1_000 } });
});

test("money: cached input has its own price; without any, none is claimed (and no step with such a budget runs)", () => {
  const report = { call: counts(1_000_000, 400_000, 100_000), thread: counts(1_000_000, 400_000, 100_000) };
  const priced = meter({ limits: { usd: 10 }, price: { input: 2, cachedInput: 0.5, output: 10 } });
  priced.reported(report);
  expect(priced.state.used.usd).toBeCloseTo(0.6 * 2 + 0.4 * 0.5 + 0.1 * 10);
  const same = meter({ price: { input: 2, output: 10 } });
  same.reported(report);
  expect(same.state.used.usd).toBeCloseTo(3);
  const unpriced = meter();
  unpriced.reported(report);
  expect(unpriced.state.used.usd).toBeUndefined();
});

test("seconds pass in turns only", () => {
  let now = 0;
  const budget = meter({ limits: { seconds: 10 }, before: { seconds: 4 }, now: () => now });
  now += 60_000;
  expect(budget.state.used.seconds).toBe(4);
  budget.turnStarted();
  now += 2_000;
  expect([budget.msUntil(0.8), budget.msUntil(1)]).toEqual([2_000, 4_000]);
  budget.turnEnded();
  now += 60_000;
  budget.turnStarted();
  now += 4_000;
  expect(budget.msUntil(1)).toBe(0);
  expect(budget.state.exceeded).toBe("seconds");
  budget.turnEnded();
  expect(budget.state.used.seconds).toBe(10);
});

test("of several limits the one that is used most is named", () => {
  const budget = meter({ limits: { tokens: 1_000, seconds: 10 }, before: { tokens: 850, seconds: 9 } });
  expect(budget.state).toMatchObject({
    shares: [{ unit: "seconds" }, { unit: "tokens" }],
    exceeded: undefined,
  });
});

describe("the watch", () => {
  function watched(budget: BudgetMeter): { watch: BudgetWatch; said: string[]; told: BudgetUse[] } {
    const said: string[] = [];
    const told: BudgetUse[] = [];
    const watch = new BudgetWatch(budget, {
      warn: (unit) => said.push(`warned of ${unit}`),
      spent: () => said.push("spent"),
      used: (own) => told.push(own),
    });
    return { watch, said, told };
  }

  test("says by itself when 80 % of the seconds are over, and when all are, though Codex reports nothing", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const { watch, said } = watched(meter({ limits: { seconds: 10 } }));
    watch.turnStarted();
    await vi.advanceTimersByTimeAsync(7_900);
    expect(said).toEqual([]);
    await vi.advanceTimersByTimeAsync(200);
    expect(said).toEqual(["warned of seconds"]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(said).toEqual(["warned of seconds", "spent"]);
    await vi.advanceTimersByTimeAsync(60_000);
    watch.turnEnded();
    expect(said).toHaveLength(2);
  });

  test("warns of each unit by itself, and anew of one that was raised", () => {
    const budget = meter({ limits: { tokens: 100, usd: 1 }, price: { input: 8_500, output: 0 } });
    const { watch, said } = watched(budget);
    const report = (input: number): void => {
      budget.reported({ call: counts(input, 0, 0), thread: counts(input, 0, 0) });
      watch.look();
    };
    report(85);
    report(90);
    expect(said).toEqual(["warned of tokens"]);
    report(95);
    expect(said).toEqual(["warned of tokens", "warned of usd"]);
    watch.raise({ tokens: 200, usd: 2 });
    report(170);
    expect(said.slice(2)).toEqual(["warned of tokens"]);
  });

  test("tells what this attempt alone has used: at once, then at a pace, and when the turn ends", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const budget = meter({ limits: { tokens: 1_000 }, before: { tokens: 500 } });
    const { watch, told } = watched(budget);
    const tokens = (): (number | undefined)[] => told.map((own) => own.tokens);
    const report = (total: number): void => {
      budget.reported({ call: counts(10, 0, 0), thread: counts(total, 0, 0) });
      watch.look();
    };
    watch.turnStarted();
    report(10);
    expect(tokens()).toEqual([10]);
    for (const total of [20, 30, 40]) report(total);
    expect(tokens()).toEqual([10]);
    await vi.advanceTimersByTimeAsync(6_000);
    expect(tokens()).toEqual([10, 40]);
    // Nothing more was used: nobody is woken for it.
    await vi.advanceTimersByTimeAsync(600_000);
    expect(tokens()).toEqual([10, 40]);
    report(50);
    report(60);
    watch.turnEnded();
    watch.turnEnded();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(tokens()).toEqual([10, 40, 50, 60]);
  });

  test("tells of seconds, which pass without a report, now and then", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const { watch, told } = watched(meter({ limits: { seconds: 1_000 }, before: { seconds: 500 } }));
    watch.turnStarted();
    await vi.advanceTimersByTimeAsync(125_000);
    expect(told.map(({ seconds }) => Math.round(seconds ?? 0))).toEqual([60, 120]);
    watch.turnEnded();
    expect(told.map(({ seconds }) => Math.round(seconds ?? 0))).toEqual([60, 120, 125]);
  });

  test("tells nothing of a step without a budget", () => {
    const budget = meter();
    const { watch, told } = watched(budget);
    watch.turnStarted();
    budget.reported({ call: counts(10, 0, 0), thread: counts(10, 0, 0) });
    watch.look();
    watch.turnEnded();
    expect(told).toEqual([]);
  });
});

describe("what was used before this attempt", () => {
  test("is what the one says who remembers most, and the runs before it count once", () => {
    const budget = meter({ limits: { tokens: 1_000 }, before: { tokens: 300 } });
    for (const known of [undefined, { tokens: 450, usd: 1 }, { tokens: 400, usd: 2 }])
      budget.goesOnFrom(known);
    budget.reported({ call: counts(10, 0, 0), thread: counts(10, 0, 0) });
    expect(budget.state.used).toMatchObject({ tokens: 460 });
    expect(budget.own).toEqual({ tokens: 10, seconds: 0 });
  });
});
