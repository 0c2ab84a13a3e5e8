/**
 * The journal's tables on disk: each write is one transaction that is there or is not, and throws when the disk takes
 * nothing. It knows nothing of what is held meanwhile; see journal.ts, whose invariants are cited here.
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { diskFault, sqliteCode } from "./disk-fault.ts";
import { rowOf, type JournaledAttempt, type JournalEntry, type JournalRow } from "./entries.ts";
import type { HeldWriter } from "./held-writes.ts";

/** Another agent has the journal open. */
export class JournalInUseError extends Error {
  constructor(path: string) {
    super(
      `the journal ${path} is in use by another runner agent: stop that one, or give this one its own --journal`,
    );
    this.name = "JournalInUseError";
  }
}

/** The journal cannot be opened or written at the start. A supervisor must not try again: a person has to act. */
export class JournalUnusableError extends Error {
  /** @param why in the system's words; @param remedy what a person can do, as an imperative sentence without its end */
  constructor(path: string, why: string, remedy: string) {
    super(`the journal ${path} cannot be used (${why}): ${remedy}`);
    this.name = "JournalUnusableError";
  }
}

const FREE_SPACE = "free space on its disk, or give another --journal";
const GIVE_FOLDER = "give the agent's user a folder that it may write, or name another one with --journal";

/** Primary result codes of SQLite for a file that is no journal, or no whole one: https://www.sqlite.org/rescode.html */
const SQLITE_CORRUPT = 11;
const SQLITE_NOT_A_DATABASE = 26;

function remedyFor(error: unknown): string {
  const code = sqliteCode(error);
  if (code === SQLITE_CORRUPT || code === SQLITE_NOT_A_DATABASE)
    return "move the file away or name another folder with --journal; what it holds and the edge does not have yet, and this runner's id, are lost with it";
  if (diskFault(error) !== undefined) return FREE_SPACE;
  return error instanceof Error && "code" in error && (error.code === "EEXIST" || error.code === "ENOTDIR")
    ? "a file stands where its folder should be; name a folder with --journal"
    : GIVE_FOLDER;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS attempt (
    run_id TEXT, attempt INTEGER, lease TEXT NOT NULL, acked_seq INTEGER NOT NULL,
    PRIMARY KEY (run_id, attempt)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS entry (
    run_id TEXT, attempt INTEGER, seq INTEGER, kind TEXT NOT NULL, stream TEXT, at INTEGER, body BLOB NOT NULL,
    PRIMARY KEY (run_id, attempt, seq)) WITHOUT ROWID;
`;

export class JournalTables implements HeldWriter {
  readonly #path: string;
  readonly #db: DatabaseSync;
  readonly #statements: ReturnType<typeof prepared>;

  /** Opens or creates them. Throws JournalInUseError and JournalUnusableError. */
  constructor(path: string) {
    this.#path = path;
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      this.#db = new DatabaseSync(path);
    } catch (error) {
      throw unusable(path, error);
    }
    try {
      // The lock is the operating system's and dies with its process, however that dies (J4).
      this.#db.exec(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
      );
      this.#db.exec(SCHEMA);
      // A file that is damaged may open: what the agent reads first has to be readable now, while nothing has begun.
      this.#db.prepare("SELECT COUNT(*), MAX(LENGTH(body)) FROM entry").get();
      this.attempts();
      this.#statements = prepared(this.#db);
    } catch (error) {
      this.#db.close();
      if (error instanceof Error && /locked|busy/i.test(error.message)) throw new JournalInUseError(path);
      throw unusable(path, error);
    }
  }

  #unwritable(error: unknown): unknown {
    return diskFault(error) === undefined ? error : unusable(this.#path, error);
  }

  setting(name: string, make: () => string): string {
    const row = this.#db.prepare("SELECT value FROM setting WHERE name = ?").get(name);
    if (row !== undefined) return String(row["value"]);
    const value = make();
    try {
      this.#db.prepare("INSERT INTO setting VALUES (?, ?)").run(name, value);
    } catch (error) {
      throw this.#unwritable(error);
    }
    return value;
  }

  forgetSettings(names: readonly string[]): void {
    try {
      for (const name of names) this.#db.prepare("DELETE FROM setting WHERE name = ?").run(name);
    } catch (error) {
      throw this.#unwritable(error);
    }
  }

  attempts(): JournaledAttempt[] {
    return this.#db
      .prepare("SELECT run_id, attempt, lease FROM attempt ORDER BY run_id, attempt")
      .all()
      .map((row) => ({
        runId: String(row["run_id"]),
        attempt: Number(row["attempt"]),
        lease: String(row["lease"]),
      }));
  }

  begun({ runId, attempt, lease }: JournaledAttempt): void {
    this.#statements.begin.run(runId, attempt, lease);
  }

  /** Inserts nothing for an attempt that was handed over already: nothing of it is wanted any more. */
  entry({ runId, attempt }: JournaledAttempt, row: Omit<JournalRow, "seq">): void {
    this.#statements.append.run(row.kind, row.stream, row.at, row.body, runId, attempt);
  }

  acked({ runId, attempt }: JournaledAttempt, seq: number): void {
    this.#statements.ack.run(seq, runId, attempt);
    this.#statements.deleteAcked.run(runId, attempt, seq);
  }

  finished({ runId, attempt }: JournaledAttempt): void {
    this.#statements.finishEntries.run(runId, attempt);
    this.#statements.finish.run(runId, attempt);
  }

  /** The highest number that was given or acknowledged; undefined when the attempt is not here. */
  lastSeq({ runId, attempt }: JournaledAttempt): number | undefined {
    const row = this.#statements.lastSeq.get(runId, attempt);
    return row === undefined ? undefined : Number(row["seq"]);
  }

  /** The entry with the highest number. */
  last({ runId, attempt }: JournaledAttempt): Pick<JournalRow, "seq" | "kind"> | undefined {
    const row = this.#statements.last.get(runId, attempt);
    return row && { seq: Number(row["seq"]), kind: row["kind"] as JournalEntry["kind"] };
  }

  /** Oldest first, read as they are asked for. */
  *rowsBehind({ runId, attempt }: JournaledAttempt, afterSeq: number, limit: number): Generator<JournalRow> {
    for (const row of this.#statements.pending.iterate(runId, attempt, afterSeq, limit)) yield rowOf(row);
  }

  owedBytes({ runId, attempt }: JournaledAttempt, afterSeq: number): number {
    return Number(this.#statements.owed.get(runId, attempt, afterSeq)?.["bytes"] ?? 0);
  }

  close(): void {
    this.#db.close();
  }
}

function unusable(path: string, error: unknown): JournalUnusableError {
  const why = error instanceof Error ? error.message : String(error);
  return new JournalUnusableError(path, why, remedyFor(error));
}

function prepared(db: DatabaseSync) {
  const prepare = (sql: string): StatementSync => db.prepare(sql);
  return {
    append: prepare(
      `INSERT INTO entry SELECT a.run_id, a.attempt, 1 + MAX(a.acked_seq, COALESCE(
         (SELECT MAX(e.seq) FROM entry e WHERE e.run_id = a.run_id AND e.attempt = a.attempt), 0)),
         ?, ?, ?, ? FROM attempt a WHERE a.run_id = ? AND a.attempt = ?`,
    ),
    pending: prepare(
      "SELECT seq, kind, stream, at, body FROM entry WHERE run_id = ? AND attempt = ? AND seq > ? ORDER BY seq LIMIT ?",
    ),
    owed: prepare(
      "SELECT SUM(LENGTH(body)) AS bytes FROM entry WHERE run_id = ? AND attempt = ? AND seq > ?",
    ),
    ack: prepare("UPDATE attempt SET acked_seq = MAX(acked_seq, ?) WHERE run_id = ? AND attempt = ?"),
    deleteAcked: prepare("DELETE FROM entry WHERE run_id = ? AND attempt = ? AND seq <= ?"),
    begin: prepare("INSERT OR IGNORE INTO attempt VALUES (?, ?, ?, 0)"),
    finish: prepare("DELETE FROM attempt WHERE run_id = ? AND attempt = ?"),
    finishEntries: prepare("DELETE FROM entry WHERE run_id = ? AND attempt = ?"),
    last: prepare("SELECT kind, seq FROM entry WHERE run_id = ? AND attempt = ? ORDER BY seq DESC LIMIT 1"),
    lastSeq: prepare(
      `SELECT MAX(a.acked_seq, COALESCE(
         (SELECT MAX(e.seq) FROM entry e WHERE e.run_id = a.run_id AND e.attempt = a.attempt), 0)) AS seq
       FROM attempt a WHERE a.run_id = ? AND a.attempt = ?`,
    ),
  };
}
