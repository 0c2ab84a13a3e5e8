/** What people did in chats, who may do what there, and which servers are let in: for whoever owns the edge. */
import { Hono } from "hono";
import { TENANT, type AuditView, type GrantView, type ServerView } from "../../contract/chat/audit.ts";
import { BadRequestError, ConflictError } from "../../contract/errors.ts";
import { GRANTS_PER_TENANT_MAX, REQUEST_MAX_BYTES, SERVERS_MAX } from "../../contract/limits.ts";
import { iso } from "../../contract/run-view.ts";
import { checkGrantRequest, checkServerRequest } from "../../contract/validate.ts";
import type { AuditRow, GrantRow, ServerRow } from "../../durable-objects/chat-access/calls.ts";
import { CHAT_ACCESS } from "../../durable-objects/chat-access/naming.ts";
import type { AppContext } from "../app-context.ts";
import { authorize } from "../auth/authorize.ts";
import { parseJson, readBytes } from "../body.ts";
import { noteApiCall } from "../chat/api-audit.ts";
import { listLimit } from "../listing.ts";
import { apiCaller } from "./api-caller.ts";

export const chatAuditRoutes = new Hono<AppContext>()
  .get("/chat/audit", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["admin"]);
    const { user, run, limit, cursor } = context.req.query();
    const most = listLimit(limit);
    const rows = await context.env.CHAT_ACCESS.getByName(CHAT_ACCESS).audit(
      { ...(user === undefined ? {} : { user }), ...(run === undefined ? {} : { run }) },
      rowOf(cursor),
      most,
    );
    const last = rows.at(-1);
    return context.json({
      audit: rows.map(auditView),
      ...(rows.length < most || last === undefined ? {} : { nextCursor: String(last.row) }),
    });
  })
  .get("/chat/grants", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["admin"]);
    const { tenant = "" } = context.req.query();
    if (!TENANT.test(tenant))
      throw new BadRequestError("invalid_tenant", "tenant must be the id of a server or a bot", [
        { path: "?tenant", message: "is no id" },
      ]);
    const grants = await context.env.CHAT_ACCESS.getByName(CHAT_ACCESS).grants(tenant);
    return context.json({ grants: grants.map(grantView) });
  })
  .post("/chat/grants", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["admin"]);
    const bytes = await readBytes(context.req.raw, "the request", REQUEST_MAX_BYTES);
    const { tenant, subject, scopes, deny, by: name } = parseJson(context.req.raw, bytes, checkGrantRequest);
    const access = context.env.CHAT_ACCESS.getByName(CHAT_ACCESS);
    const by = apiCaller(name);
    const grant = deny === true ? { scopes: [], deny } : { scopes };
    const answer = await access.setGrant(tenant, subject, grant, by);
    if (answer.kind === "full")
      throw new ConflictError(
        "too_many_grants",
        `a server has at most ${GRANTS_PER_TENANT_MAX} roles and users that were given something`,
      );
    const outcome = deny === true ? "deny" : scopes.join(", ") || "none";
    await noteApiCall(context.env, { act: "roles set", tenant, subject, by, outcome });
    return context.json({ grants: answer.grants.map(grantView) });
  })
  .get("/chat/servers", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["admin"]);
    const servers = await context.env.CHAT_ACCESS.getByName(CHAT_ACCESS).servers();
    return context.json({ servers: servers.map(serverView) });
  })
  .post("/chat/servers", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["admin"]);
    const bytes = await readBytes(context.req.raw, "the request", REQUEST_MAX_BYTES);
    const { server, allowed, by: name } = parseJson(context.req.raw, bytes, checkServerRequest);
    const by = apiCaller(name);
    const answer = await context.env.CHAT_ACCESS.getByName(CHAT_ACCESS).allowServer(server, allowed, by);
    if (answer.kind === "full")
      throw new ConflictError("too_many_servers", `an edge lets at most ${SERVERS_MAX} servers in`);
    const act = allowed ? "server allowed" : "server removed";
    await noteApiCall(context.env, { act, tenant: server, subject: server, by, outcome: "done" });
    return context.json({ servers: answer.servers.map(serverView) });
  });

function rowOf(cursor: string | undefined): number | undefined {
  if (cursor === undefined || cursor === "") return undefined;
  if (!/^[0-9]{1,15}$/.test(cursor))
    throw new BadRequestError("invalid_cursor", "pass the nextCursor of the page before", [
      { path: "?cursor", message: "is not valid" },
    ]);
  return Number(cursor);
}

function auditView({ at, ...row }: AuditRow): AuditView {
  return { ...row, at: iso(at) };
}

function serverView({ server, setBy, at }: ServerRow): ServerView {
  return { server, allowedBy: setBy, at: iso(at) };
}

function grantView({ subject, grant, setBy, at }: GrantRow): GrantView {
  return { subject, scopes: grant.scopes, deny: grant.deny === true, setBy, at: iso(at) };
}
