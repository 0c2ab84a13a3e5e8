/**
 * Whoever watches a run: each gets what is stored behind its cursor, then what comes, and a close with 1000 when the
 * run is over. A watcher may come and go at any time and never slows the run down.
 */
import { OUTPUT_START, type OutputCursor } from "../../contract/output-cursor.ts";
import { OUTPUT_FRAME_MAX_BYTES } from "../../contract/limits.ts";
import type { OutputChunkView, RunView } from "../../contract/run-view.ts";
import type { TailDown } from "../../contract/runner-link.ts";
import { acceptSocket, CLOSE, closeSocket, sendFrame } from "../kit/sockets.ts";
import type { EventStorage } from "./storage.ts";

interface Attachment {
  kind: "tail";
  n: number;
}

const OVER: readonly string[] = ["completed", "failed", "canceled"];
const tagOf = (n: number): string => `tail/${n}`;

export class TailSockets {
  readonly #ctx: DurableObjectState;
  readonly #storage: EventStorage;

  constructor(ctx: DurableObjectState, storage: EventStorage) {
    this.#ctx = ctx;
    this.#storage = storage;
  }

  /** Opens a tail behind `after` (default: the start) and catches it up at once, so that nothing falls in between. */
  accept(run: RunView, n: number, after: OutputCursor = OUTPUT_START): Response {
    const attachment: Attachment = { kind: "tail", n };
    const { response, socket } = acceptSocket(this.#ctx, [tagOf(n)], attachment);
    send(socket, { type: "run", run });
    let cursor = after;
    for (let more = true; more;) {
      const page = this.#storage.readOutput(n, cursor, OUTPUT_FRAME_MAX_BYTES);
      if (page.chunks.length > 0) send(socket, { type: "output", chunks: page.chunks });
      const last = page.chunks.at(-1);
      cursor = last === undefined ? cursor : { attempt: last.attempt, seq: last.seq };
      more = page.more && last !== undefined;
    }
    if (OVER.includes(run.status)) end(socket);
    return response;
  }

  watched(n: number): boolean {
    return this.#ctx.getWebSockets(tagOf(n)).some((socket) => socket.readyState === WebSocket.OPEN);
  }

  output(n: number, chunks: OutputChunkView[]): void {
    if (chunks.length > 0) this.#broadcast(n, { type: "output", chunks });
  }

  runChanged(run: RunView, n: number): void {
    this.#broadcast(n, { type: "run", run });
    if (!OVER.includes(run.status)) return;
    for (const socket of this.#ctx.getWebSockets(tagOf(n))) end(socket);
  }

  /** The run that this tail watched, when it was a tail. */
  closed(socket: WebSocket): number | undefined {
    const attachment = socket.deserializeAttachment() as { kind: string; n: number };
    return attachment.kind === "tail" ? attachment.n : undefined;
  }

  #broadcast(n: number, frame: TailDown): void {
    for (const socket of this.#ctx.getWebSockets(tagOf(n))) send(socket, frame);
  }
}

function end(socket: WebSocket): void {
  send(socket, { type: "end" });
  closeSocket(socket, CLOSE.over, "the run is over");
}

function send(socket: WebSocket, frame: TailDown): void {
  sendFrame(socket, frame);
}
