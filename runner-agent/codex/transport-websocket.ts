/**
 * A running app-server at `ws://`, `wss://` or `unix://PATH`: one JSON text a frame. It is somebody else's: its end is the
 * end of the socket, and stopping leaves it running. It does not connect again, since threads that were loaded over
 * one connection are not told about over the next.
 */
import { WebSocket } from "ws";
import { proxyAgentFor } from "../proxy.ts";
import { AppServerExitedError, AppServerUnavailableError } from "./errors.ts";
import { MESSAGE_MAX_BYTES, type Transport, type TransportEnd, type TransportEvents } from "./transport.ts";

const HANDSHAKE_TIMEOUT_MS = 10_000;
/** A peer that does not answer the closing frame is cut off after this long. */
const CLOSE_GRACE_MS = 2_000;
const NORMAL_CLOSURE = 1000;

/** @throws AppServerUnavailableError when nobody answers there, or the address is none. */
export async function connectTransport(url: string): Promise<Transport> {
  const opened = Promise.withResolvers<Transport>();
  const unavailable = (why: string): void => {
    opened.reject(new AppServerUnavailableError(`no Codex app-server at ${url}: ${why}`));
  };
  try {
    const agent = url.startsWith("unix:") ? undefined : proxyAgentFor(url);
    const socket = new WebSocket(socketUrl(url), {
      ...(agent === undefined ? {} : { agent }),
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      maxPayload: MESSAGE_MAX_BYTES,
      perMessageDeflate: false,
    });
    // Stays: a socket that fails later closes, too, and that is what counts.
    socket.on("error", (error) => {
      unavailable(error.message);
    });
    socket.once("open", () => {
      opened.resolve(new SocketTransport(socket, url));
    });
  } catch (error) {
    unavailable(error instanceof Error ? error.message : String(error));
  }
  return await opened.promise;
}

function socketUrl(url: string): string {
  return url.startsWith("unix://") ? `ws+unix://${url.slice("unix://".length)}:/` : url;
}

class SocketTransport implements Transport {
  readonly ended: Promise<TransportEnd>;
  readonly #socket: WebSocket;
  readonly #url: string;
  readonly #over = Promise.withResolvers<TransportEnd>();
  #cut: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(socket: WebSocket, url: string) {
    this.#socket = socket;
    this.#url = url;
    this.ended = this.#over.promise;
  }

  listen(events: TransportEvents): void {
    this.#socket.on("message", (data: Buffer) => {
      events.message(data.toString());
    });
    this.#socket.on("close", (code, reason) => {
      clearTimeout(this.#cut);
      const why = reason.length === 0 ? `code ${code}` : `${reason.toString()} (${code})`;
      events.closed(
        new AppServerExitedError(
          this.#stopping
            ? `the connection to ${this.#url} was closed`
            : `the Codex app-server at ${this.#url} closed the connection: ${why}`,
        ),
      );
      this.#over.resolve({});
    });
  }

  send(text: string): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(text);
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  async stop(): Promise<TransportEnd> {
    if (!this.#stopping) {
      this.#stopping = true;
      this.#socket.resume();
      this.#socket.close(NORMAL_CLOSURE);
      this.#cut = setTimeout(() => {
        this.#socket.terminate();
      }, CLOSE_GRACE_MS);
    }
    return await this.ended;
  }
}
