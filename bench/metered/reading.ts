/** What the metered deployment says: amounts by name, ever growing. */

/**
 * `worker fetch|queue` invocations · `queue write|read|delete` operations · `request <class> <fetch|rpc|alarm> …` ·
 * `message <class>` incoming socket messages · `written <class> …` rows · `read` rows · `awake <class>` milliseconds.
 */
export type MeterReading = Record<string, number>;

/** What happened between two readings; nothing that did not change. */
export function between(before: MeterReading, after: MeterReading): MeterReading {
  const entries = Object.entries(after).map(
    ([name, amount]) => [name, amount - (before[name] ?? 0)] as const,
  );
  return Object.fromEntries(entries.filter(([, amount]) => amount !== 0));
}

/** Sum of all amounts whose name begins with these words. */
export function sum(reading: MeterReading, prefix: string): number {
  return Object.entries(reading).reduce(
    (total, [name, amount]) => (name === prefix || name.startsWith(`${prefix} `) ? total + amount : total),
    0,
  );
}
