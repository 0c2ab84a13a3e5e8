/**
 * Which runner is offered which run, and why a run waits: functions of the backlog and the runners as they are.
 *
 * P1. Higher priority first, then the longest wait.
 * P2. A runner's load is what the edge counts as held by it, never what it says (capacity = live leases).
 * P3. At most `limit` runs with an equal concurrency key are held at a time, over all runners of the pool.
 * P4. A runner is offered only flows whose digest equals its own checkout's.
 */
import type { Reason } from "../../contract/run-record.ts";
import type { FlowDigest, RunRoute } from "../../contract/runner-link.ts";

/** A runner as the choice sees it. */
export interface RunnerState {
  runnerId: string;
  name: string;
  labels: string[];
  capacity: number;
  draining: boolean;
  /** An operator wants it to be offered nothing. */
  paused: boolean;
  /** Why it can take nothing, in its own words. */
  trouble?: string | undefined;
  /** It could not take what it should have been able to take, and is left alone for a moment. */
  resting?: boolean;
  /** It has a socket, and that socket has shown life lately. */
  connected: boolean;
  flows: FlowDigest[];
  /** Runs that it holds: offered or running. */
  held: number;
}

/** A run that a runner holds. */
export interface HeldRun {
  runId: string;
  concurrencyKey?: string | undefined;
}

/** A flow as it is deployed now. */
export type DeployedFlow = Pick<FlowDigest, "version" | "digest">;

export interface Assignment {
  route: RunRoute;
  runnerId: string;
}

/** Order of the backlog (P1). */
export function waitsBefore(a: RunRoute, b: RunRoute): number {
  return (
    b.priority - a.priority || a.queuedAt - b.queuedAt || (a.runId < b.runId ? -1 : a.runId > b.runId ? 1 : 0)
  );
}

/** Offers for a sorted backlog: as many as there is room for. */
export function assign(
  backlog: readonly RunRoute[],
  runners: readonly RunnerState[],
  held: readonly HeldRun[],
): Assignment[] {
  const load = new Map(runners.map((runner) => [runner.runnerId, runner.held]));
  const keys = countKeys(held);
  let room = runners.reduce(
    (sum, runner) => sum + (available(runner) ? Math.max(runner.capacity - runner.held, 0) : 0),
    0,
  );
  const assignments: Assignment[] = [];
  for (const route of backlog) {
    if (room === 0) break;
    if (keyIsFull(route, keys)) continue;
    const chosen = leastLoaded(
      runners.filter((runner) => fits(route, runner)),
      load,
    );
    if (chosen === undefined) continue;
    assignments.push({ route, runnerId: chosen.runnerId });
    load.set(chosen.runnerId, (load.get(chosen.runnerId) ?? 0) + 1);
    if (route.concurrency !== undefined)
      keys.set(route.concurrency.key, (keys.get(route.concurrency.key) ?? 0) + 1);
    room -= 1;
  }
  return assignments;
}

function countKeys(held: readonly HeldRun[]): Map<string, number> {
  const keys = new Map<string, number>();
  for (const { concurrencyKey } of held)
    if (concurrencyKey !== undefined) keys.set(concurrencyKey, (keys.get(concurrencyKey) ?? 0) + 1);
  return keys;
}

function keyIsFull(route: RunRoute, keys: ReadonlyMap<string, number>): boolean {
  return route.concurrency !== undefined && (keys.get(route.concurrency.key) ?? 0) >= route.concurrency.limit;
}

function leastLoaded(runners: RunnerState[], load: ReadonlyMap<string, number>): RunnerState | undefined {
  const share = (runner: RunnerState): number => (load.get(runner.runnerId) ?? 0) / runner.capacity;
  let best: RunnerState | undefined;
  for (const runner of runners) {
    if ((load.get(runner.runnerId) ?? 0) >= runner.capacity) continue;
    if (best === undefined || share(runner) < share(best)) best = runner;
  }
  return best;
}

function available(runner: RunnerState): boolean {
  return runner.connected && !runner.draining && !runner.paused && runner.resting !== true;
}

function fits(route: RunRoute, runner: RunnerState): boolean {
  return available(runner) && isWanted(route, runner) && hasLabels(route, runner) && hasDigest(route, runner);
}

/** A run that goes on with what lives on one box goes to that box. */
function isWanted(route: RunRoute, runner: RunnerState): boolean {
  return route.runnerId === undefined || route.runnerId === runner.runnerId;
}

function hasLabels(route: RunRoute, runner: RunnerState): boolean {
  return route.labels.every((label) => runner.labels.includes(label));
}

function hasDigest(route: RunRoute, runner: RunnerState): boolean {
  return runner.flows.some((flow) => flow.name === route.flow.name && flow.digest === route.flow.digest);
}

/** Why a run waits, in words for people. The first that applies, from the widest to the narrowest. */
export function waitingReason(
  route: RunRoute,
  runners: readonly RunnerState[],
  held: readonly HeldRun[],
  deployed: DeployedFlow | undefined,
): Reason {
  const connected = runners.filter((runner) => runner.connected);
  if (connected.length === 0)
    return { code: "no_runner", message: `no runner of pool ${route.pool} is connected` };
  const wanted = connected.filter((runner) => isWanted(route, runner));
  if (wanted.length === 0)
    return {
      code: "runner_away",
      message: `it continues a thread on runner ${route.runnerName ?? route.runnerId ?? "unknown"}, which is not connected`,
    };
  const labelled = wanted.filter((runner) => hasLabels(route, runner));
  if (labelled.length === 0)
    return { code: "no_labels", message: `no connected runner has the labels ${route.labels.join(", ")}` };
  const same = labelled.filter((runner) => hasDigest(route, runner));
  if (same.length === 0) return digestReason(route, labelled, deployed);
  const open = same.filter((runner) => !runner.draining);
  if (open.length === 0)
    return {
      code: "draining",
      message: `${same.map((runner) => runner.name).join(", ")} is draining and takes no new run`,
    };
  const awake = open.filter((runner) => !runner.paused);
  if (awake.length === 0)
    return {
      code: "paused",
      message: `${open.map((runner) => runner.name).join(", ")} is paused: codex-flow runners resume <name>`,
    };
  const well = awake.filter((runner) => runner.trouble === undefined);
  if (well.length === 0)
    return {
      code: "runner_trouble",
      message: awake.map((runner) => `${runner.name} can take nothing: ${runner.trouble ?? ""}`).join("; "),
    };
  if (keyIsFull(route, countKeys(held))) {
    const holders = held
      .filter((run) => run.concurrencyKey === route.concurrency?.key)
      .map((run) => run.runId);
    return {
      code: "concurrency",
      message: `concurrency key "${route.concurrency?.key ?? ""}" is held by ${holders.join(", ")}`,
    };
  }
  const free = well.filter((runner) => runner.held < runner.capacity);
  const resting = free.filter((runner) => runner.resting === true);
  if (free.length > resting.length)
    return {
      code: "offered_next",
      message: `${names(free)} has a free place and is offered this run within seconds`,
    };
  if (resting.length > 0)
    return {
      code: "offered_again",
      message: `${names(resting)} could not take a run a moment ago and is offered this one again within seconds`,
    };
  return {
    code: "busy",
    message: `all fitting runners are busy: ${well.map((runner) => `${runner.name} ${runner.held}/${runner.capacity}`).join(", ")}`,
  };
}

function names(runners: readonly RunnerState[]): string {
  return runners.map((runner) => runner.name).join(", ");
}

/** Deployed files differ from the runner's, or the run is older than the deployment: each needs another remedy. */
function digestReason(
  { flow, runId, eventId }: RunRoute,
  runners: readonly RunnerState[],
  deployed: DeployedFlow | undefined,
): Reason {
  const known = runners
    .map((runner) => {
      const own = runner.flows.find((candidate) => candidate.name === flow.name);
      return `${runner.name} has ${own === undefined ? "no such flow" : own.digest}`;
    })
    .join(", ");
  if (deployed?.digest === flow.digest)
    return {
      code: "digest_differs",
      message: `flow ${flow.name} is deployed as ${flow.digest}, ${known}: update the runner's checkout or deploy again`,
    };
  const now =
    deployed === undefined
      ? `no version of flow ${flow.name} is deployed`
      : `deployed is version ${deployed.version} (${deployed.digest})`;
  const replay = eventId === undefined ? "" : `, then codex-flow events replay ${shellWord(eventId)}`;
  return {
    code: "not_deployed",
    message: `this run belongs to version ${flow.version} (${flow.digest}) of flow ${flow.name}, which is not deployed any more: ${now}, ${known}. Cancel the run and replay its event: codex-flow runs cancel ${runId}${replay}`,
  };
}

/** A word as a POSIX shell reads it back; one that begins like an option stands behind `--`. */
function shellWord(text: string): string {
  const word = /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
  return text.startsWith("-") ? `-- ${word}` : word;
}

/** So many of all, beginning anywhere. */
export function part<T>(all: T[], most: number): T[] {
  const from = all.length <= most ? 0 : Math.floor(Math.random() * all.length);
  return [...all.slice(from), ...all.slice(0, from)].slice(0, most);
}
