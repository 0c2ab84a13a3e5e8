/** Runners: what is connected, why each waiting run waits, what is asked of one, and the control socket. */
import { Hono, type Context } from "hono";
import { BadRequestError, ConflictError } from "../../contract/errors.ts";
import type { RunnerAction } from "../../contract/http-bodies.ts";
import type { PoolView } from "../../durable-objects/runner-pool/view.ts";
import type { AppContext } from "../app-context.ts";
import { authorize } from "../auth/authorize.ts";
import { poolNames } from "../catalog/catalog.ts";
import { chooseRunner, unknownRunner } from "../choose-runner.ts";
import type { Env } from "../env.ts";
import { expectUpgrade } from "../upgrade.ts";

const POOL_NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/;

export const runnerRoutes = new Hono<AppContext>()
  .get("/runners", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runs:read"]);
    const views = await poolViews(context.env, context.req.query("pool"));
    return context.json({
      runners: views.flatMap((view) => view.runners),
      waiting: views.flatMap((view) => view.waiting),
    });
  })
  .post("/runners/:name/pause", (context) => steer(context, "pause"))
  .post("/runners/:name/resume", (context) => steer(context, "resume"))
  .post("/runners/:name/drain", (context) => steer(context, "drain"))
  .get("/runners/connect", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runner"]);
    const pool = checkedPool(context.req.query("pool") ?? "default");
    expectUpgrade(context);
    return context.env.POOLS.getByName(pool).fetch(
      new Request("https://pool/connect", { headers: { upgrade: "websocket" } }),
    );
  });

/** One pool, or all that a deployed step may wait in. */
async function poolViews(env: Env, pool: string | undefined): Promise<PoolView[]> {
  const names = pool === undefined ? poolNames : [checkedPool(pool)];
  return Promise.all(names.map((name) => env.POOLS.getByName(name).view()));
}

async function steer(context: Context<AppContext>, action: RunnerAction): Promise<Response> {
  await authorize(context.req.raw.headers, context.env, ["admin"]);
  const wanted = context.req.param("name") ?? "";
  const views = await poolViews(context.env, context.req.query("pool"));
  const chosen = chooseRunner(
    views.flatMap((view) => view.runners),
    wanted,
  );
  const done = await context.env.POOLS.getByName(chosen.pool).steer(chosen.id, action);
  if (done.kind === "done") return context.json({ runner: done.runner });
  if (done.kind === "draining")
    throw new ConflictError(
      "runner_draining",
      `runner ${wanted} is draining and ends when its runs are over: start it again on its box`,
    );
  // It has left between the two questions.
  throw unknownRunner([], wanted);
}

function checkedPool(name: string): string {
  if (!POOL_NAME.test(name))
    throw new BadRequestError("invalid_pool", "a pool's name has 1 to 64 characters of a-z 0-9 - _", [
      { path: "?pool", message: "is no pool name" },
    ]);
  return name;
}
