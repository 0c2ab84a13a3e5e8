/**
 * Rows of the chat access object: the audit, which is only ever appended to (an outcome is filled in once, and refusals of
 * strangers are counted in their row), the requests of the replay windows, the servers that are let in, and the grants. Long texts are cut on their way in, so that the bound of rows bounds the bytes.
 */
import { NOBODY_ID } from "../../contract/chat/place.ts";
import type { ChatGrant } from "../../contract/chat/scopes.ts";
import {
  AUDIT_LASTING_MAX_ROWS,
  AUDIT_MAX_ROWS,
  AUDIT_RETENTION_DAYS,
  GUARD_ROWS_MAX,
  REFUSAL_ROWS_MAX,
  REFUSALS_MERGED_MS,
} from "../../contract/limits.ts";
import { SqlSchema } from "../kit/migrations.ts";
import type {
  Attempt,
  AuditFilter,
  AuditRow,
  GrantRow,
  GuardDecision,
  Refusal,
  RefusedLately,
  ServerRow,
} from "./calls.ts";
import type { Seen } from "./rules.ts";

const MIGRATIONS = [
  `CREATE TABLE audit (row INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER, platform TEXT, tenant TEXT, place TEXT,
     user_id TEXT, user_name TEXT, roles TEXT, act TEXT, subject TEXT, verdict TEXT, outcome TEXT);
   CREATE TABLE seen (key TEXT PRIMARY KEY, until INTEGER, row INTEGER) WITHOUT ROWID;
   CREATE INDEX seen_until ON seen (until);
   CREATE TABLE granted (tenant TEXT, subject TEXT, scopes TEXT, deny INTEGER, set_by TEXT, at INTEGER,
     PRIMARY KEY (tenant, subject)) WITHOUT ROWID;`,
  `CREATE TABLE server (id TEXT PRIMARY KEY, set_by TEXT, at INTEGER) WITHOUT ROWID;`,
  `ALTER TABLE audit ADD COLUMN times INTEGER;
   CREATE TABLE refusal (key TEXT PRIMARY KEY, row INTEGER, until INTEGER) WITHOUT ROWID;`,
  `ALTER TABLE seen ADD COLUMN done INTEGER;
   UPDATE seen SET done = 1;`,
  // Each class of rows is counted and bounded by itself. What was there before counts as lasting: it goes with its age.
  `ALTER TABLE audit ADD COLUMN lasting INTEGER;
   ALTER TABLE audit ADD COLUMN nth INTEGER;
   UPDATE audit SET lasting = 1, nth = row;
   CREATE INDEX audit_nth ON audit (lasting, nth);`,
] as const;

const DAY_MS = 86_400_000;
const NAME_MAX_CHARS = 100;
const ROLES_MAX = 250;
const ACT_MAX_CHARS = 100;
const SUBJECT_MAX_CHARS = 600;
const OUTCOME_MAX_CHARS = 600;
/** Rows that one admission clears away: more than it adds, so that what is owed shrinks. */
const SWEEP_ROWS = 8;
/** Rows that a sweep by the clock looks at in one go. */
const SWEEP_BATCH_ROWS = 500;

/** An audit row before it has a number. */
export type NewAuditRow = Omit<AuditRow, "row" | "times">;

/** Begins the keys of the guard's rows among those that are counted. */
const GUARD_KEY = "guard";

const NOBODY = { id: NOBODY_ID, name: "somebody" };

type SqlRow = Record<string, string | number | null>;

export class AccessStorage {
  readonly #storage: DurableObjectStorage;
  readonly #schema: SqlSchema;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#schema = new SqlSchema(storage, MIGRATIONS);
  }

  get empty(): boolean {
    return !this.#schema.exists;
  }

  transaction<T>(write: () => T): T {
    this.#schema.ensure();
    return this.#storage.transactionSync(write);
  }

  /**
   * @param lasting grants and decisions. They have a bound of their own, so that no number of other rows, which strangers
   * and relays can cause, pushes them out.
   */
  append(given: NewAuditRow, lasting = false): number {
    const { at, platform, tenant, place, user, roles, act, subject, verdict, outcome } = given;
    const kind = lasting ? 1 : 0;
    const newest = this.#one("SELECT max(nth) AS nth FROM audit WHERE lasting = ?", kind)?.["nth"];
    const nth = Number(newest ?? 0) + 1;
    const inserted = this.#one(
      "INSERT INTO audit (at, platform, tenant, place, user_id, user_name, roles, act, subject, verdict, outcome, lasting, nth) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING row",
      at,
      platform,
      tenant,
      place,
      user.id.slice(0, NAME_MAX_CHARS),
      user.name.slice(0, NAME_MAX_CHARS),
      JSON.stringify(roles.slice(0, ROLES_MAX)),
      act.slice(0, ACT_MAX_CHARS),
      subject?.slice(0, SUBJECT_MAX_CHARS) ?? null,
      verdict,
      outcome?.slice(0, OUTCOME_MAX_CHARS) ?? null,
      kind,
      nth,
    );
    const most = lasting ? AUDIT_LASTING_MAX_ROWS : AUDIT_MAX_ROWS;
    this.#sql("DELETE FROM audit WHERE lasting = ? AND nth <= ?", kind, nth - most);
    return Number(inserted?.["row"]);
  }

  /** The first outcome stays. */
  conclude(row: number, outcome: string, key: string): void {
    if (this.empty) return;
    this.transaction(() => {
      this.#sql(
        "UPDATE audit SET outcome = ? WHERE row = ? AND outcome IS NULL",
        outcome.slice(0, OUTCOME_MAX_CHARS),
        row,
      );
      this.#sql("UPDATE seen SET done = 1 WHERE key = ? AND done IS NULL", key);
    });
  }

  seen(key: string): Seen | undefined {
    if (this.empty) return undefined;
    const found = this.#one(
      "SELECT audit.at AS at, seen.done AS done FROM seen JOIN audit ON audit.row = seen.row WHERE key = ?",
      key,
    );
    return found && { at: Number(found["at"]), done: found["done"] !== null };
  }

  remember(key: string, until: number, row: number): void {
    this.#sql("INSERT OR REPLACE INTO seen (key, until, row) VALUES (?, ?, ?)", key, until, row);
  }

  /** Clears a little of what is too old, with each write. */
  sweep(now: number): void {
    this.#sql(
      "DELETE FROM seen WHERE key IN (SELECT key FROM seen WHERE until <= ? ORDER BY until LIMIT ?)",
      now,
      SWEEP_ROWS,
    );
    this.#sweepAudit(now, SWEEP_ROWS);
  }

  /** Clears all that is too old; returns when the oldest row that is left becomes so, epoch ms. */
  sweepAll(now: number): number | undefined {
    if (this.empty) return undefined;
    this.#sql("DELETE FROM seen WHERE until <= ?", now);
    while (this.#sweepAudit(now, SWEEP_BATCH_ROWS) === SWEEP_BATCH_ROWS);
    const oldest = this.#one("SELECT at FROM audit ORDER BY row LIMIT 1");
    return oldest && Number(oldest["at"]) + AUDIT_RETENTION_DAYS * DAY_MS;
  }

  /** Rows stand in the order of their times, so that the oldest are the first ones. */
  #sweepAudit(now: number, most: number): number {
    const old = this.#all("SELECT row, at FROM audit ORDER BY row LIMIT ?", most).filter(
      ({ at }) => Number(at) <= now - AUDIT_RETENTION_DAYS * DAY_MS,
    );
    const last = old.at(-1);
    if (last !== undefined) this.#sql("DELETE FROM audit WHERE row <= ?", last["row"] ?? 0);
    return old.length;
  }

  /** Newest first, strictly before a row. */
  audit({ user, run }: AuditFilter, before: number | undefined, limit: number): AuditRow[] {
    if (this.empty) return [];
    return this.#all(
      `SELECT * FROM audit WHERE row < ?1 AND (?2 IS NULL OR user_id = ?2)
         AND (?3 IS NULL OR subject = ?3 OR instr(coalesce(outcome, ''), ?3) > 0) ORDER BY row DESC LIMIT ?4`,
      before ?? Number.MAX_SAFE_INTEGER,
      user ?? null,
      run ?? null,
      limit,
    ).map(auditRow);
  }

  grants(tenant: string, subjects: readonly string[]): ChatGrant[] {
    if (this.empty) return [];
    return subjects.flatMap((subject) => {
      const found = this.#one(
        "SELECT scopes, deny FROM granted WHERE tenant = ? AND subject = ?",
        tenant,
        subject,
      );
      return found === undefined ? [] : [grantOf(found)];
    });
  }

  allGrants(tenant: string): GrantRow[] {
    if (this.empty) return [];
    return this.#all("SELECT * FROM granted WHERE tenant = ? ORDER BY subject", tenant).map((row) => ({
      subject: String(row["subject"]),
      grant: grantOf(row),
      setBy: String(row["set_by"]),
      at: Number(row["at"]),
    }));
  }

  grantCount(tenant: string): number {
    if (this.empty) return 0;
    return Number(this.#one("SELECT count(*) AS n FROM granted WHERE tenant = ?", tenant)?.["n"]);
  }

  hasGrant(tenant: string, subject: string): boolean {
    return this.grants(tenant, [subject]).length > 0;
  }

  setGrant(tenant: string, { subject, grant, setBy, at }: GrantRow): void {
    this.#sql(
      "INSERT OR REPLACE INTO granted (tenant, subject, scopes, deny, set_by, at) VALUES (?, ?, ?, ?, ?, ?)",
      tenant,
      subject,
      JSON.stringify(grant.scopes),
      grant.deny === true ? 1 : 0,
      setBy.slice(0, NAME_MAX_CHARS),
      at,
    );
  }

  removeGrant(tenant: string, subject: string): void {
    this.#sql("DELETE FROM granted WHERE tenant = ? AND subject = ?", tenant, subject);
  }

  /** One row for those of one kind, of one sender, within a while; those of too many senders are one row, too. Returns the row. */
  refuse({ platform, act, reason, from, times }: Refusal, now: number): number {
    const own = [platform, act, reason, from?.tenant, from?.place, from?.user.id].join("|");
    const { tenant = "", place = "", user = NOBODY } = from ?? {};
    const row = { at: now, platform, tenant, place, user, roles: [], verdict: "denied" };
    return this.#count(
      from === undefined ? { key: own } : { key: own, many: `${platform}|many`, most: REFUSAL_ROWS_MAX },
      { ...row, act, outcome: reason },
      { ...row, tenant: "", place: "", user: NOBODY, act: "many", outcome: "of many senders" },
      { now, times },
    );
  }

  /** One row for the same answers about one place within a while; those about too many places are one row, too. */
  countGuard(decision: GuardDecision, now: number): void {
    const { platform, place, sessionKey, mode, allowed, reason, commandHint } = decision;
    const key = [GUARD_KEY, platform, place, mode, String(allowed), reason, sessionKey].join("|");
    const row = {
      at: now,
      platform,
      tenant: "",
      place,
      user: { id: "relay", name: "relay" },
      roles: [],
      act: `guard ${mode}`,
      ...(sessionKey === undefined ? {} : { subject: sessionKey }),
      verdict: allowed ? "allowed" : "denied",
      outcome: commandHint === undefined ? reason : `${reason}: ${commandHint}`,
    };
    const { subject: _subject, ...unnamed } = row;
    this.#count(
      { key, many: `${GUARD_KEY}|${platform}|${String(allowed)}|many`, most: GUARD_ROWS_MAX },
      row,
      { ...unnamed, place: "", act: "guard", outcome: "about many places" },
      { now, times: 1 },
    );
  }

  /** Adds to the row of this key, or to that of `many` where there are `most` rows already. Returns the row. */
  #count(
    { key, many, most = 0 }: { key: string; many?: string; most?: number },
    row: NewAuditRow,
    manyRow: NewAuditRow,
    { now, times }: { now: number; times: number },
  ): number {
    this.#sql("DELETE FROM refusal WHERE until <= ?", now);
    const rowOf = (one: string): SqlStorageValue | undefined =>
      this.#one("SELECT row FROM refusal WHERE key = ?", one)?.["row"];
    const isGuard = key.startsWith(`${GUARD_KEY}|`) ? 1 : 0;
    const known = Number(
      this.#one(`SELECT count(*) AS n FROM refusal WHERE (key LIKE '${GUARD_KEY}|%') = ?`, isGuard)?.["n"],
    );
    const isMany = many !== undefined && rowOf(key) === undefined && known >= most;
    const counted = isMany ? many : key;
    const there = rowOf(counted);
    if (there !== undefined) {
      this.#sql("UPDATE audit SET times = times + ? WHERE row = ?", times, there);
      return Number(there);
    }
    const appended = this.append(isMany ? manyRow : row);
    this.#sql("UPDATE audit SET times = ? WHERE row = ?", times, appended);
    this.#sql(
      "INSERT INTO refusal (key, row, until) VALUES (?, ?, ?)",
      counted,
      appended,
      now + REFUSALS_MERGED_MS,
    );
    return appended;
  }

  refusedLately(now: number): RefusedLately[] {
    if (this.empty) return [];
    return this.#all(
      `SELECT platform, act, sum(times) AS times FROM refusal JOIN audit ON audit.row = refusal.row
         WHERE until > ? AND key NOT LIKE '${GUARD_KEY}|%' GROUP BY platform, act ORDER BY times DESC`,
      now,
    ).map((row) => ({
      platform: String(row["platform"]),
      act: String(row["act"]),
      times: Number(row["times"]),
    }));
  }

  servers(): ServerRow[] {
    if (this.empty) return [];
    return this.#all("SELECT * FROM server ORDER BY at, id").map((row) => ({
      server: String(row["id"]),
      setBy: String(row["set_by"]),
      at: Number(row["at"]),
    }));
  }

  hasServer(id: string): boolean {
    return !this.empty && this.#one("SELECT id FROM server WHERE id = ?", id) !== undefined;
  }

  /** Who has let it in first stays. */
  addServer({ server, setBy, at }: ServerRow): void {
    const by = setBy.slice(0, NAME_MAX_CHARS);
    this.#sql("INSERT OR IGNORE INTO server (id, set_by, at) VALUES (?, ?, ?)", server, by, at);
  }

  removeServer(id: string): void {
    this.#sql("DELETE FROM server WHERE id = ?", id);
  }

  #sql(query: string, ...values: SqlStorageValue[]): void {
    this.#storage.sql.exec(query, ...values);
  }
  #all(query: string, ...values: SqlStorageValue[]): SqlRow[] {
    return this.#storage.sql.exec<SqlRow>(query, ...values).toArray();
  }
  #one(query: string, ...values: SqlStorageValue[]): SqlRow | undefined {
    return this.#all(query, ...values)[0];
  }
}

function grantOf(row: SqlRow): ChatGrant {
  const scopes = JSON.parse(String(row["scopes"])) as ChatGrant["scopes"];
  return row["deny"] === 1 ? { scopes, deny: true } : { scopes };
}

function auditRow(row: SqlRow): AuditRow {
  const text = (name: string): string => String(row[name]);
  return {
    row: Number(row["row"]),
    at: Number(row["at"]),
    platform: text("platform"),
    tenant: text("tenant"),
    place: text("place"),
    user: { id: text("user_id"), name: text("user_name") },
    roles: JSON.parse(text("roles")) as string[],
    act: text("act"),
    ...(row["subject"] === null ? {} : { subject: text("subject") }),
    verdict: text("verdict"),
    ...(row["outcome"] === null ? {} : { outcome: text("outcome") }),
    ...(row["times"] === null ? {} : { times: Number(row["times"]) }),
  };
}

/** What the audit says of an attempt. */
export function attemptRow(attempt: Attempt, at: number, verdict: string, outcome?: string): NewAuditRow {
  const { platform, tenant, place, user, roles, act, subject } = attempt;
  return {
    at,
    platform,
    tenant,
    place,
    user,
    roles,
    act,
    ...(subject === undefined ? {} : { subject }),
    verdict,
    ...(outcome === undefined ? {} : { outcome }),
  };
}
