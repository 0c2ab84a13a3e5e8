/** A FlowEvent: what a product tells the edge. The id is the product's own idempotency key. */
import Type, { type Static } from "typebox";
import { EVENT_ID_MAX_CHARS, EVENT_SOURCE_MAX_CHARS, EVENT_TYPE_MAX_CHARS } from "./limits.ts";

/** As a product sends it. Unknown top-level fields are kept and passed to the step. */
export const FlowEventInput = Type.Object(
  {
    id: Type.String({
      minLength: 1,
      maxLength: EVENT_ID_MAX_CHARS,
      description: "Deterministic id: the same id is the same event",
    }),
    type: Type.String({ minLength: 1, maxLength: EVENT_TYPE_MAX_CHARS }),
    source: Type.Optional(Type.String({ maxLength: EVENT_SOURCE_MAX_CHARS })),
    occurredAt: Type.Optional(Type.String({ format: "date-time", description: "RFC 3339" })),
    receivedAt: Type.Optional(
      Type.String({ format: "date-time", description: "RFC 3339; set at the edge when absent" }),
    ),
    payload: Type.Optional(Type.Unknown({ description: "Any JSON value; {} when absent" })),
  },
  { additionalProperties: true, $id: "FlowEventInput" },
);
export type FlowEventInput = Static<typeof FlowEventInput> & Record<string, unknown>;

/**
 * Beginnings of event ids that only the edge's own senders use: chats, relayed sessions, schedules and workspaces. Their
 * ids can be foretold, so a sender that could use them would occupy the id of somebody's next command.
 */
export const RESERVED_ID_PREFIXES = ["telegram:", "discord:", "relay:", "schedule:", "workspace:"] as const;

/** As the edge keeps it and a step receives it. */
export interface FlowEvent {
  [extra: string]: unknown;
  id: string;
  type: string;
  source?: string;
  /** RFC 3339. */
  occurredAt?: string;
  /** RFC 3339. */
  receivedAt: string;
  payload: unknown;
}

/** Where a chained event comes from; absent fields mean that a product sent it. */
export interface Lineage {
  /** Id of the first event of the chain. */
  rootId: string;
  /** The run whose FLOW_RESULT asked for this event. */
  parentRunId?: string;
  /** 0 for an event that a product sent. */
  depth: number;
}

/** Fills what the sender may leave out: the payload (null is one), and the time of receipt. */
export function normalizeEvent(input: FlowEventInput, receivedAt: string): FlowEvent {
  const { payload = {} } = input;
  return { ...input, receivedAt: input.receivedAt ?? receivedAt, payload };
}

/**
 * What makes two events with one id the same event (invariant 2): type, source and payload, whatever the order
 * of keys. Two events conflict when these texts differ.
 */
export function eventIdentity(event: FlowEvent): string {
  return canonicalJson([event.type, event.source ?? null, event.payload]);
}

function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : inner,
  );
}
