/** Timers by a key, each at most once: whoever holds one can end it, and nobody fires for what is over. */
export class KeyedTimers {
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>();

  has(key: string): boolean {
    return this.#timers.has(key);
  }

  /** Starts the key's timer, over again if there is one. */
  start(key: string, ms: number, expired: () => void): void {
    this.stop(key);
    const timer = setTimeout(() => {
      this.#timers.delete(key);
      expired();
    }, ms);
    this.#timers.set(key, timer);
  }

  stop(key: string): void {
    const timer = this.#timers.get(key);
    if (timer !== undefined) clearTimeout(timer);
    this.#timers.delete(key);
  }
}
