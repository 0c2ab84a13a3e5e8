/** What the rules see of a pool's runners and runs: what is stored, with the sockets' signs of life. Pure. */
import { CONTROL_STALE_MS } from "../../contract/limits.ts";
import type { HeldRun, RunnerState } from "./rules.ts";
import { takesNothingMore } from "./steering.ts";
import type { KnownRunner, PoolRun } from "./storage.ts";

export function runnerStates(
  known: { runs: ReadonlyMap<string, PoolRun>; runners: ReadonlyMap<string, KnownRunner> },
  /** Last sign of life by runner id, epoch ms. */
  seen: ReadonlyMap<string, number>,
  /** Runners that are left alone for a moment. */
  cooling: { has(runnerId: string): boolean },
  now = Date.now(),
): RunnerState[] {
  const held = new Map<string, number>();
  for (const { runnerId } of known.runs.values())
    if (runnerId !== undefined) held.set(runnerId, (held.get(runnerId) ?? 0) + 1);
  return [...known.runners.values()].map((runner) => ({
    runnerId: runner.runnerId,
    name: runner.name,
    labels: runner.labels,
    capacity: runner.capacity,
    draining: takesNothingMore(runner),
    paused: runner.paused === true,
    trouble: runner.trouble,
    resting: cooling.has(runner.runnerId),
    connected: now - (seen.get(runner.runnerId) ?? 0) <= CONTROL_STALE_MS,
    flows: runner.flows,
    held: held.get(runner.runnerId) ?? 0,
  }));
}

export function heldRuns(runs: Iterable<PoolRun>): HeldRun[] {
  return [...runs].flatMap(({ route, runnerId }) =>
    runnerId === undefined ? [] : [{ runId: route.runId, concurrencyKey: route.concurrency?.key }],
  );
}
