/** Numbers in JSON that a double cannot hold. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FAULTS_MAX_ITEMS } from "../../contract/limits.ts";
import { changedNumbers } from "../../contract/json-numbers.ts";

const paths = (text: string): string[] => changedNumbers(text).map(({ path }) => path);

describe("a number in JSON", () => {
  test.each([
    ["9007199254740993", ""],
    ["-9007199254740993", ""],
    ["12345678901234567890", ""],
    ["1e400", ""],
    ["-1E+0400", ""],
    ["9".repeat(400), ""],
    ['{"payload":{"ids":[1,9007199254740993]}}', "/payload/ids/1"],
    ['{"a/b":{"c~d":{"":1e999}}}', "/a~1b/c~0d/"],
    ['{"__proto__":{"id":9007199254740993}}', "/__proto__/id"],
  ])("that would arrive as another one is found: %s", (text, path) => {
    expect(paths(text)).toEqual([path]);
  });

  test.each([
    "0",
    "-0",
    "9007199254740991",
    "9007199254740992",
    "9007199254740994",
    "1000000000000000000000",
    "1152921504606847000",
    "0.1",
    "3.14159265358979323846264338327950288",
    "9007199254740993.0",
    "1e22",
    "1e-400",
    "1.7976931348623157e308",
    '"9007199254740993"',
    '{"9007199254740993":"1e400"}',
    '["\\"9007199254740993",{"text":"1e400 \\\\"}]',
  ])("that arrives as it was sent, and digits in a text, are no fault: %s", (text) => {
    expect(changedNumbers(text)).toEqual([]);
  });

  test("that is refused is named with the number that would arrive", () => {
    expect(changedNumbers('{"id":9007199254740993}')).toEqual([
      {
        path: "/id",
        message: "is an integer that would arrive as 9007199254740992: send it as a string",
      },
    ]);
  });

  test("that JSON.stringify has written is never refused", () => {
    const numbers = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.bigInt().map(Number));
    fc.assert(
      fc.property(fc.array(numbers.filter(Number.isFinite)), (given) => {
        expect(changedNumbers(JSON.stringify(given))).toEqual([]);
      }),
    );
  });

  test("is refused exactly when JSON.stringify would write other digits", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n }), (integer) => {
        const isWrittenAsSent = JSON.stringify(Number(integer)) === String(integer);
        expect(paths(`[${integer}]`)).toEqual(isWrittenAsSent ? [] : ["/0"]);
      }),
    );
  });

  test("is looked for without a stack overflow in JSON of any depth, and the list of faults is bounded", () => {
    const depth = 500_000;
    expect(changedNumbers(`${"[".repeat(depth)}9007199254740993${"]".repeat(depth)}`)).toEqual([]);
    expect(changedNumbers(`[${"9007199254740993,".repeat(1000)}1]`)).toHaveLength(FAULTS_MAX_ITEMS);
  });
});
