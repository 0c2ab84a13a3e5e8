/**
 * What the journal owes its disk while the disk takes nothing (J5 of the journal): kept in memory in a form that can
 * be read as if it had been written, and written in an order that gives every entry the number under which it may
 * have been sent already. First what is acknowledged or finished, since new numbers count from there; then attempts;
 * then entries as they came.
 */
import type { JournaledAttempt, JournalRow } from "./entries.ts";

interface HeldEntry {
  of: JournaledAttempt;
  row: JournalRow;
}

/** How each kind is written; throws when the disk still takes nothing. */
export interface HeldWriter {
  acked(of: JournaledAttempt, seq: number): void;
  finished(of: JournaledAttempt): void;
  begun(of: JournaledAttempt): void;
  entry(of: JournaledAttempt, row: JournalRow): void;
}

/** All of an attempt is acknowledged, and more. */
const ALL = Infinity;

export class HeldWrites {
  /** Up to which number each attempt is acknowledged. */
  readonly #acked = new Map<string, { of: JournaledAttempt; seq: number }>();
  #begun: JournaledAttempt[] = [];
  #entries: HeldEntry[] = [];

  begin(of: JournaledAttempt): void {
    this.#begun.push(of);
  }

  /** Whether it is not on the disk at all. */
  isBegun(of: JournaledAttempt): boolean {
    return this.#begun.some((held) => keyOf(held) === keyOf(of));
  }

  append(of: JournaledAttempt, row: JournalRow): void {
    this.#entries.push({ of, row });
  }

  /** What is acknowledged need not be written any more. */
  ack(of: JournaledAttempt, seq: number): void {
    this.#acked.set(keyOf(of), { of, seq: Math.max(seq, this.ackedSeq(of)) });
    this.#entries = this.#entries.filter((held) => keyOf(held.of) !== keyOf(of) || held.row.seq > seq);
  }

  finish(of: JournaledAttempt): void {
    this.ack(of, ALL);
    this.#begun = this.#begun.filter((held) => keyOf(held) !== keyOf(of));
  }

  /** 0 when nothing was acknowledged since the disk stopped; Infinity when the attempt is finished. */
  ackedSeq(of: JournaledAttempt): number {
    return this.#acked.get(keyOf(of))?.seq ?? 0;
  }

  /** Entries of an attempt, oldest first. */
  entries(of: JournaledAttempt): JournalRow[] {
    return this.#entries.flatMap((held) => (keyOf(held.of) === keyOf(of) ? [held.row] : []));
  }

  /** Writes what is held, as far as the disk takes it; the rest stays. */
  writeTo(writer: HeldWriter): void {
    for (const [key, { of, seq }] of this.#acked) {
      if (seq === ALL) writer.finished(of);
      else writer.acked(of, seq);
      this.#acked.delete(key);
    }
    for (let of = this.#begun[0]; of !== undefined; of = this.#begun[0]) {
      writer.begun(of);
      this.#begun.shift();
    }
    for (let held = this.#entries[0]; held !== undefined; held = this.#entries[0]) {
      writer.entry(held.of, held.row);
      this.#entries.shift();
    }
  }
}

function keyOf({ runId, attempt }: JournaledAttempt): string {
  return `${runId}/${attempt}`;
}
