/** Faults of what somebody has typed, as lines. */
import type { ErrorDetail } from "../../contract/errors.ts";

const LINES_MAX = 20;

export function faultsOfAll(faults: readonly ErrorDetail[]): string[] {
  const lines = faults.slice(0, LINES_MAX).map(({ path, message }) => `${path || "the whole"} ${message}`);
  const more = faults.length - lines.length;
  return more === 0 ? lines : [...lines, `and ${more} more`];
}
