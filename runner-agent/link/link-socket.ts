/**
 * One socket to the edge that is kept open: it connects again for ever, with jittered backoff, until it is closed
 * from here (invariant 16). Frames that do not go out are not queued: whoever owns the socket says hello again on
 * every `opened` and goes on from what the journal says.
 *
 * A heartbeat notices a peer that is gone without a word; the runtime at the edge answers it without waking anybody.
 */
import type { IncomingMessage } from "node:http";
import ReconnectingWebSocket from "partysocket/ws";
import { WebSocket } from "ws";
import { FRAME_MAX_BYTES, PING_INTERVAL_MS, PONG_TIMEOUT_MS } from "../../contract/limits.ts";
import { PING, PONG } from "../../contract/runner-link.ts";

const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Longer than any answer of the edge that says what is wrong. */
const ERROR_MAX_CHARS = 8 * 1024;
const RECONNECT_FIRST_MS = 200;
const RECONNECT_JITTER_MS = 400;
const RECONNECT_MAX_MS = 15_000;
const RECONNECT_GROWTH = 1.6;
const NORMAL_CLOSURE = 1000;
/** In the private range; the edge only logs it. */
const HEARTBEAT_CLOSURE = 4000;

export interface LinkSocketOptions {
  /** ws: or wss: address. */
  url: string;
  token: string;
  opened(): void;
  frame(frame: unknown): void;
  /** The connection was lost, or could not be made: once an outage. Tries follow until it is there again. */
  lost(why: string): void;
  /**
   * The upgrade was answered with this HTTP status instead of a socket. Another try follows unless it is closed.
   * @param code of the edge's own error; undefined when something in between has answered, or nothing that says so
   */
  refused(status: number, code: string | undefined): void;
}

export class LinkSocket {
  readonly #socket: ReconnectingWebSocket;
  readonly #options: LinkSocketOptions;
  #ping: NodeJS.Timeout | undefined;
  #pong: NodeJS.Timeout | undefined;
  #closed = false;
  #outage = false;

  constructor(options: LinkSocketOptions) {
    this.#options = options;
    this.#socket = new ReconnectingWebSocket(options.url, [], {
      WebSocket: authorizedSocket(options),
      connectionTimeout: HANDSHAKE_TIMEOUT_MS,
      minReconnectionDelay: RECONNECT_FIRST_MS + Math.random() * RECONNECT_JITTER_MS,
      maxReconnectionDelay: RECONNECT_MAX_MS,
      reconnectionDelayGrowFactor: RECONNECT_GROWTH,
      minUptime: PONG_TIMEOUT_MS,
      maxRetries: Infinity,
      maxEnqueuedMessages: 0,
    });
    this.#socket.addEventListener("open", () => {
      this.#outage = false;
      this.#startHeartbeat();
      if (!this.#closed) options.opened();
    });
    this.#socket.addEventListener("message", (event) => {
      this.#received(String(event.data));
    });
    this.#socket.addEventListener("close", (event) => {
      this.#stopHeartbeat();
      this.#lost(event.reason === "" ? `closed with ${event.code}` : `${event.reason} (${event.code})`);
    });
    this.#socket.addEventListener("error", (event) => {
      this.#lost(event.message);
    });
  }

  /** Told once an outage, however many tries it takes. */
  #lost(why: string): void {
    if (this.#closed || this.#outage) return;
    this.#outage = true;
    this.#options.lost(why);
  }

  get connected(): boolean {
    return this.#socket.readyState === ReconnectingWebSocket.OPEN;
  }

  /** Sends if the socket is open. False: it is not, and nothing was kept. */
  send(frame: object): boolean {
    if (!this.connected) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** Ends it for good. Idempotent. */
  close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopHeartbeat();
    this.#socket.close(NORMAL_CLOSURE, reason);
  }

  #received(data: string): void {
    clearTimeout(this.#pong);
    if (data === PONG || this.#closed) return;
    this.#options.frame(JSON.parse(data));
  }

  #startHeartbeat(): void {
    this.#stopHeartbeat();
    this.#ping = setInterval(() => {
      this.#socket.send(PING);
      clearTimeout(this.#pong);
      this.#pong = setTimeout(() => {
        this.#socket.reconnect(HEARTBEAT_CLOSURE, "no answer to a heartbeat");
      }, PONG_TIMEOUT_MS);
    }, PING_INTERVAL_MS);
  }

  #stopHeartbeat(): void {
    clearInterval(this.#ping);
    clearTimeout(this.#pong);
  }
}

/** The platform's WebSocket cannot send an Authorization header; this one always does. */
function authorizedSocket({ token, refused }: LinkSocketOptions): unknown {
  return class extends WebSocket {
    constructor(url: string) {
      super(url, {
        headers: { authorization: `Bearer ${token}` },
        handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
        maxPayload: 2 * FRAME_MAX_BYTES,
        // What is compressed waits for a thread, each way, and most frames are small: milliseconds at a run's end.
        perMessageDeflate: false,
      });
      this.on("unexpected-response", (_request, response) => {
        void errorCodeOf(response).then((code) => {
          refused(response.statusCode ?? 0, code);
          this.terminate();
        });
      });
    }
  };
}

/** Never rejects. */
async function errorCodeOf(answer: IncomingMessage): Promise<string | undefined> {
  try {
    let text = "";
    for await (const chunk of answer.setEncoding("utf8")) {
      text += String(chunk);
      if (text.length > ERROR_MAX_CHARS) return undefined;
    }
    const { error } = JSON.parse(text) as { error?: { code?: unknown } };
    return typeof error?.code === "string" ? error.code : undefined;
  } catch {
    return undefined;
  }
}
