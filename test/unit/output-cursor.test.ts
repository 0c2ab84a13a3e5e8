/** Positions in a run's output, as they travel in URLs. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { formatCursor, OUTPUT_START, parseCursor } from "../../contract/output-cursor.ts";

const position = fc.record({ attempt: fc.nat(999_999), seq: fc.nat(999_999_999) });

test("a position survives its text", () => {
  fc.assert(
    fc.property(position, (cursor) => {
      expect(parseCursor(formatCursor(cursor))).toEqual(cursor);
    }),
  );
});

test("no cursor is the start", () => {
  expect(parseCursor(undefined)).toEqual(OUTPUT_START);
  expect(parseCursor("")).toEqual(OUTPUT_START);
  expect(parseCursor(formatCursor(OUTPUT_START))).toEqual(OUTPUT_START);
});

test.each([
  "1",
  "1.",
  ".1",
  "1.2.3",
  "-1.2",
  "1.-2",
  "1e3.1",
  "0x1.1",
  " 1.1",
  "1.1\n",
  "a.b",
  "1,1",
  "1234567.1",
])("%j is no cursor", (text) => {
  expect(parseCursor(text)).toBeUndefined();
});

test("junk is no cursor, and never a number that is none", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[-+0-9.e ]*$/), (text) => {
      const cursor = parseCursor(text);
      if (cursor === undefined) return;
      expect(Number.isSafeInteger(cursor.attempt) && cursor.attempt >= 0).toBe(true);
      expect(Number.isSafeInteger(cursor.seq) && cursor.seq >= 0).toBe(true);
    }),
  );
});
