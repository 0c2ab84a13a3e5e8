/** Lines that say FLOW_RESULT, found in a stream however it is cut. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { readResultLine } from "../../contract/flow-result.ts";
import { RESULT_MAX_BYTES } from "../../contract/limits.ts";
import { ResultReader } from "../../runner-agent/steps/result-reader.ts";

/** What the contract says about every line of the whole text. */
function expected(text: string): unknown[] {
  return text.split("\n").flatMap((line) => {
    const read = readResultLine(line);
    return read.kind === "none" ? [] : [read];
  });
}

const part = fc.constantFrom(
  "FLOW_RESULT ",
  "FLOW_RESULT",
  "FLOW_",
  "RESULT ",
  "\n",
  '{"status":"completed"}',
  "x",
  " ",
);

test("a stream cut anywhere gives what its lines say, each where it is complete", () => {
  fc.assert(
    fc.property(fc.array(part), fc.array(fc.nat(300)), (parts, cuts) => {
      const text = parts.join("");
      const at = [0, ...cuts.map((cut) => cut % (text.length + 1)).sort((a, b) => a - b), text.length];
      const reader = new ResultReader();
      const lines = at.slice(1).flatMap((end, n) => {
        const piece = text.slice(at[n], end);
        return reader.write(piece).map((found) => {
          expect(piece.charAt(found.end - 1)).toBe("\n");
          return found.line;
        });
      });
      const last = reader.end();
      expect([...lines, ...(last === undefined ? [] : [last])].map(readResultLine)).toEqual(expected(text));
    }),
    { numRuns: 1000 },
  );
});

test("what is too large to be a result is not kept", () => {
  const reader = new ResultReader();
  for (let n = 0; n < 100; n += 1) reader.write(n === 0 ? "FLOW_RESULT " : "y".repeat(RESULT_MAX_BYTES));
  const [found] = reader.write("\n");
  expect(found?.line.length).toBeLessThan(RESULT_MAX_BYTES + 100);
  expect(readResultLine(found?.line ?? "")).toEqual({
    kind: "invalid",
    message: `FLOW_RESULT is larger than ${RESULT_MAX_BYTES} bytes`,
  });
});
