/**
 * The HTTP interface as data: one entry a route, from which the build makes the OpenAPI document, and by which the
 * tests measure the Worker: its scopes and its answers. Field names follow the ancestor's client.
 */
import Type, { type TSchema } from "typebox";
import { ApprovalView, DecideRequest } from "./approvals.ts";
import { BudgetRequest } from "./budget.ts";
import { AuditPage, GrantRequest, GrantView, ServerRequest, ServerView } from "./chat/audit.ts";
import { ChatOutboxView, ChatPostAnswer, ChatPostRequest } from "./chat/requests.ts";
import { ErrorBody } from "./errors.ts";
import { FlowEventInput } from "./flow-event.ts";
import {
  AckRequest,
  CancelRequest,
  DispatchAnswer,
  DryRunAnswer,
  EventPage,
  FlowView,
  ReplayRequest,
  RunPage,
  type RunnerAction,
  RunnerView,
  WaitingRunView,
} from "./http-bodies.ts";
import { CANCEL_WAIT_MAX_SECONDS } from "./limits.ts";
import { MessageRequest, MessageView } from "./messages.ts";
import {
  ControlAnswer,
  ControlRequest,
  GuardAnswer,
  GuardRequest,
  RelaySessionAnswer,
  RelaySessionRequest,
} from "./relay.ts";
import { CONTROL_DOWN, CONTROL_UP, RUN_DOWN, RUN_UP, TAIL_DOWN } from "./runner-link.ts";
import { EventView, OutputChunkView, RunView } from "./run-view.ts";

/** What a token may do. `admin` holds them all. */
export const SCOPES = ["events:write", "runs:read", "runs:write", "runner", "admin"] as const;
export type Scope = (typeof SCOPES)[number];

const limitParameter = Type.Integer({ description: "50 when absent, 0 or no number; clamped to 1–500" });
const cursorParameter = Type.String({ description: "nextCursor of the page before" });
const sinceParameter = Type.String({ description: "Only what was created then or later: an RFC 3339 date" });
const waitParameter = Type.String({
  description: "Seconds (at most 25), or true: answer when the runs are over",
});

export interface HttpRoute {
  method: "get" | "post";
  /** As in OpenAPI: parameters in braces. */
  path: string;
  summary: string;
  /** A token needs one of these; none: open to all. */
  scopes: Scope[];
  /** The body may also be authenticated by a signature. */
  signed?: boolean;
  query?: Record<string, TSchema>;
  body?: TSchema;
  /** Frames of a socket by their `type`: what the edge takes, and what it sends. */
  frames?: { up: Record<string, TSchema>; down: Record<string, TSchema> };
  /** Success: status and body; a socket has none. */
  success: { status: number; schema?: TSchema };
  /** Another success, and when it comes. */
  alternative?: { status: number; schema: TSchema; description: string };
}

/** `admin` alone: it holds up everybody's runs, and a runner that was drained cannot be started from here. */
function runnerRoute(action: RunnerAction, summary: string): HttpRoute {
  return {
    method: "post",
    path: `/runners/{name}/${action}`,
    summary,
    scopes: ["admin"],
    query: { pool: Type.String({ description: "Only this pool; else those of the deployed flows" }) },
    success: { status: 200, schema: Type.Object({ runner: RunnerView }) },
  };
}

export const HTTP_ROUTES: HttpRoute[] = [
  {
    method: "post",
    path: "/events",
    summary: "Send an event. 202 means that the event and its runs are stored. /flow-events is the same",
    scopes: ["events:write"],
    signed: true,
    query: {
      wait: waitParameter,
      must_match: Type.String({
        description: "1: refuse an event that starts nothing (422 nothing_matched), and store nothing",
      }),
      dry_run: Type.String({
        description: "1: say which steps would match and why others would not (200); store nothing",
      }),
    },
    body: FlowEventInput,
    success: { status: 202, schema: DispatchAnswer },
    alternative: { status: 200, schema: DryRunAnswer, description: "With dry_run; nothing is stored" },
  },
  {
    method: "get",
    path: "/events",
    summary: "Events, newest first. /flow-events is the same",
    scopes: ["runs:read"],
    query: {
      type: Type.String(),
      source: Type.String(),
      since: sinceParameter,
      limit: limitParameter,
      cursor: cursorParameter,
    },
    success: { status: 200, schema: EventPage },
  },
  {
    method: "get",
    path: "/events/{id}",
    summary: "One event and its runs",
    scopes: ["runs:read"],
    success: { status: 200, schema: Type.Object({ event: EventView, runs: Type.Array(RunView) }) },
  },
  {
    method: "post",
    path: "/events/{id}/replay",
    summary: "New runs of a stored event, matched against the flows deployed now",
    scopes: ["events:write", "runs:write"],
    signed: true,
    body: ReplayRequest,
    success: { status: 202, schema: DispatchAnswer },
  },
  {
    method: "get",
    path: "/runs",
    summary: "Runs, newest first; status is a process or an effective status",
    scopes: ["runs:read"],
    query: {
      eventId: Type.String(),
      status: Type.String(),
      flow: Type.String(),
      attention: Type.String({
        description:
          "1: only runs that wait for a person, because they need attention or have open approvals",
      }),
      pool: Type.String(),
      runner: Type.String({ description: "Name or id of the runner of the newest attempt" }),
      since: sinceParameter,
      limit: limitParameter,
      cursor: cursorParameter,
    },
    success: { status: 200, schema: RunPage },
  },
  {
    method: "get",
    path: "/runs/{id}",
    summary: "One run with its attempts, result and output",
    scopes: ["runs:read"],
    success: { status: 200, schema: Type.Object({ run: RunView }) },
  },
  {
    method: "get",
    path: "/runs/{id}/output",
    summary: "Output behind a cursor",
    scopes: ["runs:read"],
    query: {
      after: Type.String({ description: "Cursor" }),
      stream: Type.String({ description: "stdout, stderr, system or agent" }),
    },
    success: {
      status: 200,
      schema: Type.Object({
        output: Type.Array(OutputChunkView),
        cursor: Type.String({ description: "Pass it as `after` for what comes next" }),
        complete: Type.Boolean({ description: "The run is over and nothing follows this cursor" }),
      }),
    },
  },
  {
    method: "get",
    path: "/runs/{id}/tail",
    summary:
      "WebSocket: the run and its output, live, from `after` on. After 1 MiB of frames the edge closes with 4413: open it again with the last chunk's cursor as `after`. A run has at most 16 tails, an event 32; one more is answered 503",
    scopes: ["runs:read"],
    query: { after: Type.String({ description: "Cursor" }) },
    frames: { up: {}, down: TAIL_DOWN },
    success: { status: 101 },
  },
  {
    method: "post",
    path: "/runs/{id}/cancel",
    summary:
      "Ask for a run to be stopped. The answer waits for the proof that its processes are gone; without it the run is still running, and cancel says how far it is",
    scopes: ["runs:write"],
    query: {
      wait: Type.String({
        description: `Seconds to wait for the proof: ${CANCEL_WAIT_MAX_SECONDS} when absent, and at most; 0 or false: none`,
      }),
    },
    body: CancelRequest,
    success: { status: 202, schema: Type.Object({ run: RunView }) },
  },
  {
    method: "post",
    path: "/runs/{id}/ack",
    summary:
      "Acknowledge how a run ended: it no longer needs attention. The first acknowledgement stays; a later one changes nothing",
    scopes: ["runs:write"],
    body: AckRequest,
    success: { status: 200, schema: Type.Object({ run: RunView }) },
  },
  {
    method: "get",
    path: "/runs/{id}/approvals",
    summary: "What the run has asked leave for, oldest first",
    scopes: ["runs:read"],
    success: { status: 200, schema: Type.Object({ approvals: Type.Array(ApprovalView) }) },
  },
  {
    method: "post",
    path: "/runs/{id}/approvals/{approval}",
    summary:
      "Decide an approval. The first answer wins; a later one gets 409 and who was first. What is dangerous is accepted only with confirm",
    scopes: ["runs:write"],
    body: DecideRequest,
    success: { status: 200, schema: Type.Object({ approval: ApprovalView }) },
  },
  {
    method: "post",
    path: "/runs/{id}/messages",
    summary: "Say something to a running Codex step: it steers the active turn, or begins the next one",
    scopes: ["runs:write"],
    body: MessageRequest,
    success: { status: 202, schema: Type.Object({ message: MessageView }) },
  },
  {
    method: "post",
    path: "/runs/{id}/budget",
    summary:
      "Raise the budget of a run. One that its budget has stopped is continued by a new run, in the same thread",
    scopes: ["runs:write"],
    body: BudgetRequest,
    success: { status: 202, schema: Type.Object({ run: RunView }) },
  },
  {
    method: "post",
    path: "/relay/sessions",
    summary:
      "Begin a relayed session: a run that the caller carries itself, shown in a chat whose guard allows it. The same id again is the same run",
    scopes: ["runner", "runs:write"],
    body: RelaySessionRequest,
    success: { status: 202, schema: RelaySessionAnswer },
  },
  {
    method: "post",
    path: "/relay/guard",
    summary: "Whether a session may be relayed to a channel; the answer is written down",
    scopes: ["runner", "runs:write"],
    body: GuardRequest,
    success: { status: 200, schema: GuardAnswer },
  },
  {
    method: "post",
    path: "/relay/control",
    summary: "Turn a channel's guard on or off, or look at it, and have the answer posted there",
    scopes: ["runs:write", "admin"],
    body: ControlRequest,
    success: { status: 200, schema: ControlAnswer },
  },
  {
    method: "get",
    path: "/runners",
    summary: "Runners, and why each waiting run waits",
    scopes: ["runs:read"],
    query: { pool: Type.String() },
    success: {
      status: 200,
      schema: Type.Object({ runners: Type.Array(RunnerView), waiting: Type.Array(WaitingRunView) }),
    },
  },
  runnerRoute(
    "pause",
    "Offer a runner nothing until it is resumed; what it runs goes on. The name is a name or an id",
  ),
  runnerRoute("resume", "Offer a paused runner work again"),
  runnerRoute("drain", "Let a runner finish what it runs and end itself"),
  {
    method: "get",
    path: "/flows",
    summary: "The flows that are deployed",
    scopes: ["runs:read"],
    success: { status: 200, schema: Type.Object({ flows: Type.Array(FlowView) }) },
  },
  {
    method: "post",
    path: "/chat/messages",
    summary: "Say something in a channel. 202 means that it is stored, and will be sent once",
    scopes: ["admin"],
    body: ChatPostRequest,
    success: { status: 202, schema: ChatPostAnswer },
  },
  {
    method: "get",
    path: "/chat/status",
    summary: "How delivery to the chats stands, a bot each",
    scopes: ["runs:read"],
    success: { status: 200, schema: Type.Object({ outboxes: Type.Array(ChatOutboxView) }) },
  },
  {
    method: "get",
    path: "/chat/audit",
    summary: "What people did in chats, and what the guard said to relays, newest first",
    scopes: ["admin"],
    query: {
      user: Type.String({ description: "Id of a user, as his platform writes it" }),
      run: Type.String({ description: "Id of a run: what was done to it, and what started it" }),
      limit: limitParameter,
      cursor: cursorParameter,
    },
    success: { status: 200, schema: AuditPage },
  },
  {
    method: "get",
    path: "/chat/grants",
    summary: "Which roles and users of a server (Discord) or of a bot (Telegram) may do what",
    scopes: ["admin"],
    query: { tenant: Type.String({ description: "Id of the server or of the bot" }) },
    success: { status: 200, schema: Type.Object({ grants: Type.Array(GrantView) }) },
  },
  {
    method: "post",
    path: "/chat/grants",
    summary: "Give a role or a user scopes in the chats of a server or a bot, or deny them everything",
    scopes: ["admin"],
    body: GrantRequest,
    success: { status: 200, schema: Type.Object({ grants: Type.Array(GrantView) }) },
  },
  {
    method: "get",
    path: "/chat/servers",
    summary: "The Discord servers that are let in: of others nobody may do anything",
    scopes: ["admin"],
    success: { status: 200, schema: Type.Object({ servers: Type.Array(ServerView) }) },
  },
  {
    method: "post",
    path: "/chat/servers",
    summary: "Let a Discord server in, or put it out",
    scopes: ["admin"],
    body: ServerRequest,
    success: { status: 200, schema: Type.Object({ servers: Type.Array(ServerView) }) },
  },
  {
    method: "get",
    path: "/openapi.json",
    summary: "This document",
    scopes: ["runs:read", "events:write", "runner"],
    success: { status: 200 },
  },
  {
    method: "get",
    path: "/healthz",
    summary: "The Worker answers",
    scopes: [],
    success: { status: 200, schema: Type.Object({ ok: Type.Boolean() }) },
  },
  {
    method: "get",
    path: "/runners/connect",
    summary: "WebSocket: control socket of a runner agent",
    scopes: ["runner"],
    query: { pool: Type.String() },
    frames: { up: CONTROL_UP, down: CONTROL_DOWN },
    success: { status: 101 },
  },
  {
    method: "get",
    path: "/runs/{id}/attach",
    summary: "WebSocket: run socket of a runner agent; with runs:write alone, of relayed sessions only",
    scopes: ["runner", "runs:write"],
    frames: { up: RUN_UP, down: RUN_DOWN },
    success: { status: 101 },
  },
];

/** Body of every error answer. */
export { ErrorBody };
