/**
 * A socket to the edge and the frames that came over it. A test awaits the frames that it expects; when the socket
 * closes instead, the wait fails at once.
 *
 * Every socket opened here is closed, and its close awaited, at the end of its test (`closeSockets`): one that is still
 * closing when a file ends keeps vitest from ever ending.
 */
import { exports } from "cloudflare:workers";
import { PING, PONG } from "../../../contract/runner-link.ts";
import { TOKENS } from "./api.ts";

export interface Frame {
  type: string;
}
type Of<Down extends Frame, Type extends Down["type"]> = Extract<Down, { type: Type }>;

const open = new Set<Socket<Frame>>();

/** Asks for an upgrade; with the runner's token when nothing else is said. */
export async function openSocket(path: string, token: string = TOKENS.runner): Promise<WebSocket> {
  const answer = await exports.default.fetch(`https://edge${path}`, {
    headers: { upgrade: "websocket", authorization: `Bearer ${token}` },
  });
  if (answer.webSocket === null)
    throw new Error(`${path} opened no socket: ${answer.status} ${await answer.text()}`);
  return answer.webSocket;
}

/** One socket to the edge and the frames that came over it. */
export class Socket<Down extends Frame> {
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #socket: WebSocket;
  readonly #frames: Down[] = [];
  readonly #closedAt: { code: number; reason: string }[] = [];
  #pongs = 0;
  #wake: () => void = () => undefined;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => {
      socket.addEventListener("close", ({ code, reason }) => {
        this.#closedAt.push({ code, reason });
        open.delete(this);
        resolve({ code, reason });
        this.#wake();
      });
    });
    socket.addEventListener("message", ({ data }) => {
      if (data === PONG) this.#pongs += 1;
      else this.#frames.push(JSON.parse(String(data)) as Down);
      this.#wake();
    });
    socket.accept();
    open.add(this);
  }

  static async to<Down extends Frame>(path: string, token: string = TOKENS.runner): Promise<Socket<Down>> {
    return new Socket<Down>(await openSocket(path, token));
  }

  sendRaw(data: string | ArrayBuffer): void {
    this.#socket.send(data);
  }

  /** A heartbeat, and its answer. */
  async ping(): Promise<void> {
    const before = this.#pongs;
    this.#socket.send(PING);
    while (this.#pongs === before) await this.#arrival("the answer to a heartbeat");
  }

  /** The next frame of this type; frames of other types stay for later. */
  async next<Type extends Down["type"]>(
    type: Type,
    fits: (frame: Of<Down, Type>) => boolean = () => true,
  ): Promise<Of<Down, Type>> {
    const isIt = (frame: Down): frame is Of<Down, Type> =>
      frame.type === type && fits(frame as Of<Down, Type>);
    for (;;) {
      const at = this.#frames.findIndex(isIt);
      const found = this.#frames[at];
      if (found !== undefined && isIt(found)) {
        this.#frames.splice(at, 1);
        return found;
      }
      await this.#arrival(`a frame ${type}`);
    }
  }

  async #arrival(what: string): Promise<void> {
    const end = this.#closedAt[0];
    if (end !== undefined) throw new Error(`closed (${end.code} ${end.reason}) before ${what} came`);
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  /** Frames of this type that have come and were not taken. */
  pending<Type extends Down["type"]>(type: Type): Of<Down, Type>[] {
    return this.#frames.filter((frame): frame is Of<Down, Type> => frame.type === type);
  }

  async close(): Promise<void> {
    if (this.#closedAt.length === 0) this.#socket.close(1000, "the test ends it");
    await this.closed;
  }
}

/** Ends what a test has opened. */
export async function closeSockets(): Promise<void> {
  await Promise.all([...open].map((socket) => socket.close()));
}
