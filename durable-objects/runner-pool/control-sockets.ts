/**
 * The control sockets of a pool's runners: who is behind each, and when it last showed life. A socket belongs to a
 * runner from its hello on; of several, the newest is the runner's.
 */
import {
  CONTROL_STALE_MS,
  LOST_AFTER_MS,
  PING_INTERVAL_MS,
  PROTOCOL_VERSION,
} from "../../contract/limits.ts";
import type { ControlDown } from "../../contract/runner-link.ts";
import { acceptSocket, CLOSE, closeSocket, lastSeenAt, sendFrame } from "../kit/sockets.ts";

/** What hibernation keeps of a control socket. */
interface Attachment {
  openedAt: number;
  runnerId?: string;
}

export class ControlSockets {
  readonly #ctx: DurableObjectState;

  constructor(ctx: DurableObjectState) {
    this.#ctx = ctx;
  }

  accept(): Response {
    const attachment: Attachment = { openedAt: Date.now() };
    return acceptSocket(this.#ctx, [], attachment).response;
  }

  /** The runner that has said hello on this socket. */
  runnerOf(socket: WebSocket): string | undefined {
    return attachmentOf(socket).runnerId;
  }

  /** The runner has said hello: from now on this is its socket, and no older one. */
  bind(socket: WebSocket, runnerId: string): void {
    for (const other of this.of(runnerId))
      if (other !== socket) closeSocket(other, CLOSE.replaced, "replaced by a newer socket");
    const attachment: Attachment = { openedAt: Date.now(), runnerId };
    socket.serializeAttachment(attachment);
  }

  /** Open sockets of a runner. */
  of(runnerId: string): WebSocket[] {
    return this.#ctx
      .getWebSockets()
      .filter((socket) => socket.readyState === WebSocket.OPEN && attachmentOf(socket).runnerId === runnerId);
  }

  /** Whether the runner has another socket that has shown life lately. */
  isConnected(runnerId: string, except: WebSocket, now: number): boolean {
    return this.of(runnerId).some(
      (other) =>
        other !== except &&
        now - lastSeenAt(this.#ctx, other, attachmentOf(other).openedAt) <= CONTROL_STALE_MS,
    );
  }

  /** Last sign of life of every runner with an open socket, epoch ms. */
  seen(): Map<string, number> {
    const seen = new Map<string, number>();
    for (const socket of this.#ctx.getWebSockets()) {
      const { runnerId, openedAt } = attachmentOf(socket);
      if (runnerId === undefined || socket.readyState !== WebSocket.OPEN) continue;
      seen.set(runnerId, Math.max(seen.get(runnerId) ?? 0, lastSeenAt(this.#ctx, socket, openedAt)));
    }
    return seen;
  }

  send(socket: WebSocket, frame: ControlDown): void {
    sendFrame(socket, frame);
  }

  /** The pool has taken the runner on. */
  welcome(socket: WebSocket, pool: string, serverTime: number): void {
    this.send(socket, {
      type: "welcome",
      pool,
      protocol: PROTOCOL_VERSION,
      serverTime,
      pingIntervalMs: PING_INTERVAL_MS,
      lostAfterMs: LOST_AFTER_MS,
    });
  }

  /** The runner has said something that cannot be; it may connect again. */
  reject(socket: WebSocket, code: string, message: string): void {
    this.send(socket, { type: "error", code, message });
    closeSocket(socket, CLOSE.protocol, code);
  }
}

function attachmentOf(socket: WebSocket): Attachment {
  return socket.deserializeAttachment() as Attachment;
}
