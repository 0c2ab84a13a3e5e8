/** How often an isolate tells of what is refused again and again. */
import { describe, expect, test } from "vitest";
import { Merger } from "../../worker/chat/refusals.ts";

const MINUTE_MS = 60_000;

describe("what is refused again and again", () => {
  test("is told of at once, then once a minute with all that came meanwhile, and of none twice", () => {
    const merger = new Merger();
    const told = Array.from({ length: 200 }, (_unused, second) => merger.note("forged", second * 1_000));
    expect(told.filter((times) => times > 0)).toEqual([1, 60, 60, 60]);
  });

  test("is told of kind by kind", () => {
    const merger = new Merger();
    expect([merger.note("forged", 0), merger.note("stale", 0), merger.note("forged", 1)]).toEqual([1, 1, 0]);
  });

  test("by very many senders is remembered of the latest ones", () => {
    const merger = new Merger();
    for (let sender = 0; sender < 1_000; sender += 1) expect(merger.note(`by ${sender}`, sender)).toBe(1);
    expect(merger.note("by 999", MINUTE_MS - 1)).toBe(0);
    expect(merger.note("by 0", MINUTE_MS - 1)).toBe(1);
  });
});
