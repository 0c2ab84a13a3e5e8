/** Sending a stored event again: new runs, matched against the flows that are deployed now. */
import { NotFoundError } from "../contract/errors.ts";
import { eventKey } from "../contract/ids.ts";
import type { StepFilter } from "../contract/matching.ts";
import type { RunView } from "../contract/run-view.ts";
import { dayOf, ledgerName, previousDay, retentionMs } from "../durable-objects/day-ledger/naming.ts";
import type { UnmatchedEvent } from "../durable-objects/day-ledger/storage.ts";
import type { AskedBy } from "../durable-objects/flow-event/calls.ts";
import { dispatchEvent, matchedSteps, tooManyRuns, type DispatchOutcome } from "./dispatch.ts";
import type { Env } from "./env.ts";

/** Ledgers asked at once for an event that has no object. */
const LEDGERS_AT_ONCE = 8;

/**
 * Throws NotFoundError for an event that is not stored, ConflictError when it has as many runs as it may have.
 * @param asked what the new runs come from, whatever the event came from: the same request makes its runs once
 */
export async function replayEvent(
  env: Env,
  id: string,
  only: StepFilter,
  asked: AskedBy = {},
): Promise<DispatchOutcome> {
  const key = await eventKey(id);
  const object = env.EVENTS.getByName(key);
  const stored = await object.storedEvent();
  if (stored === undefined) {
    const unmatched = await findUnmatched(env, key);
    if (unmatched === undefined) throw unknownEvent(id);
    return replayUnmatched(env, unmatched, only, asked);
  }
  const matches = matchedSteps(stored, only);
  const replayed = await object.replay(matches, asked);
  if (replayed.kind === "unknown") throw unknownEvent(id);
  if (replayed.kind === "full") throw tooManyRuns(id);
  return accepted(id, replayed.runs);
}

/**
 * An event that had matched nothing gets its object now, if a flow has been deployed for it meanwhile. It stays an
 * event of the day on which it came: its row in that day's ledger is replaced, not doubled.
 */
async function replayUnmatched(
  env: Env,
  { event, lineage, createdMs }: UnmatchedEvent,
  only: StepFilter,
  asked: AskedBy,
): Promise<DispatchOutcome> {
  const matches = matchedSteps(event, only);
  if (matches.length === 0) return accepted(event.id, []);
  return dispatchEvent(env, event, { lineage, origin: "replay", matches, createdAt: createdMs, ...asked });
}

function accepted(eventId: string, runs: RunView[]): DispatchOutcome {
  return { status: "accepted", eventId, conflict: false, matched: runs.length, runs };
}

export function unknownEvent(id: string): NotFoundError {
  return new NotFoundError("event_not_found", `event not found: ${id}`, [
    { path: "{id}", message: "is no event that is stored" },
  ]);
}

/** Looks for an unmatched event in the ledgers of the retained days, newest first. */
export async function findUnmatched(env: Env, key: string): Promise<UnmatchedEvent | undefined> {
  const now = Date.now();
  const oldest = dayOf(now - retentionMs(env));
  for (let day = dayOf(now); day >= oldest;) {
    const names: string[] = [];
    for (; names.length < LEDGERS_AT_ONCE && day >= oldest; day = previousDay(day))
      names.push(ledgerName(env, day, key));
    const found = await Promise.all(names.map((name) => env.LEDGERS.getByName(name).unmatched(key)));
    const first = found.find((event) => event !== undefined);
    if (first !== undefined) return first;
  }
  return undefined;
}
