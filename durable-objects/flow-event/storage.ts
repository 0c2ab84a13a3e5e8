/**
 * What an event object keeps, and how: one document for the event, one for each run, and rows of output.
 *
 *   event                                the event, its identity, its lineage
 *   run/<n>                              a RunRecord
 *   out/<n>/<attempt>/<first seq>        one frame of output, compressed
 *
 * It uses the SQLite-backed key-value store rather than tables of its own: each CREATE TABLE is billed as two written
 * rows (measured), and with one object an event those six rows would be a fifth of the event's cost. Every put is
 * one row. Output has no index and no counter elsewhere: a row carries the totals up to itself, so a frame is one
 * write, and the newest row of an attempt says what is committed (invariant 8).
 */
import { gunzipSync, gzipSync } from "node:zlib";
import type { FlowEvent, Lineage } from "../../contract/flow-event.ts";
import { formatCursor, type OutputCursor } from "../../contract/output-cursor.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import type { OutputProgress } from "../../contract/run-lifecycle.ts";
import { iso, type OutputChunkView } from "../../contract/run-view.ts";
import type { OutputChunk } from "../../contract/runner-link.ts";

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
  conflicts?: { count: number; lastAt: number };
}

/**
 * A large event as its JSON, compressed. A value may have 2 MB, and a text of the runtime takes two bytes a character
 * as soon as one of them is not Latin: an event within its own bound of 1 MiB would not fit as it stands.
 */
type PackedEvent = Omit<StoredEvent, "event"> & { packed: Uint8Array };

/** Events from here on are packed. */
const PACK_EVENT_FROM_CHARS = 256 * 1024;

interface StoredFrame {
  lastSeq: number;
  /** Totals of the attempt up to and with this frame. */
  bytes: number;
  dropped: number;
  /** JSON of the chunks, as text or gzip. */
  chunks: string | Uint8Array;
}

/** Below this, gzip costs more than it saves. */
const COMPRESS_FROM_CHARS = 400;

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

  writeEvent(stored: StoredEvent): void {
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

  readRun(n: number): RunRecord | undefined {
    return this.#storage.kv.get<RunRecord>(runKey(n));
  }

  writeRun(run: RunRecord): void {
    this.#storage.kv.put(runKey(run.n), run);
  }

  /** All runs, oldest first. */
  readRuns(): RunRecord[] {
    return [...this.#storage.kv.list<RunRecord>({ prefix: "run/" })].map(([, run]) => run);
  }

  readProgress(n: number, attempt: number): OutputProgress {
    const newest = this.#storage.kv.list<StoredFrame>({
      prefix: attemptPrefix(n, attempt),
      reverse: true,
      limit: 1,
    });
    for (const [, frame] of newest)
      return { ackedSeq: frame.lastSeq, bytes: frame.bytes, dropped: frame.dropped };
    return { ackedSeq: 0, bytes: 0, dropped: 0 };
  }

  /** Stores one frame. `progress` is the attempt's with this frame. */
  appendOutput(
    n: number,
    attempt: number,
    firstSeq: number,
    chunks: OutputChunk[],
    progress: OutputProgress,
  ): void {
    const text = JSON.stringify(chunks.map((chunk) => [chunk.seq, chunk.stream, chunk.text, chunk.at]));
    const frame: StoredFrame = {
      lastSeq: progress.ackedSeq,
      bytes: progress.bytes,
      dropped: progress.dropped,
      chunks: text.length < COMPRESS_FROM_CHARS ? text : new Uint8Array(gzipSync(text)),
    };
    this.#storage.kv.put(frameKey(n, attempt, firstSeq), frame);
  }

  /** Chunks behind a cursor in the order in which they were printed, up to about `maxBytes` of text (at least one frame). */
  readOutput(n: number, after: OutputCursor, maxBytes: number): { chunks: OutputChunkView[]; more: boolean } {
    const chunks: OutputChunkView[] = [];
    let bytes = 0;
    const start = this.#frameOf(n, after);
    for (const [key, frame] of this.#storage.kv.list<StoredFrame>({ prefix: outputPrefix(n), start })) {
      if (bytes >= maxBytes) return { chunks, more: true };
      const attempt = Number(key.split("/")[2]);
      for (const chunk of unpack(frame, attempt)) {
        if (attempt < after.attempt || (attempt === after.attempt && chunk.seq <= after.seq)) continue;
        chunks.push(chunk);
        bytes += chunk.text.length;
      }
    }
    return { chunks, more: false };
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

type StoredChunk = [seq: number, stream: string, text: string, at: number];

function unpack(frame: StoredFrame, attempt: number): OutputChunkView[] {
  const text =
    typeof frame.chunks === "string" ? frame.chunks : new TextDecoder().decode(gunzipSync(frame.chunks));
  return (JSON.parse(text) as StoredChunk[]).map(([seq, stream, chunkText, at]) => ({
    cursor: formatCursor({ attempt, seq }),
    attempt,
    seq,
    kind: stream,
    text: chunkText,
    createdAt: iso(at),
  }));
}
