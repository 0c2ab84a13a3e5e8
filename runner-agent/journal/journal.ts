/**
 * The journal: what this box owes the edge, on disk before it is sent (invariant 8).
 *
 * J1. An attempt is written down with its lease before its step starts, so that no start is ever forgotten.
 * J2. Output, results and the end get consecutive sequence numbers here, once, each in the statement that writes it, so
 *     that no crash leaves a gap; they are sent in this order, again and again if need be, until the edge has
 *     acknowledged them.
 * J3. What is acknowledged is deleted. An attempt whose end is acknowledged is gone.
 * J4. One agent a journal: a second one is refused, also by a crash's leftovers, never by a stale file.
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { FlowResult } from "../../contract/flow-result.ts";
import { OUTPUT_FRAME_MAX_BYTES } from "../../contract/limits.ts";
import type { AttemptEnd } from "../../contract/run-record.ts";
import type { OutputChunk, OutputStream } from "../../contract/runner-link.ts";

/** An attempt that this box has claimed and not yet handed over completely. */
export interface JournaledAttempt {
  runId: string;
  attempt: number;
  lease: string;
}

/** One numbered thing to send. */
export type JournalEntry =
  | { kind: "output"; chunk: OutputChunk }
  | { kind: "result"; seq: number; result: FlowResult }
  | { kind: "end"; seq: number; end: AttemptEnd };

/** Another agent has the journal open. */
export class JournalInUseError extends Error {
  constructor(path: string) {
    super(
      `the journal ${path} is in use by another runner agent: stop that one, or give this one its own --journal`,
    );
    this.name = "JournalInUseError";
  }
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

export class Journal {
  readonly #db: DatabaseSync;
  readonly #statements: Record<
    "append" | "pending" | "ack" | "deleteAcked" | "begin" | "finish" | "finishEntries" | "last",
    StatementSync
  >;

  /** Opens or creates the journal at `path`. Throws JournalInUseError. */
  constructor(path: string) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    this.#db = new DatabaseSync(path);
    try {
      // The lock is the operating system's and dies with its process, however that dies (J4).
      this.#db.exec(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
      );
      this.#db.exec(SCHEMA);
    } catch (error) {
      this.#db.close();
      if (error instanceof Error && /locked|busy/i.test(error.message)) throw new JournalInUseError(path);
      throw error;
    }
    const prepare = (sql: string): StatementSync => this.#db.prepare(sql);
    this.#statements = {
      append: prepare(
        `INSERT INTO entry SELECT a.run_id, a.attempt, 1 + MAX(a.acked_seq, COALESCE(
           (SELECT MAX(e.seq) FROM entry e WHERE e.run_id = a.run_id AND e.attempt = a.attempt), 0)),
           ?, ?, ?, ? FROM attempt a WHERE a.run_id = ? AND a.attempt = ?`,
      ),
      pending: prepare(
        "SELECT seq, kind, stream, at, body FROM entry WHERE run_id = ? AND attempt = ? AND seq > ? ORDER BY seq LIMIT ?",
      ),
      ack: prepare("UPDATE attempt SET acked_seq = MAX(acked_seq, ?) WHERE run_id = ? AND attempt = ?"),
      deleteAcked: prepare("DELETE FROM entry WHERE run_id = ? AND attempt = ? AND seq <= ?"),
      begin: prepare("INSERT OR IGNORE INTO attempt VALUES (?, ?, ?, 0)"),
      finish: prepare("DELETE FROM attempt WHERE run_id = ? AND attempt = ?"),
      finishEntries: prepare("DELETE FROM entry WHERE run_id = ? AND attempt = ?"),
      last: prepare("SELECT kind, seq FROM entry WHERE run_id = ? AND attempt = ? ORDER BY seq DESC LIMIT 1"),
    };
  }

  /** A setting that stays with this journal, made on first use. */
  setting(name: string, make: () => string): string {
    const row = this.#db.prepare("SELECT value FROM setting WHERE name = ?").get(name);
    if (row !== undefined) return String(row["value"]);
    const value = make();
    this.#db.prepare("INSERT INTO setting VALUES (?, ?)").run(name, value);
    return value;
  }

  /** Writes an attempt down before its step starts (J1). */
  begin({ runId, attempt, lease }: JournaledAttempt): void {
    this.#statements.begin.run(runId, attempt, lease);
  }

  /** Attempts that are not handed over completely: at a start, those of a previous life. */
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

  appendOutput(of: JournaledAttempt, stream: OutputStream, text: string, at: number): void {
    this.#append(of, "output", text, stream, at);
  }

  appendResult(of: JournaledAttempt, result: FlowResult): void {
    this.#append(of, "result", JSON.stringify(result));
  }

  appendEnd(of: JournaledAttempt, end: AttemptEnd): void {
    this.#append(of, "end", JSON.stringify(end));
  }

  #append(
    { runId, attempt }: JournaledAttempt,
    kind: JournalEntry["kind"],
    body: string,
    stream: string | null = null,
    at: number | null = null,
  ): void {
    // Inserts nothing for an attempt that was handed over already: nothing of it is wanted any more.
    // Bytes, since a text would be read back only up to its first NUL character.
    this.#statements.append.run(kind, stream, at, Buffer.from(body), runId, attempt);
  }

  /** Entries behind a sequence number, oldest first: no more than `limit`, and up to `maxBytes` of them, or one. */
  pending(
    { runId, attempt }: JournaledAttempt,
    afterSeq: number,
    limit: number,
    maxBytes = OUTPUT_FRAME_MAX_BYTES,
  ): JournalEntry[] {
    const entries: JournalEntry[] = [];
    let bytes = 0;
    for (const row of this.#statements.pending.iterate(runId, attempt, afterSeq, limit)) {
      const body = row["body"] as Uint8Array;
      bytes += body.length;
      if (bytes > maxBytes && entries.length > 0) break;
      entries.push(entryOf(row, Buffer.from(body).toString()));
    }
    return entries;
  }

  /** The edge has committed everything up to `seq` (J3). */
  ack({ runId, attempt }: JournaledAttempt, seq: number): void {
    this.#statements.ack.run(seq, runId, attempt);
    this.#statements.deleteAcked.run(runId, attempt, seq);
  }

  /** Sequence number of an attempt's end, once that is written down. Nothing follows it. */
  endSeq({ runId, attempt }: JournaledAttempt): number | undefined {
    const last = this.#statements.last.get(runId, attempt);
    return last?.["kind"] === "end" ? Number(last["seq"]) : undefined;
  }

  /** Nothing of this attempt is owed any more. */
  finish({ runId, attempt }: JournaledAttempt): void {
    this.#statements.finishEntries.run(runId, attempt);
    this.#statements.finish.run(runId, attempt);
  }

  close(): void {
    this.#db.close();
  }
}

function entryOf(row: Record<string, unknown>, body: string): JournalEntry {
  const seq = Number(row["seq"]);
  if (row["kind"] === "output")
    return {
      kind: "output",
      chunk: { seq, stream: String(row["stream"]) as OutputStream, text: body, at: Number(row["at"]) },
    };
  if (row["kind"] === "result") return { kind: "result", seq, result: JSON.parse(body) as FlowResult };
  return { kind: "end", seq, end: JSON.parse(body) as AttemptEnd };
}
