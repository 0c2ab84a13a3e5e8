/**
 * Tails: sockets of clients that watch a run. Each gets the stored output behind its cursor, then the live output, and a
 * close with 1000 when the run is over. A tail may come and go at any time and never slows the run down.
 *
 * Tails are bounded, because what a client does not read stays in the memory of this object: a run and an event have a
 * maximum number of them, and each is closed once it was sent TAIL_MAX_BYTES, to be resumed by its cursor.
 */
import { OUTPUT_START, type OutputCursor } from "../../contract/output-cursor.ts";
import {
  OUTPUT_FRAME_MAX_BYTES,
  TAIL_MAX_BYTES,
  TAILS_PER_EVENT_MAX,
  TAILS_PER_RUN_MAX,
} from "../../contract/limits.ts";
import type { OutputChunkView, RunView } from "../../contract/run-view.ts";
import { TAIL_RESUME_CLOSE, type TailDown } from "../../contract/runner-link.ts";
import { acceptSocket, CLOSE, closeSocket, sendFrame } from "../kit/sockets.ts";
import type { EventStorage } from "./storage.ts";

interface Attachment {
  kind: "tail";
  n: number;
  /** Bytes of all frames but the opening one; hibernation keeps it. */
  sentBytes: number;
}

const OVER: readonly string[] = ["completed", "failed", "canceled"];
const ANY_TAIL = "tail";
const tagOf = (n: number): string => `tail/${n}`;

export class TailSockets {
  readonly #ctx: DurableObjectState;
  readonly #storage: EventStorage;

  constructor(ctx: DurableObjectState, storage: EventStorage) {
    this.#ctx = ctx;
    this.#storage = storage;
  }

  /**
   * Opens a tail behind `after` (default: the start) and catches it up at once, so that nothing falls in between. Undefined
   * when the run or its event has as many tails as it may have.
   */
  accept(run: RunView, n: number, after: OutputCursor = OUTPUT_START): Response | undefined {
    // Closing ones count too: what they were sent may still be unread.
    const isFull =
      this.#ctx.getWebSockets(tagOf(n)).length >= TAILS_PER_RUN_MAX ||
      this.#ctx.getWebSockets(ANY_TAIL).length >= TAILS_PER_EVENT_MAX;
    if (isFull) return undefined;
    const attachment: Attachment = { kind: "tail", n, sentBytes: 0 };
    const { response, socket } = acceptSocket(this.#ctx, [ANY_TAIL, tagOf(n)], attachment);
    // Not counted: a tail that is resumed must get at least one frame of output.
    sendFrame(socket, { type: "run", run });
    let cursor = after;
    for (let more = true; more;) {
      const page = this.#storage.readOutput(n, cursor, OUTPUT_FRAME_MAX_BYTES);
      if (page.chunks.length > 0) deliver([socket], { type: "output", chunks: page.chunks });
      if (!isOpen(socket)) return response;
      const last = page.chunks.at(-1);
      cursor = last === undefined ? cursor : { attempt: last.attempt, seq: last.seq };
      more = page.more && last !== undefined;
    }
    if (OVER.includes(run.status)) end(socket);
    return response;
  }

  watched(n: number): boolean {
    return this.#ctx.getWebSockets(tagOf(n)).some(isOpen);
  }

  output(n: number, chunks: OutputChunkView[]): void {
    if (chunks.length > 0) this.#broadcast(n, { type: "output", chunks });
  }

  runChanged(run: RunView, n: number): void {
    this.#broadcast(n, { type: "run", run });
    if (!OVER.includes(run.status)) return;
    for (const socket of this.#open(n)) end(socket);
  }

  /** The run that this tail watched, when it was a tail. */
  closed(socket: WebSocket): number | undefined {
    const attachment = socket.deserializeAttachment() as { kind: string; n: number };
    return attachment.kind === "tail" ? attachment.n : undefined;
  }

  #broadcast(n: number, frame: TailDown): void {
    deliver(this.#open(n), frame);
  }

  #open(n: number): WebSocket[] {
    return this.#ctx.getWebSockets(tagOf(n)).filter(isOpen);
  }
}

/** Sends a frame, and closes each socket that has been sent what one tail may get. */
function deliver(sockets: readonly WebSocket[], frame: TailDown): void {
  if (sockets.length === 0) return;
  const bytes = new TextEncoder().encode(JSON.stringify(frame)).length;
  for (const socket of sockets) {
    const attachment = attachmentOf(socket);
    const sentBytes = attachment.sentBytes + bytes;
    sendFrame(socket, frame);
    socket.serializeAttachment({ ...attachment, sentBytes });
    if (sentBytes >= TAIL_MAX_BYTES) closeSocket(socket, TAIL_RESUME_CLOSE, "resume behind the last cursor");
  }
}

function end(socket: WebSocket): void {
  sendFrame(socket, { type: "end" } satisfies TailDown);
  closeSocket(socket, CLOSE.over, "the run is over");
}

function isOpen(socket: WebSocket): boolean {
  return socket.readyState === WebSocket.OPEN;
}

function attachmentOf(socket: WebSocket): Attachment {
  return socket.deserializeAttachment() as Attachment;
}
