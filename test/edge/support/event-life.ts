/** An event's life as its ledger lists it and its object keeps it: looked at, and rewritten for a test. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect } from "vitest";
import { eventKey } from "../../../contract/ids.ts";
import type { EventView, RunSummary } from "../../../contract/run-view.ts";
import { dayOf, ledgerName, retentionMs } from "../../../durable-objects/day-ledger/naming.ts";
import type { StoredEvent } from "../../../durable-objects/flow-event/storage.ts";
import { armedAt, eventOf, eventStub, get, ledgerStub, startRun, until } from "./api.ts";
import { FakeRunner } from "./fake-runner.ts";
import { deployStep } from "./flow-catalog.ts";

export const RETENTION_MS = retentionMs(env);

export async function todaysLedger(eventId: string): Promise<DurableObjectStub> {
  return ledgerStub(ledgerName(env, dayOf(Date.now()), await eventKey(eventId)));
}

export async function listedEvents(type: string): Promise<EventView[]> {
  return (await get<{ events: EventView[] }>(`/events?type=${encodeURIComponent(type)}`)).events;
}

export async function listedRun(runId: string): Promise<RunSummary | undefined> {
  const { runs } = await get<{ runs: RunSummary[] }>("/runs?limit=500");
  return runs.find((run) => run.id === runId);
}

export async function untilListed(runId: string, status: RunSummary["status"]): Promise<void> {
  await until(async () => {
    expect((await listedRun(runId))?.status).toBe(status);
  });
}

/** What the ledger was told of this event never came, or came to nothing. */
export async function forgetInLedger(eventId: string): Promise<void> {
  const key = await eventKey(eventId);
  await runInDurableObject(await todaysLedger(eventId), (_instance, { storage }) => {
    storage.sql.exec("DELETE FROM event WHERE key = ?", key);
    storage.sql.exec("DELETE FROM run WHERE run_id LIKE ?", `run_${key}_%`);
  });
}

export async function rewriteEvent(
  eventId: string,
  change: (event: StoredEvent) => StoredEvent,
): Promise<void> {
  await runInDurableObject(await eventStub(eventId), (_instance, { storage }) => {
    const event = storage.kv.get<StoredEvent>("event");
    if (event === undefined) throw new Error(`${eventId} is not stored`);
    storage.kv.put("event", change(event));
  });
}

export async function ageOfDeletion(eventId: string): Promise<number> {
  return Date.parse((await eventOf(eventId)).event.createdAt) + RETENTION_MS;
}

/** A run that has been taken and ended, and that everybody has been told of. */
export async function finishedRun(): Promise<{ eventId: string; runId: string; type: string; pool: string }> {
  const { type, pool } = deployStep();
  const runner = await FakeRunner.connect(pool);
  const begun = await startRun(type);
  await runner.complete(begun.runId, { status: "completed" });
  await untilAtRest(begun);
  return { ...begun, type, pool };
}

/** All is told: what happens next by itself is the deletion. */
export async function untilAtRest({ eventId, runId }: { eventId: string; runId: string }): Promise<void> {
  await untilListed(runId, "completed");
  await until(async () => {
    expect(await armedAt(await eventStub(eventId))).toBe(await ageOfDeletion(eventId));
  });
}
