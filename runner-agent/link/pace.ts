/**
 * When output goes out. Each frame is a row at the edge and costs money, so a run that nobody watches is reported now
 * and then, and when somebody asks; one that somebody follows is reported for eyes. Results and ends never wait.
 */

const UNWATCHED_MS = 90_000;
const FOLLOWED_MS = 150;

/** Longest wait of output before it is sent. */
export function outputDelayMs(followed: boolean): number {
  return followed ? FOLLOWED_MS : UNWATCHED_MS;
}
