/**
 * How often something happened to messages on their way, for people who ask how delivery goes. Kept in memory, and stored once
 * a drain: a row for each would cost as much as the message. What a crash forgets is a few of a count.
 */
import type { Job, Outcome } from "./platform.ts";
import type { DeliveryRows } from "./rows.ts";

const SCOPE = "tally";

export interface Counts {
  /** Edits that were taken. */
  edited: number;
  /** Requests that failed and are made again: no answer, or the platform was in trouble. */
  retried: number;
  /** Messages that were refused for what they are. */
  refused: number;
}

export class Tally {
  readonly #rows: DeliveryRows;
  #counts: Counts;
  #changed = false;

  constructor(rows: DeliveryRows) {
    this.#rows = rows;
    const stored = rows.barriers().get(SCOPE) as Counts | undefined;
    this.#counts = stored ?? { edited: 0, retried: 0, refused: 0 };
  }

  get counts(): Counts {
    return this.#counts;
  }

  count(job: Job, outcome: Outcome): void {
    if (outcome.kind === "retry") this.#add("retried");
    else if (outcome.kind === "refused") this.#add("refused");
    else if (outcome.kind === "done" && job.kind === "edit") this.#add("edited");
  }

  store(): void {
    if (!this.#changed) return;
    this.#changed = false;
    this.#rows.putBarrier(SCOPE, this.#counts);
  }

  #add(what: keyof Counts): void {
    this.#counts = { ...this.#counts, [what]: this.#counts[what] + 1 };
    this.#changed = true;
  }
}
