/**
 * The board's rows: runs that are shown, places that show them, and what channels follow. One document a row; columns
 * hold only what is asked for. `wake` is 0 for a run that is not over, and else when it is tidied (epoch ms): one index
 * finds both. All writes are the caller's to put into a transaction.
 */
import { placeKey, channelOf, parsePlaceKey, type ChatPlace } from "../../../contract/chat/place.ts";
import type { ChannelFollows } from "../calls.ts";
import { SqlSchema } from "../../kit/migrations.ts";
import type { Showing, ShownRun } from "./rows.ts";

const MIGRATIONS = [
  `CREATE TABLE shown_run (run_id TEXT PRIMARY KEY, wake INTEGER, doc TEXT) WITHOUT ROWID;
   CREATE INDEX shown_run_wake ON shown_run (wake);
   CREATE TABLE showing (run_id TEXT, place TEXT, channel TEXT, shown_ms INTEGER, doc TEXT, PRIMARY KEY (run_id, place)) WITHOUT ROWID;
   CREATE INDEX showing_channel ON showing (channel, shown_ms);
   CREATE TABLE follows (channel TEXT PRIMARY KEY, doc TEXT) WITHOUT ROWID;`,
] as const;
const VERSION_KEY = "boardSchemaVersion";

/** A run with all places that show it. */
export interface Shown {
  run: ShownRun;
  showings: Showing[];
}

type Doc = Record<"doc", string>;

export class BoardStorage {
  readonly #storage: DurableObjectStorage;
  readonly #schema: SqlSchema;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#schema = new SqlSchema(storage, MIGRATIONS, VERSION_KEY);
  }

  transaction<T>(write: () => T): T {
    return this.#storage.transactionSync(write);
  }

  /** Runs that are looked at, with their places. */
  readActive(): Shown[] {
    if (!this.#schema.exists) return [];
    return this.#docs<ShownRun>("SELECT doc FROM shown_run WHERE wake = 0").map((run) =>
      this.#withShowings(run),
    );
  }

  readRun(runId: string): Shown | undefined {
    if (!this.#schema.exists) return undefined;
    const [run] = this.#docs<ShownRun>("SELECT doc FROM shown_run WHERE run_id = ?", runId);
    return run && this.#withShowings(run);
  }

  #withShowings(run: ShownRun): Shown {
    return { run, showings: this.#docs<Showing>("SELECT doc FROM showing WHERE run_id = ?", run.runId) };
  }

  /** @param wake when the run is tidied, epoch ms; 0 while it is looked at */
  putRun(run: ShownRun, wake: number): void {
    this.#schema.ensure();
    this.#storage.sql.exec(
      "INSERT OR REPLACE INTO shown_run VALUES (?, ?, ?)",
      run.runId,
      wake,
      JSON.stringify(run),
    );
  }

  putShowing(showing: Showing): void {
    this.#schema.ensure();
    const place = parsePlaceKey(showing.place);
    if (place === undefined) return;
    this.#storage.sql.exec(
      "INSERT OR REPLACE INTO showing VALUES (?, ?, ?, ?, ?)",
      showing.runId,
      showing.place,
      placeKey(channelOf(place)),
      showing.shownAt,
      JSON.stringify(showing),
    );
  }

  deleteRun(runId: string): void {
    this.#storage.sql.exec("DELETE FROM showing WHERE run_id = ?", runId);
    this.#storage.sql.exec("DELETE FROM shown_run WHERE run_id = ?", runId);
  }

  /** Runs that are over and have something to tidy by then, the longest due first. */
  toTidy(now: number, limit: number): Shown[] {
    if (!this.#schema.exists) return [];
    return this.#docs<ShownRun>(
      "SELECT doc FROM shown_run WHERE wake > 0 AND wake <= ? ORDER BY wake LIMIT ?",
      now,
      limit,
    ).map((run) => this.#withShowings(run));
  }

  /** When the next run is tidied, epoch ms. */
  nextTidy(): number | undefined {
    if (!this.#schema.exists) return undefined;
    const { wake } = this.#storage.sql
      .exec<{ wake: number | null }>("SELECT min(wake) AS wake FROM shown_run WHERE wake > 0")
      .one();
    return wake ?? undefined;
  }

  /** Runs shown in a channel or in its threads, the last shown first, each once. */
  runsOfChannel(channel: string, limit: number): string[] {
    if (!this.#schema.exists) return [];
    return this.#storage.sql
      .exec<{ run_id: string }>(
        "SELECT run_id FROM showing WHERE channel = ? GROUP BY run_id ORDER BY max(shown_ms) DESC, run_id LIMIT ?",
        channel,
        limit,
      )
      .toArray()
      .map((row) => row.run_id);
  }

  /** The run that was last shown in this very place. */
  newestAt(place: ChatPlace): string | undefined {
    if (!this.#schema.exists) return undefined;
    return this.#storage.sql
      .exec<{ run_id: string }>(
        "SELECT run_id FROM showing WHERE channel = ? AND place = ? ORDER BY shown_ms DESC LIMIT 1",
        placeKey(channelOf(place)),
        placeKey(place),
      )
      .toArray()[0]?.run_id;
  }

  readFollows(): Map<string, ChannelFollows> {
    if (!this.#schema.exists) return new Map();
    const all = this.#docs<ChannelFollows>("SELECT doc FROM follows");
    return new Map(all.map((follows) => [placeKey(channelOf(follows.place)), follows]));
  }

  putFollows(follows: ChannelFollows): void {
    this.#schema.ensure();
    this.#storage.sql.exec(
      "INSERT OR REPLACE INTO follows VALUES (?, ?)",
      placeKey(channelOf(follows.place)),
      JSON.stringify(follows),
    );
  }

  #docs<T>(query: string, ...given: (string | number)[]): T[] {
    return this.#storage.sql
      .exec<Doc>(query, ...given)
      .toArray()
      .map(({ doc }) => JSON.parse(doc) as T);
  }
}
