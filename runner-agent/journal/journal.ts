/**
 * The journal: what this box owes the edge, on disk before it is sent (invariant 8).
 *
 * J1. An attempt is written down with its lease before its step starts, so that no start is ever forgotten.
 * J2. Output, results and the end get consecutive sequence numbers here, once, each in the statement that writes it, so
 *     that no crash leaves a gap; they are sent in this order, again and again if need be, until the edge has
 *     acknowledged them.
 * J3. What is acknowledged is deleted. An attempt whose end is acknowledged is gone.
 * J4. One agent a journal: a second one is refused, also by a crash's leftovers, never by a stale file.
 * J5. A disk that takes nothing (full, failing, read-only) ends nothing. What cannot be written is held in memory, in
 *     order, and tried again until it can be; `trouble` says so. It is sent all the same: the edge's acknowledgement
 *     keeps it as well as a disk does, and then it need not be written any more. Meanwhile little is held, since steps
 *     are read only as far as the edge takes it (back-pressure), no step starts before its attempt is written (J1),
 *     and the agent takes no offers. Only what is neither written nor acknowledged dies with the agent; its next life
 *     says that such an attempt is lost.
 *
 * It needs room for the output of the attempts that run or are not handed over: at most OUTPUT_MAX_BYTES for each.
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type SQLOutputValue, type StatementSync } from "node:sqlite";
import type { ApprovalRequest } from "../../contract/approvals.ts";
import type { FlowResult } from "../../contract/flow-result.ts";
import { OUTPUT_FRAME_MAX_BYTES } from "../../contract/limits.ts";
import type { AttemptEnd } from "../../contract/run-record.ts";
import type { OutputChunk, OutputStream } from "../../contract/runner-link.ts";
import { diskFault } from "./disk-fault.ts";
import { HeldWrites } from "./held-writes.ts";

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
  | { kind: "approval"; seq: number; request: ApprovalRequest }
  | { kind: "approval_withdrawn"; seq: number; id: string }
  | { kind: "end"; seq: number; end: AttemptEnd };

/** An entry as it stands in its table. The body is bytes: a text would be read back only up to its first NUL. */
export interface JournalRow {
  seq: number;
  kind: JournalEntry["kind"];
  stream: OutputStream | null;
  /** Of output: when it was read, epoch ms. */
  at: number | null;
  body: Uint8Array;
}

/** First wait before the disk is tried again; it doubles with each. */
const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 10_000;

/** Another agent has the journal open. */
export class JournalInUseError extends Error {
  constructor(path: string) {
    super(
      `the journal ${path} is in use by another runner agent: stop that one, or give this one its own --journal`,
    );
    this.name = "JournalInUseError";
  }
}

/** The disk takes nothing at the start, when there is nothing yet that would have to go on. */
export class JournalUnwritableError extends Error {
  constructor(path: string, why: string) {
    super(
      `the journal ${path} cannot be written (${why}): free space on its disk, or give another --journal`,
    );
    this.name = "JournalUnwritableError";
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
  readonly path: string;
  readonly #db: DatabaseSync;
  readonly #statements: Record<
    | "append"
    | "pending"
    | "owed"
    | "ack"
    | "deleteAcked"
    | "begin"
    | "finish"
    | "finishEntries"
    | "last"
    | "lastSeq",
    StatementSync
  >;
  readonly #held = new HeldWrites();
  #trouble: string | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #watcher: () => void = () => undefined;
  #writtenWaiters: (() => void)[] = [];

  /** Opens or creates the journal at `path`. Throws JournalInUseError and JournalUnwritableError. */
  constructor(path: string) {
    this.path = path;
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
      throw this.#unwritable(error);
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

  /** Why nothing can be written now; undefined as long as all is (J5). */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Calls back whenever `trouble` has come or gone. */
  watch(changed: () => void): void {
    this.#watcher = changed;
  }

  /** Resolves when nothing is held: what was given to the journal before is on the disk. */
  async written(): Promise<void> {
    if (this.#trouble === undefined) return;
    await new Promise<void>((resolve) => this.#writtenWaiters.push(resolve));
  }

  /** Writes, or holds what the disk does not take (J5). */
  #write(write: () => void, hold: () => void): void {
    if (this.#trouble === undefined)
      try {
        write();
        return;
      } catch (error) {
        const fault = diskFault(error);
        if (fault === undefined) throw error;
        hold();
        this.#trouble = fault;
        this.#retryIn(RETRY_FIRST_MS);
        this.#watcher();
        return;
      }
    hold();
  }

  #retryIn(ms: number): void {
    this.#retryTimer = setTimeout(() => {
      this.#retry(ms);
    }, ms);
  }

  #retry(waitedMs: number): void {
    try {
      this.#held.writeTo({
        acked: (of, seq) => {
          this.#writeAck(of, seq);
        },
        finished: (of) => {
          this.#writeFinish(of);
        },
        begun: (of) => {
          this.#writeBegin(of);
        },
        entry: (of, row) => {
          this.#writeEntry(of, row);
        },
      });
    } catch (error) {
      if (diskFault(error) === undefined) throw error;
      this.#retryIn(Math.min(waitedMs * 2, RETRY_MAX_MS));
      return;
    }
    this.#trouble = undefined;
    for (const resolve of this.#writtenWaiters.splice(0)) resolve();
    this.#watcher();
  }

  #unwritable(error: unknown): unknown {
    const fault = diskFault(error);
    return fault === undefined ? error : new JournalUnwritableError(this.path, fault);
  }

  /** A setting that stays with this journal, made on first use. */
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

  /** Writes an attempt down; its step starts when that is `written` (J1). */
  begin(of: JournaledAttempt): void {
    this.#write(
      () => {
        this.#writeBegin(of);
      },
      () => {
        this.#held.begin(of);
      },
    );
  }

  #writeBegin({ runId, attempt, lease }: JournaledAttempt): void {
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

  appendApproval(of: JournaledAttempt, request: ApprovalRequest): void {
    this.#append(of, "approval", JSON.stringify(request));
  }

  appendWithdrawal(of: JournaledAttempt, id: string): void {
    this.#append(of, "approval_withdrawn", JSON.stringify(id));
  }

  appendEnd(of: JournaledAttempt, end: AttemptEnd): void {
    this.#append(of, "end", JSON.stringify(end));
  }

  #append(
    of: JournaledAttempt,
    kind: JournalEntry["kind"],
    body: string,
    stream: OutputStream | null = null,
    at: number | null = null,
  ): void {
    const row = { kind, stream, at, body: Buffer.from(body) };
    this.#write(
      () => {
        this.#writeEntry(of, row);
      },
      () => {
        const seq = this.#nextSeq(of);
        if (seq !== undefined) this.#held.append(of, { ...row, seq });
      },
    );
  }

  /** Inserts nothing for an attempt that was handed over already: nothing of it is wanted any more. */
  #writeEntry({ runId, attempt }: JournaledAttempt, row: Omit<JournalRow, "seq">): void {
    this.#statements.append.run(row.kind, row.stream, row.at, row.body, runId, attempt);
  }

  /** The number that the next entry gets when it is written; undefined when the attempt was handed over. */
  #nextSeq(of: JournaledAttempt): number | undefined {
    const onDisk = this.#statements.lastSeq.get(of.runId, of.attempt)?.["seq"];
    const acked = this.#held.ackedSeq(of);
    if (onDisk === undefined || !Number.isFinite(acked)) return undefined;
    return 1 + Math.max(Number(onDisk), acked, this.#held.entries(of).at(-1)?.seq ?? 0);
  }

  /** Entries behind a sequence number, oldest first: no more than `limit`, and up to `maxBytes` of them, or one. */
  pending(
    of: JournaledAttempt,
    afterSeq: number,
    limit: number,
    maxBytes = OUTPUT_FRAME_MAX_BYTES,
  ): JournalEntry[] {
    const entries: JournalEntry[] = [];
    let bytes = 0;
    for (const row of this.#rowsBehind(of, afterSeq, limit)) {
      bytes += row.body.length;
      if ((bytes > maxBytes && entries.length > 0) || entries.length === limit) break;
      entries.push(entryOf(row));
    }
    return entries;
  }

  *#rowsBehind(of: JournaledAttempt, afterSeq: number, limit: number): Generator<JournalRow> {
    for (const row of this.#statements.pending.iterate(of.runId, of.attempt, afterSeq, limit))
      yield rowOf(row);
    for (const row of this.#held.entries(of)) if (row.seq > afterSeq) yield row;
  }

  /** Bytes of an attempt that the edge has not acknowledged. */
  owedBytes(of: JournaledAttempt): number {
    const { bytes } = this.#statements.owed.get(of.runId, of.attempt, this.#held.ackedSeq(of)) ?? {};
    return this.#held.entries(of).reduce((sum, row) => sum + row.body.length, Number(bytes ?? 0));
  }

  /** The edge has committed everything up to `seq` (J3). */
  ack(of: JournaledAttempt, seq: number): void {
    this.#write(
      () => {
        this.#writeAck(of, seq);
      },
      () => {
        this.#held.ack(of, seq);
      },
    );
  }

  #writeAck({ runId, attempt }: JournaledAttempt, seq: number): void {
    this.#statements.ack.run(seq, runId, attempt);
    this.#statements.deleteAcked.run(runId, attempt, seq);
  }

  /** Sequence number of an attempt's end, once there is one that is not acknowledged. Nothing follows it. */
  endSeq(of: JournaledAttempt): number | undefined {
    const held = this.#held.entries(of).at(-1);
    const last = held ?? this.#statements.last.get(of.runId, of.attempt);
    return last?.["kind"] === "end" ? Number(last["seq"]) : undefined;
  }

  /** Nothing of this attempt is owed any more. */
  finish(of: JournaledAttempt): void {
    this.#write(
      () => {
        this.#writeFinish(of);
      },
      () => {
        this.#held.finish(of);
      },
    );
  }

  #writeFinish({ runId, attempt }: JournaledAttempt): void {
    this.#statements.finishEntries.run(runId, attempt);
    this.#statements.finish.run(runId, attempt);
  }

  close(): void {
    clearTimeout(this.#retryTimer);
    this.#db.close();
  }
}

function rowOf(row: Record<string, SQLOutputValue>): JournalRow {
  return {
    seq: Number(row["seq"]),
    kind: row["kind"] as JournalRow["kind"],
    stream: row["stream"] as OutputStream | null,
    at: row["at"] === null ? null : Number(row["at"]),
    body: row["body"] as Uint8Array,
  };
}

function entryOf({ seq, kind, stream, at, body }: JournalRow): JournalEntry {
  const text = Buffer.from(body).toString();
  switch (kind) {
    case "output":
      return { kind, chunk: { seq, stream: stream ?? "system", text, at: at ?? 0 } };
    case "result":
      return { kind, seq, result: JSON.parse(text) as FlowResult };
    case "approval":
      return { kind, seq, request: JSON.parse(text) as ApprovalRequest };
    case "approval_withdrawn":
      return { kind, seq, id: JSON.parse(text) as string };
    case "end":
      return { kind, seq, end: JSON.parse(text) as AttemptEnd };
  }
}
