/** The stored event as others see it. */
import type { FlowEvent, Lineage } from "../../contract/flow-event.ts";
import { iso, type EventView } from "../../contract/run-view.ts";
import type { StoredEvent } from "./storage.ts";

/** Payloads up to this size stand in lists too; a larger one is read with its event. */
const LISTED_PAYLOAD_MAX_BYTES = 4096;

/** What a view needs of an event, whoever stores it. */
export interface ViewableEvent {
  event: FlowEvent;
  createdAt: number;
  matched: number;
  lineage: Lineage;
  conflicts?: { count: number; lastAt: number };
}

export function eventView(stored: ViewableEvent): EventView {
  return { ...listedEvent(stored), payload: stored.event.payload, raw: stored.event };
}

/** The event as a list shows it: bounded, so that no list answer grows with what somebody sent. */
export function listedEvent({ event, createdAt, matched, lineage, conflicts }: ViewableEvent): EventView {
  const payload = JSON.stringify(event.payload);
  return {
    id: event.id,
    type: event.type,
    ...(event.source === undefined ? {} : { source: event.source }),
    ...(event.occurredAt === undefined ? {} : { occurredAt: event.occurredAt }),
    receivedAt: event.receivedAt,
    ...(payload.length <= LISTED_PAYLOAD_MAX_BYTES
      ? { payload: event.payload }
      : { payloadBytes: payload.length }),
    createdAt: iso(createdAt),
    matched,
    ...(lineage.depth === 0
      ? {}
      : {
          rootId: lineage.rootId,
          depth: lineage.depth,
          ...(lineage.parentRunId === undefined ? {} : { parentRunId: lineage.parentRunId }),
        }),
    ...(conflicts === undefined
      ? {}
      : { conflicts: { count: conflicts.count, lastAt: iso(conflicts.lastAt) } }),
  };
}

/** What the day's ledger keeps of an event that has its own object. */
export interface EventSummary {
  key: string;
  createdMs: number;
  /** As StoredEvent. */
  identity: string;
  view: EventView;
}

export function storedSummary(stored: StoredEvent): EventSummary {
  return {
    key: stored.key,
    createdMs: stored.createdAt,
    identity: stored.identity,
    view: listedEvent(stored),
  };
}
