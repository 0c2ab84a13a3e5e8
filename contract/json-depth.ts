/** How deep JSON from outside may be nested: a recursive reader's stack is a bound too (`EVENT_MAX_DEPTH`). */

/** Whether arrays and objects stand in each other more than `levels` deep. Never goes deeper than that itself. */
export function deeperThan(value: unknown, levels: number): boolean {
  if (value === null || typeof value !== "object") return false;
  if (levels === 0) return true;
  return Object.values(value).some((inner) => deeperThan(inner, levels - 1));
}
