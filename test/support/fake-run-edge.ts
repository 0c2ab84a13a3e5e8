/**
 * The edge's side of one attempt's run socket, for tests of the runner's side. It commits what comes in order and once,
 * as the contract says, and can lose frames, withhold answers and cut the connection at any point. What the runner may
 * never do (a frame that is none, a gap, something before its claim) stands in `faults`.
 */
import { describeFaults, readRunFrame } from "../../contract/validate.ts";
import type { RunDown, RunUp, StepContext } from "../../contract/runner-link.ts";
import { serveSockets, type ServedSocket, type SocketServer } from "./socket-server.ts";

export const RUN_ID = "run_0123456789abcdef_1";
export const LEASE = "lease_1";
export const CONTEXT: StepContext = {
  runId: RUN_ID,
  attempt: 1,
  event: { id: "e:1", type: "t", receivedAt: "2026-03-01T12:00:00Z", payload: {} },
  flow: { name: "release", version: 1, digest: "sha256:1" },
  step: "rebase",
  timeoutMs: 1000,
  silenceMs: 1000,
  replay: false,
};

/** One numbered thing that was committed. */
export interface Committed {
  seq: number;
  what: unknown;
}

interface Resumption {
  live: boolean;
  cancel: boolean;
  follow: boolean;
}

export interface FakeRunEdge {
  server: SocketServer;
  /** Answer to a claim: nothing at all, or a refusal, until it is granted. */
  claims: "granted" | "unanswered" | { code: string; message: string };
  /** Whether somebody watches the run when it is claimed: its output is sent at once, not now and then. */
  watched: boolean;
  /** Answer to a resume, beside the number that is computed: nothing at all, or a refusal, until it is granted. */
  resumes: Resumption | "unanswered" | { code: string; message: string };
  /** Whether it says, on each new connection, that it takes what is used of a budget. */
  countsUse: boolean;
  /** Whether numbered frames arrive at all. */
  takes: boolean;
  /** Whether what was committed is acknowledged. */
  acknowledges: boolean;
  /** Whether a frame is none to it, and why: it says so and closes the socket. */
  refuses: (frame: RunUp) => string | undefined;
  /** Every frame that came, with the number of its socket (from 1). */
  received: Array<{ socket: number; frame: RunUp }>;
  committed: Committed[];
  faults: string[];
  say(frame: RunDown): void;
  /** Answers the newest connection's resume at last. */
  grant(resumption: Resumption): void;
  /** Cuts the newest connection. */
  drop(): void;
}

export async function startFakeRunEdge(): Promise<FakeRunEdge> {
  /** Sockets whose claim or resume was granted. */
  const bound = new Set<ServedSocket>();
  const refusing = new Set<ServedSocket>();
  const server = await serveSockets((socket, text) => {
    receive(socket, text);
  });
  const newest = (): ServedSocket | undefined => server.sockets.at(-1);
  const edge: FakeRunEdge = {
    server,
    claims: "granted",
    watched: true,
    resumes: { live: true, cancel: false, follow: true },
    countsUse: true,
    takes: true,
    acknowledges: true,
    refuses: () => undefined,
    received: [],
    committed: [],
    faults: [],
    say: (frame) => newest()?.send(frame),
    grant: (resumption) => {
      const socket = newest();
      if (socket !== undefined) resumed(socket, resumption);
    },
    drop: () => newest()?.drop(),
  };

  function receive(socket: ServedSocket, text: string): void {
    // What comes behind a refusal is not looked at any more.
    if (refusing.has(socket)) return;
    const read = readRunFrame(text);
    if (!read.ok) {
      edge.faults.push(describeFaults(read.faults));
      return;
    }
    const frame = read.value;
    edge.received.push({ socket: server.sockets.indexOf(socket) + 1, frame });
    const why = edge.refuses(frame);
    if (why !== undefined) {
      refusing.add(socket);
      answer(socket, { type: "error", code: "bad_frame", message: why });
      socket.close(4002, "bad_frame");
      return;
    }
    if (frame.type === "claim" || frame.type === "resume") open(socket, frame);
    else if (!bound.has(socket)) edge.faults.push(`${frame.type} before the answer to its claim`);
    else if (frame.type === "output" || "seq" in frame) take(socket, numbered(frame));
  }

  function open(socket: ServedSocket, frame: Extract<RunUp, { type: "claim" | "resume" }>): void {
    const { claims, resumes } = edge;
    if (frame.type === "claim") {
      if (claims === "unanswered") return;
      if (claims !== "granted") answer(socket, { type: "refused", ...claims });
      else {
        bound.add(socket);
        answer(socket, {
          type: "claimed",
          lease: LEASE,
          context: CONTEXT,
          follow: edge.watched,
          ...counting(),
        });
      }
      return;
    }
    if (frame.lease !== LEASE) edge.faults.push(`resume with ${frame.lease}`);
    if (resumes === "unanswered") return;
    if ("code" in resumes) answer(socket, { type: "refused", ...resumes });
    else resumed(socket, resumes);
  }

  function resumed(socket: ServedSocket, resumption: Resumption): void {
    bound.add(socket);
    // An attempt whose end is committed lives no more, whatever a test says of its lease.
    const ended = edge.committed.some(({ what }) => typeof what === "string" && what.startsWith("end: "));
    const live = resumption.live && !ended;
    answer(socket, { type: "resumed", ackedSeq: edge.committed.length, ...resumption, live, ...counting() });
  }

  function counting(): { countsUse?: boolean } {
    return edge.countsUse ? { countsUse: true } : {};
  }

  function take(socket: ServedSocket, items: Committed[]): void {
    if (!edge.takes) return;
    for (const item of items) {
      const next = edge.committed.length + 1;
      if (item.seq === next) edge.committed.push(item);
      else if (item.seq > next) edge.faults.push(`a gap: ${item.seq} came, ${next} was next`);
    }
    if (edge.acknowledges) answer(socket, { type: "ack", seq: edge.committed.length });
  }

  return edge;
}

function answer(socket: ServedSocket, frame: RunDown): void {
  socket.send(frame);
}

type NumberedFrame = Extract<RunUp, { type: "output" } | { seq: number }>;

function numbered(frame: NumberedFrame): Committed[] {
  switch (frame.type) {
    case "output":
      return frame.chunks.map(({ seq, text }) => ({ seq, what: text }));
    case "result":
      return [{ seq: frame.seq, what: frame.result }];
    case "approval":
      return [{ seq: frame.seq, what: `approval: ${frame.request.id}` }];
    case "approval_withdrawn":
      return [{ seq: frame.seq, what: `withdrawn: ${frame.id}` }];
    case "end":
      return [{ seq: frame.seq, what: `end: ${frame.reason}` }];
  }
}

/** Sequence numbers that came on one socket, in the order in which they came. */
export function numbersOn(edge: FakeRunEdge, socket: number): number[] {
  return edge.received.flatMap(({ socket: on, frame }) =>
    on !== socket || !("seq" in frame || frame.type === "output")
      ? []
      : numbered(frame).map(({ seq }) => seq),
  );
}
