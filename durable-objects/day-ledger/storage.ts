/**
 * Rows of one day: a projection of the event objects for lists, and the only home of the events that matched nothing.
 *
 * Both lists are ordered by their primary key, (time, id), so that a page needs no index and costs the same however
 * many rows the day has. `listed` finds an event by its key: it holds what the day's ledger can say of an id before its
 * object is asked, so that an event which matches nothing need not touch an object to know whether it is new.
 */
import type { FlowEvent, Lineage } from "../../contract/flow-event.ts";
import { runId } from "../../contract/ids.ts";
import { boundedSummary, type EventView, type RunSummary } from "../../contract/run-view.ts";
import type { EventSummary } from "../flow-event/view.ts";
import { SqlSchema } from "../kit/migrations.ts";

const MIGRATIONS = [
  `CREATE TABLE event (created_ms INTEGER, key TEXT, type TEXT, source TEXT, view TEXT, whole TEXT, PRIMARY KEY (created_ms, key)) WITHOUT ROWID;
   CREATE TABLE listed (key TEXT PRIMARY KEY, created_ms INTEGER, owned INTEGER) WITHOUT ROWID;
   CREATE TABLE run (created_ms INTEGER, run_id TEXT, rev INTEGER, flow TEXT, status TEXT, effective TEXT, view TEXT, PRIMARY KEY (created_ms, run_id)) WITHOUT ROWID;`,
] as const;

/** A position in a list: rows strictly older than this one follow. */
export interface ListPosition {
  ms: number;
  id: string;
}
export interface ListRow<T> extends ListPosition {
  view: T;
}

export interface EventFilter {
  type?: string | undefined;
  source?: string | undefined;
  /** Created then or later, epoch ms. */
  since?: number | undefined;
}
export interface RunFilter {
  /** A process or an effective status. */
  status?: string | undefined;
  flow?: string | undefined;
  /** Only runs that wait for a person. */
  attention?: boolean | undefined;
  pool?: string | undefined;
  /** Name or id of the runner of the newest attempt. */
  runner?: string | undefined;
  /** Created then or later, epoch ms. */
  since?: number | undefined;
}

export interface ProjectedRun {
  rev: number;
  createdMs: number;
  summary: RunSummary;
}

export interface UnmatchedEvent {
  key: string;
  createdMs: number;
  event: FlowEvent;
  identity: string;
  lineage: Lineage;
}

const BEYOND: ListPosition = { ms: Number.MAX_SAFE_INTEGER, id: "" };

export class LedgerStorage {
  readonly #storage: DurableObjectStorage;
  readonly #schema: SqlSchema;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#schema = new SqlSchema(storage, MIGRATIONS);
  }

  get empty(): boolean {
    return !this.#schema.exists;
  }

  async deleteAll(): Promise<void> {
    await this.#schema.deleteAll();
  }

  /**
   * Lists an event that has its own object. True: another event of this day, which matched nothing, had the same id
   * (invariant 2); it stays in the list, beside this one.
   */
  putEvent({ key, createdMs, identity, view }: EventSummary): boolean {
    this.#schema.ensure();
    const { sql } = this.#storage;
    const known = this.#listed(key);
    const before = this.unmatched(key);
    const conflict = before !== undefined && before.identity !== identity;
    // One that matched nothing before has its own object now: one row, not two.
    if (before !== undefined && !conflict)
      sql.exec("DELETE FROM event WHERE created_ms = ? AND key = ?", before.createdMs, key);
    if (known?.owned !== 1) sql.exec("INSERT OR REPLACE INTO listed VALUES (?, ?, 1)", key, createdMs);
    sql.exec(
      "INSERT OR REPLACE INTO event VALUES (?, ?, ?, ?, ?, NULL)",
      createdMs,
      key,
      view.type,
      view.source ?? null,
      JSON.stringify(view),
    );
    return conflict;
  }

  /** An older state of a run never replaces a newer one. */
  putRun({ rev, createdMs, summary }: ProjectedRun): void {
    this.#schema.ensure();
    this.#storage.sql.exec(
      `INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
         rev = excluded.rev, status = excluded.status, effective = excluded.effective, view = excluded.view
       WHERE excluded.rev > run.rev`,
      createdMs,
      summary.id,
      rev,
      summary.flowName,
      summary.status,
      summary.effectiveStatus,
      JSON.stringify(boundedSummary(summary)),
    );
  }

  putUnmatched({ key, createdMs, ...whole }: UnmatchedEvent, view: EventView): void {
    this.#schema.ensure();
    const { sql } = this.#storage;
    sql.exec("INSERT INTO listed VALUES (?, ?, 0)", key, createdMs);
    sql.exec(
      "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)",
      createdMs,
      key,
      view.type,
      view.source ?? null,
      JSON.stringify(view),
      JSON.stringify(whole),
    );
  }

  unmatched(key: string): UnmatchedEvent | undefined {
    if (this.empty) return undefined;
    const known = this.#listed(key);
    if (known?.owned !== 0) return undefined;
    const createdMs = known.created_ms;
    const row = this.#storage.sql
      .exec<{ whole: string }>("SELECT whole FROM event WHERE created_ms = ? AND key = ?", createdMs, key)
      .one();
    return { key, createdMs, ...(JSON.parse(row.whole) as Omit<UnmatchedEvent, "key" | "createdMs">) };
  }

  /** Whether an event of this day has its own object. */
  owned(key: string): boolean {
    return !this.empty && this.#listed(key)?.owned === 1;
  }

  #listed(key: string): { created_ms: number; owned: number } | undefined {
    const rows = this.#storage.sql.exec<{ created_ms: number; owned: number }>(
      "SELECT created_ms, owned FROM listed WHERE key = ?",
      key,
    );
    return rows.toArray()[0];
  }

  listEvents(filter: EventFilter, before: ListPosition | undefined, limit: number): ListRow<EventView>[] {
    if (this.empty) return [];
    const { ms, id } = before ?? BEYOND;
    const rows = this.#storage.sql.exec<{ created_ms: number; key: string; view: string }>(
      `SELECT created_ms, key, view FROM event
       WHERE (created_ms, key) < (?1, ?2) AND (?3 IS NULL OR type = ?3) AND (?4 IS NULL OR source = ?4)
         AND created_ms >= ?6
       ORDER BY created_ms DESC, key DESC LIMIT ?5`,
      ms,
      id,
      filter.type ?? null,
      filter.source ?? null,
      limit,
      filter.since ?? 0,
    );
    return [...rows].map((row) => ({
      ms: row.created_ms,
      id: row.key,
      view: withRunIds(row.key, JSON.parse(row.view) as EventView),
    }));
  }

  listRuns(filter: RunFilter, before: ListPosition | undefined, limit: number): ListRow<RunSummary>[] {
    if (this.empty) return [];
    const { ms, id } = before ?? BEYOND;
    const rows = this.#storage.sql.exec<{ created_ms: number; run_id: string; view: string }>(
      `SELECT created_ms, run_id, view FROM run
       WHERE (created_ms, run_id) < (?1, ?2) AND (?3 IS NULL OR status = ?3 OR effective = ?3) AND (?4 IS NULL OR flow = ?4)
         AND (NOT ?6 OR view ->> '$.needsAttention' OR view ->> '$.pendingApprovals' > 0)
         AND (?7 IS NULL OR view ->> '$.pool' = ?7)
         AND (?8 IS NULL OR ?8 IN (view ->> '$.runnerId', view ->> '$.runnerName'))
         AND created_ms >= ?9
       ORDER BY created_ms DESC, run_id DESC LIMIT ?5`,
      ms,
      id,
      filter.status ?? null,
      filter.flow ?? null,
      limit,
      filter.attention === true ? 1 : 0,
      filter.pool ?? null,
      filter.runner ?? null,
      filter.since ?? 0,
    );
    // One row at a time: rows of earlier versions of the edge hold whole results, too large to be in memory together.
    return Array.from(rows, (row) => ({
      ms: row.created_ms,
      id: row.run_id,
      view: boundedSummary(JSON.parse(row.view) as RunSummary),
    }));
  }
}

/** Runs are numbered from 1 as they are made, so the ids of the first ones need not be stored. */
function withRunIds(key: string, view: EventView): EventView {
  return { ...view, runIds: Array.from({ length: view.matched }, (_, index) => runId(key, index + 1)) };
}
