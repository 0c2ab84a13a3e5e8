/** What is owed to the outside is performed, or stays owed and is tried again (invariant 6). */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Outbox, type Effect } from "../../durable-objects/kit/outbox.ts";

function fine(key: string, performed: string[] = []): Effect {
  return { key, perform: async () => performed.push(key) };
}

function failing(key: string): Effect {
  return { key, perform: async () => Promise.reject(new Error(`${key} is down`)) };
}

let warnings: string[];

beforeEach(() => {
  warnings = [];
  vi.spyOn(console, "warn").mockImplementation((line: string) => warnings.push(line));
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("a round", () => {
  test("performs everything, and owes nothing more", async () => {
    const performed: string[] = [];
    expect(await new Outbox("event x").drain([fine("a", performed), fine("b", performed)])).toBeUndefined();
    expect(performed.sort()).toEqual(["a", "b"]);
    expect(warnings).toEqual([]);
  });

  test("of nothing is done", async () => {
    expect(await new Outbox("event x").drain([])).toBeUndefined();
  });

  test("performs the rest when one effect fails, by a rejection or by an exception", async () => {
    const performed: string[] = [];
    const throwing: Effect = {
      key: "thrown",
      perform: () => {
        throw new Error("at once");
      },
    };
    const outbox = new Outbox("event x");
    expect(await outbox.drain([failing("a"), throwing, fine("b", performed)])).toBeGreaterThan(0);
    expect(performed).toEqual(["b"]);
    expect(JSON.parse(warnings[0] ?? "")).toMatchObject({
      owner: "event x",
      keys: ["a", "thrown"],
      reasons: ["Error: a is down", "Error: at once"],
    });
  });

  test("leaves no timer behind", async () => {
    vi.useFakeTimers();
    await new Outbox("event x").drain([fine("a"), failing("b")]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("ends although an effect never does", async () => {
    vi.useFakeTimers();
    const stuck: Effect = { key: "stuck", perform: () => new Promise(() => undefined) };
    const round = new Outbox("event x").drain([stuck, fine("a")]);
    await vi.advanceTimersToNextTimerAsync();
    expect(await round).toBeGreaterThan(0);
    expect(warnings[0]).toContain("stuck took longer than");
  });
});

describe("rounds that fail", () => {
  test("wait twice as long each time, up to a bound, and say so once", async () => {
    const outbox = new Outbox("event x");
    const waits: number[] = [];
    for (let round = 0; round < 12; round += 1) waits.push((await outbox.drain([failing("a")])) ?? 0);
    const bound = Math.max(...waits);
    waits.forEach((wait, n) => {
      expect(wait).toBe(Math.min((waits[0] ?? 0) * 2 ** n, bound));
    });
    expect(waits.at(-1)).toBe(bound);
    expect(waits.at(-2)).toBe(bound);
    expect(warnings).toHaveLength(1);
  });

  test("are forgotten with the first that succeeds", async () => {
    const outbox = new Outbox("event x");
    const first = await outbox.drain([failing("a")]);
    await outbox.drain([failing("a")]);
    expect(await outbox.drain([fine("a")])).toBeUndefined();
    expect(await outbox.drain([failing("a")])).toBe(first);
    expect(warnings).toHaveLength(2);
  });
});
