/**
 * What the delivery keeps: one row for each message, from the wish to what became of it, and one for each thread.
 *
 * Rows written are billed, so there is no second table for what waits, and no index but of the few that were refused: a
 * message costs one row when it is wished for and one when it is out. What waits is read once at construction and kept in memory from then on. Whoever
 * writes may do so inside a transaction that fails later; so memory only notes which keys were touched, and reads them
 * again before anything is sent (`refresh`).
 */
import type { ChatMessage, DeliveryClass } from "../../../contract/chat/message.ts";
import { SqlSchema } from "../../kit/migrations.ts";
import type { MessageRow, Posted, ReplyTo, ThreadRow, ThreadState } from "./records.ts";

const MIGRATIONS = [
  `CREATE TABLE message (
     key TEXT PRIMARY KEY, seq INTEGER, class TEXT, target TEXT, pending INTEGER, wanted TEXT, urgent INTEGER,
     nonce TEXT, channel TEXT, message TEXT, posted_ms INTEGER, touched_ms INTEGER, shown TEXT, stale TEXT,
     reply TEXT, tried_ms INTEGER, problem TEXT, created_ms INTEGER) WITHOUT ROWID;
   CREATE TABLE thread (
     anchor TEXT PRIMARY KEY, parent TEXT, name TEXT, state TEXT, wanted TEXT, id TEXT, touched_ms INTEGER) WITHOUT ROWID;
   CREATE TABLE barrier (scope TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;`,
  "CREATE INDEX message_problem ON message (seq) WHERE problem IS NOT NULL",
  "ALTER TABLE message ADD COLUMN only_edit INTEGER",
] as const;

type Sql = Record<string, string | number | null>;

/** Keys are remembered for so long after the message was last touched. */
export const KEYS_KEPT_MS = 7 * 86_400_000;
/** Threads and cards, which a run may come back to after weeks. */
export const CARDS_KEPT_MS = 35 * 86_400_000;
/** Rows at most; of more, those that were touched longest ago go first, if nobody needs them. */
export const ROWS_KEPT_MAX = 20_000;

/** Refused messages that a status names, and for how long. */
const REFUSED_SHOWN = 20;
export const REFUSED_SHOWN_MS = 86_400_000;
/** When what nobody needs was dropped last. */
const PRUNED_SCOPE = "pruned";

export interface Waiting {
  pending: ReadonlyMap<string, MessageRow>;
  threads: ReadonlyMap<string, ThreadRow>;
  /** Anchors of threads that were written since the last look. */
  changedThreads: string[];
}

function isUnsettled({ state, wanted }: ThreadRow): boolean {
  return state === "none" || (state === "open" && wanted === "closed");
}

export class DeliveryRows {
  readonly #sql: SqlStorage;
  readonly #schema: SqlSchema;
  readonly #pending = new Map<string, MessageRow>();
  readonly #unsettled = new Map<string, ThreadRow>();
  readonly #touched = new Set<string>();
  readonly #touchedThreads = new Set<string>();
  #nextSeq = 1;
  #prunedAt = 0;

  constructor(storage: DurableObjectStorage) {
    this.#sql = storage.sql;
    this.#schema = new SqlSchema(storage, MIGRATIONS);
    if (!this.#schema.exists) return;
    for (const row of this.#sql.exec<Sql>("SELECT * FROM message WHERE pending = 1")) {
      const message = messageOf(row);
      this.#pending.set(message.key, message);
    }
    for (const row of this.#sql.exec<Sql>(
      "SELECT * FROM thread WHERE state = 'none' OR (state = 'open' AND wanted = 'closed')",
    )) {
      const thread = threadOf(row);
      this.#unsettled.set(thread.anchor, thread);
    }
    const { seq } = this.#sql.exec<{ seq: number | null }>("SELECT MAX(seq) AS seq FROM message").one();
    this.#nextSeq = (seq ?? 0) + 1;
    this.#prunedAt = Number(this.barriers().get(PRUNED_SCOPE) ?? 0);
  }

  get exists(): boolean {
    return this.#schema.exists;
  }

  /** Never the same twice in this life, and larger than all that is stored. */
  nextSeq(): number {
    this.#nextSeq += 1;
    return this.#nextSeq - 1;
  }

  message(key: string): MessageRow | undefined {
    if (!this.#schema.exists) return undefined;
    const row = this.#sql.exec<Sql>("SELECT * FROM message WHERE key = ?", key).toArray()[0];
    return row && messageOf(row);
  }

  /** Key of the message that the platform knows by this id. Looks at all rows: for what somebody points at, now and then. */
  keyOfPosted(channel: string, id: string): string | undefined {
    if (!this.#schema.exists) return undefined;
    const row = this.#sql
      .exec<Sql>("SELECT key FROM message WHERE message = ? AND channel = ?", id, channel)
      .toArray()[0];
    return row && String(row["key"]);
  }

  /** Keys that begin with this. */
  keysUnder(prefix: string): string[] {
    if (!this.#schema.exists) return [];
    const query = "SELECT key FROM message WHERE key >= ? AND key < ?";
    return this.#sql
      .exec<{ key: string }>(query, prefix, `${prefix}\uffff`)
      .toArray()
      .map(({ key }) => key);
  }

  putMessage(row: MessageRow): void {
    this.#schema.ensure();
    this.#touched.add(row.key);
    this.#sql.exec(
      "INSERT OR REPLACE INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      row.key,
      row.seq,
      row.class,
      row.target,
      row.pending ? 1 : 0,
      json(row.wanted),
      row.urgent ? 1 : 0,
      row.nonce,
      row.posted?.channel ?? null,
      row.posted?.id ?? null,
      row.posted?.at ?? null,
      row.touchedAt ?? null,
      row.shown ?? null,
      json(row.stale),
      json(row.reply),
      row.triedAt ?? null,
      json(row.problem),
      row.createdAt,
      row.onlyEdit === true ? 1 : null,
    );
  }

  deleteMessage(key: string): void {
    this.#touched.add(key);
    this.#sql.exec("DELETE FROM message WHERE key = ?", key);
  }

  /** As it is stored, also inside a transaction that has just written it. */
  thread(anchor: string): ThreadRow | undefined {
    if (!this.#schema.exists) return undefined;
    const row = this.#sql.exec<Sql>("SELECT * FROM thread WHERE anchor = ?", anchor).toArray()[0];
    return row && threadOf(row);
  }

  threadById(id: string, parent: string): ThreadRow | undefined {
    if (!this.#schema.exists) return undefined;
    const found = this.#sql
      .exec<Sql>("SELECT * FROM thread WHERE id = ? AND parent = ?", id, parent)
      .toArray()[0];
    return found && threadOf(found);
  }

  putThread(row: ThreadRow): void {
    this.#schema.ensure();
    this.#touchedThreads.add(row.anchor);
    this.#sql.exec(
      "INSERT OR REPLACE INTO thread VALUES (?, ?, ?, ?, ?, ?, ?)",
      row.anchor,
      row.parent,
      row.name,
      row.state,
      row.wanted,
      row.id ?? null,
      row.touchedAt,
    );
  }

  /** What waits, as it is stored now: messages, threads that are not as they should be. Not inside a transaction of others. */
  refresh(): Waiting {
    const changedThreads = [...this.#touchedThreads];
    for (const key of this.#touched) {
      const row = this.message(key);
      if (row?.pending === true) this.#pending.set(key, row);
      else this.#pending.delete(key);
    }
    for (const anchor of changedThreads) {
      const row = this.thread(anchor);
      if (row !== undefined && isUnsettled(row)) this.#unsettled.set(anchor, row);
      else this.#unsettled.delete(anchor);
    }
    this.#touched.clear();
    this.#touchedThreads.clear();
    return { pending: this.#pending, threads: this.#unsettled, changedThreads };
  }

  /** Messages that the platform would not take for what they are, of the last day. */
  refused(now: number): { target: string; problem: NonNullable<MessageRow["problem"]> }[] {
    if (!this.#schema.exists) return [];
    return this.#sql
      .exec<Sql>("SELECT * FROM message WHERE problem IS NOT NULL ORDER BY seq DESC LIMIT ?", REFUSED_SHOWN)
      .toArray()
      .map(messageOf)
      .flatMap(({ target, problem }) =>
        problem === undefined || now - problem.at >= REFUSED_SHOWN_MS ? [] : [{ target, problem }],
      );
  }

  /** What a governor has to know after a restart: when each channel was last touched, and its newest message. */
  lastTouched(since: number): { channel: string; at: number; edited: boolean }[] {
    if (!this.#schema.exists) return [];
    return this.#sql
      .exec<{ channel: string; touched: number; posted: number }>(
        `SELECT channel, touched_ms AS touched, posted_ms AS posted FROM message
         WHERE channel IS NOT NULL AND touched_ms > ?`,
        since,
      )
      .toArray()
      .map(({ channel, touched, posted }) => ({ channel, at: touched, edited: touched > posted }));
  }

  /** The newest message of ours in a channel, where ids are numbers that grow. */
  newestIn(channel: string): number | undefined {
    const { newest } = this.#sql
      .exec<{ newest: number | null }>(
        "SELECT MAX(CAST(message AS INTEGER)) AS newest FROM message WHERE channel = ?",
        channel,
      )
      .one();
    return newest ?? undefined;
  }

  /** Messages of a channel that are known to be out. */
  idsIn(channel: string): string[] {
    return this.#sql
      .exec<{ message: string }>(
        "SELECT message FROM message WHERE channel = ? AND message IS NOT NULL",
        channel,
      )
      .toArray()
      .map(({ message }) => message);
  }

  /** Posts in forums, each a channel with the id of its first message. */
  forumPosts(): string[] {
    return this.#sql
      .exec<{ message: string }>("SELECT message FROM message WHERE channel = message")
      .toArray()
      .map(({ message }) => message);
  }

  sentCount(): number {
    if (!this.#schema.exists) return 0;
    return this.#sql
      .exec<{ n: number }>("SELECT COUNT(*) AS n FROM message WHERE posted_ms IS NOT NULL")
      .one().n;
  }

  barriers(): Map<string, unknown> {
    if (!this.#schema.exists) return new Map();
    return new Map(
      this.#sql
        .exec<{ scope: string; value: string }>("SELECT scope, value FROM barrier")
        .toArray()
        .map(({ scope, value }) => [scope, JSON.parse(value)]),
    );
  }

  putBarrier(scope: string, value: unknown): void {
    this.#schema.ensure();
    this.#sql.exec("INSERT OR REPLACE INTO barrier VALUES (?, ?)", scope, JSON.stringify(value));
  }

  deleteBarrier(scope: string): void {
    if (this.#schema.exists) this.#sql.exec("DELETE FROM barrier WHERE scope = ?", scope);
  }

  /** Epoch ms; 0: never. */
  get prunedAt(): number {
    return this.#prunedAt;
  }

  /**
   * Drops what nobody will ask for again.
   * @param isNeeded whether a row of this key will be changed yet, however long ago it was touched
   */
  prune(now: number, isNeeded: (key: string) => boolean, most = ROWS_KEPT_MAX): void {
    if (!this.#schema.exists) return;
    this.#prunedAt = now;
    this.putBarrier(PRUNED_SCOPE, now);
    const settled = this.#sql
      .exec<{ key: string; class: string; at: number }>(
        "SELECT key, class, COALESCE(touched_ms, created_ms) AS at FROM message WHERE pending = 0 ORDER BY at, seq",
      )
      .toArray();
    let excess = settled.length - most;
    for (const { key, class: deliveryClass, at } of settled) {
      const old = at < now - (deliveryClass === "state" ? CARDS_KEPT_MS : KEYS_KEPT_MS);
      if ((!old && excess <= 0) || isNeeded(key)) continue;
      excess -= 1;
      this.#sql.exec("DELETE FROM message WHERE key = ?", key);
    }
    for (const thread of this.#sql
      .exec<{ anchor: string }>(
        "DELETE FROM thread WHERE touched_ms < ? RETURNING anchor",
        now - CARDS_KEPT_MS,
      )
      .toArray())
      this.#touchedThreads.add(thread.anchor);
  }
}

function json(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}

function parsed(value: string | number | null | undefined): unknown {
  return typeof value === "string" ? JSON.parse(value) : undefined;
}

function text(value: string | number | null | undefined): string {
  return String(value ?? "");
}

function optional<Name extends string, T>(name: Name, value: T | undefined): Partial<Record<Name, T>> {
  return value === undefined ? {} : ({ [name]: value } as Record<Name, T>);
}

function number(value: string | number | null | undefined): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function messageOf(row: Sql): MessageRow {
  return {
    key: text(row["key"]),
    seq: Number(row["seq"]),
    class: text(row["class"]) as DeliveryClass,
    target: text(row["target"]),
    pending: row["pending"] === 1,
    urgent: row["urgent"] === 1,
    nonce: text(row["nonce"]),
    createdAt: Number(row["created_ms"]),
    ...optional("wanted", parsed(row["wanted"]) as ChatMessage | undefined),
    ...optional(
      "posted",
      typeof row["message"] === "string"
        ? { channel: text(row["channel"]), id: row["message"], at: Number(row["posted_ms"]) }
        : undefined,
    ),
    ...(row["only_edit"] === 1 ? { onlyEdit: true as const } : {}),
    ...optional("touchedAt", number(row["touched_ms"])),
    ...optional("shown", typeof row["shown"] === "string" ? row["shown"] : undefined),
    ...optional("stale", parsed(row["stale"]) as Pick<Posted, "channel" | "id"> | undefined),
    ...optional("reply", parsed(row["reply"]) as ReplyTo | undefined),
    ...optional("triedAt", number(row["tried_ms"])),
    ...optional("problem", parsed(row["problem"]) as NonNullable<MessageRow["problem"]> | undefined),
  };
}

function threadOf(row: Sql): ThreadRow {
  return {
    anchor: text(row["anchor"]),
    parent: text(row["parent"]),
    name: text(row["name"]),
    state: text(row["state"]) as ThreadState,
    wanted: row["wanted"] === "closed" ? "closed" : "open",
    touchedAt: Number(row["touched_ms"]),
    ...optional("id", typeof row["id"] === "string" ? row["id"] : undefined),
  };
}
