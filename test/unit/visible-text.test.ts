/** The filter for texts of others: what it replaces, and what it must leave readable. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { visibleText, withoutColours } from "../../contract/visible-text.ts";

const MARK = "\ufffd";
const ESC = "\u001b";

function codePoints(first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, n) => String.fromCodePoint(first + n));
}

/** What a reader must never get: written out here, apart from the filter's own classes. */
const HIDDEN = [
  ...codePoints(0x00, 0x1f).filter((character) => !"\n\t".includes(character)),
  ...codePoints(0x7f, 0x9f),
  ...["\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u180e", "\u3164", "\ufeff", "\uffa0"],
  ...codePoints(0x200b, 0x200f),
  ...codePoints(0x2028, 0x202e),
  ...codePoints(0x2060, 0x206f),
  ...codePoints(0xfff9, 0xfffb),
  ...codePoints(0xfe00, 0xfe0f),
  ...codePoints(0x1d173, 0x1d17a),
  ...codePoints(0xe0000, 0xe0fff),
  ...["\ud800", "\udfff"],
];

describe("visible text", () => {
  test("hides no character that cannot be seen or that changes the order of others", () => {
    for (const character of HIDDEN) {
      const code = character.codePointAt(0)?.toString(16);
      expect(visibleText(`a${character}b`), code).toBe(`a${MARK}b`);
      expect(visibleText(character), code).toBe(MARK);
      expect(visibleText(` ${character}${character} `), code).toBe(` ${MARK}${MARK} `);
    }
  });

  test("shows that a command reads in another order than it runs", () => {
    expect(visibleText("git status \u202e\u2066; rm -rf ~ #")).toBe(`git status ${MARK}${MARK}; rm -rf ~ #`);
    const tags = Array.from("rm -rf", (letter) => String.fromCodePoint(0xe0000 + letter.charCodeAt(0)));
    expect(visibleText(`ls${tags.join("")}`)).toBe(`ls${MARK.repeat(tags.length)}`);
    expect(visibleText(`\u{1f3f4}${tags.join("")}\u{e007f}`)).toBe(
      `\u{1f3f4}${MARK.repeat(tags.length + 1)}`,
    );
    expect(visibleText(`${ESC}[2J`)).toBe(`${MARK}[2J`);
  });

  test.each([
    ["lines and tabs", "a\tb\nc"],
    ["a family", "\u{1f468}\u200d\u{1f469}\u200d\u{1f467}"],
    ["a person with a skin tone and a job", "\u{1f469}\u{1f3fd}\u200d\u{1f4bb}"],
    ["a heart that is drawn as an emoji", "\u2764\ufe0f and \u2764\ufe0f\u200d\u{1f525}"],
    ["a rainbow flag", "\u{1f3f3}\ufe0f\u200d\u{1f308}"],
    ["flags of countries", "\u{1f1e9}\u{1f1ea}\u{1f1eb}\u{1f1f7}"],
    ["the flag of Wales", "\u{1f3f4}\u{e0067}\u{e0062}\u{e0077}\u{e006c}\u{e0073}\u{e007f}"],
    ["a keycap", "1\ufe0f\u20e3"],
    ["combining accents", "e\u0301 a\u0308\u0323"],
    ["Hindi with a joiner", "\u0915\u094d\u200d\u0937"],
    ["Persian with a non-joiner", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"],
    ["Hebrew with points", "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd"],
    ["Thai", "\u0e19\u0e49\u0e33"],
    ["Japanese with a variant", "\u845b\u{e0100}\u98fe"],
    ["Korean letters", "\u1112\u1161\u11ab"],
  ])("keeps %s", (_, text) => {
    expect(visibleText(text)).toBe(text);
  });

  test("keeps every emoji that Unicode lists as one", () => {
    const emoji = new RegExp(String.raw`^\p{RGI_Emoji}$`, "v");
    const bases = codePoints(0x203c, 0x1faff).filter((one) => /\p{Extended_Pictographic}/u.test(one));
    const tones = ["", "\ufe0f", "\u{1f3fb}", "\u{1f3ff}"];
    const sequences = bases
      .flatMap((base) => tones.map((tone) => base + tone))
      .filter((one) => emoji.test(one));
    expect(sequences.length).toBeGreaterThan(1_000);
    for (const sequence of sequences) expect(visibleText(sequence)).toBe(sequence);
  });

  test("is the same text when it is filtered twice, and never longer", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constantFrom(...HIDDEN), fc.string({ unit: "binary" }))), (parts) => {
        const once = visibleText(parts.join(""));
        expect(visibleText(once)).toBe(once);
        expect(once.length).toBeLessThanOrEqual(parts.join("").length);
        expect(once.isWellFormed()).toBe(true);
        expect(once).not.toMatch(/[\p{Bidi_Control}\u{e0001}-\u{e001f}]|(?![\n\t])\p{Cc}/u);
      }),
    );
  });

  test("loses its colours and nothing else where there are none", () => {
    expect(withoutColours(`${ESC}[1;31mred${ESC}[0m ${ESC}[2J`)).toBe(`red ${ESC}[2J`);
  });
});
