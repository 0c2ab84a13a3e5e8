/** Comparing versions as far as the doctor needs it: three numbers. Pure. */

/** Whether `version` is older than `least`. What is no number counts as 0. */
export function missingVersion(version: string, least: string): boolean {
  const [has, needs] = [version, least].map((text) =>
    text.split(".").map((part) => Number.parseInt(part, 10) || 0),
  );
  for (let at = 0; at < 3; at += 1) {
    const difference = (has?.[at] ?? 0) - (needs?.[at] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
