/**
 * Work that is done in one place at a time, whoever calls for it, and that waits for things to happen: requests that end,
 * times that come, another call. No call is lost: what was there when it came is dealt with before its promise resolves,
 * also when the work was just about to end.
 */
export class Errand<T> {
  readonly #work: () => Promise<T>;
  #running: Promise<T> | undefined;
  /** Calls so far, and how many of them the work has looked after. */
  #calls = 0;
  #seen = 0;
  #ring: () => void = () => undefined;

  /** @param work looks at all that is to be done, whenever it begins and after each `rest` */
  constructor(work: () => Promise<T>) {
    this.#work = work;
  }

  /** Begins it, or has the one that is under way look again. Resolves, for all who have called, when it ends. */
  call(): Promise<T> {
    this.wake();
    this.#running ??= this.#run();
    return this.#running;
  }

  /** Has the one that is under way look again; begins nothing. */
  wake(): void {
    this.#calls += 1;
    this.#ring();
  }

  /** For the work itself: until one of these is over, so many ms have passed (if a number is given), or somebody calls. */
  async rest(underWay: Iterable<Promise<unknown>>, ms?: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const woken = new Promise<void>((resolve) => {
      this.#ring = resolve;
      if (this.#calls > this.#seen) resolve();
      if (ms !== undefined) timer = setTimeout(resolve, ms);
    });
    try {
      await Promise.race([...underWay, woken]);
    } finally {
      if (timer !== undefined) clearTimeout(timer);
      this.#seen = this.#calls;
    }
  }

  async #run(): Promise<T> {
    try {
      for (;;) {
        this.#seen = this.#calls;
        const outcome = await this.#work();
        // In one turn with what makes the next call begin anew: none falls in between.
        if (this.#seen === this.#calls) return outcome;
      }
    } finally {
      this.#running = undefined;
    }
  }
}
