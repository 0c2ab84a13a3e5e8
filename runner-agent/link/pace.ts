/**
 * When output goes out. Each frame is a row at the edge and costs money, so a run that nobody watches is reported
 * less and less often; one that somebody follows is reported for eyes. Results and ends never wait.
 */

const FIRST_MS = 100;
const GROWTH = 2;
const LONGEST_MS = 30_000;
const FOLLOWED_MS = 150;

/** Wait before the next output frame, given how many went out already. */
export function outputDelayMs(framesSent: number, followed: boolean): number {
  if (followed) return FOLLOWED_MS;
  return Math.min(FIRST_MS * GROWTH ** framesSent, LONGEST_MS);
}
