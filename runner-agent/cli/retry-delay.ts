/** How long to wait before trying again: doubles up to a bound, with jitter so that many do not come at once. */

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 15_000;
/** Failures in a row after which a command gives up: a few minutes. */
export const MAX_FAILURES = 20;

/** Milliseconds after the n-th failure in a row (from 1); `random` is between 0 and 1. */
export function retryDelayMs(failures: number, random: number): number {
  const full = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - 1));
  return Math.round(full * (0.5 + random / 2));
}
