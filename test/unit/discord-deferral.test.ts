/** When an interaction is deferred, what follows then, and whose turn it is when many come at once. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { DiscordAnswer } from "../../worker/discord/answers.ts";
import { AT_ONCE_MAX, Crowd, turnIn, TURN_MAX_MS, TURN_MS } from "../../worker/discord/crowd.ts";
import {
  ACT_MAX_MS,
  DEFER_AFTER_MS,
  handOver,
  INLINE_MAX_MS,
  lateMessage,
  patienceMs,
} from "../../worker/discord/deferral.ts";
import { askForm } from "../../worker/discord/forms.ts";

const NOW = 1_800_000_000_000;

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
  vi.spyOn(console, "warn").mockReturnValue();
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("patience", () => {
  test("counts from the arrival, and is never below zero", () => {
    expect(patienceMs(false, NOW, NOW)).toBe(DEFER_AFTER_MS);
    expect(patienceMs(false, NOW - 50, NOW)).toBe(DEFER_AFTER_MS - 50);
    expect(patienceMs(false, NOW - 10_000, NOW)).toBe(0);
    expect(patienceMs(true, NOW - 500, NOW)).toBe(INLINE_MAX_MS - 500);
  });

  test("of both kinds ends before Discord's three seconds do", () => {
    expect(DEFER_AFTER_MS).toBeLessThan(300);
    expect(INLINE_MAX_MS).toBeLessThan(3_000);
  });
});

describe("what follows a deferral", () => {
  const message = { tone: "good", title: "Started", lines: ["it"] } as const;
  test.each<[string, DiscordAnswer, object | undefined]>([
    ["a message", { kind: "message", outcome: "", message: { ...message, lines: ["it"] } }, message],
    ["a denial", { kind: "denied", message: { ...message, lines: ["it"] } }, message],
    ["nothing, of a repetition", { kind: "replayed" }, undefined],
    ["a request to ask again, of a form", askForm({}), { title: "That took too long" }],
  ])("%s", async (_what, answer, told) => {
    const late = await lateMessage(Promise.resolve(answer));
    if (told === undefined) expect(late).toBeUndefined();
    else expect(late).toMatchObject(told);
  });

  test("that it takes too long, when the act does not end", async () => {
    const late = lateMessage(new Promise<never>(() => undefined));
    await vi.advanceTimersByTimeAsync(ACT_MAX_MS - 1);
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(await late).toMatchObject({ title: "That takes too long" });
  });
});

describe("an answer that the outbox does not take", () => {
  test("is given again until it does", async () => {
    const give = vi.fn(async () => undefined);
    give.mockRejectedValueOnce(new Error("overloaded")).mockRejectedValueOnce(new Error("overloaded"));
    const given = handOver(give);
    await vi.runAllTimersAsync();
    await given;
    expect(give).toHaveBeenCalledTimes(3);
  });

  test("is given up, and said so, while the Worker still lives", async () => {
    const give = vi.fn(async () => Promise.reject(new Error("overloaded")));
    const given = expect(handOver(give)).rejects.toThrow("overloaded");
    await vi.runAllTimersAsync();
    await given;
    expect(give).toHaveBeenCalledTimes(4);
    expect(Date.now() - NOW + ACT_MAX_MS).toBeLessThan(30_000);
  });
});

describe("a crowd", () => {
  test("counts those who are under way, and nobody twice", () => {
    const crowd = new Crowd();
    const all = [0, 1, 2].map((place) => {
      const one = crowd.enter(NOW);
      expect(one.place).toBe(place);
      return one;
    });
    all[1]?.leave();
    all[1]?.leave();
    expect(crowd.enter(NOW).place).toBe(2);
  });

  test("forgets those whom the platform has cut off", () => {
    const crowd = new Crowd();
    crowd.enter(NOW);
    expect(crowd.enter(NOW + ACT_MAX_MS).place).toBe(1);
    expect(crowd.enter(NOW + ACT_MAX_MS + 1).place).toBe(1);
  });

  test("begins one after the other, in their order, with room in between", async () => {
    const crowd = new Crowd();
    const begun: [number, number][] = [];
    const places = Array.from({ length: 50 }, (_unused, index) => AT_ONCE_MAX + index);
    for (const place of places) void turnIn(crowd, place).then(() => begun.push([place, Date.now()]));
    await vi.runAllTimersAsync();
    expect(begun.map(([place]) => place)).toEqual(places);
    for (const [index, [, at]] of begun.entries())
      expect(at - (begun[index - 1]?.[1] ?? 0)).toBeGreaterThanOrEqual(TURN_MS);
  });

  test("of whom many are due in the same moment lets one of them go", () => {
    const crowd = new Crowd();
    expect([1, 2, 3].map(() => crowd.takeTurn(NOW, 500))).toEqual([true, false, false]);
    expect(crowd.takeTurn(NOW + TURN_MS - 1, 500)).toBe(false);
    expect([1, 2].map(() => crowd.takeTurn(NOW + TURN_MS, 500))).toEqual([true, false]);
  });

  test("keeps nobody waiting for ever", async () => {
    const crowd = new Crowd();
    const began = turnIn(crowd, 100_000).then(() => Date.now());
    await vi.runAllTimersAsync();
    expect((await began) - NOW).toBeLessThanOrEqual(TURN_MAX_MS + TURN_MS);
    expect(crowd.takeTurn(Date.now(), 0)).toBe(false);
    expect(crowd.takeTurn(Date.now(), TURN_MAX_MS)).toBe(true);
  });
});
