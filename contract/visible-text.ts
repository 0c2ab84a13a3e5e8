/**
 * The one filter for text that other people, agents or programs wrote, before a person reads it: on a terminal, in a chat
 * card, in an approval. It replaces each character that cannot be seen, or that changes how the text around it reads, with
 * U+FFFD. It never removes one, so that the reader sees that something is there.
 *
 * Replaced: control characters (C0, C1, a raw ESC), bidirectional controls, characters of no width, tag characters, line
 * and paragraph separators, and halves of surrogate pairs. Kept: line breaks and tabs, and invisible characters in the
 * places where a script needs them. Those are emoji sequences, joiners between letters of the scripts that use them, and
 * one variation selector behind a character that has variants. Combining marks are never touched.
 */

const REPLACEMENT = "\ufffd";

/** Text that stays whole although it holds invisible characters; each alternative is one grapheme or a part of one. */
const NEEDED = [
  // Keycaps: a digit, the emoji selector, the enclosing mark.
  String.raw`[0-9#*]\ufe0f\u20e3`,
  // The flags of England, Scotland and Wales, the only sequences of tag characters that are in general use.
  ...["gbeng", "gbsct", "gbwls"].map(tagSequence),
  // Emoji with a selector, a skin tone, and joined ones.
  String.raw`${pictograph()}(?:\u200d${pictograph()})*`,
  // Joiners and their opposite inside words of scripts that are written with them.
  String.raw`(?<=${joiningLetter()})[\u200c\u200d](?=${joiningLetter()})`,
  // One variant of an ideograph, of a Mongolian letter.
  String.raw`(?<=\p{Script=Han})[\ufe00-\ufe02\u{e0100}-\u{e01ef}]`,
  String.raw`(?<=\p{Script=Mongolian})[\u180b-\u180d\u180f]`,
].join("|");

const HIDDEN = String.raw`(?![\n\t])[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\ufff9-\ufffb]`;

const FILTER = new RegExp(`(?<needed>${NEEDED})|${HIDDEN}`, "gu");

/** The text with everything replaced that a reader could not see, or that would change how the text reads. */
export function visibleText(text: string): string {
  return text.replaceAll(FILTER, (found, ...more) =>
    (more.at(-1) as { needed?: string }).needed === undefined ? REPLACEMENT : found,
  );
}

const COLOUR = new RegExp(`${String.fromCharCode(27)}\\[[0-9;:]*m`, "g");

/** Program output without the escape sequences that only colour it, for a reader that has no colours. */
export function withoutColours(text: string): string {
  return text.replaceAll(COLOUR, "");
}

function pictograph(): string {
  return String.raw`\p{Extended_Pictographic}(?:[\ufe0e\ufe0f]|\p{Emoji_Modifier})?`;
}

function joiningLetter(): string {
  const scripts =
    "Arabic Syriac Mongolian Devanagari Bengali Gurmukhi Gujarati Oriya Tamil Telugu Kannada Malayalam Sinhala Khmer Myanmar Tibetan";
  return `[${scripts
    .split(" ")
    .map((script) => String.raw`\p{Script_Extensions=${script}}`)
    .join("")}]`;
}

/** A black flag with these letters as tag characters, and the end of the tag. */
function tagSequence(letters: string): string {
  const tags = Array.from(letters, (letter) => String.fromCodePoint(0xe0000 + letter.charCodeAt(0)));
  return `\u{1f3f4}${tags.join("")}\u{e007f}`;
}
