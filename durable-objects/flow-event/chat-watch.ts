/**
 * Which chat outboxes want to hear of a run's changes: all of them, until one has said that it shows none of its cards.
 * Pure, and only remembered: after a restart all are told again.
 */
export class ChatWatch {
  readonly #unwatched = new Set<string>();
  /** How often an outbox has looked at a run. */
  readonly #looks = new Map<string, number>();

  wants(outbox: string, n: number): boolean {
    return !this.#unwatched.has(keyOf(outbox, n));
  }

  /** It looks at the run: it wants to know what becomes of it. */
  looked(outbox: string, n: number): void {
    const key = keyOf(outbox, n);
    this.#unwatched.delete(key);
    this.#looks.set(key, (this.#looks.get(key) ?? 0) + 1);
  }

  /**
   * It is about to be told. What is returned takes its answer, which does not count when the outbox has looked meanwhile:
   * it was given before, by one that showed nothing yet.
   */
  telling(outbox: string, n: number): (shown: boolean) => void {
    const key = keyOf(outbox, n);
    const looks = this.#looks.get(key);
    return (shown) => {
      if (!shown && this.#looks.get(key) === looks) this.#unwatched.add(key);
    };
  }
}

function keyOf(outbox: string, n: number): string {
  return `${outbox} ${n}`;
}
