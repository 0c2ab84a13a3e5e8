/** A server on loopback that only takes WebSockets, and loses or refuses them when it is told to. */
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { WebSocketServer, type WebSocket } from "ws";
import { PING, PONG } from "../../contract/runner-link.ts";
import { Signal } from "./signal.ts";

/** One socket that was opened, and how it ended. */
export interface ServedSocket {
  /** Path and query. */
  url: string;
  authorization: string | undefined;
  pings: number;
  closed?: { code: number; reason: string };
  send(frame: object): void;
  /** Sends a text that need not be a frame. */
  sendText(text: string): void;
  /** Cuts the connection without a word. */
  drop(): void;
  /** Ends it behind what was sent. */
  close(code: number, reason: string): void;
}

export interface SocketServer {
  /** ws: address. */
  url: string;
  sockets: ServedSocket[];
  /** HTTP status with which upgrades are refused, while it is set. */
  refuseWith: number | undefined;
  /** What is said with it. */
  refusal: string;
  refusals: number;
  /** Whether heartbeats are answered, as the runtime at the edge does. */
  answersPings: boolean;
  /** Says whenever something has come, or a socket has gone. */
  signal: Signal;
}

/** Starts one; it goes when its test is over. */
export async function serveSockets(
  receive: (socket: ServedSocket, text: string) => void,
): Promise<SocketServer> {
  const http = createServer();
  const upgrades = new WebSocketServer({ noServer: true });
  const served: SocketServer = {
    url: "",
    sockets: [],
    refuseWith: undefined,
    refusal: "",
    refusals: 0,
    answersPings: true,
    signal: new Signal(),
  };
  http.on("upgrade", (request, stream, head) => {
    if (served.refuseWith !== undefined) {
      const { refuseWith, refusal } = served;
      const length = Buffer.byteLength(refusal);
      stream.end(
        `HTTP/1.1 ${refuseWith} Refused\r\nconnection: close\r\ncontent-length: ${length}\r\n\r\n${refusal}`,
      );
      served.refusals += 1;
      served.signal.notify();
      return;
    }
    upgrades.handleUpgrade(request, stream, head, (socket) => {
      take(served, socket, request, receive);
    });
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  served.url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}`;
  onTestFinished(async () => {
    for (const socket of upgrades.clients) socket.terminate();
    http.closeAllConnections();
    http.close();
    await once(http, "close");
  });
  return served;
}

function take(
  served: SocketServer,
  socket: WebSocket,
  request: IncomingMessage,
  receive: (socket: ServedSocket, text: string) => void,
): void {
  const one: ServedSocket = {
    url: request.url ?? "",
    authorization: request.headers.authorization,
    pings: 0,
    send: (frame) => {
      socket.send(JSON.stringify(frame));
    },
    sendText: (text) => {
      socket.send(text);
    },
    drop: () => {
      socket.terminate();
    },
    close: (code, reason) => {
      socket.close(code, reason);
    },
  };
  served.sockets.push(one);
  socket.on("message", (data: Buffer) => {
    const text = data.toString();
    if (text === PING) {
      one.pings += 1;
      if (served.answersPings) socket.send(PONG);
    } else receive(one, text);
    served.signal.notify();
  });
  socket.on("close", (code, reason) => {
    one.closed = { code, reason: reason.toString() };
    served.signal.notify();
  });
  served.signal.notify();
}
