/** Runners: what is connected, why each waiting run waits, and the control socket. */
import { Hono } from "hono";
import { BadRequestError } from "../../contract/errors.ts";
import type { AppContext } from "../app-context.ts";
import { authorize } from "../auth/authorize.ts";
import { poolNames } from "../catalog/catalog.ts";

const POOL_NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/;

export const runnerRoutes = new Hono<AppContext>()
  .get("/runners", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runs:read"]);
    const pool = context.req.query("pool");
    const names = pool === undefined ? poolNames : [checkedPool(pool)];
    const views = await Promise.all(names.map((name) => context.env.POOLS.getByName(name).view()));
    return context.json({
      runners: views.flatMap((view) => view.runners),
      waiting: views.flatMap((view) => view.waiting),
    });
  })
  .get("/runners/connect", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runner"]);
    const pool = checkedPool(context.req.query("pool") ?? "default");
    if (context.req.header("upgrade")?.toLowerCase() !== "websocket")
      throw new BadRequestError(
        "not_a_websocket",
        "/runners/connect is a WebSocket: send an upgrade request",
      );
    return context.env.POOLS.getByName(pool).fetch(
      new Request("https://pool/connect", { headers: { upgrade: "websocket" } }),
    );
  });

function checkedPool(name: string): string {
  if (!POOL_NAME.test(name))
    throw new BadRequestError("invalid_pool", "a pool's name has 1 to 64 characters of a-z 0-9 - _", [
      { path: "?pool", message: "is no pool name" },
    ]);
  return name;
}
