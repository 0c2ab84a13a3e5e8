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
import type { ApprovalRequest } from "../../contract/approvals.ts";
import type { FlowResult } from "../../contract/flow-result.ts";
import { OUTPUT_FRAME_MAX_BYTES } from "../../contract/limits.ts";
import type { AttemptEnd } from "../../contract/run-record.ts";
import { shortReason, type OutputStream } from "../../contract/runner-link.ts";
import { diskFault } from "./disk-fault.ts";
import { entryOf, type JournaledAttempt, type JournalEntry, type JournalRow } from "./entries.ts";
import { HeldWrites } from "./held-writes.ts";
import { JournalTables } from "./tables.ts";

/** First wait before the disk is tried again; it doubles with each. */
const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 10_000;

export class Journal {
  readonly path: string;
  readonly #tables: JournalTables;
  readonly #held = new HeldWrites();
  #trouble: string | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #watcher: () => void = () => undefined;
  #writtenWaiters: (() => void)[] = [];

  /** Opens or creates the journal at `path`. Throws JournalInUseError and JournalUnusableError. */
  constructor(path: string) {
    this.path = path;
    this.#tables = new JournalTables(path);
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
      this.#held.writeTo(this.#tables);
    } catch (error) {
      if (diskFault(error) === undefined) throw error;
      this.#retryIn(Math.min(waitedMs * 2, RETRY_MAX_MS));
      return;
    }
    this.#trouble = undefined;
    for (const resolve of this.#writtenWaiters.splice(0)) resolve();
    this.#watcher();
  }

  /** A setting that stays with this journal, made on first use. Throws JournalUnusableError. */
  setting(name: string, make: () => string): string {
    return this.#tables.setting(name, make);
  }

  /** Forgets settings, so that they are made anew. Throws JournalUnusableError. */
  forgetSettings(names: readonly string[]): void {
    this.#tables.forgetSettings(names);
  }

  /** Writes an attempt down; its step starts when that is `written` (J1). */
  begin(of: JournaledAttempt): void {
    this.#write(
      () => {
        this.#tables.begun(of);
      },
      () => {
        this.#held.begin(of);
      },
    );
  }

  /** Attempts that are not handed over completely: at a start, those of a previous life. */
  attempts(): JournaledAttempt[] {
    return this.#tables.attempts();
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

  /** A reason that is longer than the edge takes is cut. */
  appendEnd(of: JournaledAttempt, end: AttemptEnd): void {
    this.#append(of, "end", JSON.stringify({ ...end, error: end.error && shortReason(end.error) }));
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
        this.#tables.entry(of, row);
      },
      () => {
        const seq = this.#nextSeq(of);
        if (seq !== undefined) this.#held.append(of, { ...row, seq });
      },
    );
  }

  /** The number that the next entry gets when it is written; undefined when the attempt was handed over. */
  #nextSeq(of: JournaledAttempt): number | undefined {
    const onDisk = this.#tables.lastSeq(of) ?? (this.#held.isBegun(of) ? 0 : undefined);
    const acked = this.#held.ackedSeq(of);
    if (onDisk === undefined || !Number.isFinite(acked)) return undefined;
    return 1 + Math.max(onDisk, acked, this.#held.entries(of).at(-1)?.seq ?? 0);
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
    yield* this.#tables.rowsBehind(of, afterSeq, limit);
    for (const row of this.#held.entries(of)) if (row.seq > afterSeq) yield row;
  }

  /** Bytes of an attempt that the edge has not acknowledged. */
  owedBytes(of: JournaledAttempt): number {
    const onDisk = this.#tables.owedBytes(of, this.#held.ackedSeq(of));
    return this.#held.entries(of).reduce((sum, row) => sum + row.body.length, onDisk);
  }

  /** The edge has committed everything up to `seq` (J3). */
  ack(of: JournaledAttempt, seq: number): void {
    this.#write(
      () => {
        this.#tables.acked(of, seq);
      },
      () => {
        this.#held.ack(of, seq);
      },
    );
  }

  /** Sequence number of an attempt's end, once there is one that is not acknowledged. Nothing follows it. */
  endSeq(of: JournaledAttempt): number | undefined {
    const last = this.#held.entries(of).at(-1) ?? this.#tables.last(of);
    return last?.kind === "end" ? last.seq : undefined;
  }

  /** Nothing of this attempt is owed any more. */
  finish(of: JournaledAttempt): void {
    this.#write(
      () => {
        this.#tables.finished(of);
      },
      () => {
        this.#held.finish(of);
      },
    );
  }

  close(): void {
    clearTimeout(this.#retryTimer);
    this.#tables.close();
  }
}
