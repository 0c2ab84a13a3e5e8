/** How long to wait, as functions of numbers: after failures, after a limit that nobody told of, between edits of a card. */

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;

/** First wait after a failure; it doubles with each. */
const RETRY_FIRST_MS = SECOND_MS;
const RETRY_MAX_MS = MINUTE_MS;

/** @param failures in a row, at least 1 */
export function backoffMs(failures: number): number {
  return Math.min(RETRY_FIRST_MS * 2 ** (failures - 1), RETRY_MAX_MS);
}

/** Discord forgets to know an interaction for some seconds: 0.5, 1, 2, 4 s, then every 4 s. */
export function youngTokenMs(failures: number): number {
  return Math.min(500 * 2 ** (failures - 1), 4 * SECOND_MS);
}

const BLOCK_FIRST_MS = 30 * SECOND_MS;
const BLOCK_MAX_MS = 15 * MINUTE_MS;

/** @param streak blocks in a row, at least 1 */
export function blockMs(streak: number): number {
  return Math.min(BLOCK_FIRST_MS * 2 ** (streak - 1), BLOCK_MAX_MS);
}

/** A limit that no header tells of may count over a minute, not longer. */
export const HIDDEN_WINDOW_MAX_MS = MINUTE_MS;
const MARGIN_MS = 100;

/**
 * The pace that keeps off a limit which was just met and which nobody tells of: as many as went well in the window that ends with
 * the wait, spread evenly over it. Met again: slower by half.
 *
 * @param starts when the requests that went well were begun, oldest first
 * @param current the pace so far, 0 for none
 */
export function learnedPaceMs(
  starts: readonly number[],
  now: number,
  waitMs: number,
  current: number,
): number {
  const inWindow = starts.filter((at) => at > now + waitMs - HIDDEN_WINDOW_MAX_MS);
  const first = inWindow[0];
  const learned = first === undefined ? 0 : (now + waitMs - first) / inWindow.length + MARGIN_MS;
  return Math.ceil(Math.min(Math.max(learned, current * 1.5, MARGIN_MS), HIDDEN_WINDOW_MAX_MS));
}

/** Between two edits of a card, by its age. A change of state waits for none of it. */
export function cardPaceMs(ageMs: number): number {
  if (ageMs < 10 * MINUTE_MS) return 3 * SECOND_MS;
  if (ageMs < 50 * MINUTE_MS) return 10 * SECOND_MS;
  return 30 * SECOND_MS;
}

/** So many a second and a few at once. Begins empty: what went out just before a restart is not known. */
export class Throttle {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens = 1;
  #at: number;

  constructor(perSecond: number, burst: number, now: number) {
    this.#perMs = perSecond / SECOND_MS;
    this.#burst = burst;
    this.#at = now;
  }

  /** When the next one may go, epoch ms; `now` or before: at once. */
  readyAt(now: number): number {
    this.#fill(now);
    return this.#tokens >= 1 ? now : Math.ceil(now + (1 - this.#tokens) / this.#perMs);
  }

  take(now: number): void {
    this.#fill(now);
    this.#tokens -= 1;
  }

  #fill(now: number): void {
    // A clock that was set back gives nothing.
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, now - this.#at) * this.#perMs);
    this.#at = now;
  }
}
