/** Rows in the days' ledgers, put there as event objects put them: through `project`. */
import { env } from "cloudflare:workers";
import type { FlowResult } from "../../../contract/flow-result.ts";
import { eventKey } from "../../../contract/ids.ts";
import { newRun } from "../../../contract/run-lifecycle.ts";
import type { RunRecord } from "../../../contract/run-record.ts";
import { runSummary } from "../../../contract/run-view.ts";
import { dayOf, ledgerName } from "../../../durable-objects/day-ledger/naming.ts";
import { listedEvent } from "../../../durable-objects/flow-event/view.ts";
import { freshId } from "./api.ts";
import { flows } from "./flow-catalog.ts";

export const DAY_MS = 86_400_000;

export interface SeededEvent {
  id: string;
  createdMs: number;
}

/** An event of another day, as its object would have listed it. */
export async function seedEvent(createdMs: number, type: string, source?: string): Promise<SeededEvent> {
  const id = freshId("seed");
  const key = await eventKey(id);
  const view = listedEvent({
    event: {
      id,
      type,
      ...(source === undefined ? {} : { source }),
      receivedAt: "2026-01-01T00:00:00Z",
      payload: {},
    },
    createdAt: createdMs,
    matched: 1,
    lineage: { rootId: id, depth: 0 },
  });
  await ledgerOf(createdMs, key).project({
    event: { key, createdMs, identity: "identity of the seed", view },
    runs: [],
  });
  return { id, createdMs };
}

/** A run of another day in a state of its own. */
export async function seedRun(
  createdMs: number,
  flow: string,
  state: Partial<RunRecord> & { status: RunRecord["status"]; result?: FlowResult },
): Promise<{ id: string; createdMs: number }> {
  const eventId = freshId("seed");
  const key = await eventKey(eventId);
  const step = flows[1]?.steps[0];
  if (step === undefined) throw new Error("the catalog of the tests has no such step");
  const run = newRun({
    eventKey: key,
    n: 1,
    event: { id: eventId, type: "seed", receivedAt: "2026-01-01T00:00:00Z", payload: {} },
    flow: { name: flow, version: 1, digest: "sha256:seed" },
    step,
    origin: "event",
    depth: 0,
    now: createdMs,
  });
  const summary = runSummary({ ...run, ...state });
  await ledgerOf(createdMs, key).project({ runs: [{ rev: run.rev, createdMs, summary }] });
  return { id: run.id, createdMs };
}

function ledgerOf(createdMs: number, key: string): ReturnType<typeof env.LEDGERS.getByName> {
  return env.LEDGERS.getByName(ledgerName(env, dayOf(createdMs), key));
}
