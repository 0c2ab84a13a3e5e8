/** What a program writes to its terminal, as lines of text. */
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { TerminalText } from "../../runner-agent/relay/terminal-text.ts";

function read(...pieces: string[]): string {
  let out = "";
  const text = new TerminalText((piece) => {
    out += piece;
  });
  for (const piece of pieces) text.write(piece);
  text.end();
  return out;
}

describe("what is shown", () => {
  test.each([
    ["colours are gone", ["\u001b[31mred\u001b[0m\r\n"], "red\n"],
    ["also when one is cut", ["a\u001b[3", "1mb\u001b", "[0m\n"], "ab\n"],
    ["titles and links", ["\u001b]0;title\u0007x\u001b]8;;http://a\u001b\\y\n"], "xy\n"],
    ["a line that is drawn again has its last form", ["10 %\r50 %\r100 %\r\ndone\r\n"], "100 %\ndone\n"],
    ["a return at the end of a piece draws nothing by itself", ["one\r", "\ntwo\r", "two!\n"], "one\ntwo!\n"],
    ["a last line without an end", ["a\nb"], "a\nb"],
    ["bells and nulls", ["a\u0007\u0000b\n"], "ab\n"],
    ["an escape that never ends", ["a\u001b[", "3"], "a"],
  ])("%s", (_what, pieces, shown) => {
    expect(read(...pieces)).toBe(shown);
  });

  test("how it was cut changes nothing", () => {
    const alphabet = fc.constantFrom(
      "a",
      "b",
      "\n",
      "\r",
      "\r\n",
      "\u001b[31m",
      "\u001b[0m",
      "\u001b]0;t\u0007",
    );
    fc.assert(
      fc.property(fc.array(alphabet), fc.array(fc.nat()), (parts, cuts) => {
        const whole = parts.join("");
        const at = [...new Set(cuts.map((cut) => cut % (whole.length + 1)))].sort((a, b) => a - b);
        const pieces = [...at, whole.length].map((to, index) => whole.slice(at[index - 1] ?? 0, to));
        expect(read(...pieces)).toBe(read(whole));
      }),
    );
  });
});

test("a question without an end of line is let out when nothing follows", () => {
  vi.useFakeTimers();
  let out = "";
  const text = new TerminalText((piece) => {
    out += piece;
  });
  text.write("name? ");
  expect(out).toBe("");
  vi.runAllTimers();
  expect(out).toBe("name? ");
  text.write("bob\r\nhello\r\n");
  text.end();
  expect(out).toBe("name? bob\nhello\n");
  vi.useRealTimers();
});
