/** Hibernating sockets: what every object that accepts them has to do the same way. */
import { PING, PONG } from "../../contract/runner-link.ts";

/** Close codes of ours (4000–4999 is the private range). */
export const CLOSE = { protocol: 4400, replaced: 4409, over: 1000, gone: 1001, failed: 1011 } as const;

const REASON_MAX_BYTES = 120;

/** The runtime itself answers heartbeats: no object wakes for one. */
export function answerPings(ctx: DurableObjectState): void {
  ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
}

/** Accepts the socket of an upgrade request for hibernation and returns the response that hands over its other end. */
export function acceptSocket(
  ctx: DurableObjectState,
  tags: string[],
  attachment: unknown,
): { response: Response; socket: WebSocket } {
  const pair = new WebSocketPair();
  const socket = pair[1];
  ctx.acceptWebSocket(socket, tags);
  socket.serializeAttachment(attachment);
  return { response: new Response(null, { status: 101, webSocket: pair[0] }), socket };
}

/**
 * Has a frame handled. When that fails, the frame is lost, and a peer whose socket stays open would wait for its answer
 * for ever: this one socket closes, and the peer connects again and says what it has to say anew. No other socket is
 * touched.
 */
export async function handleFrame(
  socket: WebSocket,
  owner: string,
  handle: () => Promise<void>,
): Promise<void> {
  try {
    await handle();
  } catch (error) {
    console.error(JSON.stringify({ message: "a frame was not handled", owner, error: String(error) }));
    sendFrame(socket, {
      type: "error",
      code: "internal",
      message: "the edge could not handle a frame: connect again",
    });
    closeSocket(socket, CLOSE.failed, "internal");
  }
}

/** Sends if the socket still takes it. A lost frame changes nothing: a socket is never the truth (invariant 7). */
export function sendFrame(socket: WebSocket, frame: object): void {
  try {
    socket.send(JSON.stringify(frame));
  } catch {
    // Closed under our hands; its close handler follows.
  }
}

/**
 * Closes from our side. Must be called from webSocketClose too, or the peer never gets a close frame; 1005, 1006 and
 * 1015 only exist inside a WebSocket implementation and may not be sent.
 */
export function closeSocket(socket: WebSocket, code: number, reason: string): void {
  const sendable = code === 1005 || code === 1006 || code === 1015 ? 1000 : code;
  try {
    socket.close(sendable, reason.slice(0, REASON_MAX_BYTES));
  } catch {
    // Already closed.
  }
}

/** Last sign of life of an open socket (epoch ms): its last heartbeat, or when it was opened. */
export function lastSeenAt(ctx: DurableObjectState, socket: WebSocket, openedAt: number): number {
  // Not the later of both: a clock that was set back leaves an `openedAt` in the future.
  return ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? openedAt;
}
