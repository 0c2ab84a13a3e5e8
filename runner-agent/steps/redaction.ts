/**
 * No secret leaves the box (invariant 15): replaces every form of every secret (`secret-forms.ts`) by `***`, in a
 * stream across the borders of its pieces, and in a FLOW_RESULT.
 *
 * What is replaced does not depend on how the stream was cut: a character goes if any form covers it, and each run of
 * overlapping forms leaves one mark. Held back is only what may be the beginning of a form, until the next piece
 * or the end shows whether it is one; never for a time, since half a secret is a secret too.
 */
import type { FlowResult } from "../../contract/flow-result.ts";
import { deeperThan } from "../../contract/json-depth.ts";
import { EVENT_MAX_DEPTH } from "../../contract/limits.ts";
import type { Secret } from "../config/step-environment.ts";
import { SecretAutomaton, START } from "./secret-automaton.ts";
import { secretForms } from "./secret-forms.ts";

/** Names no secret: the text may go where nobody should learn which ones a box has. */
export const REDACTED = "***";

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
/**
 * Of a form that goes on in the next line: less than this of it is not held back for it, and is shown. Nearly every line
 * ends like some form begins, and whoever follows a run would wait for its end.
 */
const HELD_OVER_LINES_MIN_CHARS = 6;

export interface RedactionStream {
  /** What may go on; the rest follows with the next piece or at the end. */
  write(text: string): string;
  end(): string;
}

interface Automatons {
  exact: SecretAutomaton;
  overLines: SecretAutomaton;
}

/** All steps of an agent have the same secrets, and a long key makes many forms. */
const automatons = new WeakMap<readonly Secret[], Automatons>();

function automatonsFor(secrets: readonly Secret[]): Automatons {
  const known = automatons.get(secrets);
  if (known !== undefined) return known;
  const forms = secrets.map((secret) => secretForms(secret.value));
  const made = {
    exact: new SecretAutomaton(new Set(forms.flatMap(({ exact }) => exact))),
    overLines: new SecretAutomaton(new Set(forms.flatMap(({ overLines }) => overLines))),
  };
  automatons.set(secrets, made);
  return made;
}

export class Redactor {
  readonly #automatons: Automatons;

  /** @param secrets must not change afterwards: the same array is taken for the same secrets */
  constructor(secrets: readonly Secret[]) {
    this.#automatons = automatonsFor(secrets);
  }

  stream(): RedactionStream {
    return this.#empty ? PASS_THROUGH : new AutomatonStream(this.#automatons);
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
    return this.#automatons.exact.empty;
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

  constructor({ exact, overLines }: Automatons) {
    this.#finders = [new FormFinder(exact, false), new FormFinder(overLines, true)];
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

/** One automaton's way through a stream. Places are counted from the start of the stream. */
class FormFinder {
  readonly #automaton: SecretAutomaton;
  readonly #overLines: boolean;
  #state = START;
  /** Behind the last character that counted. */
  #end = 0;
  /** Ends of lines that were passed over since the state was last the start. */
  #breaks: number[] = [];
  #lastBreak = 0;
  /** What stands before is shown: too little of a form for it to be held back at the end of its line. */
  #shownTo = 0;

  constructor(automaton: SecretAutomaton, overLines: boolean) {
    this.#automaton = automaton;
    this.#overLines = overLines;
  }

  /** Forms that end in this piece of the stream. */
  read(text: string, offset: number): Array<Pick<Run, "from" | "to">> {
    const automaton = this.#automaton;
    const found: Array<Pick<Run, "from" | "to">> = [];
    let state = this.#state;
    for (let at = 0; at < text.length; at += 1) {
      if (state === START) at = automaton.skip(text, at);
      if (at >= text.length) break;
      const code = text.charCodeAt(at);
      if (this.#overLines && (code === LINE_FEED || code === CARRIAGE_RETURN)) {
        state = this.#passOver(state, offset + at, code);
        continue;
      }
      state = automaton.next(state, code);
      this.#end = offset + at + 1;
      const length = automaton.complete[state] ?? 0;
      if (length > 0) found.push({ from: Math.max(this.#before(length), this.#shownTo), to: this.#end });
      if (state === START) this.#breaks = [];
    }
    this.#state = state;
    return found;
  }

  /** Where the longest form that the next piece may complete has begun; Infinity for none. */
  get openFrom(): number {
    const depth = this.#automaton.depth[this.#state] ?? 0;
    return depth === 0 ? Infinity : Math.max(this.#before(depth), this.#shownTo);
  }

  /** The end of a line. No encoder leaves a line empty: behind one, nothing goes on. */
  #passOver(state: number, at: number, code: number): number {
    const emptyLine =
      this.#breaks.at(-1) === at - 1 && (code === CARRIAGE_RETURN || this.#lastBreak === code);
    this.#lastBreak = code;
    if (emptyLine) {
      this.#breaks = [];
      return START;
    }
    this.#breaks.push(at);
    if ((this.#automaton.depth[state] ?? 0) < HELD_OVER_LINES_MIN_CHARS) this.#shownTo = at + 1;
    return state;
  }

  /** So many characters that counted back from the last one. */
  #before(count: number): number {
    let from = this.#end - count;
    for (const at of this.#breaks.toReversed()) {
      if (at < from) break;
      if (at < this.#end) from -= 1;
    }
    return from;
  }
}
