/** Events: send, list, look at, send again. */
import { Hono, type Context } from "hono";
import {
  BadRequestError,
  PayloadTooLargeError,
  UnauthorizedError,
  ValidationError,
  type ErrorDetail,
} from "../../contract/errors.ts";
import type { Scope } from "../../contract/http.ts";
import { normalizeEvent, type FlowEvent, type FlowEventInput } from "../../contract/flow-event.ts";
import { eventKey } from "../../contract/ids.ts";
import {
  EVENT_MAX_BYTES,
  FAULTS_MAX_ITEMS,
  MISSES_MAX_ITEMS,
  REQUEST_MAX_BYTES,
} from "../../contract/limits.ts";
import { matchEvent, type StepMiss } from "../../contract/matching.ts";
import { iso, runStatusView, type EventView } from "../../contract/run-view.ts";
import { exceedsBytes } from "../../contract/text-bytes.ts";
import { checkReplayRequest, checkSentEvent } from "../../contract/validate.ts";
import type { UnmatchedEvent } from "../../durable-objects/day-ledger/storage.ts";
import { eventView } from "../../durable-objects/flow-event/view.ts";
import type { AppContext } from "../app-context.ts";
import { authorize, hasToken, SIGNATURE_SCOPES } from "../auth/authorize.ts";
import { signatureKind, verifySignature, type SignatureKind } from "../auth/signatures.ts";
import { parseJson, readBytes, type SentBody } from "../body.ts";
import { catalog } from "../catalog/catalog.ts";
import { dispatchEvent, type DispatchOutcome } from "../dispatch.ts";
import { flag } from "../flag.ts";
import { foreignSender, foreignWebhook, howToWrap, refuseForeignBody } from "../foreign-webhook.ts";
import { listLimit, listPage, sinceMs } from "../listing.ts";
import { findUnmatched, replayEvent, unknownEvent } from "../replay.ts";
import { waitForRuns, waitMs } from "../wait.ts";

export const eventRoutes = new Hono<AppContext>()
  .post("/events", receive)
  .post("/flow-events", receive)
  .get("/events", list)
  .get("/flow-events", list)
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
    const { granted, body } = await readAllowed(context, {
      scopes: ["runs:write", "events:write"],
      // A Standard Webhooks secret belongs to one sender elsewhere, which has nothing to replay here.
      signatures: ["flow"],
      what: "the request",
      limitBytes: REQUEST_MAX_BYTES,
    });
    const { flow, step, wait } = parseJson(context.req.raw, body, checkReplayRequest, {});
    const timeoutMs = waitMs(wait ?? context.req.query("wait"));
    const outcome = await replayEvent(context.env, context.req.param("id"), { flow, step });
    // The runs are the caller's, the event may be another sender's: its results would tell what is in it.
    return answer(context, outcome, timeoutMs, { granted, ownEvent: false });
  });

async function list(context: Context<AppContext>): Promise<Response> {
  await authorize(context.req.raw.headers, context.env, ["runs:read"]);
  const { type, source, limit, cursor, since: sinceText } = context.req.query();
  const since = sinceMs(sinceText);
  const page = await listPage<EventView>(
    context.env,
    cursor,
    listLimit(limit),
    (ledger, before, count) => ledger.listEvents({ type, source, since }, before, count),
    since,
  );
  return context.json({ events: page.items, nextCursor: page.nextCursor });
}

async function receive(context: Context<AppContext>): Promise<Response> {
  const { headers } = context.req.raw;
  const sender = foreignSender(headers);
  if (sender !== undefined && signatureKind(headers) === undefined && !hasToken(headers))
    throw new UnauthorizedError(`no credentials that this edge knows; and ${howToWrap(sender)}`, [
      { path: "authorization", message: "is required" },
    ]);
  const { granted, body } = await readAllowed(context, {
    scopes: ["events:write"],
    signatures: ["flow", "standard"],
    what: "the event",
    limitBytes: EVENT_MAX_BYTES,
  });

  const timeoutMs = waitMs(context.req.query("wait"));
  const input = readEvent(context.req.raw, body);
  // As it is stored: 1e20 is 4 bytes as sent and 21 when it is written again.
  if (exceedsBytes(JSON.stringify(input), EVENT_MAX_BYTES))
    throw new PayloadTooLargeError("the event, written again as it is stored,", EVENT_MAX_BYTES);
  const event = normalizeEvent(input, iso(Date.now()));
  if (flag(context.req.query("dry_run"), "dry_run", "invalid_dry_run")) return dryRunAnswer(context, event);
  const mustMatch = flag(context.req.query("must_match"), "must_match");
  const { matches, misses } = matchEvent(event, catalog);
  if (mustMatch && matches.length === 0) throw nothingMatched(event, misses);
  const outcome = await dispatchEvent(context.env, event, {
    lineage: { rootId: event.id, depth: 0 },
    origin: "event",
  });
  const caller = { granted, ownEvent: outcome.status === "accepted" };
  return answer(context, outcome, timeoutMs, caller, matches.length === 0 ? misses : []);
}

/** What `?must_match=1` refuses: nothing would run, and nothing is stored. */
function nothingMatched(event: FlowEvent, misses: StepMiss[]): ValidationError {
  const details = misses
    .slice(0, MISSES_MAX_ITEMS)
    .flatMap(({ flow, step, errors }) =>
      errors.map(({ path, message }) => ({ path, message: `${message} (${flow.name}/${step.name})` })),
    )
    .slice(0, FAULTS_MAX_ITEMS);
  return new ValidationError(
    "nothing_matched",
    misses.length === 0
      ? `no deployed step waits for events of type ${event.type}; nothing was stored`
      : `the event matches no deployed step, though ${misses.length} wait for its type; nothing was stored`,
    details.length === 0 ? [{ path: "/type", message: "no deployed step waits for it" }] : details,
  );
}

function missView({ flow, step, errors }: StepMiss): { flow: string; step: string; errors: ErrorDetail[] } {
  return { flow: flow.name, step: step.name, errors };
}

interface Door {
  /** A token needs one of these. */
  scopes: readonly Scope[];
  /** Signatures that may stand in for a token. */
  signatures: readonly SignatureKind[];
  what: string;
  limitBytes: number;
}

/** What the credentials of a request allow, and its body. A signature beside a token is checked too. */
async function readAllowed(
  { env, req }: Context<AppContext>,
  { scopes, signatures, what, limitBytes }: Door,
): Promise<{ granted: ReadonlySet<Scope>; body: SentBody }> {
  const { headers } = req.raw;
  const kind = signatureKind(headers);
  const signed = kind !== undefined && signatures.includes(kind);
  const granted = !signed || hasToken(headers) ? await authorize(headers, env, scopes) : SIGNATURE_SCOPES;
  const body = await readBytes(req.raw, what, limitBytes);
  if (signed) await verifySignature(headers, body.bytes, env, Date.now());
  return { granted, body };
}

function readEvent(request: Request, body: SentBody): FlowEventInput {
  try {
    return parseJson(request, body, (value) => {
      refuseForeignBody(request.headers, value);
      return checkSentEvent(value);
    });
  } catch (error) {
    // GitHub may send its JSON inside a form.
    const sender = foreignSender(request.headers);
    if (sender !== undefined && error instanceof BadRequestError) throw foreignWebhook(sender);
    throw error;
  }
}

function dryRunAnswer(context: Context<AppContext>, event: FlowEvent): Response {
  const { matches, misses } = matchEvent(event, catalog);
  return context.json({
    eventId: event.id,
    matches: matches.map(({ flow, step }) => ({ flow: flow.name, step: step.name, pool: step.pool })),
    misses: misses.map(missView),
  });
}

/** Who gets an answer: what the credentials allow, and whether the runs come from the event that this request brought. */
interface Caller {
  granted: ReadonlySet<Scope>;
  ownEvent: boolean;
}

/** A caller without `runs:read` learns ids and statuses: event ids can be guessed, so a duplicate proves nothing. */
async function answer(
  context: Context<AppContext>,
  outcome: DispatchOutcome,
  timeoutMs: number,
  { granted, ownEvent }: Caller,
  misses: StepMiss[] = [],
): Promise<Response> {
  const runs = await waitForRuns(context.env, outcome.runs, timeoutMs);
  return context.json(
    {
      status: outcome.status,
      eventId: outcome.eventId,
      runIds: runs.map((run) => run.id),
      matched: outcome.matched,
      runs: granted.has("runs:read") ? runs : runs.map((run) => runStatusView(run, ownEvent)),
      idempotent: outcome.status === "duplicate",
      ...(outcome.conflict ? { conflict: true } : {}),
      ...(misses.length === 0 ? {} : { misses: misses.slice(0, MISSES_MAX_ITEMS).map(missView) }),
    },
    202,
  );
}

function unmatchedView({ event, createdMs, lineage }: UnmatchedEvent): EventView {
  return eventView({ event, createdAt: createdMs, matched: 0, lineage });
}
