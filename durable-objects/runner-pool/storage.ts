/**
 * What a pool keeps: the runs that wait here or are held by a runner, the threads that they write to, and the runners it
 * has met. A copy of all of it
 * lives in memory, so that a decision reads no rows; every change is written through, the rows first: what could not be
 * written must not be remembered, or its next message would be taken for known and acknowledged unstored.
 */
import { RUNNER_KEY_KEPT_DAYS, RUNNER_KEYS_PER_POOL_MAX } from "../../contract/limits.ts";
import type { FlowDigest, RunRoute } from "../../contract/runner-link.ts";
import { SqlSchema } from "../kit/migrations.ts";
import type { Steerable } from "./steering.ts";
import { waitsBefore } from "./rules.ts";

const DAY_MS = 86_400_000;

const MIGRATIONS = [
  `CREATE TABLE run (run_id TEXT PRIMARY KEY, runner_id TEXT, held_at INTEGER, route TEXT NOT NULL) WITHOUT ROWID;
   CREATE TABLE runner (runner_id TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;`,
  `CREATE TABLE thread (thread_id TEXT PRIMARY KEY, run_id TEXT NOT NULL) WITHOUT ROWID;`,
  `CREATE TABLE runner_key (runner_id TEXT PRIMARY KEY, hash TEXT NOT NULL, seen_at INTEGER NOT NULL) WITHOUT ROWID;`,
] as const;

/** A run of this pool. With a `runnerId` it is held: offered to that runner, or running there. */
export interface PoolRun {
  route: RunRoute;
  runnerId?: string | undefined;
  /** Epoch ms of the offer. */
  heldAt?: number | undefined;
}

export interface KnownRunner extends Steerable {
  runnerId: string;
  name: string;
  version: string;
  labels: string[];
  capacity: number;
  trouble?: string | undefined;
  flows: FlowDigest[];
  connectedAt: number;
  /** The running agent behind it, and those that it has replaced: two that take turns have one journal. */
  process?: string | undefined;
  replacedProcesses?: string[] | undefined;
  /** When its last socket closed, epoch ms. */
  leftAt?: number | undefined;
}

type RunRow = Record<"runner_id", string | null> & Record<"held_at", number | null> & Record<"route", string>;

export class PoolStorage {
  readonly #sql: SqlStorage;
  readonly #schema: SqlSchema;
  readonly runs = new Map<string, PoolRun>();
  readonly runners = new Map<string, KnownRunner>();
  /** Runs that write to a thread. */
  readonly #writers = new Set<string>();
  /** Waiting runs in the order in which they are offered. */
  readonly #backlog: RunRoute[] = [];
  /** Runs whose row is written when the change under way is over. */
  #unwritten: Set<string> | undefined;

  constructor(storage: DurableObjectStorage) {
    this.#sql = storage.sql;
    this.#schema = new SqlSchema(storage, MIGRATIONS);
    if (this.#schema.exists) this.#load();
  }

  /** Memory as the rows have it. */
  #load(): void {
    this.runs.clear();
    this.runners.clear();
    this.#backlog.length = 0;
    for (const row of this.#sql.exec<RunRow>("SELECT runner_id, held_at, route FROM run")) {
      const route = JSON.parse(row.route) as RunRoute;
      const held = row.runner_id === null ? {} : { runnerId: row.runner_id, heldAt: row.held_at ?? 0 };
      this.runs.set(route.runId, { route, ...held });
      if (row.runner_id === null) this.#backlog.push(route);
    }
    this.#backlog.sort(waitsBefore);
    for (const row of this.#sql.exec<{ run_id: string }>("SELECT run_id FROM thread"))
      this.#writers.add(row.run_id);
    for (const row of this.#sql.exec<{ doc: string }>("SELECT doc FROM runner")) {
      const runner = JSON.parse(row.doc) as KnownRunner;
      this.runners.set(runner.runnerId, runner);
    }
  }

  get backlog(): readonly RunRoute[] {
    return this.#backlog;
  }

  /**
   * A run that comes and is offered in the same breath is written once. When a row could not be written, memory is read
   * again from those that are there.
   */
  together(change: () => void): void {
    this.#schema.ensure();
    const unwritten = new Set<string>();
    this.#unwritten = unwritten;
    try {
      change();
      this.#unwritten = undefined;
      for (const run of [...unwritten].flatMap((runId) => this.runs.get(runId) ?? [])) this.#writeRun(run);
    } catch (error) {
      this.#unwritten = undefined;
      this.#load();
      throw error;
    }
  }

  #writeRun({ route, runnerId, heldAt }: PoolRun): void {
    this.#sql.exec(
      "INSERT INTO run VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET runner_id = excluded.runner_id, held_at = excluded.held_at, route = excluded.route",
      route.runId,
      runnerId ?? null,
      heldAt ?? null,
      JSON.stringify(route),
    );
  }

  putRun(run: PoolRun): void {
    this.#schema.ensure();
    const { route } = run;
    if (this.#unwritten === undefined) this.#writeRun(run);
    else this.#unwritten.add(route.runId);
    const before = this.runs.get(route.runId);
    if (before !== undefined && before.runnerId === undefined) this.#leaveBacklog(before.route);
    this.runs.set(route.runId, run);
    if (run.runnerId === undefined) this.#joinBacklog(route);
  }

  /** The run that writes to an agent's thread. */
  threadWriter(threadId: string): string | undefined {
    const rows = this.#sql.exec<{ run_id: string }>(
      "SELECT run_id FROM thread WHERE thread_id = ?",
      threadId,
    );
    return [...rows][0]?.run_id;
  }

  putThread(threadId: string, runId: string): void {
    this.#sql.exec(
      "INSERT INTO thread VALUES (?, ?) ON CONFLICT DO UPDATE SET run_id = excluded.run_id",
      threadId,
      runId,
    );
    this.#writers.add(runId);
  }

  deleteRun(runId: string): void {
    const before = this.runs.get(runId);
    if (before === undefined) return;
    if (this.#writers.delete(runId)) this.#sql.exec("DELETE FROM thread WHERE run_id = ?", runId);
    this.#sql.exec("DELETE FROM run WHERE run_id = ?", runId);
    if (before.runnerId === undefined) this.#leaveBacklog(before.route);
    this.runs.delete(runId);
  }

  putRunner(runner: KnownRunner): void {
    this.#schema.ensure();
    this.#sql.exec(
      "INSERT INTO runner VALUES (?, ?) ON CONFLICT DO UPDATE SET doc = excluded.doc",
      runner.runnerId,
      JSON.stringify(runner),
    );
    this.runners.set(runner.runnerId, runner);
  }

  deleteRunner(runnerId: string): void {
    if (!this.runners.has(runnerId)) return;
    this.#sql.exec("DELETE FROM runner WHERE runner_id = ?", runnerId);
    this.runners.delete(runnerId);
  }

  /** Hash of the key that a runner id is bound to; undefined when no runner of that id has shown one. */
  runnerKey(runnerId: string): string | undefined {
    if (!this.#schema.exists) return undefined;
    this.#schema.ensure();
    const rows = this.#sql.exec<{ hash: string }>(
      "SELECT hash FROM runner_key WHERE runner_id = ?",
      runnerId,
    );
    return [...rows][0]?.hash;
  }

  /**
   * Binds a runner id to its key, or notes that the key was shown again. It outlives a goodbye, so that nobody takes the id
   * of a runner that is stopped for the night. Ids that nobody has used for a long time are forgotten here.
   */
  putRunnerKey(runnerId: string, hash: string, now: number): void {
    const isNew = this.runnerKey(runnerId) === undefined;
    this.#schema.ensure();
    if (isNew) this.#forgetKeys(now);
    this.#sql.exec(
      `INSERT INTO runner_key VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET seen_at = excluded.seen_at WHERE excluded.seen_at - seen_at > ?`,
      runnerId,
      hash,
      now,
      DAY_MS,
    );
  }

  /** Never the key of a runner that the pool knows, connected or away. */
  #forgetKeys(now: number): void {
    const rows = [
      ...this.#sql.exec<{ runner_id: string; seen_at: number }>(
        "SELECT runner_id, seen_at FROM runner_key ORDER BY seen_at",
      ),
    ];
    let over = rows.length + 1 - RUNNER_KEYS_PER_POOL_MAX;
    for (const { runner_id: runnerId, seen_at: seenAt } of rows) {
      if (over <= 0 && now - seenAt <= RUNNER_KEY_KEPT_DAYS * DAY_MS) return;
      if (this.runners.has(runnerId)) continue;
      this.#sql.exec("DELETE FROM runner_key WHERE runner_id = ?", runnerId);
      over -= 1;
    }
  }

  #joinBacklog(route: RunRoute): void {
    this.#backlog.splice(this.#positionOf(route), 0, route);
  }

  #leaveBacklog(route: RunRoute): void {
    const at = this.#positionOf(route);
    if (this.#backlog[at]?.runId === route.runId) this.#backlog.splice(at, 1);
  }

  /** Binary search: the first position that does not come before the route. */
  #positionOf(route: RunRoute): number {
    let low = 0;
    let high = this.#backlog.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const there = this.#backlog[middle];
      if (there !== undefined && waitsBefore(there, route) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
