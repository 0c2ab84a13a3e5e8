/**
 * No secret leaves the machine (invariant 15): replaces every form of every secret (`secret-forms.ts`) by `***`, in a
 * stream across the borders of its pieces, and in a FLOW_RESULT.
 *
 * The result does not depend on how the stream was cut: a character is removed if any form covers it, and each run of
 * overlapping forms leaves one mark. The stream holds back only what may be the beginning of a form, until the next
 * piece or the end shows whether it is one. It never releases it after a time, since half a secret is a secret too.
 */
import type { FlowResult } from "../../contract/flow-result.ts";
import { deeperThan } from "../../contract/json-depth.ts";
import { EVENT_MAX_DEPTH } from "../../contract/limits.ts";
import type { Secret } from "../config/step-environment.ts";
import { SecretAutomaton, START } from "./secret-automaton.ts";
import { secretForms } from "./secret-forms.ts";

/** Names no secret: readers of the text must not learn which secrets a machine has. */
export const REDACTED = "***";

const BELL = 7;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const ESCAPE = 27;
const SEPARATOR = -1;
const LINE_END = -2;
const LINE_ENDS = [LINE_FEED, CARRIAGE_RETURN].map((code): [number, number] => [code, LINE_END]);
const ASCII_CODES = 128;
const codeOf = (character: string): number => character.charCodeAt(0);
const codesOf = (characters: string): number[] => Array.from(characters, codeOf);
/** Behind ESC: OSC, DCS, SOS, PM and APC, which go on to BEL or to ESC. */
const STRING_SEQUENCES = new Set(codesOf("]PX^_"));
const NO_CLASSES: ReadonlyMap<number, number> = new Map();
/** Base64 for URLs is found as the usual one, and over the ends of lines. */
const BASE64_CLASSES: ReadonlyMap<number, number> = new Map([
  ...LINE_ENDS,
  [codeOf("-"), codeOf("+")] as const,
  [codeOf("_"), codeOf("/")] as const,
]);
/** Hexadecimal digits in either case, as `68:75`, `68-75`, `68 75` and `\x68\x75` too, and over the ends of lines. */
const HEX_CLASSES: ReadonlyMap<number, number> = new Map([
  ...LINE_ENDS,
  ...["A", "B", "C", "D", "E", "F"].map((digit) => [codeOf(digit), codeOf(digit.toLowerCase())] as const),
  ...codesOf(":- \\x").map((separator) => [separator, SEPARATOR] as const),
]);

/**
 * At the end of a line, less than this of a form that may go on in the next line is not held back for it, and is shown.
 * Nearly every line ends like some form begins, and people who follow a run would wait for its end.
 */
const HELD_OVER_LINES_MIN_CHARS = 6;
/** Between two characters of a form, at most so many characters of terminal control sequences are passed over. */
const ESCAPES_MAX_CHARS = 256;
/** Between two hexadecimal digits of a form, at most so many separators are passed over. */
const SEPARATORS_MAX_CHARS = 32;
/** Gaps that are kept at least before those are dropped that no open form contains. */
const GAPS_UNTRIMMED_MAX = 64;

export interface RedactionStream {
  /** What may go on; the rest follows with the next piece or at the end. */
  write(text: string): string;
  end(): string;
}

/** How forms of one kind are found in a text. */
interface FormSearch {
  automaton: SecretAutomaton;
  /** By character code: the code that it counts as, SEPARATOR or LINE_END. All others count as themselves. */
  classes: readonly number[];
}

/** All steps of an agent have the same secrets, and a long key makes many forms. */
const searches = new WeakMap<readonly Secret[], FormSearch[]>();

function searchesFor(secrets: readonly Secret[]): FormSearch[] {
  const known = searches.get(secrets);
  if (known !== undefined) return known;
  const forms = secrets.map((secret) => secretForms(secret.value));
  const made = [
    formSearch(
      forms.flatMap(({ exact }) => exact),
      NO_CLASSES,
    ),
    formSearch(
      forms.flatMap(({ base64 }) => base64),
      BASE64_CLASSES,
    ),
    formSearch(
      forms.flatMap(({ hex }) => hex),
      HEX_CLASSES,
    ),
  ];
  searches.set(secrets, made);
  return made;
}

function formSearch(forms: string[], classes: ReadonlyMap<number, number>): FormSearch {
  const aliases = new Map([...classes].filter(([, as]) => as >= 0));
  const codes = Array.from({ length: ASCII_CODES }, (_, code) => classes.get(code) ?? code);
  return { automaton: new SecretAutomaton(new Set(forms), aliases), classes: codes };
}

export class Redactor {
  readonly #searches: FormSearch[];

  /** @param secrets must not change afterwards: the same array is taken for the same secrets */
  constructor(secrets: readonly Secret[]) {
    this.#searches = searchesFor(secrets);
  }

  stream(): RedactionStream {
    return this.#empty ? PASS_THROUGH : new AutomatonStream(this.#searches);
  }

  text(whole: string): string {
    const stream = this.stream();
    return stream.write(whole) + stream.end();
  }

  /**
   * A result without secrets, or undefined for one that cannot be made so: nested deeper than `EVENT_MAX_DEPTH`, or
   * with a secret that is spread over its fields. The status is one of six words and stays.
   */
  result(result: FlowResult): FlowResult | undefined {
    if (deeperThan(result, EVENT_MAX_DEPTH)) return undefined;
    if (this.#empty) return result;
    const { status, ...rest } = result;
    const clean = this.#members(rest);
    const text = JSON.stringify(clean);
    return this.text(text) === text ? { ...clean, status } : undefined;
  }

  /** Any value, with every text in it as a whole redacted; keys too. */
  value(value: unknown): unknown {
    return this.#empty ? value : this.#value(value);
  }

  get #empty(): boolean {
    return this.#searches.every(({ automaton }) => automaton.empty);
  }

  #members(value: object): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(value).map(([key, member]) => [this.text(key), this.#value(member)]),
    );
  }

  #value(value: unknown): unknown {
    if (typeof value === "string") return this.text(value);
    if (typeof value === "number") return this.text(String(value)) === String(value) ? value : REDACTED;
    if (Array.isArray(value)) return value.map((item) => this.#value(item));
    return value !== null && typeof value === "object" ? this.#members(value) : value;
  }
}

const PASS_THROUGH: RedactionStream = { write: (text) => text, end: () => "" };

/** A run of overlapping forms, from its first character to behind its last, counted from the start of the stream. */
interface Run {
  from: number;
  to: number;
  /** Its mark has been sent on; what is still held back of it is dropped. */
  marked: boolean;
}

class AutomatonStream implements RedactionStream {
  readonly #finders: FormFinder[];
  #held = "";
  /** Where `held` begins, counted from the start of the stream. */
  #heldFrom = 0;
  #runs: Run[] = [];

  constructor(searches: FormSearch[]) {
    this.#finders = searches.map((search) => new FormFinder(search));
  }

  write(text: string): string {
    const offset = this.#heldFrom + this.#held.length;
    const found = this.#finders.flatMap((finder) => finder.read(text, offset));
    for (const { from, to } of found.sort((one, other) => one.to - other.to)) this.#cover(from, to);
    return this.#release(text, Math.min(...this.#finders.map(({ openFrom }) => openFrom)));
  }

  end(): string {
    return this.#release("", Infinity);
  }

  #cover(from: number, to: number): void {
    const run: Run = { from, to, marked: false };
    for (let last = this.#runs.at(-1); last !== undefined && last.to > run.from; last = this.#runs.at(-1)) {
      run.from = Math.min(run.from, last.from);
      run.marked ||= last.marked;
      this.#runs.pop();
    }
    this.#runs.push(run);
  }

  /** Sends on all that stands before `openFrom`: no form that is still to come can begin there. */
  #release(text: string, openFrom: number): string {
    const known = this.#held + text;
    const base = this.#heldFrom;
    const end = Math.min(base + known.length, openFrom);
    let out = "";
    let at = base;
    for (const run of this.#runs) {
      if (run.from >= end) break;
      if (run.from > at) out += known.slice(at - base, run.from - base);
      if (!run.marked) out += REDACTED;
      run.marked = true;
      at = Math.min(run.to, end);
    }
    this.#runs = this.#runs.filter((run) => run.to > end);
    this.#held = known.slice(end - base);
    this.#heldFrom = end;
    return out + known.slice(at - base, end - base);
  }
}

/** Characters between those of a form. */
interface Gap {
  /** Counted from the start of the stream. */
  from: number;
  length: number;
}

type Found = Pick<Run, "from" | "to">;

/** Where a terminal control sequence stands (ECMA-48): outside, behind its ESC, in its parameters, in its text. */
type Sequence = "none" | "begun" | "intermediate" | "parameters" | "string";

/**
 * One search through a stream. Positions are counted from the start of the stream.
 *
 * A control sequence in the middle of a form (a program colors what it prints) forks the search: the fork reads on as
 * if the sequence were not there, until no form can contain it any more. A form that begins behind the sequence is
 * found by the search itself, also when the sequence is broken off and would swallow the form's beginning.
 */
class FormFinder {
  readonly #search: FormSearch;
  readonly #passesEscapes: boolean;
  #state = START;
  /** Behind the last character that counted. */
  #end = 0;
  /** What was passed over since the state was last the start, as far as an open form contains it. */
  #gaps: Gap[] = [];
  #trimGapsAt = GAPS_UNTRIMMED_MAX;
  #lastLineEnd = { at: -1, unit: 0 };
  /** Everything before is shown: too little of a form to be held back at the end of its line. */
  #shownTo = 0;
  #fork: FormFinder | undefined;
  /** The fork has read all before. */
  #forkReadTo = 0;
  #sequence: Sequence = "none";
  /** Behind the last control sequence that was passed over. */
  #sequenceEnd = 0;

  /** @param origin the search that this one is a fork of */
  constructor(search: FormSearch, origin?: FormFinder) {
    this.#search = search;
    this.#passesEscapes = origin !== undefined;
    if (origin === undefined) return;
    this.#state = origin.#state;
    this.#end = origin.#end;
    this.#gaps = origin.#gaps.map((gap) => ({ ...gap }));
    this.#lastLineEnd = origin.#lastLineEnd;
    this.#shownTo = origin.#shownTo;
  }

  /** The forms that end in this piece of the stream. */
  read(text: string, offset: number, start = 0): Found[] {
    const { automaton, classes } = this.#search;
    const found: Found[] = [];
    if (this.#fork !== undefined) this.#readFork(this.#fork, text, offset, 0, found);
    let state = this.#state;
    for (let at = start; at < text.length; at += 1) {
      if (state === START) {
        if (this.#passesEscapes) break;
        at = automaton.skip(text, at);
        if (at >= text.length) break;
      }
      const unit = text.charCodeAt(at);
      if (this.#passesEscapes) {
        if (unit === ESCAPE || this.#sequence !== "none") {
          state = this.#passEscape(state, offset + at, unit);
          continue;
        }
      } else if (unit === ESCAPE && state !== START && offset + at >= this.#forkReadTo) {
        this.#state = state;
        this.#readFork(new FormFinder(this.#search, this), text, offset, at, found);
      }
      const code = classes[unit] ?? unit;
      if (code < 0 && state !== START) {
        state = this.#passOver(state, offset + at, code, unit);
        continue;
      }
      state = automaton.next(state, code);
      this.#end = offset + at + 1;
      const length = automaton.complete[state] ?? 0;
      if (length > 0) found.push({ from: Math.max(this.#before(length), this.#shownTo), to: this.#end });
      if (state === START) {
        if (this.#gaps.length > 0) this.#gaps = [];
      } else if (this.#passesEscapes && this.#isBehindSequence(state)) state = START;
    }
    this.#state = state;
    return found;
  }

  /** Where the longest form that the next piece may complete has begun; Infinity for none. */
  get openFrom(): number {
    const depth = this.#search.automaton.depth[this.#state] ?? 0;
    const own = depth === 0 ? Infinity : Math.max(this.#before(depth), this.#shownTo);
    return Math.min(own, this.#fork?.openFrom ?? Infinity);
  }

  #readFork(fork: FormFinder, text: string, offset: number, start: number, found: Found[]): void {
    for (const one of fork.read(text, offset, start)) found.push(one);
    const isOver = fork.#state === START;
    this.#fork = isOver ? undefined : fork;
    this.#forkReadTo = isOver ? Math.max(fork.#end, fork.#sequenceEnd) : offset + text.length;
  }

  /** Whether the open form of a fork contains none of the sequences that it passed over. */
  #isBehindSequence(state: number): boolean {
    const depth = this.#search.automaton.depth[state] ?? 0;
    return depth <= this.#end - this.#sequenceEnd && this.#before(depth) >= this.#sequenceEnd;
  }

  /** One character of a control sequence. */
  #passEscape(state: number, at: number, unit: number): number {
    this.#sequence = nextInSequence(this.#sequence, unit);
    this.#sequenceEnd = at + 1;
    return this.#gapTo(at, state) > ESCAPES_MAX_CHARS ? START : state;
  }

  /** A separator, or the end of a line. No encoder leaves a line empty: behind one, no form goes on. */
  #passOver(state: number, at: number, code: number, unit: number): number {
    if (code === LINE_END) {
      const last = this.#lastLineEnd;
      const emptyLine = last.at === at - 1 && (unit === CARRIAGE_RETURN || last.unit === unit);
      this.#lastLineEnd = { at, unit };
      if (emptyLine) return this.#startOver();
      if ((this.#search.automaton.depth[state] ?? 0) < HELD_OVER_LINES_MIN_CHARS) this.#shownTo = at + 1;
    }
    return this.#gapTo(at, state) > SEPARATORS_MAX_CHARS && code === SEPARATOR ? this.#startOver() : state;
  }

  #startOver(): number {
    this.#gaps = [];
    return START;
  }

  /** Passes over one character. @returns the length of the gap that it belongs to */
  #gapTo(at: number, state: number): number {
    const last = this.#gaps.at(-1);
    if (last !== undefined && last.from + last.length === at) return (last.length += 1);
    if (this.#gaps.length >= this.#trimGapsAt) {
      const openFrom = this.#before(this.#search.automaton.depth[state] ?? 0);
      this.#gaps = this.#gaps.filter((gap) => gap.from > openFrom);
      this.#trimGapsAt = Math.max(GAPS_UNTRIMMED_MAX, 2 * this.#gaps.length);
    }
    this.#gaps.push({ from: at, length: 1 });
    return 1;
  }

  /** The position of the character that is so many counted characters before the end. */
  #before(count: number): number {
    let from = this.#end - count;
    for (let n = this.#gaps.length - 1; n >= 0; n -= 1) {
      const gap = this.#gaps[n];
      if (gap === undefined || gap.from + gap.length <= from) break;
      if (gap.from < this.#end) from -= gap.length;
    }
    return from;
  }
}

function nextInSequence(sequence: Sequence, unit: number): Sequence {
  if (unit === ESCAPE) return "begun";
  if (sequence === "begun" && unit === codeOf("[")) return "parameters";
  if (sequence === "begun" && STRING_SEQUENCES.has(unit)) return "string";
  const isFinal = unit >= (sequence === "parameters" ? 0x40 : 0x30) && unit <= 0x7e;
  if (sequence === "string") return unit === BELL ? "none" : "string";
  if (sequence === "parameters") return isFinal ? "none" : "parameters";
  return isFinal || unit < 0x20 || unit > 0x2f ? "none" : "intermediate";
}
