/**
 * What a program writes to its terminal, as lines of text: without the sequences that steer a terminal, also where one
 * is cut by the border of two pieces; of a line that is drawn again and again, only its last form. A line that stays
 * without an end is a question, and is let out when nothing follows for a moment. Owns that timer.
 */
import { stripVTControlCharacters } from "node:util";

/** A prompt is written in one piece; what follows a cut piece comes sooner than this. */
const QUESTION_AFTER_MS = 200;
/** The beginning of a sequence whose end is still to come. */
const OPEN_SEQUENCE = /\u001b(?:\[[0-?]*[ -/]*|[\]PX^_][^\u0007\u001b]*\u001b?|[ -/]*)?$/;
/** Longer beginnings are none. */
const SEQUENCE_MAX_CHARS = 4096;
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g;

export class TerminalText {
  readonly #deliver: (text: string) => void;
  /** What may be the beginning of a sequence. */
  #held = "";
  #line = "";
  /** So much of the line is let out already. */
  #out = 0;
  /** The cursor stands at the start of the line: what comes next decides whether it is drawn again. */
  #returned = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(deliver: (text: string) => void) {
    this.#deliver = deliver;
  }

  write(text: string): void {
    clearTimeout(this.#timer);
    const known = this.#held + text;
    const open = OPEN_SEQUENCE.exec(known);
    const from = open === null || known.length - open.index > SEQUENCE_MAX_CHARS ? known.length : open.index;
    this.#held = known.slice(from);
    this.#read(plain(known.slice(0, from)));
    if (this.#line.length > this.#out)
      this.#timer = setTimeout(() => {
        this.#letOut("");
      }, QUESTION_AFTER_MS);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#read(plain(this.#held));
    this.#held = "";
    if (this.#line !== "") this.#letOut("");
  }

  #read(text: string): void {
    for (const part of text.split(/(\r+|\n)/)) {
      if (part === "\n") {
        this.#letOut("\n");
        this.#line = "";
        this.#out = 0;
        this.#returned = false;
      } else if (part.startsWith("\r")) this.#returned = true;
      else if (part !== "") {
        if (this.#returned) this.#again();
        this.#line += part;
      }
    }
  }

  /** The line is drawn again: what was let out of it stands as a line of its own. */
  #again(): void {
    if (this.#out > 0) this.#deliver("\n");
    this.#line = "";
    this.#out = 0;
    this.#returned = false;
  }

  #letOut(end: string): void {
    const text = this.#line.slice(this.#out) + end;
    this.#out = this.#line.length;
    if (text !== "") this.#deliver(text);
  }
}

function plain(text: string): string {
  return stripVTControlCharacters(text).replaceAll(CONTROLS, "");
}
