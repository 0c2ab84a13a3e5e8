/** Numbers from runs: medians over rounds, ratios within a round, so that a slow moment of the machine hits both sides. */

export interface Figure {
  name: string;
  value: number;
  unit: string;
  /** What the figure should reach, and whether it does. */
  bar?: { text: string; met: boolean };
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** @param q between 0 and 1 */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(Math.floor(sorted.length * q), sorted.length - 1)] ?? Number.NaN;
}

export function atLeast(name: string, value: number, unit: string, least: number): Figure {
  return { name, value, unit, bar: { text: `at least ${least}`, met: value >= least } };
}

export function atMost(name: string, value: number, unit: string, most: number): Figure {
  return { name, value, unit, bar: { text: `at most ${most}`, met: value <= most } };
}
