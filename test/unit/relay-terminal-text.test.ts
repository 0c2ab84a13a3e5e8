/** What a program writes to its terminal, as lines of text. */
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { TerminalText } from "../../runner-agent/relay/terminal-text.ts";

afterEach(() => {
  vi.useRealTimers();
});

function read(...pieces: string[]): string {
  let out = "";
  const text = new TerminalText((piece) => {
    out += piece;
  });
  for (const piece of pieces) text.write(piece);
  text.end();
  return out;
}

describe("the text of a terminal", () => {
  test.each([
    ["has no colours", ["\u001b[31mred\u001b[0m\r\n"], "red\n"],
    ["has no colours that are cut by the border of two pieces", ["a\u001b[3", "1mb\u001b", "[0m\n"], "ab\n"],
    ["has no titles and no marks of links", ["\u001b]0;title\u0007x\u001b]8;;http://a\u001b\\y\n"], "xy\n"],
    ["has no title with a path and a blank in it", ["\u001b]0;root@vm: ~/app\u0007$ ls\r\n"], "$ ls\n"],
    ["has no title that is cut in its end", ["\u001b]0;t\u001b", "\\x\n"], "x\n"],
    ["loses one line at most to a title without an end", ["\u001b]0;title\r\nnext\r\n"], "\nnext\n"],
    ["has no link with an id", ["\u001b]8;id=1;http://a\u0007here\u001b]8;;\u0007!\n"], "here!\n"],
    [
      "has no control sequence with a private mark",
      ["\u001b[>4;0ma\u001b[>7ub\u001b[?25lc\u001b[=1;1ud\n"],
      "abcd\n",
    ],
    ["has no control sequence with intermediate bytes", ["\u001b[1 qa\u001b[!pb\u001b[0$}c\n"], "abc\n"],
    ["has no control sequence with sub-parameters", ["\u001b[4:3mwave\u001b[38:2::1:2:3mred\n"], "wavered\n"],
    [
      "has no body of a device, application, privacy or start string",
      ["\u001bP+q544e\u001b\\a\u001b_Gi=31;AAAA\u001b\\b\u001b^x\u001b\\c\u001bXy\u001b\\d\n"],
      "abcd\n",
    ],
    ["has no character set or keypad sequence", ["\u001b(B\u001b)0a\u001b=\u001b>b\n"], "ab\n"],
    ["shows what a backspace was written over with", ["abc\b\b\bxyz\r\n"], "xyz\n"],
    ["shows a line as it is after its end was erased", ["abcdef\b\b\b\u001b[K\r\n"], "abc\n"],
    ["shows a blank where the cursor was moved right", ["a\u001b[1Cb\u001b[3Cc\r\n"], "a b   c\n"],
    ["shows blanks where the cursor was moved to a column", ["name\u001b[10Gvalue\r\n"], "name     value\n"],
    [
      "keeps words apart that were placed on a screen",
      ["\u001b[2J\u001b[1;1HTrust\u001b[1;7Hthis\u001b[2;1Hfolder?"],
      "Trust this\nfolder?",
    ],
    ["shows a line that is drawn again in its last form", ["10 %\r50 %\r100 %\r\ndone\r\n"], "100 %\ndone\n"],
    ["draws nothing for a return at the end of a piece", ["one\r", "\ntwo\r", "two!\n"], "one\ntwo!\n"],
    ["has a last line without an end", ["a\nb"], "a\nb"],
    ["keeps tabs and empty lines", ["a\tb\n\n\nc\n"], "a\tb\n\n\nc\n"],
    ["has no bells and nulls", ["a\u0007\u0000b\n"], "ab\n"],
    ["has no escape that never ends", ["a\u001b[", "3"], "a"],
    ["goes on after a sequence that is broken off", ["a\u001b[3\nb\u001b[1\u001b[mc\n"], "a\nbc\n"],
    [
      "has what stood before another screen, on it, and behind it",
      ["a\n\u001b[?1049hmenu\u001b[?1049lb\n"],
      "a\nmenu\nb\n",
    ],
    ["keeps wide and composed characters", ["日本e\u0301👩‍🚀\n"], "日本e\u0301👩‍🚀\n"],
  ])("%s", (_what, pieces, shown) => {
    expect(read(...pieces)).toBe(shown);
  });

  test("is the same however its bytes were cut", () => {
    const alphabet = fc.constantFrom(
      ...["a", "wide 日", "\n", "\r", "\r\n", "\b", "\t", "\u001b[31m", "\u001b[0m", "\u001b]0;t\u0007"],
      ...["\u001b[K", "\u001b[2C", "\u001b[1A", "\u001b[2K", "\u001b[H", "\u001b[J", "\u001b]8;;a\u001b\\"],
      ...["\u001bPq#0\u001b\\", "\u001b[>4;1m", "\u001b[4:3m", "\u001b[?1049h", "\u001b", "\u001b["],
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

  test("never holds an escape or another control character", () => {
    const bytes = fc.constantFrom(...Array.from("\u001b[]P_^X\\?>;:01 $mKHJACqh\u0007\u0008\u009c\n\rab"));
    fc.assert(
      fc.property(fc.array(bytes), (parts) => {
        expect(read(parts.join(""))).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
      }),
    );
  });

  test("is whole for a program that writes many lines", () => {
    const lines = Array.from({ length: 5_000 }, (_unused, index) => `line ${index}`);
    expect(read(lines.join("\r\n"))).toBe(lines.join("\n"));
  });

  test("is whole for a line of a megabyte that comes in pieces", () => {
    const pieces = Array.from({ length: 64 }, (_unused, index) => String(index % 10).repeat(16_384));
    expect(read(...pieces, "\n")).toBe(`${pieces.join("")}\n`);
  });
});

/** A terminal that is written to over time. */
function live(): { text: TerminalText; out: () => string; wait: (ms: number) => void } {
  vi.useFakeTimers();
  let out = "";
  const text = new TerminalText((piece) => {
    out += piece;
  });
  return { text, out: () => out, wait: (ms) => vi.advanceTimersByTime(ms) };
}

test("a question without an end of line goes out when nothing follows, and its answer follows it", () => {
  const { text, out, wait } = live();
  text.write("name? ");
  expect(out()).toBe("");
  wait(200);
  expect(out()).toBe("name? ");
  text.write("bob\r\nhello\r\n");
  text.end();
  expect(out()).toBe("name? bob\nhello\n");
});

test("a spinner that turns slower than a question waits is no line for each of its turns", () => {
  const { text, out, wait } = live();
  for (let turn = 0; turn < 40; turn += 1) {
    text.write(`\r\u001b[K${"|/-\\"[turn % 4] ?? ""} working`);
    wait(300);
  }
  text.write("\r\u001b[Kdone\r\n");
  text.end();
  const lines = out().split("\n");
  expect(lines.at(-2)).toBe("done");
  expect(lines.length).toBeLessThanOrEqual(5);
});

test("a frame of lines that is drawn again shows only the lines that have changed, once the screen is still", () => {
  const { text, out, wait } = live();
  const frame = (state: string): string => `Build\r\n  compile ${state}\r\n  test\r\n`;
  text.write(frame("0 %"));
  for (let percent = 5; percent <= 100; percent += 5) {
    wait(100);
    text.write(`\u001b[3A\u001b[J${frame(`${percent} %`)}`);
  }
  wait(2_000);
  expect(out()).toBe("Build\n  compile 0 %\n  test\n  compile 100 %\n");
  text.end();
  expect(out()).toBe("Build\n  compile 0 %\n  test\n  compile 100 %\n");
});

test("a screen that is never still is shown from time to time", () => {
  const { text, out, wait } = live();
  text.write("\u001b[?1049h");
  for (let second = 1; second <= 25; second += 1) {
    text.write(`\u001b[1;1HWorking\u001b[2;1H${second} s`);
    wait(1_000);
  }
  expect(out()).toMatch(/^Working\n10 s/);
  text.end();
  expect(out().split("\n").length).toBeLessThanOrEqual(6);
});
