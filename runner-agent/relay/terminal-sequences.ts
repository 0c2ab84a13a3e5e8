/**
 * Reads a terminal's stream: text, the few controls that move or erase, and all else that is dropped whole (colours,
 * titles, links, queries, images). A sequence may be cut by the border of two pieces.
 *
 * The grammar is that of ECMA-48: a control sequence is ESC [, parameter bytes, intermediate bytes, a final byte; a
 * control string (OSC, DCS, SOS, PM, APC) ends with ESC \, and OSC with BEL too.
 */

export type TerminalOperation =
  | { kind: "text"; text: string }
  | { kind: "newline" | "return" | "backspace" | "tab" }
  /** The program changes to another screen, or back. */
  | { kind: "page" }
  | { kind: "control"; final: string; numbers: number[] };

/** A sequence is shorter than this; what is longer is none. */
const SEQUENCE_MAX_CHARS = 4096;
/** A control string (an image) is shorter than this; the rest of a longer one is text. */
const STRING_MAX_CHARS = 4 * 1024 * 1024;
const NUMBERS_MAX = 16;

const TEXT = /[^\u0000-\u001f\u007f-\u009f]+/y;
const CONTROL = /\u001b\[([0-?]*)([ -/]*)([@-~])/y;
const BROKEN_CONTROL = /\u001b\[[0-?]*[ -/]*/y;
const STRING_START = /\u001b([\]PX^_])/y;
const ESCAPE = /\u001b[ -/]*[0-~]/y;
/** A beginning of a sequence at the end of a piece. */
const OPEN = /^\u001b(?:\[[0-?]*[ -/]*|[ -/]*)$/;
/** Screens that programs draw on and leave again. */
const OTHER_SCREEN = /^\?(?:47|1047|1049)$/;

const CONTROLS: Partial<Record<string, TerminalOperation>> = {
  "\n": { kind: "newline" },
  "\u000b": { kind: "newline" },
  "\u000c": { kind: "newline" },
  "\r": { kind: "return" },
  "\b": { kind: "backspace" },
  "\t": { kind: "tab" },
};

const ESCAPES: Partial<Record<string, TerminalOperation>> = {
  "7": { kind: "control", final: "s", numbers: [] },
  "8": { kind: "control", final: "u", numbers: [] },
  D: { kind: "control", final: "B", numbers: [] },
  E: { kind: "newline" },
  M: { kind: "control", final: "A", numbers: [] },
  c: { kind: "page" },
};

/** A reader of one stream: takes its pieces in order, and keeps what is cut at the end of one for the next. */
export function readTerminal(): (piece: string) => Generator<TerminalOperation> {
  let held = "";
  /** Within a control string: the byte that began it, and how long it is already. */
  let string: { kind: string; chars: number } | undefined;

  return function* (piece) {
    const all = held + piece;
    held = "";
    let at = 0;
    const match = (pattern: RegExp): RegExpExecArray | null => {
      pattern.lastIndex = at;
      const found = pattern.exec(all);
      if (found !== null) at = pattern.lastIndex;
      return found;
    };
    while (at < all.length) {
      if (string !== undefined) {
        const end = endOfString(all, at, string.kind);
        string.chars += (end?.at ?? all.length) - at;
        if (end === undefined && all.endsWith("\u001b")) held = "\u001b";
        at = end?.after ?? all.length;
        if (end !== undefined || string.chars > STRING_MAX_CHARS) string = undefined;
        continue;
      }
      const text = match(TEXT);
      if (text !== null) {
        yield { kind: "text", text: text[0] };
        continue;
      }
      const char = all.charAt(at);
      if (char !== "\u001b") {
        at += 1;
        const operation = CONTROLS[char];
        if (operation !== undefined) yield operation;
        continue;
      }
      const control = match(CONTROL);
      if (control !== null) {
        yield* controlOf(control);
        continue;
      }
      const started = match(STRING_START);
      if (started !== null) {
        string = { kind: started[1] ?? "", chars: 0 };
        continue;
      }
      const rest = all.slice(at);
      if (OPEN.test(rest) && rest.length <= SEQUENCE_MAX_CHARS) {
        held = rest;
        return;
      }
      if (match(BROKEN_CONTROL) !== null) continue;
      const escape = match(ESCAPE);
      if (escape === null) at += 1;
      else {
        const operation = ESCAPES[escape[0].slice(1)];
        if (operation !== undefined) yield operation;
      }
    }
  };
}

function* controlOf([
  ,
  parameters = "",
  between = "",
  final = "",
]: RegExpExecArray): Generator<TerminalOperation> {
  if ((final === "h" || final === "l") && OTHER_SCREEN.test(parameters)) yield { kind: "page" };
  // With a private mark, intermediate bytes or sub-parameters it is something else than its last byte says.
  if (between !== "" || !/^[\d;]*$/.test(parameters)) return;
  const numbers = parameters === "" ? [] : parameters.split(";").slice(0, NUMBERS_MAX).map(Number);
  yield { kind: "control", final, numbers };
}

/** Where a control string ends, and what follows begins. Another escape, or a cancel, ends it too. */
function endOfString(text: string, from: number, kind: string): { at: number; after: number } | undefined {
  // A title or a link has one line; so one without an end does not swallow what follows.
  const ends = kind === "]" ? /[\u0007\u0018\u001a\u001b\u009c\n]/g : /[\u0018\u001a\u001b\u009c]/g;
  ends.lastIndex = from;
  const found = ends.exec(text);
  if (found === null) return undefined;
  const at = found.index;
  if (found[0] === "\n") return { at, after: at };
  if (found[0] !== "\u001b") return { at, after: at + 1 };
  if (at + 1 === text.length) return undefined;
  return { at, after: text[at + 1] === "\\" ? at + 2 : at };
}
