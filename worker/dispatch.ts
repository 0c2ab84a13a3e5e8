/**
 * From a valid event to the object that owns it: match, then hand over. Used for what products send, for replays of
 * events that had matched nothing, and for the events that results ask for.
 */
import { ConflictError } from "../contract/errors.ts";
import { eventIdentity, type FlowEvent, type Lineage } from "../contract/flow-event.ts";
import { eventKey } from "../contract/ids.ts";
import { RUNS_PER_EVENT_MAX } from "../contract/limits.ts";
import { matchEvent, type StepFilter, type StepMatch } from "../contract/matching.ts";
import type { RunView } from "../contract/run-view.ts";
import { dayOf, ledgerName } from "../durable-objects/day-ledger/naming.ts";
import type { AskedBy, MatchedStep } from "../durable-objects/flow-event/calls.ts";
import { sha256Hex } from "./auth/secrets.ts";
import { catalog } from "./catalog/catalog.ts";
import type { Env } from "./env.ts";

export interface DispatchOutcome {
  status: "accepted" | "duplicate";
  eventId: string;
  conflict: boolean;
  /** Steps that this call matched; 0 for a duplicate. */
  matched: number;
  runs: RunView[];
}

/** Steps of the deployed flows that an event starts, as an event object takes them. */
export function matchedSteps(event: FlowEvent, only: StepFilter = {}): MatchedStep[] {
  return matchEvent(event, catalog, only).matches.map(matchedStep);
}

function matchedStep({ flow, step }: StepMatch): MatchedStep {
  return { flow: { name: flow.name, version: flow.version, digest: flow.digest }, step };
}

/** A step by its name, as it is deployed now. */
export function deployedStep(flowName: string, stepName: string): MatchedStep | undefined {
  const flow = catalog.flows.find((known) => known.name === flowName);
  const step = flow?.steps.find((known) => known.name === stepName);
  return flow && step && matchedStep({ flow, step });
}

/** How an event came here. */
export interface Dispatch extends AskedBy {
  lineage: Lineage;
  origin: "event" | "replay" | "next";
  /** Steps to start; absent: all that the event matches. */
  matches?: MatchedStep[];
  /** Of a relayed session: what its relay proves its claim with. No pool offers such a run. */
  session?: { claimKey?: string };
  /** Receipt of an event that has been here before, epoch ms; absent: now. */
  createdAt?: number;
}

/** Whether any deployed step waits for events of this type, whatever their payload. */
function isAwaited(event: FlowEvent): boolean {
  return catalog.flows.some((flow) => flow.steps.some((step) => step.trigger?.type === event.type));
}

/**
 * Stores the event where it belongs and answers when that is committed (invariants 1 and 2).
 *
 * What nobody waits for is most of a webhook's noise and touches no object of its own: the day's ledger says whether
 * its id has matched today. An id that matched on an earlier day and comes back as a type that nobody waits for any
 * more is a row of the new day; its own object, its runs and their ids stay as they are.
 *
 * The other way round, an id that matched nothing today and comes back with something else that does match: to say
 * `conflict` in the answer, every event that matches would have to ask the day's ledger first, one request more for
 * what hardly ever happens. The object learns of it when it lists itself in that ledger, which it does anyway: then the
 * event shows the conflict, and the earlier one stays in the list.
 *
 * Throws ConflictError when the event matches more steps than it may have runs; then nothing is stored.
 */
export async function dispatchEvent(
  env: Env,
  event: FlowEvent,
  {
    lineage,
    origin,
    chat,
    request,
    session,
    matches = matchedSteps(event),
    createdAt = Date.now(),
  }: Dispatch,
): Promise<DispatchOutcome> {
  const [key, identity] = await Promise.all([eventKey(event.id), sha256Hex(eventIdentity(event))]);
  const object = env.EVENTS.getByName(key);
  if (matches.length === 0) {
    const recognize = async (): Promise<DispatchOutcome | undefined> => {
      const known = await object.recognize(identity);
      return known && { ...known, eventId: event.id, matched: 0 };
    };
    // Where steps wait for this type, the id may be one that has matched: then this is its duplicate.
    const known = isAwaited(event) ? await recognize() : undefined;
    if (known !== undefined) return known;
    const ledger = env.LEDGERS.getByName(ledgerName(env, dayOf(createdAt), key));
    const { status, conflict } = await ledger.recordUnmatched({ key, event, identity, lineage });
    if (status !== "owned") return { status, conflict, eventId: event.id, matched: 0, runs: [] };
    return (await recognize()) ?? { status: "duplicate", conflict, eventId: event.id, matched: 0, runs: [] };
  }
  const answer = await object.ingest({
    key,
    event,
    identity,
    matches,
    lineage,
    origin,
    chat,
    request,
    session,
    createdAt,
  });
  if (answer.status === "full") throw tooManyRuns(event.id);
  return {
    status: answer.status,
    conflict: answer.conflict,
    eventId: event.id,
    matched: answer.status === "accepted" ? matches.length : 0,
    runs: answer.runs,
  };
}

/** The event would have more runs than an event may have, its replays included. */
export function tooManyRuns(eventId: string): ConflictError {
  return new ConflictError(
    "too_many_runs",
    `event ${eventId} would have more than ${RUNS_PER_EVENT_MAX} runs, which is as many as an event may have; none was started`,
  );
}
