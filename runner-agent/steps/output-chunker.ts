/**
 * Cuts output into chunks that are worth a frame: small writes are gathered for a moment, large ones cut to the
 * bound of a chunk. Keeps the order in which the streams were read.
 */
import { OUTPUT_CHUNK_MAX_BYTES } from "../../contract/limits.ts";
import type { OutputStream } from "../../contract/runner-link.ts";

/** What comes within this time of the first text is one chunk: the lines of one print. */
const GATHER_MS = 5;
/** Least time between two deliveries of a step that prints all the time: a pace for eyes. */
const PACE_MS = 50;

export class OutputChunker {
  readonly #deliver: (stream: OutputStream, text: string) => void;
  #pending: Array<{ stream: OutputStream; text: string }> = [];
  #pendingBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #deliveredAt = -Infinity;

  constructor(deliver: (stream: OutputStream, text: string) => void) {
    this.#deliver = deliver;
  }

  add(stream: OutputStream, text: string): void {
    if (text === "") return;
    const last = this.#pending.at(-1);
    if (last?.stream === stream) last.text += text;
    else this.#pending.push({ stream, text });
    this.#pendingBytes += Buffer.byteLength(text);
    if (this.#pendingBytes >= OUTPUT_CHUNK_MAX_BYTES) this.flush();
    else
      this.#timer ??= setTimeout(
        () => {
          this.flush();
        },
        Math.max(GATHER_MS, this.#deliveredAt + PACE_MS - performance.now()),
      );
  }

  /** Delivers what is there, now. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#pending.length === 0) return;
    const pending = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#deliveredAt = performance.now();
    for (const { stream, text } of pending) for (const chunk of cut(text)) this.#deliver(stream, chunk);
  }
}

/** Pieces of at most OUTPUT_CHUNK_MAX_BYTES of UTF-8, cut between characters. */
function cut(text: string): string[] {
  if (Buffer.byteLength(text) <= OUTPUT_CHUNK_MAX_BYTES) return [text];
  const bytes = Buffer.from(text);
  const chunks: string[] = [];
  for (let from = 0; from < bytes.length;) {
    let to = Math.min(from + OUTPUT_CHUNK_MAX_BYTES, bytes.length);
    while (isContinuation(bytes[to])) to -= 1;
    chunks.push(bytes.toString("utf8", from, to));
    from = to;
  }
  return chunks;
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}
