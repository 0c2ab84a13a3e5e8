/**
 * What an event object keeps, and how: one document for the event, one for each run, and rows of output.
 *
 *   event                                the event, its identity, its lineage, and its runs as they were made
 *   run/<n>                              a RunRecord, from its first change on
 *   chained/<run id>/<index>, chained-count   of a root: the chained events that follow from it, at all depths
 *   out/<n>/<attempt>/<first seq>        one frame of output, compressed
 *
 * It uses the SQLite-backed key-value store rather than tables of its own: each CREATE TABLE is billed as two written
 * rows (measured), and with one object an event those six rows would be a fifth of the event's cost. Every put is
 * one row. Output has no index and no counter elsewhere: a row carries the totals up to itself, so a frame is one
 * write, and the newest row of an attempt says what is committed (invariant 8).
 */
import { brotliCompressSync, brotliDecompressSync, constants, gunzipSync, gzipSync } from "node:zlib";
import type { BudgetUse } from "../../contract/budget.ts";
import type { FlowEvent, Lineage } from "../../contract/flow-event.ts";
import { OUTPUT_PAGE_MAX_BYTES } from "../../contract/limits.ts";
import type { OutputCursor } from "../../contract/output-cursor.ts";
import { liveAttempt, type RunRecord } from "../../contract/run-record.ts";
import type { OutputProgress } from "../../contract/run-lifecycle.ts";
import { outputChunkView } from "../../contract/output-view.ts";
import type { OutputChunkView } from "../../contract/run-view.ts";
import type { OutputChunk, OutputStream } from "../../contract/runner-link.ts";

export interface StoredEvent {
  v: 1;
  key: string;
  event: FlowEvent;
  /** sha256 of what makes it this event: type, source, payload (invariant 2). */
  identity: string;
  /** Receipt at the edge, epoch ms. Retention counts from here. */
  createdAt: number;
  matched: number;
  runCount: number;
  lineage: Lineage;
  /** Runs as they were made: of those that have changed since, the newer record has a row of its own. */
  newRuns?: RunRecord[];
  conflicts?: { count: number; lastAt: number };
}

/**
 * A large event as its JSON, compressed. A value may have 2 MB, and a text of the runtime takes two bytes a character
 * as soon as one of them is not Latin: an event within its own bound of 1 MiB would not fit as it stands.
 */
type PackedEvent = Omit<StoredEvent, "event"> & { packed: Uint8Array };

/** Text that is read for a glance at a run. */
const GLANCE_MAX_CHARS = 8 * 1024;

/** Events from here on are packed. */
const PACK_EVENT_FROM_CHARS = 256 * 1024;

interface StoredFrame {
  lastSeq: number;
  /** Totals of the attempt up to and with this frame. */
  bytes: number;
  dropped: number;
  used?: BudgetUse;
  /** JSON of the chunks, as text or compressed by brotli. */
  chunks: string | Uint8Array;
}

/** Below this, compression costs more than it saves. */
const COMPRESS_FROM_CHARS = 400;

const CHAINED_COUNT = "chained-count";

const runKey = (n: number): string => `run/${pad(n, 6)}`;
const outputPrefix = (n: number): string => `out/${pad(n, 6)}/`;
const attemptPrefix = (n: number, attempt: number): string => `${outputPrefix(n)}${pad(attempt, 6)}/`;
const frameKey = (n: number, attempt: number, seq: number): string =>
  `${attemptPrefix(n, attempt)}${pad(seq, 12)}`;
const pad = (value: number, digits: number): string => String(value).padStart(digits, "0");

export class EventStorage {
  readonly #storage: DurableObjectStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  /** All writes inside commit together or not at all. */
  transaction<T>(write: () => T): T {
    return this.#storage.transactionSync(write);
  }

  readEvent(): StoredEvent | undefined {
    const kept = this.#storage.kv.get<StoredEvent | PackedEvent>("event");
    if (kept === undefined || !("packed" in kept)) return kept;
    const { packed, ...rest } = kept;
    return { ...rest, event: JSON.parse(new TextDecoder().decode(gunzipSync(packed))) as FlowEvent };
  }

  /** Writes the event, with new runs of it, as one row. */
  writeEvent(given: StoredEvent, runs: RunRecord[] = []): void {
    const stored = { ...given, newRuns: [...(given.newRuns ?? []), ...runs] };
    const text = JSON.stringify(stored.event);
    if (text.length < PACK_EVENT_FROM_CHARS) {
      this.#storage.kv.put("event", stored);
      return;
    }
    const { event: _event, ...rest } = stored;
    const packed: PackedEvent = { ...rest, packed: new Uint8Array(gzipSync(text)) };
    this.#storage.kv.put("event", packed);
  }

  /** Another event came under this one's id (invariant 2). `at`: epoch ms. */
  noteConflict(at: number): void {
    const stored = this.readEvent();
    if (stored === undefined) return;
    this.writeEvent({ ...stored, conflicts: { count: (stored.conflicts?.count ?? 0) + 1, lastAt: at } });
  }

  /**
   * Counts one more chained event below this root. Asking again for the same key counts nothing.
   * False: the root has `limit` of them already.
   */
  reserveChained(key: string, limit: number): boolean {
    const row = `chained/${key}`;
    if (this.#storage.kv.get(row) !== undefined) return true;
    const count = this.#storage.kv.get<number>(CHAINED_COUNT) ?? 0;
    if (count >= limit) return false;
    this.#storage.kv.put(row, true);
    this.#storage.kv.put(CHAINED_COUNT, count + 1);
    return true;
  }

  readRun(n: number): RunRecord | undefined {
    return (
      this.#storage.kv.get<RunRecord>(runKey(n)) ?? this.readEvent()?.newRuns?.find((run) => run.n === n)
    );
  }

  writeRun(run: RunRecord): void {
    this.#storage.kv.put(runKey(run.n), run);
  }

  /** All runs, oldest first. */
  readRuns(): RunRecord[] {
    const runs = new Map((this.readEvent()?.newRuns ?? []).map((run) => [run.n, run]));
    for (const [, run] of this.#storage.kv.list<RunRecord>({ prefix: "run/" })) runs.set(run.n, run);
    return [...runs.values()].sort((a, b) => a.n - b.n);
  }

  readProgress(n: number, attempt: number): OutputProgress {
    const newest = this.#storage.kv.list<StoredFrame>({
      prefix: attemptPrefix(n, attempt),
      reverse: true,
      limit: 1,
    });
    for (const [, frame] of newest)
      return { ackedSeq: frame.lastSeq, bytes: frame.bytes, dropped: frame.dropped, used: frame.used };
    return { ackedSeq: 0, bytes: 0, dropped: 0 };
  }

  /** A running attempt's counters stand in its output rows; the record gets them when it ends. */
  withProgress(run: RunRecord): RunRecord {
    const live = liveAttempt(run);
    return live === undefined ? run : this.#withOutputOf(run, live.number);
  }

  /** The record of a run after a change: with the counters of the attempt that has ended by it. */
  withTotals(run: RunRecord, before: RunRecord | undefined): RunRecord {
    const ended = before && liveAttempt(before);
    if (ended === undefined || liveAttempt(run)?.number === ended.number) return run;
    return this.#withOutputOf(run, ended.number);
  }

  #withOutputOf(run: RunRecord, attempt: number): RunRecord {
    const { bytes, dropped } = this.readProgress(run.n, attempt);
    return { ...run, outputBytes: run.outputBytes + bytes, outputDropped: run.outputDropped + dropped };
  }

  /** Stores one frame. `progress` is the attempt's with this frame. */
  appendOutput(
    n: number,
    attempt: number,
    firstSeq: number,
    chunks: OutputChunk[],
    progress: OutputProgress,
  ): void {
    const text = pack(chunks);
    const frame: StoredFrame = {
      lastSeq: progress.ackedSeq,
      bytes: progress.bytes,
      dropped: progress.dropped,
      ...(progress.used === undefined ? {} : { used: progress.used }),
      chunks: text.length < COMPRESS_FROM_CHARS ? text : compress(text),
    };
    this.#storage.kv.put(frameKey(n, attempt, firstSeq), frame);
  }

  /** Chunks behind a cursor in the order in which they were printed: whole frames, until `maxBytes` of them are there. */
  readOutput(n: number, after: OutputCursor, maxBytes: number): { chunks: OutputChunkView[]; more: boolean } {
    const chunks: OutputChunkView[] = [];
    let bytes = 0;
    const start = this.#frameOf(n, after);
    for (const [key, frame] of this.#storage.kv.list<StoredFrame>({ prefix: outputPrefix(n), start })) {
      if (bytes >= maxBytes) return { chunks, more: true };
      const [, , attempt = 0, firstSeq = 0] = key.split("/").map(Number);
      for (const read of unpack(frame, firstSeq, attempt)) {
        if (attempt < after.attempt || (attempt === after.attempt && read.chunk.seq <= after.seq)) continue;
        chunks.push(read.chunk);
        bytes += read.bytes;
      }
    }
    return { chunks, more: false };
  }

  /**
   * The newest chunks of a run, oldest first: whole frames, until `maxChars` of text are there. Of an agent's small steps,
   * which have no text, not more than a page.
   */
  readNewestOutput(n: number, maxChars = GLANCE_MAX_CHARS): OutputChunkView[] {
    const chunks: OutputChunkView[] = [];
    let chars = 0;
    let bytes = 0;
    for (const [key, frame] of this.#storage.kv.list<StoredFrame>({
      prefix: outputPrefix(n),
      reverse: true,
    })) {
      if (chars >= maxChars || bytes >= OUTPUT_PAGE_MAX_BYTES) break;
      const [, , attempt = 0, firstSeq = 0] = key.split("/").map(Number);
      const older = unpack(frame, firstSeq, attempt);
      chunks.unshift(...older.map(({ chunk }) => chunk));
      chars += older.reduce((sum, { chunk }) => sum + chunk.text.length, 0);
      bytes += older.reduce((sum, read) => sum + read.bytes, 0);
    }
    return chunks;
  }

  /** Key of the frame that holds what follows the cursor: the last one that begins at or before it. */
  #frameOf(n: number, after: OutputCursor): string {
    const found = this.#storage.kv.list({
      prefix: attemptPrefix(n, after.attempt),
      end: frameKey(n, after.attempt, after.seq + 2),
      reverse: true,
      limit: 1,
    });
    for (const [key] of found) return key;
    return frameKey(n, after.attempt, after.seq);
  }
}

const encoder = new TextEncoder();
/** What stands around a chunk's text when it is shown: its cursor, its number, its time. */
const AROUND_CHUNK_BYTES = 100;

/** Milliseconds since the chunk before, of the first one since 1970: numbers that grow would not compress. */
type StoredChunk = [stream: OutputStream, text: string, sinceLastMs: number];

/** Numbers of a frame's chunks are consecutive from the one in its key: they need not be stored. */
function pack(chunks: OutputChunk[]): string {
  let last = 0;
  const packed = chunks.map(({ stream, text, at }): StoredChunk => {
    const sinceLastMs = at - last;
    last = at;
    return [stream, text, sinceLastMs];
  });
  return JSON.stringify(packed);
}

interface ReadChunk {
  chunk: OutputChunkView;
  /** Of what was stored: an agent's item has no text, or less text than it is long. */
  bytes: number;
}

function unpack(frame: StoredFrame, firstSeq: number, attempt: number): ReadChunk[] {
  const text =
    typeof frame.chunks === "string"
      ? frame.chunks
      : new TextDecoder().decode(brotliDecompressSync(frame.chunks));
  let at = 0;
  return (JSON.parse(text) as StoredChunk[]).map(([stream, chunkText, sinceLastMs], index) => {
    at += sinceLastMs;
    return {
      chunk: outputChunkView(attempt, { seq: firstSeq + index, stream, text: chunkText, at }),
      bytes: AROUND_CHUNK_BYTES + encoder.encode(chunkText).length,
    };
  });
}

/** A sixth smaller than gzip on logs, in the same time: output is most of what an event stores. */
const BROTLI_QUALITY = 7;

function compress(text: string): Uint8Array {
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY,
    [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
  };
  return new Uint8Array(brotliCompressSync(text, { params }));
}
