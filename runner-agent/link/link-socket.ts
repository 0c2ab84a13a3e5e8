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
import { connectionReason } from "../../client/transport.ts";
import { FRAME_MAX_BYTES, PING_INTERVAL_MS, PONG_TIMEOUT_MS } from "../../contract/limits.ts";
import { PING, PONG } from "../../contract/runner-link.ts";
import { describeFaults } from "../../contract/validate.ts";
import type { ReadFrame } from "../../contract/validate-down.ts";
import { describeProxy, proxyAgentFor } from "../proxy.ts";

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

export interface LinkSocketOptions<Down> {
  /** ws: or wss: address. */
  url: string;
  token: string;
  opened(): void;
  /** Checks a text frame. */
  read(text: string): ReadFrame<Down>;
  frame(frame: Down): void;
  /** The process, or its machine, has slept or starved for so long that the edge may have counted it as gone. */
  woke?(): void;
  /**
   * The connection was lost or could not be made, with the reason that the platform gives. Called once for each reason of an
   * outage; tries follow until the connection is there again.
   */
  lost(why: string): void;
  /**
   * The upgrade was answered with this HTTP status instead of a socket. Another try follows unless it is closed.
   * @param code of the edge's own error; undefined when something in between has answered, or nothing that says so
   */
  refused(status: number, code: string | undefined): void;
}

export class LinkSocket<Down> {
  readonly #socket: ReconnectingWebSocket;
  readonly #options: LinkSocketOptions<Down>;
  /** The present connection. */
  #connection: WebSocket | undefined;
  /** The present connection has brought a frame that is none: nothing more of it is read. */
  #isGarbled = false;
  #ping: NodeJS.Timeout | undefined;
  #pong: NodeJS.Timeout | undefined;
  #closed = false;
  /** Reasons of the present outage that were told. */
  readonly #told = new Set<string>();
  /** Why the latest try failed. */
  #why: string | undefined;

  constructor(options: LinkSocketOptions<Down>) {
    this.#options = options;
    this.#socket = new ReconnectingWebSocket(options.url, [], {
      WebSocket: authorizedSocket(options, {
        made: (connection) => {
          this.#connection = connection;
        },
        failed: (why) => {
          this.#why = why;
        },
      }),
      connectionTimeout: HANDSHAKE_TIMEOUT_MS,
      minReconnectionDelay: RECONNECT_FIRST_MS + Math.random() * RECONNECT_JITTER_MS,
      maxReconnectionDelay: RECONNECT_MAX_MS,
      reconnectionDelayGrowFactor: RECONNECT_GROWTH,
      minUptime: PONG_TIMEOUT_MS,
      maxRetries: Infinity,
      maxEnqueuedMessages: 0,
    });
    this.#socket.addEventListener("open", () => {
      this.#told.clear();
      this.#why = undefined;
      this.#isGarbled = false;
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

  /** A connection that could not be made is reported as a normal closure first, so the platform's own words go before. */
  #lost(reported: string): void {
    const why = this.#why ?? reported;
    if (this.#closed || this.#told.has(why)) return;
    this.#told.add(why);
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
    if (data === PONG || this.#closed || this.#isGarbled) return;
    const read = this.#options.read(data);
    if (read.kind === "frame") this.#options.frame(read.frame);
    else if (read.kind === "bad") {
      this.#isGarbled = true;
      this.#why = `the edge sent a frame that this agent does not understand: ${describeFaults(read.faults)}`;
      this.#lost(this.#why);
      // Not by `reconnect`, which waits for nothing: a frame that comes again on each connection is asked for at a pace.
      this.#connection?.terminate();
    }
  }

  #startHeartbeat(): void {
    this.#stopHeartbeat();
    let beatAt = Date.now();
    this.#ping = setInterval(() => {
      const sleptMs = Date.now() - beatAt - PING_INTERVAL_MS;
      beatAt = Date.now();
      this.#socket.send(PING);
      // Behind the heartbeat, by which the edge counts this agent as connected again.
      if (sleptMs > PONG_TIMEOUT_MS) this.#options.woke?.();
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

/** The platform's WebSocket cannot send an Authorization header or use a proxy; this one does. */
function authorizedSocket(
  { token, refused }: Pick<LinkSocketOptions<unknown>, "token" | "refused">,
  on: {
    made(connection: WebSocket): void;
    /** With the reason when a connection could not be made. */
    failed(why: string): void;
  },
): unknown {
  return class extends WebSocket {
    #isRefused = false;

    constructor(url: string) {
      const agent = proxyAgentFor(url);
      const way = describeProxy(url);
      const tell = (why: string): void => {
        on.failed(way === undefined ? why : `${why}, ${way}`);
      };
      super(url, {
        headers: { authorization: `Bearer ${token}` },
        ...(agent === undefined ? {} : { agent }),
        handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
        maxPayload: 2 * FRAME_MAX_BYTES,
        // What is compressed waits for a thread, each way, and most frames are small: milliseconds at a run's end.
        perMessageDeflate: false,
      });
      on.made(this);
      this.on("error", (error) => {
        // Terminating a refused upgrade is an error too, and no reason.
        if (!this.#isRefused) tell(connectionReason(error));
      });
      this.on("unexpected-response", (_request, response) => {
        this.#isRefused = true;
        void errorCodeOf(response).then((code) => {
          const status = response.statusCode ?? 0;
          tell(describeRefusal(status, code, response.headers.location));
          refused(status, code);
          this.terminate();
        });
      });
    }
  };
}

/** Why an HTTP answer came instead of a WebSocket, with what it hints at. */
function describeRefusal(status: number, code: string | undefined, location: string | undefined): string {
  const answered = `the address answered ${status}${code === undefined ? "" : ` (${code})`} instead of opening a WebSocket`;
  if (location !== undefined)
    return `${answered} and redirects to ${URL.parse(location)?.origin ?? location}`;
  return status >= 200 && status < 300 ? `${answered}, as a log-in page or another service does` : answered;
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
