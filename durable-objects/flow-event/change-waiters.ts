/** Callers that wait until something of an event changes. Owns their timers: none outlives its wait. */

export class ChangeWaiters {
  readonly #waiting = new Set<() => void>();

  /** Resolves with the next change, or after `timeoutMs`. */
  next(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      this.#waiting.add(done);
    });
  }

  /** Something has changed. Returns whether somebody has waited for it. */
  wake(): boolean {
    const waiting = [...this.#waiting];
    for (const waiter of waiting) waiter();
    return waiting.length > 0;
  }
}
