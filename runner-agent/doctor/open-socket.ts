/** Opens a WebSocket exactly as the agent does, proxy included, and closes it at once: whether one gets through. */
import { WebSocket } from "ws";
import { connectionReason } from "../../client/transport.ts";
import { describeProxy, proxyAgentFor } from "../proxy.ts";
import type { SocketAnswer } from "./check.ts";

export async function openSocket(
  url: string,
  headers: Record<string, string>,
  timeoutMs: number,
): Promise<SocketAnswer> {
  const agent = proxyAgentFor(url);
  const socket = new WebSocket(url, {
    headers,
    handshakeTimeout: timeoutMs,
    perMessageDeflate: false,
    ...(agent === undefined ? {} : { agent }),
  });
  const way = describeProxy(url);
  const { promise, resolve } = Promise.withResolvers<SocketAnswer>();
  socket.on("open", () => {
    resolve({ kind: "open", way });
  });
  socket.on("unexpected-response", (_request, response) => {
    resolve({ kind: "refused", status: response.statusCode ?? 0, way });
  });
  socket.on("error", (error) => {
    resolve({ kind: "failed", why: connectionReason(error), way });
  });
  try {
    return await promise;
  } finally {
    socket.terminate();
  }
}
