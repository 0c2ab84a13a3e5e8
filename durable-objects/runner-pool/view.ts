/** What a pool shows of itself: its runners, and why each waiting run waits. */
import { LIST_MAX_ITEMS } from "../../contract/limits.ts";
import type { Reason } from "../../contract/run-record.ts";
import { iso } from "../../contract/run-view.ts";
import type { RunRoute } from "../../contract/runner-link.ts";
import { takesNothingMore } from "./steering.ts";
import { waitingReason, type DeployedFlow, type HeldRun, type RunnerState } from "./rules.ts";
import type { KnownRunner, PoolRun } from "./storage.ts";

/** A runner as the pool shows it. */
export interface PoolRunner {
  id: string;
  name: string;
  pool: string;
  version: string;
  labels: string[];
  capacity: number;
  trouble?: string;
  active: string[];
  state: "connected" | "paused" | "draining" | "disconnected";
  paused: boolean;
  connectedAt: string;
  lastSeenAt: string | undefined;
  flows: { name: string; version: number; digest: string }[];
}

export interface PoolView {
  runners: PoolRunner[];
  waiting: {
    runId: string;
    pool: string;
    flow: string;
    step: string;
    attempt: number;
    queuedAt: string;
    reason: Reason;
  }[];
}

/** The pool as its object knows it. */
export interface PoolState {
  pool: string;
  runs: PoolRun[];
  backlog: readonly RunRoute[];
  runners: KnownRunner[];
  states: RunnerState[];
  held: HeldRun[];
  /** Last sign of life by runner id, epoch ms, of those with an open socket. */
  seen: ReadonlyMap<string, number>;
  /** A flow as it is deployed now. */
  deployed(flow: string): DeployedFlow | undefined;
}

export function poolView(state: PoolState): PoolView {
  const { pool, runs, backlog, runners, states, held, seen, deployed } = state;
  const connected = new Set(states.flatMap((state) => (state.connected ? [state.runnerId] : [])));
  return {
    runners: runners.map((runner) => {
      const lastSeen = seen.get(runner.runnerId) ?? runner.leftAt;
      return {
        id: runner.runnerId,
        name: runner.name,
        pool,
        version: runner.version,
        labels: runner.labels,
        capacity: runner.capacity,
        ...(runner.trouble === undefined ? {} : { trouble: runner.trouble }),
        active: runs.filter((run) => run.runnerId === runner.runnerId).map((run) => run.route.runId),
        state: connected.has(runner.runnerId) ? connectedState(runner) : "disconnected",
        paused: runner.paused === true,
        connectedAt: iso(runner.connectedAt),
        lastSeenAt: lastSeen === undefined ? undefined : iso(lastSeen),
        flows: runner.flows,
      };
    }),
    waiting: backlog.slice(0, LIST_MAX_ITEMS).map((route) => ({
      runId: route.runId,
      pool,
      flow: route.flow.name,
      step: route.step,
      attempt: route.attempt,
      queuedAt: iso(route.queuedAt),
      reason: waitingReason(route, states, held, deployed(route.flow.name)),
    })),
  };
}

function connectedState(runner: KnownRunner): PoolRunner["state"] {
  if (takesNothingMore(runner)) return "draining";
  return runner.paused === true ? "paused" : "connected";
}
