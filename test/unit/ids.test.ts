/** Ids that route themselves (invariants 2 and 3): the same everywhere, for ever, and never taken for another. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { attemptId, eventKey, newLease, parseAttemptId, parseRunId, runId } from "../../contract/ids.ts";

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/** The key by its definition, by other means: the hash as one big number, five bits at a time. */
function keyByDefinition(eventId: string): string {
  const bits = BigInt(`0x${createHash("sha256").update(eventId).digest("hex").slice(0, 20)}`);
  return Array.from({ length: 16 }, (_unused, at) =>
    ALPHABET.charAt(Number((bits >> BigInt(75 - 5 * at)) & 31n)),
  ).join("");
}

const n = fc.integer({ min: 1, max: 999_999 });
const key = fc.stringMatching(/^[0-9a-hjkmnp-tv-z]{16}$/);

describe("the key of an event", () => {
  test("is the first 80 bits of sha256 in Crockford's base32", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary" }), async (id) => {
        expect(await eventKey(id)).toBe(keyByDefinition(id));
      }),
    );
  });

  test.each([
    ["", "werc8gmrzge196qv"],
    ["abc", "q9w1dfwf077ymga1"],
    ["grüße 🌍", "wz7bewd28jms7zxt"],
  ])("of %j never changes: stored objects are found by it", async (id, expected) => {
    expect(await eventKey(id)).toBe(expected);
    expect(keyByDefinition(id)).toBe(expected);
  });
});

describe("run and attempt ids", () => {
  test("say what they were made of", () => {
    fc.assert(
      fc.property(key, n, n, (k, run, attempt) => {
        expect(parseRunId(runId(k, run))).toEqual({ eventKey: k, n: run });
        expect(parseAttemptId(attemptId(runId(k, run), attempt))).toEqual({ runId: runId(k, run), attempt });
      }),
    );
  });

  test("have exactly one spelling: whatever is read is what would be written", () => {
    const almost = fc
      .tuple(
        key,
        n,
        n,
        fc.nat(40),
        fc.constantFrom("", "0", "i", "l", "o", "u", "A", "_", "-1", "\n", " ", "é"),
      )
      .map(([k, run, attempt, place, junk]) => {
        const id = attemptId(runId(k, run), attempt);
        return `${id.slice(0, place)}${junk}${id.slice(place)}`;
      });
    fc.assert(
      fc.property(fc.oneof(almost, fc.string()), (text) => {
        const run = parseRunId(text);
        if (run !== undefined) expect(runId(run.eventKey, run.n)).toBe(text);
        const attempt = parseAttemptId(text);
        if (attempt !== undefined) expect(attemptId(attempt.runId, attempt.attempt)).toBe(text);
        expect(run !== undefined && attempt !== undefined).toBe(false);
      }),
    );
  });

  test.each([
    "",
    "run_",
    "run_0123456789abcdef",
    "run_0123456789abcdef_",
    "run_0123456789abcdef_0",
    "run_0123456789abcdef_01",
    "run_0123456789abcdef_-1",
    "run_0123456789abcdef_1.5",
    "run_0123456789abcdef_1e3",
    "run_0123456789abcdef_1234567",
    "run_0123456789abcde_1",
    "run_0123456789abcdefg_1",
    "run_0123456789abcdei_1",
    "run_0123456789abcdel_1",
    "run_0123456789abcdeo_1",
    "run_0123456789abcdeu_1",
    "RUN_0123456789abcdef_1",
    "run_0123456789ABCDEF_1",
    " run_0123456789abcdef_1",
    "run_0123456789abcdef_1\n",
    "run_0123456789abcdef_1/../1",
    "run_0123456789abcdef_１",
  ])("%j is neither", (text) => {
    expect(parseRunId(text)).toBeUndefined();
    expect(parseAttemptId(text)).toBeUndefined();
    expect(parseAttemptId(`${text}_a1`)).toBeUndefined();
  });
});

test("a lease is 128 random bits", () => {
  const leases = Array.from({ length: 100 }, newLease);
  expect(new Set(leases).size).toBe(leases.length);
  for (const lease of leases) expect(lease).toMatch(/^lease_[0-9a-hjkmnp-tv-z]{26}$/);
});
