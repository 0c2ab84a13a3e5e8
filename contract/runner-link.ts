/**
 * The two sockets between a runner agent and the edge, both opened by the runner: the words they speak.
 *
 * **control** (runner ↔ pool)            **run** (runner ↔ event object), one an attempt
 *
 *   hello ▶                                claim ▶            first claim of a queued attempt
 *   ◀ welcome, then files                  ◀ claimed          lease and context, or refused
 *   ◀ offer                                resume ▶           after a reconnect, with the lease
 *   accept | decline ▶                     ◀ resumed          from which sequence number to go on
 *   capacity, flows, drain, goodbye ▶      output, result, canceling, end ▶ ◀ ack
 *   ◀ drain                                ◀ cancel, follow, lease_lost
 *                                          approval, approval_withdrawn ▶ ◀ ack, then ◀ decided
 *                                          ◀ message        delivered ▶
 *                                          thread ▶         ◀ thread        may I write to this thread?
 *                                          used ▶           ◀ budget
 *
 * `seq` counts everything that an attempt sends: chunks of output, results, requests for approval, its end. The edge
 * acknowledges only what is committed (invariant 8), so a runner that connects again goes on behind the last `ack`.
 *
 * A frame down whose `type` the runner does not know is ignored by it, so that one may be added without a new
 * protocol number: the edge must be right without an answer to it. A frame up that an older edge would refuse is sent to
 * one that has said on this very socket that it takes it (`countsUse`): the edge may have been set back meanwhile.
 *
 * Heartbeats are the text "ping", answered "pong" by the runtime itself: no object wakes for them (invariant 7:
 * only the lease clock, which reads the time of the last one, changes a run).
 */
import Type, { type Static } from "typebox";
import { APPROVAL_DECISIONS, ApprovalRequest } from "./approvals.ts";
import { Budget, BudgetUse } from "./budget.ts";
import { FlowResult } from "./flow-result.ts";
import { MESSAGE_FATES } from "./messages.ts";
import { END_REASONS, type Reason } from "./run-record.ts";
import { OutputChunkView } from "./run-view.ts";
import {
  FLOWS_PER_RUNNER_MAX,
  PACKAGE_FILES_MAX,
  RUNNER_CAPACITY_MAX,
  RUNNER_KEY_MIN_CHARS,
  TIME_MAX_MS,
} from "./limits.ts";

export const PING = "ping";
export const PONG = "pong";
/** Code of the 404 with which the edge refuses a run socket: it has no such run. Of no other 404 can a runner tell whose it is. */
export const RUN_NOT_FOUND = "run_not_found";
/** Code of the error with which a pool refuses an agent whose journal another running agent has, too. */
export const JOURNAL_COPIED = "journal_copied";

const closed = { additionalProperties: false } as const;
const RunIdText = Type.String({ maxLength: 64 });
const AttemptNumber = Type.Integer({ minimum: 1 });
const Seq = Type.Integer({ minimum: 1 });
const Lease = Type.String({ minLength: 1, maxLength: 128 });
/** Longer reasons are cut by whoever gives them. */
export const REASON_MAX_CHARS = 4096;
const Text = Type.String({ maxLength: REASON_MAX_CHARS });
const ReasonFrame = Type.Object({ code: Text, message: Text }, closed);

/** A reason that the edge takes. */
export function shortReason({ code, message }: Reason): Reason {
  return message.length <= REASON_MAX_CHARS
    ? { code, message }
    : { code, message: `${message.slice(0, REASON_MAX_CHARS - 1)}…`.toWellFormed() };
}

/** A flow of the runner's own checkout. */
export const FlowDigest = Type.Object(
  { name: Type.String({ maxLength: 128 }), version: Type.Number(), digest: Type.String({ maxLength: 128 }) },
  closed,
);
export type FlowDigest = Static<typeof FlowDigest>;

const FlowList = Type.Array(FlowDigest, { maxItems: FLOWS_PER_RUNNER_MAX });
const Capacity = Type.Integer({ minimum: 0, maximum: RUNNER_CAPACITY_MAX });

/** Names that people steer a runner by, in URLs too, whose paths drop the segments . and .. */
export const RUNNER_NAME = "^(?!\\.{1,2}$)";

const Hello = Type.Object(
  {
    type: Type.Literal("hello"),
    protocol: Type.Integer(),
    /** Kept in the runner's journal: the same machine is the same runner after a restart. */
    runnerId: Type.String({ minLength: 1, maxLength: 64 }),
    /**
     * The secret of the journal that `runnerId` belongs to. The first hello binds the id to it, so that nobody else can
     * speak in this runner's name. From protocol 2 on.
     */
    key: Type.Optional(Type.String({ minLength: RUNNER_KEY_MIN_CHARS, maxLength: 128 })),
    /** Random, one for each start of the agent: two running agents with one journal differ in it. From protocol 2 on. */
    process: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    name: Type.String({ minLength: 1, maxLength: 64, pattern: RUNNER_NAME }),
    version: Type.String({ maxLength: 64 }),
    labels: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 64 }),
    capacity: Capacity,
    trouble: Type.Optional(Text),
    flows: FlowList,
    active: Type.Array(Type.Object({ runId: RunIdText, attempt: AttemptNumber }, closed), { maxItems: 1024 }),
    draining: Type.Optional(Type.Boolean()),
  },
  closed,
);
const Accept = Type.Object(
  { type: Type.Literal("accept"), runId: RunIdText, attempt: AttemptNumber },
  closed,
);
const Decline = Type.Object(
  {
    type: Type.Literal("decline"),
    runId: RunIdText,
    attempt: AttemptNumber,
    /** `stale`: the event object has refused the claim for good, forget the run. Everything else: offer it again. */
    reason: Type.Enum(["busy", "draining", "digest_differs", "stale", "failed"]),
  },
  closed,
);
const CapacityFrame = Type.Object(
  {
    type: Type.Literal("capacity"),
    capacity: Capacity,
    /** Why the runner can take nothing, for people; absent when nothing is wrong. */
    trouble: Type.Optional(Text),
  },
  closed,
);
const FlowsFrame = Type.Object({ type: Type.Literal("flows"), flows: FlowList }, closed);
const Drain = Type.Object({ type: Type.Literal("drain") }, closed);
const Goodbye = Type.Object({ type: Type.Literal("goodbye") }, closed);

/** Runner → pool, by `type`. */
export const CONTROL_UP = {
  hello: Hello,
  accept: Accept,
  decline: Decline,
  capacity: CapacityFrame,
  flows: FlowsFrame,
  drain: Drain,
  goodbye: Goodbye,
};
export type ControlUp = Static<(typeof CONTROL_UP)[keyof typeof CONTROL_UP]>;
export type HelloFrame = Static<typeof Hello>;

const ErrorFrame = Type.Object(
  { type: Type.Literal("error"), code: Type.String(), message: Type.String() },
  closed,
);

/** Pool → runner, by `type`. */
export const CONTROL_DOWN = {
  welcome: Type.Object(
    {
      type: Type.Literal("welcome"),
      pool: Type.String(),
      protocol: Type.Integer(),
      serverTime: Type.Integer({ description: "Epoch ms" }),
      pingIntervalMs: Type.Integer(),
      lostAfterMs: Type.Integer(),
    },
    closed,
  ),
  offer: Type.Object(
    {
      type: Type.Literal("offer"),
      runId: RunIdText,
      attempt: AttemptNumber,
      flow: FlowDigest,
      step: Type.String(),
      /** For the claim (contract/claim-proof.ts). Absent from an edge of protocol 1. */
      proof: Type.Optional(Type.String()),
    },
    closed,
  ),
  /**
   * The files of a deployed flow, behind `welcome`: one frame for each flow. A package that has all of them is the
   * deployed one, whatever else lies in its folder. An edge before this frame sends none.
   */
  files: Type.Object(
    {
      type: Type.Literal("files"),
      flow: FlowDigest,
      files: Type.Array(Type.Object({ path: Type.String({ minLength: 1 }), hash: Type.String() }, closed), {
        maxItems: PACKAGE_FILES_MAX,
      }),
    },
    closed,
  ),
  /** Take nothing new, finish what runs, leave. Answered by `drain` up; said again at a hello until then. */
  drain: Type.Object({ type: Type.Literal("drain") }, closed),
  error: ErrorFrame,
};
export type DeployedFiles = Static<(typeof CONTROL_DOWN)["files"]>;
export type ControlDown = Static<(typeof CONTROL_DOWN)[keyof typeof CONTROL_DOWN]>;

/**
 * What may stand in an output chunk: what the step printed, what the runner has to say about it, or what an agent at
 * work does: then the text is one item as JSON (contract/agent-item.ts), in its place among the rest.
 */
export const OUTPUT_STREAMS = ["stdout", "stderr", "system", "agent"] as const;
export type OutputStream = (typeof OUTPUT_STREAMS)[number];

export const OutputChunk = Type.Object(
  {
    seq: Seq,
    stream: Type.Enum([...OUTPUT_STREAMS]),
    text: Type.String(),
    /** When the runner read it, epoch ms. */
    at: Type.Integer({ minimum: 0, maximum: TIME_MAX_MS }),
  },
  closed,
);
export type OutputChunk = Static<typeof OutputChunk>;

const Claim = Type.Object(
  {
    type: Type.Literal("claim"),
    attempt: AttemptNumber,
    runnerId: Type.String({ minLength: 1, maxLength: 64 }),
    runnerName: Type.String({ minLength: 1, maxLength: 64 }),
    /** The proof of the offer that this claim answers. From protocol 2 on. */
    proof: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    /**
     * Random, made by the agent for this attempt and the same on each connection. A lease is handed out again only for the
     * same nonce, because a run view tells everybody which runner has the attempt. From protocol 2 on.
     */
    nonce: Type.Optional(Type.String({ minLength: 16, maxLength: 64 })),
  },
  closed,
);
const Resume = Type.Object({ type: Type.Literal("resume"), attempt: AttemptNumber, lease: Lease }, closed);
const Output = Type.Object(
  { type: Type.Literal("output"), chunks: Type.Array(OutputChunk, { minItems: 1, maxItems: 4096 }) },
  closed,
);
const ResultFrame = Type.Object({ type: Type.Literal("result"), seq: Seq, result: FlowResult }, closed);
/** The runner has signalled the process tree, and what it sees of it now. */
const Canceling = Type.Object(
  { type: Type.Literal("canceling"), survivors: Type.Array(Type.Integer(), { maxItems: 1024 }) },
  closed,
);
const End = Type.Object(
  {
    type: Type.Literal("end"),
    seq: Seq,
    reason: Type.Enum([...END_REASONS]),
    exit: Type.Optional(
      Type.Object(
        {
          code: Type.Union([Type.Integer(), Type.Null()]),
          signal: Type.Union([Type.String({ maxLength: 32 }), Type.Null()]),
        },
        closed,
      ),
    ),
    tree: Type.Optional(
      Type.Object(
        { empty: Type.Boolean(), survivors: Type.Array(Type.Integer(), { maxItems: 1024 }) },
        closed,
      ),
    ),
    error: Type.Optional(ReasonFrame),
  },
  closed,
);

/** The step waits for somebody to allow something. */
const ApprovalFrame = Type.Object(
  { type: Type.Literal("approval"), seq: Seq, request: ApprovalRequest },
  closed,
);
/** It waits no longer, and not because of a decision of the edge. */
const ApprovalWithdrawn = Type.Object(
  { type: Type.Literal("approval_withdrawn"), seq: Seq, id: Type.String({ maxLength: 64 }) },
  closed,
);
/** What became of a message. Sent again whenever the message comes again. */
const Delivered = Type.Object(
  {
    type: Type.Literal("delivered"),
    id: Type.String({ maxLength: 64 }),
    fate: Type.Enum([...MESSAGE_FATES]),
    /** Its text is not to be kept or shown: it was typed where the terminal hides what is typed. */
    hidden: Type.Optional(Type.Literal(true)),
  },
  closed,
);
/** The runner wants to write to this thread of its agent: a thread has one writer, and the edge knows which run it is. */
const ThreadFrame = Type.Object(
  { type: Type.Literal("thread"), threadId: Type.String({ minLength: 1, maxLength: 128 }) },
  closed,
);
/**
 * What this attempt alone has used of the budget so far. It has no number and no acknowledgement: the newest one says
 * it all, and is said again on every new socket.
 */
const UsedFrame = Type.Object({ type: Type.Literal("used"), used: BudgetUse }, closed);

/** Runner → event object, by `type`. */
export const RUN_UP = {
  claim: Claim,
  resume: Resume,
  output: Output,
  result: ResultFrame,
  canceling: Canceling,
  approval: ApprovalFrame,
  approval_withdrawn: ApprovalWithdrawn,
  delivered: Delivered,
  thread: ThreadFrame,
  used: UsedFrame,
  end: End,
};
export type RunUp = Static<(typeof RUN_UP)[keyof typeof RUN_UP]>;
export type EndFrame = Static<typeof End>;

/** All that a runner needs to start a step. */
export const StepContext = Type.Object(
  {
    runId: RunIdText,
    attempt: AttemptNumber,
    event: Type.Record(Type.String(), Type.Unknown()),
    flow: FlowDigest,
    step: Type.String(),
    timeoutMs: Type.Integer(),
    silenceMs: Type.Integer(),
    replay: Type.Boolean(),
    budget: Type.Optional(Budget),
    /** What the runs before and the earlier attempts of this one have used of the budget. */
    used: Type.Optional(BudgetUse),
    continues: Type.Optional(
      Type.Object(
        {
          runId: RunIdText,
          threadId: Type.String(),
          used: Type.Record(Type.String(), Type.Number(), {
            description: "What the runs before have used of the budget",
          }),
        },
        { ...closed, description: "The thread of an earlier run to go on with" },
      ),
    ),
  },
  closed,
);
export type StepContext = Static<typeof StepContext>;

/** Absent where the step has no budget, and from an edge that would refuse `used`. */
const CountsUse = Type.Optional(Type.Boolean({ description: "The edge wants to be told what is `used`" }));

/** Event object → runner, by `type`. */
export const RUN_DOWN = {
  claimed: Type.Object(
    {
      type: Type.Literal("claimed"),
      lease: Lease,
      context: StepContext,
      follow: Type.Boolean(),
      countsUse: CountsUse,
    },
    closed,
  ),
  resumed: Type.Object(
    {
      type: Type.Literal("resumed"),
      live: Type.Boolean({
        description: "False: the lease is lost. Stop the step; what is still sent is kept as evidence",
      }),
      ackedSeq: Type.Integer({ minimum: 0 }),
      cancel: Type.Boolean(),
      follow: Type.Boolean(),
      countsUse: CountsUse,
    },
    closed,
  ),
  /** Final for this attempt: nothing that the runner sends can count. */
  refused: Type.Object(
    { type: Type.Literal("refused"), code: Type.String(), message: Type.String() },
    closed,
  ),
  ack: Type.Object({ type: Type.Literal("ack"), seq: Type.Integer({ minimum: 0 }) }, closed),
  cancel: Type.Object({ type: Type.Literal("cancel"), reason: Type.String() }, closed),
  lease_lost: Type.Object({ type: Type.Literal("lease_lost"), reason: Type.String() }, closed),
  /** May come again for one that the runner has heard of: on every new socket, for each of this attempt. */
  decided: Type.Object(
    {
      type: Type.Literal("decided"),
      id: Type.String(),
      decision: Type.Enum([...APPROVAL_DECISIONS]),
      by: Type.String(),
    },
    closed,
  ),
  message: Type.Object(
    { type: Type.Literal("message"), id: Type.String(), text: Type.String(), by: Type.String() },
    closed,
  ),
  /** New limits, whole. */
  budget: Type.Object({ type: Type.Literal("budget"), budget: Budget }, closed),
  thread: Type.Object(
    {
      type: Type.Literal("thread"),
      threadId: Type.String(),
      granted: Type.Boolean(),
      heldBy: Type.Optional(Type.String({ description: "The run that writes to it instead" })),
    },
    closed,
  ),
  /** Somebody watches (or nobody any more): send output at a pace for eyes, or for the bill. */
  follow: Type.Object({ type: Type.Literal("follow"), on: Type.Boolean() }, closed),
  error: ErrorFrame,
};
export type RunDown = Static<(typeof RUN_DOWN)[keyof typeof RUN_DOWN]>;

/**
 * What the queue carries from an event object to a pool: ids and what the pool needs to choose a runner, never the
 * event (a claim check; a queue message is at most 128 KB, an event 1 MiB).
 */
export interface RunRoute {
  runId: string;
  attempt: number;
  pool: string;
  flow: FlowDigest;
  step: string;
  /** For people who are told what to do about the run. Absent on routes of an older edge. */
  eventId?: string;
  labels: string[];
  priority: number;
  concurrency?: { key: string; limit: number };
  /** What the pool makes the proof of an offer from. Absent on runs that an edge of protocol 1 has made. */
  claimKey?: string;
  /** Epoch ms at which the wait began: the order among equals. */
  queuedAt: number;
  /** Only this runner can take it: what the run continues lives there. */
  runnerId?: string;
  runnerName?: string;
}

export type QueueMessage =
  | { kind: "run"; route: RunRoute }
  /** One event of a result's `next` is due: fetch it from the run, match it, send it. */
  | { kind: "chained"; runId: string; index: number };

/** Close code of a tail that was sent as much as one tail may get. The reader resumes at once behind its last cursor. */
export const TAIL_RESUME_CLOSE = 4413;

/**
 * Frames of `GET /runs/:id/tail`. When the run is over and all its output is sent, `end` follows and the edge closes with 1000;
 * a client need not wait for that close, which a local workerd may delay by seconds. A tail that has been sent
 * TAIL_MAX_BYTES is closed with TAIL_RESUME_CLOSE: open another one behind the last cursor.
 */
export const TAIL_DOWN = {
  run: Type.Object({ type: Type.Literal("run"), run: Type.Record(Type.String(), Type.Unknown()) }, closed),
  output: Type.Object({ type: Type.Literal("output"), chunks: Type.Array(OutputChunkView) }, closed),
  end: Type.Object({ type: Type.Literal("end") }, closed),
};
export type TailDown = Static<(typeof TAIL_DOWN)[keyof typeof TAIL_DOWN]>;
