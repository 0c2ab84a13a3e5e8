/** Runs: list, look at, read, watch, stop; and the run socket of the runner that executes one. */
import { Hono, type Context } from "hono";
import { BadRequestError, ConflictError, ForbiddenError, OverloadedError } from "../../contract/errors.ts";
import { eventKey } from "../../contract/ids.ts";
import { REQUEST_MAX_BYTES, TAILS_PER_EVENT_MAX, TAILS_PER_RUN_MAX } from "../../contract/limits.ts";
import { parseCursor } from "../../contract/output-cursor.ts";
import type { RunSummary, RunView } from "../../contract/run-view.ts";
import { OUTPUT_STREAMS } from "../../contract/runner-link.ts";
import { RESULT_STATUSES } from "../../contract/flow-result.ts";
import { PROCESS_STATUSES } from "../../contract/run-record.ts";
import { checkAckRequest, checkCancelRequest } from "../../contract/validate.ts";
import type { RunFilter } from "../../durable-objects/day-ledger/storage.ts";
import type { Remote } from "../../durable-objects/kit/remote.ts";
import type { FlowEventObject } from "../../durable-objects/flow-event/object.ts";
import { whyWaiting } from "../../durable-objects/runner-pool/why-waiting.ts";
import type { AppContext } from "../app-context.ts";
import { authorize } from "../auth/authorize.ts";
import { parseJson, readBytes } from "../body.ts";
import type { Env } from "../env.ts";
import { flag } from "../flag.ts";
import { listLimit, listPage, sinceMs } from "../listing.ts";
import { expectUpgrade } from "../upgrade.ts";
import { cancelWaitMs } from "../wait.ts";
import { apiCaller } from "./api-caller.ts";
import { located, unknownRun } from "./located-run.ts";

/** Output that stands in the answer of GET /runs/:id; the whole of it has its own route. */
const OUTPUT_IN_VIEW_MAX_BYTES = 64 * 1024;

export const runRoutes = new Hono<AppContext>()
  .get("/runs", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runs:read"]);
    const { eventId, limit, cursor, ...query } = context.req.query();
    const filter = runFilter(query);
    if (eventId !== undefined)
      return context.json(await runsOfEvent(context.env, eventId, filter, listLimit(limit)));
    const page = await listPage<RunSummary>(
      context.env,
      cursor,
      listLimit(limit),
      (ledger, before, count) => ledger.listRuns(filter, before, count),
      filter.since,
    );
    return context.json({ runs: page.items, nextCursor: page.nextCursor });
  })
  .get("/runs/:id", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runs:read"]);
    const { object, n, id } = located(context);
    const run = await object.runView(n);
    if (run === undefined) throw unknownRun(id);
    const page = await object.output(n, undefined, OUTPUT_IN_VIEW_MAX_BYTES);
    return context.json({
      run: { ...(await withWaitingReason(context.env, run)), output: page?.output ?? [] },
    });
  })
  .get("/runs/:id/output", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runs:read"]);
    const { object, n, id } = located(context);
    const { after, stream } = context.req.query();
    checkCursor(after);
    if (stream !== undefined && !OUTPUT_STREAMS.some((known) => known === stream))
      throw new BadRequestError("invalid_stream", `stream must be one of ${OUTPUT_STREAMS.join(", ")}`, [
        { path: "?stream", message: "is not known" },
      ]);
    const page = await object.output(n, after);
    if (page === undefined) throw unknownRun(id);
    const output = page.output.filter((chunk) => stream === undefined || chunk.kind === stream);
    return context.json({
      output,
      cursor: page.output.at(-1)?.cursor ?? after ?? "0.0",
      complete: page.complete,
    });
  })
  .get("/runs/:id/tail", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runs:read"]);
    const { object, n, id } = located(context);
    const after = context.req.query("after");
    checkCursor(after);
    return upgrade(context, object, `/tail?n=${n}&after=${after ?? ""}`, id);
  })
  .get("/runs/:id/attach", async (context) => {
    const scopes = await authorize(context.req.raw.headers, context.env, ["runner", "runs:write"]);
    const { object, n, id } = located(context);
    // Whoever may begin a relayed session may carry it, and no other run.
    const kind = scopes.has("runner") ? "" : "&kind=relay";
    return upgrade(context, object, `/attach?n=${n}${kind}`, id);
  })
  .post("/runs/:id/cancel", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runs:write"]);
    const { object, n, id } = located(context);
    const bytes = await readBytes(context.req.raw, "the request", REQUEST_MAX_BYTES);
    const { by } = parseJson(context.req.raw, bytes, checkCancelRequest, {});
    const canceled = await object.cancel(n, apiCaller(by), cancelWaitMs(context.req.query("wait")));
    if (canceled === undefined) throw unknownRun(id);
    if (canceled.kind === "over")
      throw new ConflictError("run_over", `run ${id} is already over: ${canceled.run.effectiveStatus}`);
    return context.json({ run: canceled.run }, 202);
  })
  .post("/runs/:id/ack", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runs:write"]);
    const { object, n, id } = located(context);
    const bytes = await readBytes(context.req.raw, "the request", REQUEST_MAX_BYTES);
    const { by } = parseJson(context.req.raw, bytes, checkAckRequest, {});
    const answer = await object.acknowledge(n, apiCaller(by));
    if (answer === undefined) throw unknownRun(id);
    if (answer.kind === "not_needed")
      throw new ConflictError(
        "no_attention_needed",
        `run ${id} is ${answer.run.effectiveStatus}, which needs no attention: there is nothing to acknowledge`,
      );
    return context.json({ run: answer.run });
  });

async function upgrade(
  context: Context<AppContext>,
  object: Remote<FlowEventObject>,
  path: string,
  id: string,
): Promise<Response> {
  expectUpgrade(context);
  const response = await object.fetch(
    new Request(`https://event${path}`, { headers: { upgrade: "websocket" } }),
  );
  if (response.status === 404) throw unknownRun(id);
  if (response.status === 503)
    throw new OverloadedError(
      `run ${id} is followed by as many clients as it may be (${TAILS_PER_RUN_MAX} a run, ${TAILS_PER_EVENT_MAX} an event): close one, or read GET /runs/${id}/output`,
    );
  if (response.status === 403)
    throw new ForbiddenError(
      "this token lacks the scope runner: without it only relayed sessions can be carried",
      [{ path: "authorization", message: "lacks the scope runner" }],
    );
  return response;
}

function checkCursor(after: string | undefined): void {
  if (parseCursor(after) === undefined)
    throw new BadRequestError("invalid_cursor", "after must be a cursor of this run's output", [
      { path: "?after", message: "is not valid" },
    ]);
}

function checkStatus(status: string | undefined): void {
  const known: readonly string[] = [...PROCESS_STATUSES, ...RESULT_STATUSES];
  if (status !== undefined && !known.includes(status))
    throw new BadRequestError("invalid_status", `status must be one of ${[...new Set(known)].join(", ")}`, [
      { path: "?status", message: "is not known" },
    ]);
}

function runFilter(query: Record<string, string>): RunFilter {
  const { status, flow, pool, runner } = query;
  checkStatus(status);
  return {
    status,
    flow,
    pool,
    runner,
    attention: flag(query["attention"], "attention"),
    since: sinceMs(query["since"]),
  };
}

async function runsOfEvent(
  env: Env,
  eventId: string,
  { status, flow, attention, pool, runner, since = 0 }: RunFilter,
  limit: number,
): Promise<{ eventId: string; runs: RunView[] }> {
  const found = await env.EVENTS.getByName(await eventKey(eventId)).view();
  const isOn = (run: RunView): boolean => {
    const newest = run.attempts.at(-1);
    return runner === undefined || newest?.workerId === runner || newest?.runnerName === runner;
  };
  const runs = (found?.runs ?? []).filter(
    (run) =>
      (status === undefined || run.status === status || run.effectiveStatus === status) &&
      (flow === undefined || run.flowName === flow) &&
      (pool === undefined || run.pool === pool) &&
      (attention !== true || run.needsAttention || run.pendingApprovals !== undefined) &&
      isOn(run) &&
      Date.parse(run.createdAt) >= since,
  );
  return { eventId, runs: runs.slice(0, limit) };
}

async function withWaitingReason(env: Env, run: RunView): Promise<RunView> {
  if (run.status !== "queued") return run;
  return { ...run, waiting: await whyWaiting(env, run) };
}
