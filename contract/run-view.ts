/**
 * Runs and events as the HTTP interface shows them. Field names follow the ancestor's client normaliser, which
 * must work against this edge unchanged: dates as ISO strings, `status` the process status, `result` unwrapped.
 */
import Type, { type Static } from "typebox";
import { ApprovalView, approvalView, pendingApprovals } from "./approvals.ts";
import { needsAttention } from "./attention.ts";
import { userLabel } from "./chat/place.ts";
import { Budget, BudgetUse, raised, usedBy } from "./budget.ts";
import { AgentItem } from "./agent-item.ts";
import { FlowResult, RESULT_STATUSES, type ResultStatus } from "./flow-result.ts";
import { attemptId } from "./ids.ts";
import { EVENT_RUNS_MAX_BYTES, LISTED_TEXT_MAX_CHARS } from "./limits.ts";
import { listens, MessageView, messageView } from "./messages.ts";
import {
  END_REASONS,
  leaseMs,
  liveAttempt,
  PROCESS_STATUSES,
  type AttemptRecord,
  type ProcessStatus,
  type RunRecord,
} from "./run-record.ts";

const Iso = Type.String({ format: "date-time" });

export const OutputChunkView = Type.Object({
  /** Where this chunk ends: pass it as `after` to go on. */
  cursor: Type.String(),
  attempt: Type.Integer(),
  seq: Type.Integer(),
  kind: Type.String({ description: "stdout, stderr, system or agent" }),
  text: Type.String({ description: "Of an agent's item: the item in words, where it has any" }),
  createdAt: Iso,
  item: Type.Optional(AgentItem),
});
export type OutputChunkView = Static<typeof OutputChunkView>;

const ReasonView = Type.Object({ code: Type.String(), message: Type.String() });

export const AttemptView = Type.Object({
  id: Type.String(),
  attemptNumber: Type.Integer(),
  status: Type.String({ description: "running, completed, failed, canceled, lost or timeout" }),
  workerId: Type.String({ description: "Id of the runner" }),
  runnerName: Type.String(),
  startedAt: Iso,
  completedAt: Type.Optional(Iso),
  leaseExpiresAt: Type.Optional(
    Type.Integer({
      description: "Epoch ms at which the lease is lost, while no socket of the runner is seen",
    }),
  ),
  result: Type.Optional(FlowResult),
  endReason: Type.Optional(
    Type.Enum([...END_REASONS], {
      description: "How the step ended; reaped: it did not go by itself after its FLOW_RESULT",
    }),
  ),
  exit: Type.Optional(
    Type.Object({
      code: Type.Union([Type.Integer(), Type.Null()]),
      signal: Type.Union([Type.String(), Type.Null()]),
    }),
  ),
  tree: Type.Optional(Type.Object({ empty: Type.Boolean(), survivors: Type.Array(Type.Integer()) })),
  error: Type.Optional(Type.String()),
  errorCode: Type.Optional(Type.String()),
  late: Type.Optional(Type.Unknown({ description: "What came after the lease was lost: evidence only" })),
});
export type AttemptView = Static<typeof AttemptView>;

export const RunView = Type.Object(
  {
    id: Type.String(),
    eventId: Type.String(),
    flowName: Type.String(),
    flowVersion: Type.Number(),
    flowDigest: Type.String(),
    stepName: Type.String(),
    runner: Type.String({ description: "Kind of the step: bun, node, codex, code-mode or relay" }),
    listens: Type.Optional(Type.Boolean({ description: "What is said to the run reaches its step" })),
    backend: Type.String(),
    pool: Type.String(),
    origin: Type.String({ description: "event, replay or next" }),
    replayOf: Type.Optional(Type.String()),
    requestedBy: Type.Optional(
      Type.String({ description: "Of a run that was asked for in a chat: platform, id and name of who did" }),
    ),
    depth: Type.Integer(),
    status: Type.Enum([...PROCESS_STATUSES]),
    resultStatus: Type.Optional(Type.Enum([...RESULT_STATUSES])),
    effectiveStatus: Type.String({ description: "The result's status, or else the process status" }),
    needsAttention: Type.Boolean({
      description:
        "It ended blocked, failed or in need of intervention, nobody has acknowledged that, and no later run of the same step and event ended well",
    }),
    acknowledged: Type.Optional(
      Type.Object(
        { by: Type.String(), at: Iso },
        { description: "Who has dealt with how it ended, and when" },
      ),
    ),
    supersededBy: Type.Optional(
      Type.String({ description: "The later run of the same step and event that ended well" }),
    ),
    result: Type.Optional(FlowResult),
    cut: Type.Optional(
      Type.Boolean({
        description:
          "True: the answer would have been too large with all of this run; GET /runs/{id} has what is missing",
      }),
    ),
    error: Type.Optional(Type.String()),
    errorCode: Type.Optional(Type.String()),
    waiting: Type.Optional(ReasonView),
    awaySince: Type.Optional(
      Type.String({
        format: "date-time",
        description: "Of a relayed session: its box is not seen since then, and is waited for",
      }),
    ),
    cancel: Type.Optional(
      Type.Object({
        state: Type.String({ description: "cancel_requested, signalled or canceled" }),
        by: Type.String(),
        requestedAt: Iso,
        signalledAt: Type.Optional(Iso),
        survivors: Type.Optional(Type.Array(Type.Integer())),
      }),
    ),
    pendingApprovals: Type.Optional(
      Type.Integer({ description: "Approvals that wait for somebody; absent when there is none" }),
    ),
    approvals: Type.Optional(Type.Array(ApprovalView)),
    messages: Type.Optional(Type.Array(MessageView)),
    budget: Type.Optional(Budget),
    budgetUsed: Type.Optional(
      Type.Object(BudgetUse.properties, {
        description: "By all attempts and the runs that it continues, as told",
      }),
    ),
    continues: Type.Optional(Type.String({ description: "The run whose thread this one goes on with" })),
    chained: Type.Optional(
      Type.Array(
        Type.Object({
          index: Type.Integer(),
          eventId: Type.Union([Type.String(), Type.Null()]),
          state: Type.String({ description: "owed, sent or refused" }),
          reason: Type.Optional(Type.String()),
          runIds: Type.Optional(Type.Array(Type.String())),
        }),
      ),
    ),
    attempts: Type.Array(AttemptView),
    attemptCount: Type.Integer(),
    outputBytes: Type.Integer(),
    outputDropped: Type.Integer({ description: "Bytes beyond the bound of a run, counted and not kept" }),
    output: Type.Optional(Type.Array(OutputChunkView)),
    createdAt: Iso,
    updatedAt: Iso,
    startedAt: Type.Optional(Iso),
    completedAt: Type.Optional(Iso),
  },
  { $id: "Run" },
);
export type RunView = Static<typeof RunView>;

/** What a caller without the scope `runs:read` learns of a run: how it stands, and what came of its own event. */
export const RunStatusView = Type.Object(
  {
    ...Type.Pick(RunView, ["id", "status", "resultStatus", "effectiveStatus", "needsAttention"]).properties,
    ...Type.Pick(RunView, ["result", "error", "errorCode"]).properties,
  },
  {
    $id: "RunStatus",
    description:
      "A run for a caller without runs:read. result and error only of runs that this request started from its own event",
  },
);
export type RunStatusView = Static<typeof RunStatusView>;

/** @param hasStartedIt the caller's own request started the run from the caller's own event */
export function runStatusView(run: RunView, hasStartedIt: boolean): RunStatusView {
  const { id, status, resultStatus, effectiveStatus, needsAttention, result, error, errorCode } = run;
  return {
    id,
    status,
    effectiveStatus,
    needsAttention,
    ...(resultStatus === undefined ? {} : { resultStatus }),
    ...(hasStartedIt && result !== undefined ? { result } : {}),
    ...(hasStartedIt && error !== undefined ? { error } : {}),
    ...(hasStartedIt && errorCode !== undefined ? { errorCode } : {}),
  };
}

export const EventView = Type.Object(
  {
    id: Type.String(),
    type: Type.String(),
    source: Type.Optional(Type.String()),
    occurredAt: Type.Optional(Type.String()),
    receivedAt: Type.String(),
    payload: Type.Optional(
      Type.Unknown({ description: "Left out of lists when it is large: see payloadBytes" }),
    ),
    payloadBytes: Type.Optional(Type.Integer({ description: "Size of a payload that a list leaves out" })),
    raw: Type.Optional(Type.Unknown({ description: "The event as it was sent, unknown fields included" })),
    createdAt: Iso,
    matched: Type.Integer({ description: "Steps that the event started when it came" }),
    runIds: Type.Optional(
      Type.Array(Type.String(), {
        description: "In lists: the runs that the event started when it came, without replays",
      }),
    ),
    rootId: Type.Optional(Type.String()),
    parentRunId: Type.Optional(Type.String()),
    depth: Type.Optional(Type.Integer()),
    conflicts: Type.Optional(
      Type.Object(
        { count: Type.Integer(), lastAt: Iso },
        { description: "Differing events sent with this id" },
      ),
    ),
  },
  { $id: "Event" },
);
export type EventView = Static<typeof EventView>;

/** The result's status where there is one, else the process status. */
export function effectiveStatus(run: {
  status: ProcessStatus;
  result?: FlowResult | undefined;
}): ResultStatus | ProcessStatus {
  return run.result?.status ?? run.status;
}

export function iso(epochMs: number): string {
  return new Date(epochMs).toISOString();
}

export function runView(run: RunRecord): RunView {
  const effective = effectiveStatus(run);
  return {
    id: run.id,
    eventId: run.eventId,
    flowName: run.flow.name,
    flowVersion: run.flow.version,
    flowDigest: run.flow.digest,
    stepName: run.step.name,
    runner: run.step.runner,
    ...(listens(run) ? { listens: true } : {}),
    backend: "edge",
    pool: run.pool,
    origin: run.origin,
    ...(run.replayOf === undefined ? {} : { replayOf: run.replayOf }),
    ...(run.chat === undefined ? {} : { requestedBy: userLabel(run.chat.place.platform, run.chat.user) }),
    depth: run.depth,
    status: run.status,
    ...(run.result === undefined ? {} : { resultStatus: run.result.status, result: run.result }),
    effectiveStatus: effective,
    needsAttention: needsAttention(run),
    ...(run.acknowledged === undefined
      ? {}
      : { acknowledged: { by: run.acknowledged.by, at: iso(run.acknowledged.at) } }),
    ...(run.supersededBy === undefined ? {} : { supersededBy: run.supersededBy }),
    ...(run.error === undefined ? {} : { error: run.error.message, errorCode: run.error.code }),
    ...(run.cancel === undefined
      ? {}
      : {
          cancel: {
            state: run.cancel.state,
            by: run.cancel.by,
            requestedAt: iso(run.cancel.requestedAt),
            ...(run.cancel.signalledAt === undefined ? {} : { signalledAt: iso(run.cancel.signalledAt) }),
            ...(run.cancel.survivors === undefined ? {} : { survivors: run.cancel.survivors }),
          },
        }),
    ...awayView(run),
    ...conversationView(run),
    ...(run.chained === undefined ? {} : { chained: run.chained }),
    attempts: run.attempts.map((attempt) => attemptView(run, attempt)),
    attemptCount: run.attempts.length,
    outputBytes: run.outputBytes,
    outputDropped: run.outputDropped,
    createdAt: iso(run.createdAt),
    updatedAt: iso(run.updatedAt),
    ...(run.startedAt === undefined ? {} : { startedAt: iso(run.startedAt) }),
    ...(run.completedAt === undefined ? {} : { completedAt: iso(run.completedAt) }),
  };
}

function awayView(run: RunRecord): Pick<RunView, "awaySince"> {
  const since = liveAttempt(run)?.awaySince;
  return since === undefined ? {} : { awaySince: iso(since) };
}

/** What stands between the run and the people who watch it. */
function conversationView(run: RunRecord): Partial<RunView> {
  const pending = pendingApprovals(run).length;
  const budget = raised(run.policy.budget, run.budgetAdded ?? {});
  const used = budget === undefined ? {} : usedBy(run);
  return {
    ...(pending === 0 ? {} : { pendingApprovals: pending }),
    ...(run.approvals === undefined
      ? {}
      : { approvals: run.approvals.map((approval) => approvalView(run.id, approval)) }),
    ...(run.messages === undefined ? {} : { messages: run.messages.map(messageView) }),
    ...(budget === undefined ? {} : { budget }),
    ...(Object.keys(used).length === 0 ? {} : { budgetUsed: used }),
    ...(run.continues === undefined ? {} : { continues: run.continues.runId }),
  };
}

function attemptView(run: RunRecord, attempt: AttemptRecord): AttemptView {
  return {
    id: attemptId(run.id, attempt.number),
    attemptNumber: attempt.number,
    status: attempt.status,
    workerId: attempt.runnerId,
    runnerName: attempt.runnerName,
    startedAt: iso(attempt.startedAt),
    ...(attempt.completedAt === undefined ? {} : { completedAt: iso(attempt.completedAt) }),
    ...(attempt.status === "running" && attempt.unseenSince !== undefined
      ? { leaseExpiresAt: attempt.unseenSince + leaseMs(run) }
      : {}),
    ...(attempt.result === undefined ? {} : { result: attempt.result }),
    ...(attempt.end === undefined ? {} : { endReason: attempt.end.reason }),
    ...(attempt.end?.exit === undefined ? {} : { exit: attempt.end.exit }),
    ...(attempt.end?.tree === undefined ? {} : { tree: attempt.end.tree }),
    ...(attempt.error === undefined ? {} : { error: attempt.error.message, errorCode: attempt.error.code }),
    ...(attempt.late === undefined ? {} : { late: attempt.late }),
  };
}

/** What a list shows of a result. */
export const ResultSummaryView = Type.Object(
  {
    status: Type.Enum([...RESULT_STATUSES]),
    message: Type.Optional(
      Type.String({ description: `At most ${LISTED_TEXT_MAX_CHARS} characters, with … at the end when cut` }),
    ),
  },
  { $id: "ResultSummary" },
);

const DETAILS = ["attempts", "output", "chained", "approvals", "messages", "result", "cut"] as const;

/** A run as the day's ledger lists it: bounded, so that no list grows with what a step reports. */
export const RunSummaryView = Type.Object(
  {
    ...Type.Omit(RunView, [...DETAILS]).properties,
    result: Type.Optional(ResultSummaryView),
    artifactCount: Type.Optional(
      Type.Integer({ description: "Artifacts of the result, which GET /runs/{id} answers; absent for none" }),
    ),
    runnerId: Type.Optional(Type.String({ description: "Id of the runner of the newest attempt" })),
    runnerName: Type.Optional(Type.String({ description: "Its name" })),
    nextCount: Type.Optional(
      Type.Integer({ description: "Events that the result asks for; absent for none" }),
    ),
  },
  { $id: "RunSummary" },
);
export type RunSummary = Static<typeof RunSummaryView>;

/** Processes that a list names of those that survived a cancel. */
const LISTED_SURVIVORS_MAX = 16;

/** Fields of a view or of a stored summary, whose result may still be a whole one. */
type Summarizable = Omit<RunSummary, "result"> & { result?: FlowResult | undefined };

export function runSummary(run: RunRecord): RunSummary {
  return boundedSummary(runView(run));
}

/**
 * The bounded summary of a run, of whatever version of the edge wrote it: a ledger may hold rows with whole results.
 * A summary that is bounded already comes back equal.
 */
export function boundedSummary(given: Summarizable | RunView): RunSummary {
  const {
    attempts,
    output: _output,
    chained: _chained,
    approvals: _approvals,
    messages: _messages,
    cut: _cut,
    result,
    error,
    cancel,
    ...rest
  } = given as Summarizable & Partial<RunView>;
  const artifacts = Object.keys(result?.artifacts ?? {}).length;
  const next = result?.next?.length ?? 0;
  const newest = attempts?.at(-1);
  return {
    ...rest,
    ...(result === undefined ? {} : { result: resultSummary(result) }),
    ...(artifacts === 0 ? {} : { artifactCount: artifacts }),
    ...(next === 0 ? {} : { nextCount: next }),
    ...(newest === undefined ? {} : { runnerId: newest.workerId, runnerName: newest.runnerName }),
    ...(error === undefined ? {} : { error: listedText(error) }),
    ...(cancel === undefined ? {} : { cancel: boundedCancel(cancel) }),
  };
}

function resultSummary({ status, message }: FlowResult): Static<typeof ResultSummaryView> {
  return { status, ...(message === undefined ? {} : { message: listedText(message) }) };
}

function listedText(text: string): string {
  if (text.length <= LISTED_TEXT_MAX_CHARS) return text;
  // Half a surrogate pair at the cut would be no text.
  return `${text
    .slice(0, LISTED_TEXT_MAX_CHARS - 1)
    .toWellFormed()
    .replace(/\uFFFD$/, "")}…`;
}

function boundedCancel(cancel: NonNullable<RunView["cancel"]>): NonNullable<RunView["cancel"]> {
  const { survivors } = cancel;
  return survivors === undefined
    ? cancel
    : { ...cancel, survivors: survivors.slice(0, LISTED_SURVIVORS_MAX) };
}

/**
 * The runs of one event for one answer: full views while they fit into the bound, then cut ones. An event may have as
 * many runs as RUNS_PER_EVENT_MAX, and each may report RESULT_MAX_BYTES: together more than an answer can carry.
 */
export function boundedRuns(runs: RunView[], maxBytes = EVENT_RUNS_MAX_BYTES): RunView[] {
  let left = maxBytes;
  return runs.map((run) => {
    // Characters, not bytes: text of three bytes a character still fits an answer several times this size.
    const size = JSON.stringify(run).length;
    if (size > left) return cutRun(run);
    left -= size;
    return run;
  });
}

function cutRun(run: RunView): RunView {
  return { ...boundedSummary(run), attempts: [], cut: true };
}
