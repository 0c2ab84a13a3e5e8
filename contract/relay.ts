/**
 * Relayed sessions: a coding agent that somebody has started on a box of his own, shown in a chat as a run like any
 * other. The relay begins it (`POST /relay/sessions`) and carries it over the run socket; no pool hears of it.
 *
 * R1. Nothing of a session is begun, made or posted before the guard of its channel has allowed it; a guard that cannot
 *     be asked allows nothing.
 * R2. Event id `relay:<id>`: the id is the relay's own, so that a request sent again begins nothing twice.
 */
import Type, { type Static } from "typebox";
import { CHAT_PLATFORMS } from "./chat/place.ts";
import { CLOCK_MAX_MS } from "./limits.ts";

export const RELAY_EVENT_TYPE = "relay.session";
export const RELAY_SOURCE = "relay";
/** Names under which the run of a relayed session stands in lists. */
export const RELAY_FLOW = "relay";
export const RELAY_STEP = "session";
/** Kind of the activity that ends a session: what it has come to, a line each. */
export const RELAY_SUMMARY = "summary";
/** Kind of the activity that quotes a question for which a relayed program waits. */
export const RELAY_QUESTION = "question";

/** What a session is: a command, the review of a pull request, one of several tasks, an earlier one shown again. */
export const RELAY_MODES = ["run", "review", "parallel", "resume"] as const;
export type RelayMode = (typeof RELAY_MODES)[number];

const closed = { additionalProperties: false } as const;
const Short = Type.String({ minLength: 1, maxLength: 128 });
const ClockMs = Type.Integer({ minimum: 1, maximum: CLOCK_MAX_MS });

/** As `ChatPlace`. */
export const PlaceRequest = Type.Object(
  {
    platform: Type.Enum([...CHAT_PLATFORMS]),
    channel: Type.String({ pattern: "^-?[0-9]{1,20}$", description: "Channel (Discord) or chat (Telegram)" }),
    thread: Type.Optional(
      Type.String({ pattern: "^[0-9]{1,20}$", description: "Thread (Discord) or topic (Telegram)" }),
    ),
  },
  closed,
);

export const RelaySessionRequest = Type.Object(
  {
    id: Type.String({
      pattern: "^[A-Za-z0-9_-]{16,64}$",
      description: "Random, made by the relay; the event id is relay:<id>",
    }),
    place: PlaceRequest,
    sessionKey: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
    mode: Type.Enum([...RELAY_MODES]),
    agent: Short,
    title: Type.String({ minLength: 1, maxLength: 256 }),
    workdir: Type.String({ minLength: 1, maxLength: 1024, description: "Shown, and nothing else" }),
    commandHint: Type.Optional(
      Type.String({ maxLength: 256, description: "Redacted; for the guard's audit" }),
    ),
    by: Type.Optional(
      Type.String({ minLength: 1, maxLength: 128, description: "Who relays, for the record" }),
    ),
    timeoutMs: ClockMs,
    silenceMs: ClockMs,
    thread: Type.Optional(Type.Boolean({ description: "It wants a thread of its own" })),
    listens: Type.Optional(Type.Boolean({ description: "What is said to the run reaches the agent" })),
    claimKey: Type.Optional(
      Type.String({
        pattern: "^[0-9a-f]{32}$",
        description: "Random, made by the relay: only a claim with a proof from it gets the session's lease",
      }),
    ),
  },
  { ...closed, $id: "RelaySessionRequest" },
);
export type RelaySessionRequest = Static<typeof RelaySessionRequest>;

/** What the guard of a channel is asked before anything is made for a session. */
export const GuardRequest = Type.Pick(RelaySessionRequest, ["place", "sessionKey", "mode", "commandHint"], {
  ...closed,
  $id: "GuardRequest",
});
export type GuardRequest = Static<typeof GuardRequest>;

export const GuardAnswer = Type.Object(
  {
    allowed: Type.Boolean(),
    reason: Type.String({ description: "on, not_set, off, other_session or unavailable" }),
    how: Type.Optional(Type.String({ description: "What opens it" })),
  },
  { $id: "GuardAnswer" },
);
export type GuardAnswer = Static<typeof GuardAnswer>;

export const RelaySessionAnswer = Type.Object(
  { runId: Type.String(), attempt: Type.Integer({ minimum: 1 }) },
  { $id: "RelaySessionAnswer" },
);
export type RelaySessionAnswer = Static<typeof RelaySessionAnswer>;

/** What `/codeflow` may ask for; `install`: how the rules of the channel are enforced on the box. */
export const CONTROL_ACTIONS = ["on", "off", "status", "install"] as const;
export type ControlAction = (typeof CONTROL_ACTIONS)[number];

export const ControlRequest = Type.Object(
  {
    /** Random, made by the caller: a request sent again posts nothing twice. */
    id: Type.String({ pattern: "^[A-Za-z0-9_-]{16,64}$" }),
    place: PlaceRequest,
    sessionKey: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
    action: Type.Enum([...CONTROL_ACTIONS]),
    by: Type.Optional(Type.String({ minLength: 1, maxLength: 128, description: "Who asks, for the record" })),
    quiet: Type.Optional(Type.Boolean({ description: "Post no answer in the channel" })),
  },
  { ...closed, $id: "ControlRequest" },
);
export type ControlRequest = Static<typeof ControlRequest>;

export const ControlAnswer = Type.Object(
  {
    guard: Type.Enum(["on", "off"]),
    /** What is posted, or is to be said by whoever asked when nothing was. */
    message: Type.String(),
    posted: Type.Boolean({ description: "The answer is on its way to the channel" }),
  },
  { $id: "ControlAnswer" },
);
export type ControlAnswer = Static<typeof ControlAnswer>;
