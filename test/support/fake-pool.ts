/**
 * A pool's side of a control socket, for tests of the runner's side: reads every frame as the edge does, and greets or
 * rejects whoever says hello.
 */
import { LOST_AFTER_MS, PING_INTERVAL_MS, PROTOCOL_VERSION } from "../../contract/limits.ts";
import type { ControlDown, ControlUp } from "../../contract/runner-link.ts";
import { describeFaults, readControlFrame } from "../../contract/validate.ts";
import { serveSockets, type SocketServer } from "./socket-server.ts";

export interface FakePool {
  server: SocketServer;
  /** Code of the error with which a hello is answered, instead of a welcome; the socket closes behind it. */
  rejects: string | undefined;
  /** The newest protocol whose hello it takes, as an edge that was set back. */
  speaks: number;
  /** Every frame that came, with the number of its socket (from 1). */
  received: Array<{ socket: number; frame: ControlUp }>;
  faults: string[];
  say(frame: ControlDown): void;
  /** Cuts the newest connection. */
  drop(): void;
}

const WELCOME: ControlDown = {
  type: "welcome",
  pool: "default",
  protocol: PROTOCOL_VERSION,
  serverTime: 0,
  pingIntervalMs: PING_INTERVAL_MS,
  lostAfterMs: LOST_AFTER_MS,
};

export async function startFakePool(): Promise<FakePool> {
  const server = await serveSockets((socket, text) => {
    const read = readControlFrame(text);
    if (!read.ok) {
      pool.faults.push(describeFaults(read.faults));
      return;
    }
    pool.received.push({ socket: server.sockets.indexOf(socket) + 1, frame: read.value });
    if (read.value.type !== "hello") return;
    const code = read.value.protocol > pool.speaks ? "bad_frame" : pool.rejects;
    if (code === undefined) socket.send(WELCOME);
    else {
      socket.send({ type: "error", code, message: `this pool says ${code}` });
      socket.close(4400, code);
    }
  });
  const pool: FakePool = {
    server,
    rejects: undefined,
    speaks: PROTOCOL_VERSION,
    received: [],
    faults: [],
    say: (frame) => server.sockets.at(-1)?.send(frame),
    drop: () => server.sockets.at(-1)?.drop(),
  };
  return pool;
}
