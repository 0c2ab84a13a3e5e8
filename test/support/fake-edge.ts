/**
 * An edge on loopback for tests of whatever speaks to one: real HTTP, real WebSockets, bodies that are checked
 * against the contract before they are sent. It plays a script; it stores and decides nothing.
 */
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text as readAll } from "node:stream/consumers";
import type { TSchema } from "typebox";
import { Check, Errors } from "typebox/value";
import { onTestFinished } from "vitest";
import { WebSocketServer, type WebSocket } from "ws";
import type { ApprovalView, DecideRequest, MessageRequest, RunnerView } from "../../client/http.ts";
import { ConflictError, FlowError, NotFoundError, UnauthorizedError } from "../../contract/errors.ts";
import { HTTP_ROUTES } from "../../contract/http.ts";
import { parseCursor } from "../../contract/output-cursor.ts";
import type { EventView, OutputChunkView, RunView } from "../../contract/run-view.ts";
import type { TailDown } from "../../contract/runner-link.ts";
import { BEGIN_MS, chunks, endedRun, eventFixture, runningRun } from "./run-fixtures.ts";

export const TOKEN = "token-of-the-test";
export const EVENT_SECRET = "secret-of-the-test";

/** What the edge says. Everything has a default, so that a test names only what it is about. */
export interface EdgeScript {
  /** States of the runs, one after the other: each answer that shows runs takes the next, the last one stays. */
  runs: RunView[][];
  events: EventView[];
  output: OutputChunkView[];
  /** What each tail begins with. */
  opening: RunView;
  /** Chunks after which the first tail is cut off without a word. */
  dropTailAfter?: number;
  /** The first tail is closed with this code instead of being cut off. */
  dropTailCode?: number;
  /** Tails stay open after what is stored. */
  tailsStayOpen: boolean;
  duplicate: boolean;
  conflict: boolean;
  matches: Array<{ flow: string; step: string; pool: string }>;
  misses: Array<{ flow: string; step: string; errors: Array<{ path: string; message: string }> }>;
  runners: unknown[];
  waiting: unknown[];
  flows: unknown[];
  /** Of all runs; the pending ones can be decided, again and again. */
  approvals: ApprovalView[];
  nextCursor?: string;
}

export interface Call {
  method: string;
  path: string;
  query: Record<string, string>;
  headers: IncomingMessage["headers"];
  body: string;
}

export interface FakeEdge {
  url: string;
  /** HTTP requests and tails, in the order in which they came. */
  calls: Call[];
}

/** Starts one; it goes when its test is over. */
export async function startFakeEdge(given: Partial<EdgeScript> = {}): Promise<FakeEdge> {
  const script: EdgeScript = {
    runs: [[endedRun("completed")]],
    events: [eventFixture()],
    output: chunks(["stdout", "hello\n"]),
    opening: runningRun(),
    tailsStayOpen: false,
    duplicate: false,
    conflict: false,
    matches: [],
    misses: [],
    runners: [],
    waiting: [],
    flows: [],
    approvals: [],
    ...given,
  };
  const calls: Call[] = [];
  const states = [...script.runs];
  const nextRuns = (): RunView[] => (states.length > 1 ? states.shift() : states[0]) ?? [];

  const server = createServer((request, response) => {
    void answer(request, response);
  });
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const call = describe(request, await readAll(request));
    calls.push(call);
    try {
      authenticate(call);
      const { status, body } = route(call, script, nextRuns);
      send(response, status, body);
    } catch (error) {
      if (error instanceof FlowError)
        send(response, error.status, { error: { ...error.toBody().error, requestId: "request-1" } });
      else send(response, 500, { error: { code: "broken_test", message: String(error), details: [] } });
    }
  }

  const sockets = new WebSocketServer({ server });
  let tails = 0;
  sockets.on("connection", (socket, request) => {
    const call = describe(request, "");
    calls.push(call);
    tails += 1;
    playTail(socket, call, script, tails === 1 ? script.dropTailAfter : undefined, nextRuns);
  });

  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    for (const socket of sockets.clients) socket.terminate();
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls };
}

function describe(request: IncomingMessage, body: string): Call {
  const url = new URL(request.url ?? "/", "http://edge");
  return {
    method: request.method ?? "",
    path: url.pathname,
    query: Object.fromEntries(url.searchParams),
    headers: request.headers,
    body,
  };
}

function authenticate({ method, path, headers, body }: Call): void {
  if (path === "/healthz") return;
  const signature = headers["x-flow-signature-256"];
  const signed = `sha256=${createHmac("sha256", EVENT_SECRET).update(body).digest("hex")}`;
  if (method === "POST" && path === "/events" && signature === signed) return;
  if (headers.authorization !== `Bearer ${TOKEN}`)
    throw new UnauthorizedError("this token is not known here");
}

/** The success that the contract describes for this call, or a NotFoundError. */
function route(call: Call, script: EdgeScript, nextRuns: () => RunView[]): { status: number; body: unknown } {
  const [collection, encodedId, action, part] = call.path.slice(1).split("/");
  const id = decodeURIComponent(encodedId ?? "");
  const success = HTTP_ROUTES.find(
    ({ method, path }) =>
      method.toUpperCase() === call.method &&
      (path === call.path || path.replace("{name}", "{id}") === pathOf(collection, encodedId, action, part)),
  )?.success;
  if (success === undefined) throw new NotFoundError("no_route", `there is no ${call.method} ${call.path}`);
  const body = bodyFor(call, script, nextRuns, id, action);
  // A dry run has another answer than the route's main one.
  if (call.query["dry_run"] !== undefined) return { status: 200, body };
  check(success.schema, body, call);
  return { status: success.status, body };
}

function pathOf(
  collection: string | undefined,
  id: string | undefined,
  action: string | undefined,
  part: string | undefined,
): string {
  return [
    "",
    collection,
    ...(id === undefined ? [] : ["{id}"]),
    ...(action === undefined ? [] : [action]),
    ...(part === undefined ? [] : ["{approval}"]),
  ].join("/");
}

function bodyFor(
  call: Call,
  script: EdgeScript,
  nextRuns: () => RunView[],
  id: string,
  action: string | undefined,
): unknown {
  const page = script.nextCursor === undefined ? {} : { nextCursor: script.nextCursor };
  const known = (): RunView => {
    const run = nextRuns().find((one) => one.id === id);
    if (run === undefined) throw new NotFoundError("run_not_found", `run not found: ${id}`);
    return run;
  };
  switch (
    `${call.method} /${call.path.split("/")[1] ?? ""}${id === "" ? "" : "/id"}${action === undefined ? "" : `/${action}`}`
  ) {
    case "GET /healthz":
      return { ok: true };
    case "POST /events": {
      const event = JSON.parse(call.body) as { id: string };
      if (call.query["dry_run"] !== undefined)
        return { eventId: event.id, matches: script.matches, misses: script.misses };
      return dispatched(event.id, nextRuns(), script);
    }
    case "GET /events":
      return { events: script.events, ...page };
    case "GET /events/id":
      return { event: knownEvent(script, id), runs: nextRuns() };
    case "POST /events/id/replay":
      return dispatched(knownEvent(script, id).id, nextRuns(), script);
    case "GET /runs":
      return { runs: nextRuns(), ...page };
    case "GET /runs/id":
      return { run: known() };
    case "GET /runs/id/output":
      return outputPage(script.output, call.query["after"]);
    case "POST /runs/id/cancel":
      return { run: known() };
    case "GET /runs/id/approvals":
      return { approvals: approvalsOf(script, id) };
    case "POST /runs/id/approvals":
      return { approval: decided(approvalsOf(script, id), call) };
    case "POST /runs/id/ack":
      return { run: { ...known(), acknowledged: { by: "api: ada", at: new Date(BEGIN_MS).toISOString() } } };
    case "POST /runs/id/messages": {
      const { text, by = "api" } = JSON.parse(call.body) as MessageRequest;
      return { message: { id: "m1", text, by, at: new Date(BEGIN_MS).toISOString(), state: "pending" } };
    }
    case "POST /runs/id/budget": {
      const [run] = nextRuns();
      return { run };
    }
    case "GET /runners":
      return { runners: script.runners, waiting: script.waiting };
    case "POST /runners/id/pause":
    case "POST /runners/id/resume":
    case "POST /runners/id/drain": {
      const runner = (script.runners as RunnerView[]).find((one) => one.name === id);
      if (runner === undefined) throw new NotFoundError("runner_not_found", `there is no runner ${id}`);
      return { runner: action === "pause" ? { ...runner, state: "paused", paused: true } : runner };
    }
    case "GET /chat/id":
      return { outboxes: [] };
    case "GET /flows":
      return { flows: script.flows };
    default:
      throw new NotFoundError("no_route", `there is no ${call.method} ${call.path}`);
  }
}

function knownEvent(script: EdgeScript, id: string): EventView {
  const event = script.events.find((one) => one.id === id);
  if (event === undefined) throw new NotFoundError("event_not_found", `event not found: ${id}`);
  return event;
}

function approvalsOf({ approvals }: EdgeScript, run: string): ApprovalView[] {
  return approvals.filter((approval) => approval.runId === run);
}

/** As the edge answers it: the first answer stands. */
function decided(approvals: ApprovalView[], { path, body }: Call): ApprovalView {
  const id = path.split("/").at(-1) ?? "";
  const approval = approvals.find((one) => one.id === id);
  if (approval === undefined)
    throw new NotFoundError("approval_not_found", `the run has asked for no approval ${id}`);
  if (approval.state !== "pending")
    throw new ConflictError("approval_over", `approval ${id} is over: ${approval.decidedBy ?? ""} was first`);
  const { decision, by = "api" } = JSON.parse(body) as DecideRequest;
  return { ...approval, state: "decided", decision, decidedBy: by };
}

function dispatched(eventId: string, runs: RunView[], { duplicate, conflict }: EdgeScript): unknown {
  return {
    status: duplicate ? "duplicate" : "accepted",
    eventId,
    runIds: runs.map((run) => run.id),
    matched: duplicate ? 0 : runs.length,
    runs,
    idempotent: duplicate,
    ...(conflict ? { conflict } : {}),
  };
}

/** One chunk a page, so that whoever reads has to turn pages. */
function outputPage(output: OutputChunkView[], after: string | undefined): unknown {
  const [first, ...rest] = behind(output, after);
  return {
    output: first === undefined ? [] : [first],
    cursor: first?.cursor ?? after ?? "0.0",
    complete: rest.length === 0,
  };
}

function behind(output: OutputChunkView[], after: string | undefined): OutputChunkView[] {
  const seq = parseCursor(after)?.seq ?? 0;
  return output.filter((chunk) => chunk.seq > seq);
}

function playTail(
  socket: WebSocket,
  call: Call,
  script: EdgeScript,
  dropAfter: number | undefined,
  nextRuns: () => RunView[],
): void {
  const say = (frame: TailDown): void => {
    socket.send(JSON.stringify(frame));
  };
  say({ type: "run", run: script.opening });
  const due = behind(script.output, call.query["after"]);
  for (const chunk of due.slice(0, dropAfter)) say({ type: "output", chunks: [chunk] });
  if (dropAfter !== undefined && script.dropTailCode !== undefined) {
    socket.close(script.dropTailCode);
    return;
  }
  if (dropAfter !== undefined) {
    // Behind everything that was sent, so that it is all received before the cut.
    socket.ping();
    socket.once("pong", () => {
      socket.terminate();
    });
    return;
  }
  if (script.tailsStayOpen) return;
  const [run] = nextRuns();
  if (run !== undefined) say({ type: "run", run });
  socket.send(JSON.stringify({ type: "end" } satisfies TailDown));
  socket.close(1000);
}

function check(schema: TSchema | undefined, body: unknown, call: Call): void {
  if (schema === undefined || Check(schema, body)) return;
  const faults = JSON.stringify(Errors(schema, body).slice(0, 3));
  throw new Error(
    `the fake edge's answer to ${call.method} ${call.path} is not as the contract says: ${faults}`,
  );
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
