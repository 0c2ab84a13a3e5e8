/** How long to wait before trying again: doubles up to a bound, with jitter so that many do not come at once. */

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 15_000;
/** Failures in a row after which a command gives up: a few minutes. */
export const MAX_FAILURES = 20;
/** A connection that lasted so long was a good one, whatever came over it: its end begins a new row. */
const STEADY_MS = 60_000;

/** Failures in a row, with the end of a connection that lasted so long. */
export function failuresAfter(failures: number, lastedMs: number): number {
  return lastedMs >= STEADY_MS ? 1 : failures + 1;
}

/** Milliseconds after the n-th failure in a row (from 1); `random` is between 0 and 1. */
export function retryDelayMs(failures: number, random: number): number {
  const full = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - 1));
  return Math.round(full * (0.5 + random / 2));
}
