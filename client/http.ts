/**
 * The edge's HTTP interface as typed calls, one a route of contract/http.ts. For products and for the command
 * line; imports nothing of Node. The tail of a run is a WebSocket with headers and not here.
 */
import type { Static } from "typebox";
import type { ApprovalView, DecideRequest } from "../contract/approvals.ts";
import type { BudgetRequest } from "../contract/budget.ts";
import type { ChatOutboxView } from "../contract/chat/requests.ts";
import type {
  AuditPage,
  GrantRequest,
  GrantView,
  ServerRequest,
  ServerView,
} from "../contract/chat/audit.ts";
import type { FlowEventInput } from "../contract/flow-event.ts";
import type {
  AckRequest,
  CancelRequest,
  DispatchAnswer as DispatchAnswerSchema,
  DryRunAnswer as DryRunAnswerSchema,
  ReplayRequest as ReplayRequestSchema,
  RunnerAction,
  RunnerView as RunnerViewSchema,
  WaitingRunView as WaitingRunViewSchema,
} from "../contract/http-bodies.ts";
import { WAIT_MAX_SECONDS } from "../contract/limits.ts";
import type { MessageRequest, MessageView } from "../contract/messages.ts";
import type {
  ControlAnswer as ControlAnswerSchema,
  ControlRequest,
  GuardAnswer,
  GuardRequest,
  RelaySessionAnswer,
  RelaySessionRequest,
} from "../contract/relay.ts";
import type { OutputStream } from "../contract/runner-link.ts";
import type { EventView, OutputChunkView, RunStatusView, RunSummary, RunView } from "../contract/run-view.ts";
import { EdgeAnswerError, withoutPathToken } from "./edge-errors.ts";
import { createTransport, holdMs, type TransportOptions, type TransportRequest } from "./transport.ts";

export { EdgeAnswerError, EdgeTimeoutError, EdgeUnreachableError, EdgeUrlError } from "./edge-errors.ts";
export { REQUEST_TIMEOUT_MS } from "./transport.ts";

/** A run of an answer: whole with `runs:read`, else its id and status, and its result where this request started it. */
export type DispatchedRun = RunStatusView & Partial<RunView>;
export type DispatchAnswer = Omit<Static<typeof DispatchAnswerSchema>, "runs"> & { runs: DispatchedRun[] };
export type DryRunAnswer = Static<typeof DryRunAnswerSchema>;
export type ReplayRequest = Static<typeof ReplayRequestSchema>;
export type RunnerView = Static<typeof RunnerViewSchema>;
export type WaitingRunView = Static<typeof WaitingRunViewSchema>;
export type { GuardAnswer };
export type ControlAnswer = Static<typeof ControlAnswerSchema>;
export type { RunnerAction };
export type { AuditPage, GrantRequest, GrantView, ServerRequest, ServerView };
export type { ApprovalView, BudgetRequest, DecideRequest, MessageRequest, MessageView };
export type { EventView, OutputChunkView, RunSummary, RunView };

export interface PageRequest {
  /** 50 when absent; the edge clamps it to 1–500. */
  limit?: number | undefined;
  /** `nextCursor` of the page before. */
  cursor?: string | undefined;
}
export interface EventFilter extends PageRequest {
  type?: string | undefined;
  source?: string | undefined;
  /** Created then or later, an RFC 3339 date. */
  since?: string | undefined;
}
export interface RunFilter extends PageRequest {
  eventId?: string | undefined;
  /** A process or an effective status. */
  status?: string | undefined;
  flow?: string | undefined;
  /** True: only runs that wait for a person, because they need attention or have open approvals. */
  attention?: boolean | undefined;
  pool?: string | undefined;
  /** Name or id of the runner of the newest attempt. */
  runner?: string | undefined;
  /** Created then or later, an RFC 3339 date. */
  since?: string | undefined;
}
export interface AuditFilter extends PageRequest {
  /** Id of a user, as his platform writes it. */
  user?: string | undefined;
  run?: string | undefined;
}
export interface EventPage {
  events: EventView[];
  nextCursor?: string;
}
/** Runs as a list shows them: the result is cut to its status and message, and attempts and output are left out. */
export interface RunPage {
  runs: RunSummary[];
  eventId?: string;
  nextCursor?: string;
}
export interface EventDetail {
  event: EventView;
  runs: RunView[];
}
export interface OutputPage {
  output: OutputChunkView[];
  /** Pass it as `after` for what comes next. */
  cursor: string;
  /** The run is over and nothing follows this cursor. */
  complete: boolean;
}
export interface RunnersAnswer {
  runners: RunnerView[];
  waiting: WaitingRunView[];
}
/** A deployed flow. `steps` are as contract/flow-manifest.ts `FlowStep`. */
export interface DeployedFlow {
  name: string;
  version: number;
  description?: string;
  digest: string;
  steps: unknown[];
}

export interface EdgeClientOptions extends Pick<
  TransportOptions,
  "url" | "eventSecret" | "fetch" | "timeoutMs"
> {
  /** Bearer token; events are signed instead when there is an event secret. */
  token?: string | undefined;
}

export interface DispatchOptions {
  wait?: number | true | undefined;
  /** An event that starts nothing is a 422 `nothing_matched`, and is not stored. */
  mustMatch?: boolean | undefined;
}

/** Every call throws the errors of edge-errors.ts and nothing else. */
export interface EdgeClient {
  /** The base url, without a slash at its end. */
  readonly url: string;
  /** Sends an event. `wait`: seconds (at most 25), or true for 25, until the runs are over. */
  dispatch(event: FlowEventInput, options?: DispatchOptions): Promise<DispatchAnswer>;
  /** Which steps the event would start, and why others would not. Stores nothing. */
  dryRun(event: FlowEventInput): Promise<DryRunAnswer>;
  listEvents(filter?: EventFilter): Promise<EventPage>;
  getEvent(id: string): Promise<EventDetail>;
  /** New runs of a stored event. */
  replay(id: string, request?: ReplayRequest): Promise<DispatchAnswer>;
  listRuns(filter?: RunFilter): Promise<RunPage>;
  getRun(id: string): Promise<RunView>;
  getOutput(
    id: string,
    options?: { after?: string | undefined; stream?: OutputStream | undefined },
  ): Promise<OutputPage>;
  /** Asks for a run to be stopped; the run that comes back says how far that is. */
  cancel(id: string, request?: Static<typeof CancelRequest>): Promise<RunView>;
  /** Acknowledges how a run ended, so that it no longer needs attention. A 409 `no_attention_needed` when it does not. */
  acknowledge(id: string, request?: Static<typeof AckRequest>): Promise<RunView>;
  /** What the run has asked leave for, oldest first, decided ones included. */
  listApprovals(runId: string): Promise<ApprovalView[]>;
  /**
   * The first answer wins; a later one is a 409 `approval_over` that says who was first. What is `dangerous` is accepted
   * only with `confirm`, or else a 409 `confirmation_required`.
   */
  decideApproval(runId: string, approvalId: string, request: DecideRequest): Promise<ApprovalView>;
  /** To a running codex step: it steers the active turn, or begins the next one. */
  say(runId: string, request: MessageRequest): Promise<MessageView>;
  /** The run that goes on: the same one, or the one that continues it where its budget has ended it. */
  raiseBudget(runId: string, request: BudgetRequest): Promise<RunView>;
  /** Begins a relayed session: the run that the caller is to carry. A guard that is closed is a 403 `guard_closed`. */
  beginRelay(request: RelaySessionRequest): Promise<RelaySessionAnswer>;
  /** Asks the guard of a channel, before anything is made for a session. */
  askGuard(request: GuardRequest): Promise<GuardAnswer>;
  /** Turns the guard of a channel on or off, or looks at it. */
  controlRelay(request: ControlRequest): Promise<ControlAnswer>;
  listRunners(filter?: { pool?: string | undefined }): Promise<RunnersAnswer>;
  /** Pauses, resumes or drains the runner with this name or id; asked again, it does no more. */
  steerRunner(
    name: string,
    action: RunnerAction,
    filter?: { pool?: string | undefined },
  ): Promise<RunnerView>;
  listFlows(): Promise<DeployedFlow[]>;
  /** How delivery to the chats stands, a bot each. */
  listChatOutboxes(): Promise<ChatOutboxView[]>;
  /** What people did in chats, newest first. */
  listAudit(filter?: AuditFilter): Promise<AuditPage>;
  /** Who may do what in the chats of a server or a bot. */
  listGrants(tenant: string): Promise<GrantView[]>;
  /** All grants of the tenant as they are then. */
  setGrant(request: GrantRequest): Promise<GrantView[]>;
  /** The Discord servers that are let in. */
  listServers(): Promise<ServerView[]>;
  /** Lets one in, or puts it out. All of them as they are then. */
  allowServer(request: ServerRequest): Promise<ServerView[]>;
  openApi(): Promise<Record<string, unknown>>;
  /** Resolves when the Worker answers; needs no token. */
  health(): Promise<void>;
}

/** A client for one edge. Throws EdgeUrlError at once for a url that cannot be used. */
export function createEdgeClient(options: EdgeClientOptions): EdgeClient {
  const { url, eventSecret, fetch, timeoutMs, token } = options;
  const transport = createTransport({
    url,
    eventSecret,
    fetch,
    timeoutMs,
    // A request that bears both is refused unless both may do it: where a signature says enough, it goes alone.
    headers: ({ signed }): Record<string, string> =>
      token === undefined || signed ? {} : { authorization: `Bearer ${token}` },
  });

  /** The answer, once it is sure that it has the fields which every answer of this route has. */
  async function ask(request: TransportRequest, fields: readonly string[]): Promise<unknown> {
    const answer = await transport.request(request);
    const missing = fields.find((field) => !hasField(answer, field));
    if (missing === undefined) return answer;
    const call = `${request.method} /${request.path.join("/")}`;
    throw new EdgeAnswerError({
      call,
      status: 200,
      code: "not_an_edge",
      message: `${call} at ${withoutPathToken(transport.url)} answered without "${missing}"; is this the url of a codex-flow edge?`,
    });
  }

  return {
    url: transport.url,
    async dispatch(event, { wait, mustMatch } = {}) {
      const query = {
        wait: wait === true ? WAIT_MAX_SECONDS : wait,
        must_match: mustMatch === true ? 1 : undefined,
      };
      return (await ask(
        { method: "POST", path: ["events"], query, body: event, signed: true, holdMs: holdMs(wait) },
        ["eventId", "runIds", "runs"],
      )) as DispatchAnswer;
    },
    async dryRun(event) {
      return (await ask(
        { method: "POST", path: ["events"], query: { dry_run: 1 }, body: event, signed: true },
        ["matches", "misses"],
      )) as DryRunAnswer;
    },
    async listEvents(filter = {}) {
      return (await ask({ method: "GET", path: ["events"], query: { ...filter } }, ["events"])) as EventPage;
    },
    async getEvent(id) {
      return (await ask({ method: "GET", path: ["events", id] }, ["event", "runs"])) as EventDetail;
    },
    async replay(id, request = {}) {
      return (await ask(
        { method: "POST", path: ["events", id, "replay"], body: request, holdMs: holdMs(request.wait) },
        ["eventId", "runIds", "runs"],
      )) as DispatchAnswer;
    },
    async listRuns(filter = {}) {
      return (await ask({ method: "GET", path: ["runs"], query: { ...filter } }, ["runs"])) as RunPage;
    },
    async getRun(id) {
      return ((await ask({ method: "GET", path: ["runs", id] }, ["run"])) as { run: RunView }).run;
    },
    async getOutput(id, query = {}) {
      return (await ask({ method: "GET", path: ["runs", id, "output"], query: { ...query } }, [
        "output",
        "cursor",
      ])) as OutputPage;
    },
    async cancel(id, request = {}) {
      const answer = await ask({ method: "POST", path: ["runs", id, "cancel"], body: request }, ["run"]);
      return (answer as { run: RunView }).run;
    },
    async acknowledge(id, request = {}) {
      const answer = await ask({ method: "POST", path: ["runs", id, "ack"], body: request }, ["run"]);
      return (answer as { run: RunView }).run;
    },
    async listApprovals(runId) {
      const answer = await ask({ method: "GET", path: ["runs", runId, "approvals"] }, ["approvals"]);
      return (answer as { approvals: ApprovalView[] }).approvals;
    },
    async decideApproval(runId, approvalId, request) {
      const path = ["runs", runId, "approvals", approvalId];
      const answer = await ask({ method: "POST", path, body: request }, ["approval"]);
      return (answer as { approval: ApprovalView }).approval;
    },
    async say(runId, request) {
      const path = ["runs", runId, "messages"];
      const answer = await ask({ method: "POST", path, body: request }, ["message"]);
      return (answer as { message: MessageView }).message;
    },
    async raiseBudget(runId, request) {
      const answer = await ask({ method: "POST", path: ["runs", runId, "budget"], body: request }, ["run"]);
      return (answer as { run: RunView }).run;
    },
    async beginRelay(request) {
      return (await ask({ method: "POST", path: ["relay", "sessions"], body: request }, [
        "runId",
        "attempt",
      ])) as RelaySessionAnswer;
    },
    async askGuard(request) {
      return (await ask({ method: "POST", path: ["relay", "guard"], body: request }, [
        "allowed",
        "reason",
      ])) as GuardAnswer;
    },
    async controlRelay(request) {
      return (await ask({ method: "POST", path: ["relay", "control"], body: request }, [
        "guard",
        "message",
      ])) as ControlAnswer;
    },
    async listRunners(filter = {}) {
      const query = { ...filter };
      return (await ask({ method: "GET", path: ["runners"], query }, [
        "runners",
        "waiting",
      ])) as RunnersAnswer;
    },
    async steerRunner(name, action, filter = {}) {
      const path = ["runners", name, action];
      const answer = await ask({ method: "POST", path, query: { ...filter }, body: {} }, ["runner"]);
      return (answer as { runner: RunnerView }).runner;
    },
    async listFlows() {
      return ((await ask({ method: "GET", path: ["flows"] }, ["flows"])) as { flows: DeployedFlow[] }).flows;
    },
    async listChatOutboxes() {
      const answer = await ask({ method: "GET", path: ["chat", "status"] }, ["outboxes"]);
      return (answer as { outboxes: ChatOutboxView[] }).outboxes;
    },
    async listAudit(filter = {}) {
      return (await ask({ method: "GET", path: ["chat", "audit"], query: { ...filter } }, [
        "audit",
      ])) as AuditPage;
    },
    async listGrants(tenant) {
      const answer = await ask({ method: "GET", path: ["chat", "grants"], query: { tenant } }, ["grants"]);
      return (answer as { grants: GrantView[] }).grants;
    },
    async setGrant(request) {
      const answer = await ask({ method: "POST", path: ["chat", "grants"], body: request }, ["grants"]);
      return (answer as { grants: GrantView[] }).grants;
    },
    async listServers() {
      const answer = await ask({ method: "GET", path: ["chat", "servers"] }, ["servers"]);
      return (answer as { servers: ServerView[] }).servers;
    },
    async allowServer(request) {
      const answer = await ask({ method: "POST", path: ["chat", "servers"], body: request }, ["servers"]);
      return (answer as { servers: ServerView[] }).servers;
    },
    async openApi() {
      return (await ask({ method: "GET", path: ["openapi.json"] }, ["openapi"])) as Record<string, unknown>;
    },
    async health() {
      await ask({ method: "GET", path: ["healthz"] }, ["ok"]);
    },
  };
}

function hasField(answer: unknown, field: string): boolean {
  return answer !== null && typeof answer === "object" && field in answer;
}
