/** Which ledger lists what: every row has one place, and a page over all days finds it. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RETENTION_DEFAULT_DAYS, RETENTION_MAX_DAYS } from "../../contract/limits.ts";
import {
  dayOf,
  dayOfLedger,
  ledgerExpiry,
  ledgerName,
  ledgersOfDay,
  previousDay,
  retentionMs,
  shardCount,
} from "../../durable-objects/day-ledger/naming.ts";

const DAY_MS = 86_400_000;
const time = fc.integer({ min: 0, max: Date.parse("2200-01-01T00:00:00Z") });
const key = fc.stringMatching(/^[0-9a-hjkmnp-tv-z]{16}$/);
const shards = fc.integer({ min: 1, max: 64 });

test("a day begins at midnight UTC", () => {
  expect(dayOf(Date.parse("2026-11-21T23:59:59.999Z"))).toBe(Date.parse("2026-11-21T00:00:00Z"));
  expect(dayOf(Date.parse("2026-11-21T00:00:00.000Z"))).toBe(Date.parse("2026-11-21T00:00:00Z"));
  expect(previousDay(Date.parse("2026-03-01T00:00:00Z"))).toBe(Date.parse("2026-02-28T00:00:00Z"));
  expect(ledgerName({}, dayOf(Date.parse("2026-11-21T05:00:00Z")), "0123456789abcdef")).toBe("2026-11-21/0");
});

test("every key has one ledger, among those of its day, whose name says the day", () => {
  fc.assert(
    fc.property(time, key, shards, (now, k, count) => {
      const settings = { LEDGER_SHARDS: String(count) };
      const day = dayOf(now);
      const names = ledgersOfDay(settings, day);
      expect(new Set(names).size).toBe(count);
      expect(names).toContain(ledgerName(settings, day, k));
      for (const name of names) expect(dayOfLedger(name)).toBe(day);
      expect(ledgersOfDay(settings, previousDay(day)).filter((name) => names.includes(name))).toEqual([]);
    }),
  );
});

test("keys spread over the shards", () => {
  const settings = { LEDGER_SHARDS: "8" };
  const counts = new Map<string, number>();
  for (const k of fc.sample(key, { numRuns: 4000, seed: 1 })) {
    const name = ledgerName(settings, 0, k);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  expect(counts.size).toBe(8);
  for (const count of counts.values()) expect(count).toBeGreaterThan(250);
});

describe("settings", () => {
  test.each([
    [undefined, RETENTION_DEFAULT_DAYS],
    ["", RETENTION_DEFAULT_DAYS],
    ["0", RETENTION_DEFAULT_DAYS],
    ["-1", RETENTION_DEFAULT_DAYS],
    ["1.5", RETENTION_DEFAULT_DAYS],
    ["seven", RETENTION_DEFAULT_DAYS],
    ["7", 7],
    ["100000", RETENTION_MAX_DAYS],
  ])("RETENTION_DAYS %j keeps things for %i days", (text, days) => {
    expect(retentionMs(text === undefined ? {} : { RETENTION_DAYS: text })).toBe(days * DAY_MS);
  });

  test.each([
    [undefined, 1],
    ["0", 1],
    ["many", 1],
    ["8", 8],
    ["1000", 64],
  ])("LEDGER_SHARDS %j makes %i", (text, count) => {
    expect(shardCount(text === undefined ? {} : { LEDGER_SHARDS: text })).toBe(count);
  });

  test("a ledger outlives whatever was received on its day", () => {
    fc.assert(
      fc.property(time, (now) => {
        const settings = { RETENTION_DAYS: "3" };
        expect(ledgerExpiry(settings, dayOf(now))).toBeGreaterThan(now + retentionMs(settings));
        expect(ledgerExpiry(settings, dayOf(now))).toBeLessThanOrEqual(now + retentionMs(settings) + DAY_MS);
      }),
    );
  });
});
