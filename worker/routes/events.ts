/** Events: send, list, look at, send again. */
import { Hono, type Context } from "hono";
import { BadRequestError, NotFoundError } from "../../contract/errors.ts";
import { normalizeEvent, type FlowEvent } from "../../contract/flow-event.ts";
import { eventKey } from "../../contract/ids.ts";
import { EVENT_MAX_BYTES, REQUEST_MAX_BYTES } from "../../contract/limits.ts";
import { matchEvent } from "../../contract/matching.ts";
import { iso, type EventView, type RunView } from "../../contract/run-view.ts";
import { checkFlowEvent, checkReplayRequest } from "../../contract/validate.ts";
import { dayOf, ledgerName, previousDay, retentionMs } from "../../durable-objects/day-ledger/naming.ts";
import type { UnmatchedEvent } from "../../durable-objects/day-ledger/storage.ts";
import { eventView } from "../../durable-objects/flow-event/view.ts";
import type { AppContext } from "../app-context.ts";
import { authorize, bearerToken } from "../auth/authorize.ts";
import { signatureKind, verifySignature } from "../auth/signatures.ts";
import { parseJson, readBytes } from "../body.ts";
import { catalog } from "../catalog/catalog.ts";
import { dispatchEvent, matchedSteps, tooManyRuns, type DispatchOutcome } from "../dispatch.ts";
import type { Env } from "../env.ts";
import { listLimit, listPage } from "../listing.ts";
import { waitForRuns, waitMs } from "../wait.ts";

/** Ledgers asked at once for an event that has no object. */
const LEDGERS_AT_ONCE = 8;

export const eventRoutes = new Hono<AppContext>()
  .post("/events", receive)
  .post("/flow-events", receive)
  .get("/events", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runs:read"]);
    const { type, source, limit, cursor } = context.req.query();
    const page = await listPage<EventView>(context.env, cursor, listLimit(limit), (ledger, before, count) =>
      ledger.listEvents({ type, source }, before, count),
    );
    return context.json({ events: page.items, nextCursor: page.nextCursor });
  })
  .get("/events/:id", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runs:read"]);
    const id = context.req.param("id");
    const key = await eventKey(id);
    const owned = await context.env.EVENTS.getByName(key).view();
    if (owned !== undefined) return context.json(owned);
    const unmatched = await findUnmatched(context.env, key);
    if (unmatched === undefined) throw unknownEvent(id);
    return context.json({ event: unmatchedView(unmatched), runs: [] });
  })
  .post("/events/:id/replay", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runs:write", "events:write"]);
    const bytes = await readBytes(context.req.raw, "the request", REQUEST_MAX_BYTES);
    const { flow, step, wait } = parseJson(context.req.raw, bytes, checkReplayRequest, {});
    const timeoutMs = waitMs(wait ?? context.req.query("wait"));
    return answer(context, await replay(context.env, context.req.param("id"), { flow, step }), timeoutMs);
  });

async function receive(context: Context<AppContext>): Promise<Response> {
  const { headers } = context.req.raw;
  const signed = signatureKind(headers) !== undefined;
  // A request with a token is judged by its token; the signature of one that bears both is checked as well.
  if (!signed || bearerToken(headers) !== undefined) await authorize(headers, context.env, ["events:write"]);
  const bytes = await readBytes(context.req.raw, "the event", EVENT_MAX_BYTES);
  if (signed) await verifySignature(headers, bytes, context.env, Date.now());

  const timeoutMs = waitMs(context.req.query("wait"));
  const input = parseJson(context.req.raw, bytes, checkFlowEvent);
  const event = normalizeEvent(input, iso(Date.now()));
  if (isDryRun(context.req.query("dry_run"))) return dryRunAnswer(context, event);
  return answer(
    context,
    await dispatchEvent(context.env, event, { lineage: { rootId: event.id, depth: 0 }, origin: "event" }),
    timeoutMs,
  );
}

/** A word that says neither yes nor no is refused: taken for yes, it would drop an event that was meant to be stored. */
function isDryRun(value: string | undefined): boolean {
  if (value === undefined || value === "0" || value === "false") return false;
  if (value === "" || value === "1" || value === "true") return true;
  throw new BadRequestError("invalid_dry_run", "dry_run must be 1, true, 0 or false", [
    { path: "?dry_run", message: "is neither yes nor no" },
  ]);
}

function dryRunAnswer(context: Context<AppContext>, event: FlowEvent): Response {
  const { matches, misses } = matchEvent(event, catalog);
  return context.json({
    eventId: event.id,
    matches: matches.map(({ flow, step }) => ({ flow: flow.name, step: step.name, pool: step.pool })),
    misses: misses.map(({ flow, step, errors }) => ({ flow: flow.name, step: step.name, errors })),
  });
}

async function answer(
  context: Context<AppContext>,
  outcome: DispatchOutcome,
  timeoutMs: number,
): Promise<Response> {
  const runs = await waitForRuns(context.env, outcome.runs, timeoutMs);
  return context.json(
    {
      status: outcome.status,
      eventId: outcome.eventId,
      runIds: runs.map((run) => run.id),
      matched: outcome.matched,
      runs,
      idempotent: outcome.status === "duplicate",
      ...(outcome.conflict ? { conflict: true } : {}),
    },
    202,
  );
}

async function replay(
  env: Env,
  id: string,
  only: { flow?: string | undefined; step?: string | undefined },
): Promise<DispatchOutcome> {
  const key = await eventKey(id);
  const object = env.EVENTS.getByName(key);
  const stored = await object.storedEvent();
  if (stored === undefined) {
    const unmatched = await findUnmatched(env, key);
    if (unmatched === undefined) throw unknownEvent(id);
    return replayUnmatched(env, unmatched, only);
  }
  const matches = matchedSteps(stored, only);
  const replayed = await object.replay(matches);
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
  only: { flow?: string | undefined; step?: string | undefined },
): Promise<DispatchOutcome> {
  const matches = matchedSteps(event, only);
  if (matches.length === 0) return accepted(event.id, []);
  return dispatchEvent(env, event, { lineage, origin: "replay", matches, createdAt: createdMs });
}

function accepted(eventId: string, runs: RunView[]): DispatchOutcome {
  return { status: "accepted", eventId, conflict: false, matched: runs.length, runs };
}

function unknownEvent(id: string): NotFoundError {
  return new NotFoundError("event_not_found", `event not found: ${id}`, [
    { path: "{id}", message: "is no event that is stored" },
  ]);
}

/** Looks for an unmatched event in the ledgers of the retained days, newest first. */
async function findUnmatched(env: Env, key: string): Promise<UnmatchedEvent | undefined> {
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

function unmatchedView({ event, createdMs, lineage }: UnmatchedEvent): EventView {
  return eventView({ event, createdAt: createdMs, matched: 0, lineage });
}
