/** What the HTTP interface takes and answers where no other part of the contract says it; the routes: http.ts. */
import Type from "typebox";
import { ErrorDetail } from "./errors.ts";
import { EventView, RunStatusView, RunSummaryView, RunView } from "./run-view.ts";

export const ReplayRequest = Type.Object(
  {
    flow: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    step: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    wait: Type.Optional(
      Type.Union([Type.Boolean(), Type.Integer({ minimum: 0 })], {
        description: "Seconds (at most 25), or true for 25: answer when the runs are over",
      }),
    ),
  },
  { additionalProperties: false, $id: "ReplayRequest" },
);

/** The ancestor's client sends `{}`; a reason is recorded with the cancel. */
export const CancelRequest = Type.Object(
  { by: Type.Optional(Type.String({ maxLength: 128, description: "Who cancels, for the record" })) },
  { additionalProperties: true, $id: "CancelRequest" },
);

export const AckRequest = Type.Object(
  {
    by: Type.Optional(
      Type.String({ minLength: 1, maxLength: 128, description: "Who acknowledges it, for the record" }),
    ),
  },
  { additionalProperties: false, $id: "AckRequest" },
);

const StepMissView = Type.Object({
  flow: Type.String(),
  step: Type.String(),
  errors: Type.Array(ErrorDetail),
});

export const DispatchAnswer = Type.Object(
  {
    status: Type.Enum(["accepted", "duplicate"]),
    eventId: Type.String(),
    runIds: Type.Array(Type.String()),
    matched: Type.Integer({ description: "Steps matched by this request; 0 for a duplicate" }),
    runs: Type.Array(Type.Union([RunView, RunStatusView]), {
      description: "Whole runs for a caller with runs:read; for others id and status",
    }),
    idempotent: Type.Boolean({ description: "True for a duplicate" }),
    conflict: Type.Optional(
      Type.Boolean({
        description: "An event with this id and another type, source or payload is already stored",
      }),
    ),
    misses: Type.Optional(
      Type.Array(StepMissView, {
        description:
          "Of an event that matches nothing: the steps that wait for its type, and why each does not start",
      }),
    ),
  },
  { $id: "DispatchAnswer" },
);

export const DryRunAnswer = Type.Object(
  {
    eventId: Type.String(),
    matches: Type.Array(Type.Object({ flow: Type.String(), step: Type.String(), pool: Type.String() })),
    misses: Type.Array(StepMissView),
  },
  { $id: "DryRunAnswer" },
);

export const RunnerView = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    pool: Type.String(),
    version: Type.String(),
    labels: Type.Array(Type.String()),
    capacity: Type.Integer(),
    trouble: Type.Optional(
      Type.String({ description: "Why the runner can take nothing; then its capacity is 0" }),
    ),
    active: Type.Array(Type.String(), { description: "Runs that the edge counts as live on this runner" }),
    state: Type.Enum(["connected", "paused", "draining", "disconnected"], {
      description: "Of several that apply, the last one",
    }),
    paused: Type.Boolean({
      description: "It is offered nothing until somebody resumes it, also when it is away",
    }),
    connectedAt: Type.Optional(Type.String({ format: "date-time" })),
    lastSeenAt: Type.Optional(Type.String({ format: "date-time", description: "Last useful round trip" })),
    flows: Type.Array(Type.Object({ name: Type.String(), version: Type.Number(), digest: Type.String() })),
  },
  { $id: "Runner" },
);

/** What may be asked of a runner. */
export const RUNNER_ACTIONS = ["pause", "resume", "drain"] as const;
export type RunnerAction = (typeof RUNNER_ACTIONS)[number];

export const WaitingRunView = Type.Object(
  {
    runId: Type.String(),
    pool: Type.String(),
    flow: Type.String(),
    step: Type.String(),
    attempt: Type.Integer(),
    queuedAt: Type.String({ format: "date-time" }),
    reason: Type.Object({ code: Type.String(), message: Type.String() }),
  },
  { $id: "WaitingRun" },
);

export const FlowView = Type.Object({
  name: Type.String(),
  version: Type.Number(),
  description: Type.Optional(Type.String()),
  digest: Type.String(),
  steps: Type.Array(Type.Unknown()),
});

export const EventPage = Type.Object({
  events: Type.Array(EventView),
  nextCursor: Type.Optional(Type.String()),
});
export const RunPage = Type.Object({
  runs: Type.Array(Type.Union([RunView, RunSummaryView]), {
    description: "Summaries; with eventId, the runs of that event with their attempts and results",
  }),
  eventId: Type.Optional(Type.String()),
  nextCursor: Type.Optional(Type.String()),
});
