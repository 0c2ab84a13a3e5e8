/**
 * Follows a run over `GET /runs/:id/tail`: connects again behind the last cursor whenever the socket drops
 * (invariant 16), and ends with the run. Owns one socket at a time, and its timer.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { WebSocket, type RawData } from "ws";
import { EdgeUnreachableError, type EdgeAnswerError } from "../../client/edge-errors.ts";
import {
  connectionReason,
  errorFromAnswer,
  joinSegments,
  parseBaseUrl,
  queryText,
} from "../../client/transport.ts";
import { OUTPUT_MAX_BYTES, PING_INTERVAL_MS } from "../../contract/limits.ts";
import { TAIL_RESUME_CLOSE, type TailDown } from "../../contract/runner-link.ts";
import { failuresAfter, MAX_FAILURES, retryDelayMs } from "./retry-delay.ts";
import { proxyAgentFor } from "../proxy.ts";

export interface TailOptions {
  url: string;
  token: string;
  runId: string;
  /** Cursor to begin behind; the start when absent. */
  after?: string | undefined;
  onFrame: (frame: TailDown) => void;
  /** The socket dropped; the next try comes in so many milliseconds. */
  onDrop: (reason: string, delayMs: number) => void;
}

const CONNECT_TIMEOUT_MS = 15_000;
const SERVER_ERROR = 500;
const REFUSAL_MAX_CHARS = 64 * 1024;

/**
 * Resolves when the run is over and everything was handed to `onFrame`. Throws EdgeAnswerError when the edge
 * refuses for good, EdgeUnreachableError when it was never reached or stays away.
 */
export async function followRun(options: TailOptions): Promise<void> {
  const state = { cursor: options.after, failures: 0, reached: false };
  for (;;) {
    const began = performance.now();
    const end = await oneConnection(options, state.cursor, (frame) => {
      state.reached = true;
      if (frame.type === "output") {
        state.failures = 0;
        state.cursor = frame.chunks.at(-1)?.cursor ?? state.cursor;
      }
      options.onFrame(frame);
    });
    if (end.over) return;
    if (end.resume) continue;
    state.failures = failuresAfter(state.failures, performance.now() - began);
    if (!state.reached && end.refusal !== undefined) throw end.refusal;
    if (!state.reached || state.failures > MAX_FAILURES) throw end.error;
    const delayMs = retryDelayMs(state.failures, Math.random());
    options.onDrop(end.error.reason, delayMs);
    await sleep(delayMs);
  }
}

interface ConnectionEnd {
  /** The run is over and everything was received. */
  over: boolean;
  /** The edge has closed a tail that was sent enough, and output has come over it: the next one opens at once. */
  resume: boolean;
  /** What to say when it should have gone on. */
  error: EdgeUnreachableError;
  /** The edge's answer, when it opened no socket. */
  refusal?: EdgeAnswerError;
}

/** One socket from its opening to its close. Rejects when trying again cannot help. */
async function oneConnection(
  options: TailOptions,
  cursor: string | undefined,
  onFrame: (frame: TailDown) => void,
): Promise<ConnectionEnd> {
  const base = parseBaseUrl(options.url);
  const path = joinSegments(["runs", options.runId, "tail"]);
  const agent = proxyAgentFor(base);
  const socket = new WebSocket(`${base.replace(/^http/, "ws")}${path}${queryText({ after: cursor })}`, {
    headers: { authorization: `Bearer ${options.token}` },
    ...(agent === undefined ? {} : { agent }),
    handshakeTimeout: CONNECT_TIMEOUT_MS,
    maxPayload: OUTPUT_MAX_BYTES,
    perMessageDeflate: false,
  });
  const { promise, resolve, reject } = Promise.withResolvers<ConnectionEnd>();
  let reason = "the connection was closed";
  let over = false;
  let hasOutput = false;
  let pinging: NodeJS.Timeout | undefined;

  socket.on("open", () => {
    pinging = keepAlive(socket);
  });
  socket.on("message", (data) => {
    try {
      const frame = parseFrame(data);
      hasOutput ||= frame.type === "output";
      if (frame.type !== "end") onFrame(frame);
      else {
        over = true;
        // Not waiting for the edge's own close: a local workerd holds it back for seconds.
        socket.terminate();
      }
    } catch (error) {
      reject(error instanceof Error ? error : new Error(String(error)));
      socket.terminate();
    }
  });
  socket.on("unexpected-response", (request, response) => {
    let text = "";
    response.setEncoding("utf8");
    response.on("data", (part: string) => {
      text = (text + part).slice(0, REFUSAL_MAX_CHARS);
    });
    response.on("close", () => {
      const refusal = errorFromAnswer(`GET ${path}`, response.statusCode ?? SERVER_ERROR, text);
      if (refusal.retryable)
        resolve({
          over: false,
          resume: false,
          error: new EdgeUnreachableError(base, refusal.message, refusal),
          refusal,
        });
      else reject(refusal);
      request.destroy();
      socket.terminate();
    });
  });
  socket.on("error", (error) => {
    reason = connectionReason(error);
  });
  socket.on("close", (code) => {
    clearInterval(pinging);
    const resume = code === TAIL_RESUME_CLOSE && hasOutput;
    resolve({ over, resume, error: new EdgeUnreachableError(base, `${reason} (${code})`) });
  });
  return promise;
}

/** Ends a socket whose other side has gone without a word. */
function keepAlive(socket: WebSocket): NodeJS.Timeout {
  let heard = true;
  for (const sign of ["pong", "message"] as const)
    socket.on(sign, () => {
      heard = true;
    });
  return setInterval(() => {
    if (!heard) {
      socket.terminate();
      return;
    }
    heard = false;
    socket.ping();
  }, PING_INTERVAL_MS);
}

function parseFrame(data: RawData): TailDown {
  const bytes = Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Buffer);
  return JSON.parse(bytes.toString("utf8")) as TailDown;
}
