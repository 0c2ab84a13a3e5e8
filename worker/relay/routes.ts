/** Relayed sessions and the guard of their channels, for `codex-flow relay`, `guard` and `control`. */
import { Hono, type Context } from "hono";
import { NOBODY_ID } from "../../contract/chat/place.ts";
import { ConflictError, GuardClosedError } from "../../contract/errors.ts";
import { REQUEST_MAX_BYTES } from "../../contract/limits.ts";
import {
  RELAY_EVENT_TYPE,
  RELAY_FLOW,
  RELAY_SOURCE,
  type RelaySessionAnswer,
  type RelaySessionRequest,
} from "../../contract/relay.ts";
import { checkControlRequest, checkGuardRequest, checkRelaySessionRequest } from "../../contract/validate.ts";
import type { AppContext } from "../app-context.ts";
import { authorize } from "../auth/authorize.ts";
import { parseJson, readBytes } from "../body.ts";
import { guardAllows } from "../chat/guard.ts";
import { dispatchEvent } from "../dispatch.ts";
import { control } from "./control.ts";
import { sessionStep } from "./session-step.ts";

export const relayRoutes = new Hono<AppContext>()
  .post("/relay/sessions", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runner", "runs:write"]);
    const request = await body(context, checkRelaySessionRequest);
    // R1: nothing of it is stored before the guard has answered.
    const { allowed, reason, how } = await guardAllows(context.env, request);
    if (!allowed) throw new GuardClosedError(reason, how);
    return context.json(await begin(context, request), 202);
  })
  .post("/relay/guard", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runner", "runs:write"]);
    return context.json(await guardAllows(context.env, await body(context, checkGuardRequest)));
  })
  .post("/relay/control", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runs:write", "admin"]);
    return context.json(await control(context.env, await body(context, checkControlRequest)));
  });

/** R2: the id is the relay's, so that one that asks twice has begun one session. */
async function begin(
  context: Context<AppContext>,
  request: RelaySessionRequest,
): Promise<RelaySessionAnswer> {
  const { id, place, mode, agent, title, workdir, by = "relay", thread, claimKey } = request;
  const { runs, conflict, eventId } = await dispatchEvent(
    context.env,
    {
      id: `relay:${id}`,
      type: RELAY_EVENT_TYPE,
      source: RELAY_SOURCE,
      receivedAt: new Date().toISOString(),
      payload: { mode, agent, title, workdir },
    },
    {
      lineage: { rootId: `relay:${id}`, depth: 0 },
      origin: "event",
      chat: { place, user: { id: NOBODY_ID, name: by }, ...(thread === true ? { ownThread: true } : {}) },
      matches: [sessionStep(request)],
      session: claimKey === undefined ? {} : { claimKey },
    },
  );
  const [run] = runs;
  if (conflict || run?.runner !== RELAY_FLOW)
    throw new ConflictError("session_differs", `event ${eventId} is another session: make a new id`);
  return { runId: run.id, attempt: 1 };
}

async function body<T>(context: Context<AppContext>, check: Parameters<typeof parseJson<T>>[2]): Promise<T> {
  const bytes = await readBytes(context.req.raw, "the request", REQUEST_MAX_BYTES);
  return parseJson(context.req.raw, bytes, check);
}
