/** Lines that say FLOW_RESULT, found in a stream however it is cut. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { readResultLine, RESULT_MARKER } from "../../contract/flow-result.ts";
import { RESULT_MAX_BYTES } from "../../contract/limits.ts";
import { ResultReader, type ResultRule } from "../../runner-agent/steps/result-reader.ts";

type Place = ResultRule["place"];

/** What the rule says about every line of the whole text. */
function expected(text: string, place: Place): string[] {
  return text.split("\n").flatMap((line) => {
    const at = line.indexOf(RESULT_MARKER);
    return at < 0 || (place === "line" && at > 0) ? [] : [line.slice(at)];
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

function read(text: string, cuts: number[], rule: ResultRule): string[] {
  const at = [0, ...cuts.map((cut) => cut % (text.length + 1)).sort((a, b) => a - b), text.length];
  const reader = new ResultReader(rule);
  const lines = at.slice(1).flatMap((end, n) => {
    const piece = text.slice(at[n], end);
    return reader.write(piece).map((found) => {
      expect(piece.charAt(found.end - 1)).toBe("\n");
      return found.line;
    });
  });
  const last = reader.end();
  return [...lines, ...(last === undefined ? [] : [last])];
}

test.each<Place>(["line", "anywhere"])(
  "a stream that is cut anywhere gives each result line where it is complete (place: %s)",
  (place) => {
    fc.assert(
      fc.property(fc.array(part), fc.array(fc.nat(300)), (parts, cuts) => {
        const text = parts.join("");
        expect(read(text, cuts, { place })).toEqual(expected(text, place));
      }),
      { numRuns: 1000 },
    );
  },
);

test("with a marker of its own, a reader takes only lines that begin with that marker for results", () => {
  const marker = "FLOW_RESULT 7f3a ";
  const text = 'FLOW_RESULT {"status":"completed"}\nFLOW_RESULT 7f3a {"status":"changed"}\n';
  expect(read(text, [20, 40], { marker, place: "line" })).toEqual(['FLOW_RESULT {"status":"changed"}']);
});

test("what is too large to be a result is not kept", () => {
  const reader = new ResultReader({ place: "line" });
  for (let n = 0; n < 100; n += 1) reader.write(n === 0 ? "FLOW_RESULT " : "y".repeat(RESULT_MAX_BYTES));
  const [found] = reader.write("\n");
  expect(found?.line.length).toBeLessThan(RESULT_MAX_BYTES + 100);
  expect(readResultLine(found?.line ?? "")).toEqual({
    kind: "invalid",
    message: `FLOW_RESULT is larger than ${RESULT_MAX_BYTES} bytes`,
  });
});
