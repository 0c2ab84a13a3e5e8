/** What the edge says about itself. */
import { Hono } from "hono";
import openApi from "../../contract/generated/openapi.json";
import type { AppContext } from "../app-context.ts";
import { authorize } from "../auth/authorize.ts";

export const metaRoutes = new Hono<AppContext>()
  // The date is Cloudflare's own affair where it serves; a local workerd sends none, and runners compare clocks by it.
  .get("/healthz", (context) => context.json({ ok: true }, 200, { date: new Date().toUTCString() }))
  .get("/openapi.json", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runs:read", "events:write", "runner"]);
    return context.json(openApi);
  });
