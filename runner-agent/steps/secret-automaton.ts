/**
 * Finds all forms of all secrets in one pass over a text that comes in pieces (Aho and Corasick's automaton), at a
 * cost that does not grow with their number. A state is the longest end of what was read that begins some form.
 */

export const START = 0;
const ASCII_CODES = 128;

export class SecretAutomaton {
  /** Length of that longest end: what must be held back in this state, since the next piece may complete it. */
  readonly depth: number[] = [0];
  /** Length of the longest form that is complete in this state; 0 for none. */
  readonly complete: number[] = [0];
  readonly #fallback: number[] = [START];
  /** Where each state goes with which character: most have one way on, kept apart from the few that have more. */
  readonly #onlyCode: number[] = [-1];
  readonly #onlyNext: number[] = [START];
  readonly #branches = new Map<number, Map<number, number>>();
  /** Every next state for ASCII characters, of states that a text passes often: those behind one character, and branches. */
  readonly #tables: Array<Int32Array | undefined> = [undefined];
  /** The ways out of the start, for every character: almost all text is read here. */
  readonly #first = new Int32Array(0x10000);

  /** @param aliases characters of a text that count as another character of the forms, by their codes */
  constructor(forms: Iterable<string>, aliases: ReadonlyMap<number, number> = new Map()) {
    for (const form of forms) this.#insert(form);
    this.#linkFallbacks();
    for (const [code, as] of aliases) this.#first[code] = this.#first[as] ?? START;
  }

  get empty(): boolean {
    return this.depth.length === 1;
  }

  /** The state after one more UTF-16 unit. */
  next(state: number, code: number): number {
    for (let at = state; at !== START; at = this.#fallback[at] ?? START) {
      const table = code < ASCII_CODES ? this.#tables[at] : undefined;
      if (table !== undefined) return table[code] ?? START;
      const to = this.#way(at, code);
      if (to !== START) return to;
    }
    return this.#first[code] ?? START;
  }

  /** Index of the next character that leaves the start, or the end of the text. */
  skip(text: string, from: number): number {
    let at = from;
    while (at < text.length && this.#first[text.charCodeAt(at)] === START) at += 1;
    return at;
  }

  #insert(form: string): void {
    let state = START;
    for (let at = 0; at < form.length; at += 1) {
      const code = form.charCodeAt(at);
      const known = state === START ? (this.#first[code] ?? START) : this.#way(state, code);
      state = known === START ? this.#grow(state, code) : known;
    }
    this.complete[state] = form.length;
  }

  #grow(from: number, code: number): number {
    const state = this.depth.length;
    this.depth.push((this.depth[from] ?? 0) + 1);
    this.complete.push(0);
    this.#fallback.push(START);
    this.#tables.push(undefined);
    this.#onlyCode.push(-1);
    this.#onlyNext.push(START);
    if (from === START) this.#first[code] = state;
    else if (this.#onlyCode[from] === -1) {
      this.#onlyCode[from] = code;
      this.#onlyNext[from] = state;
    } else {
      const more = this.#branches.get(from) ?? new Map<number, number>();
      this.#branches.set(from, more.set(code, state));
    }
    return state;
  }

  /** The way on from a state other than the start, or the start for none. */
  #way(state: number, code: number): number {
    if (this.#onlyCode[state] === code) return this.#onlyNext[state] ?? START;
    return this.#branches.get(state)?.get(code) ?? START;
  }

  /** Breadth first: the fallback of a state is shorter than the state, so it is already linked. */
  #linkFallbacks(): void {
    const queue = this.depth.flatMap((depth, state) => (depth === 1 ? [state] : []));
    for (const state of queue) {
      if (this.depth[state] === 1 || this.#branches.has(state)) this.#tables[state] = this.#tableOf(state);
      for (const [code, to] of this.#ways(state)) {
        const back = this.next(this.#fallback[state] ?? START, code);
        this.#fallback[to] = back;
        this.complete[to] = Math.max(this.complete[to] ?? 0, this.complete[back] ?? 0);
        queue.push(to);
      }
    }
  }

  #tableOf(state: number): Int32Array {
    return Int32Array.from({ length: ASCII_CODES }, (_, code) => this.next(state, code));
  }

  *#ways(state: number): Iterable<[number, number]> {
    if (this.#onlyCode[state] !== -1) yield [this.#onlyCode[state] ?? 0, this.#onlyNext[state] ?? START];
    yield* this.#branches.get(state) ?? [];
  }
}
