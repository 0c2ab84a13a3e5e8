/** Numbers from runs: medians over rounds, ratios within a round, so that a slow moment of the machine hits both sides. */

export interface Figure {
  name: string;
  value: number;
  unit: string;
  /** The same of the ancestor on the same kind of machine, where that is known. */
  ancestor?: number | undefined;
  /** What the figure should reach, whether it does, and what would be better still. */
  bar?: { text: string; met: boolean; aim?: string | undefined };
}

/** What a bench is given. */
export interface BenchOptions {
  /** Prints a line beside the figures. */
  say(text: string): void;
  /** Rounds of those that take medians. */
  rounds: number;
  /** Length of the step whose bill `cost` counts, of the burst of `chat`; absent: what the bar is about. */
  seconds?: number | undefined;
  /** Of `chat`: only these kinds of places, by name. */
  parts?: string[] | undefined;
  /**
   * Chooses an amount: the one that the bar is about, or with `--smallest` the least that still runs all of the bench.
   */
  amount(full: number, smallest: number): number;
}

interface More {
  ancestor?: number;
  aim?: number;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** @param q between 0 and 1 */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(Math.floor(sorted.length * q), sorted.length - 1)] ?? Number.NaN;
}

export function atLeast(name: string, value: number, unit: string, least: number, more: More = {}): Figure {
  const aim = more.aim === undefined ? undefined : `≥ ${more.aim}`;
  return {
    name,
    value,
    unit,
    ancestor: more.ancestor,
    bar: { text: `≥ ${least}`, met: value >= least, aim },
  };
}

export function atMost(name: string, value: number, unit: string, most: number, more: More = {}): Figure {
  const aim = more.aim === undefined ? undefined : `≤ ${more.aim}`;
  return { name, value, unit, ancestor: more.ancestor, bar: { text: `≤ ${most}`, met: value <= most, aim } };
}
