/** Waiting for what several parties bring about: each says that something has happened, and whoever waits looks again. */
export class Signal {
  readonly #waiters = new Set<() => void>();

  /** Something has happened. */
  readonly notify = (): void => {
    for (const look of [...this.#waiters]) look();
  };

  /** Resolves as soon as this is true, now or after something has happened. The test's own time limit bounds it. */
  until(isSo: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!isSo()) return;
        this.#waiters.delete(look);
        resolve();
      };
      this.#waiters.add(look);
      look();
    });
  }
}
