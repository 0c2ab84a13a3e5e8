/** The flows that are deployed. */
import { Hono } from "hono";
import type { AppContext } from "../app-context.ts";
import { authorize } from "../auth/authorize.ts";
import { catalog } from "../catalog/catalog.ts";

export const flowRoutes = new Hono<AppContext>().get("/flows", async (context) => {
  await authorize(context.req.raw.headers, context.env, ["runs:read"]);
  return context.json({ flows: catalog.flows });
});
