/** What becomes of an offer: answered, declined, left lying, made twice, made for what is over already. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { OFFER_TIMEOUT_MS } from "../../contract/limits.ts";
import type { RunRoute } from "../../contract/runner-link.ts";
import {
  crash,
  fireAlarm,
  poolOf,
  poolStub,
  runOf,
  startRun,
  until,
  untilWaiting,
  claimOf,
} from "./support/api.ts";
import { FakeRunner, RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

/** The queue's message for an attempt. */
function routeOf(runId: string, pool: string, more: Partial<RunRoute> = {}): RunRoute {
  return {
    runId,
    attempt: 1,
    pool,
    flow: { name: "lab", version: 2, digest: "sha256:lab" },
    step: "own",
    labels: [],
    priority: 0,
    queuedAt: Date.now(),
    ...more,
  };
}

async function enqueue(pool: string, ...routes: RunRoute[]): Promise<void> {
  expect(await env.POOLS.getByName(pool).enqueue(routes)).toEqual({ refused: [] });
}

async function activeOf(pool: string): Promise<Record<string, string[]>> {
  return Object.fromEntries((await poolOf(pool)).runners.map((runner) => [runner.id, runner.active]));
}

/** Everything that the pool holds was offered so long ago that an answer should have come. Its memory is gone. */
async function letOffersAge(pool: string): Promise<void> {
  await runInDurableObject(poolStub(pool), (_instance, { storage }) => {
    storage.sql.exec(
      "UPDATE run SET held_at = held_at - ? WHERE held_at IS NOT NULL",
      100 * OFFER_TIMEOUT_MS,
    );
  });
  await evictDurableObject(poolStub(pool));
}

/** The runner has no flows any more; when the pool knows that, it has taken in everything before as well. */
async function empty(runner: FakeRunner, pool: string): Promise<void> {
  runner.tell({ type: "flows", flows: [] });
  await until(async () => {
    expect((await poolOf(pool)).runners.find((one) => one.id === runner.id)?.flows).toEqual([]);
  });
}

/** Offers that the runner has not looked at, after everything on its way has arrived. */
async function unseenOffers(runner: FakeRunner): Promise<string[]> {
  await runner.control.ping();
  return runner.control.pending("offer").map((offer) => offer.runId);
}

describe("an offer without an answer", () => {
  test("inngest#4181: goes back at once when the runner's socket closes", async () => {
    const { type, pool } = deployStep();
    const silent = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    await silent.control.next("offer");
    const other = await FakeRunner.connect(pool);
    await silent.control.close();
    expect(await other.take(runId)).toEqual({ runId, attempt: 1 });
  });

  test("goes back when the runner says goodbye", async () => {
    const { type, pool } = deployStep();
    const leaving = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    await leaving.control.next("offer");
    const other = await FakeRunner.connect(pool);
    leaving.tell({ type: "goodbye" });
    await other.take(runId);
  });

  test("that was accepted stays with the runner, whatever its socket does", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    await runner.start(runId);
    const other = await FakeRunner.connect(pool);
    await runner.control.close();
    await until(async () => {
      expect((await poolOf(pool)).runners[0]?.state).toBe("disconnected");
    });
    expect(await activeOf(pool)).toEqual({ [runner.id]: [runId], [other.id]: [] });
    expect(await unseenOffers(other)).toEqual([]);
  });

  test("is made again over the newer socket of the same runner, and keeps its own time", async () => {
    const { type, pool } = deployStep();
    const frozen = await FakeRunner.connect(pool);
    const first = await startRun(type);
    await frozen.control.next("offer");
    const again = await FakeRunner.connect(pool, { runnerId: frozen.id });
    expect(await frozen.control.closed).toMatchObject({ code: 4409 });
    await again.start(first.runId);

    // A second runner never answers: when its offer has run out, the time of the first one's is long over.
    const deaf = await FakeRunner.connect(pool);
    const second = await startRun(type);
    await deaf.control.next("offer");
    const spare = await FakeRunner.connect(pool);
    await spare.take(second.runId);
    expect(await activeOf(pool)).toEqual({
      [frozen.id]: [first.runId],
      [deaf.id]: [],
      [spare.id]: [second.runId],
    });
  });

  test("and an accept that came from somebody else: it still runs out with the one who has it", async () => {
    const { type, pool } = deployStep();
    const holder = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    await holder.control.next("offer");
    const meddler = await FakeRunner.connect(pool);
    meddler.tell({ type: "accept", runId, attempt: 1 });
    meddler.decline(runId, 1, "stale");
    await meddler.control.ping();
    await holder.control.close();
    await meddler.take(runId);
  });
});

describe("a decline", () => {
  test("busy: another runner gets it, and later the same one", async () => {
    const { type, pool } = deployStep();
    const full = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    await full.control.next("offer");
    const other = await FakeRunner.connect(pool);
    full.decline(runId, 1, "busy");
    await other.control.next("offer");
    other.decline(runId, 1, "busy");
    await Promise.any([full.take(runId), other.take(runId)]);
  });

  test("digest_differs, although it seemed to fit: the same is not offered again at once", async () => {
    const { type, pool } = deployStep();
    const stubborn = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    await stubborn.control.next("offer");
    stubborn.decline(runId, 1, "digest_differs");
    await untilWaiting(pool, runId);
    expect(await unseenOffers(stubborn)).toEqual([]);
  });

  test("digest_differs after the flows were told: other flows are offered at once", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    await runner.control.next("offer");
    runner.tell({ type: "flows", flows: [{ name: "lab", version: 2, digest: "sha256:new" }] });
    runner.decline(runId, 1, "digest_differs");
    await until(async () => {
      expect((await poolOf(pool)).waiting[0]?.reason).toMatchObject({ code: "digest_differs" });
    });
    const flow = { name: "lab", version: 2, digest: "sha256:new" };
    await enqueue(pool, routeOf("run_0000000000000000_1", pool, { flow }));
    await runner.control.next("offer", (offer) => offer.flow.digest === "sha256:new");
  });

  test("stale: the event object says where the run is, and the pool takes it as it is", async () => {
    const { type, pool } = deployStep();
    const owner = await FakeRunner.connect(pool, { labels: ["a"] });
    const { runId } = await startRun(type);
    const link = await owner.start(runId);
    // The pool has lost it, and gets the message once more.
    await env.POOLS.getByName(pool).settle(runId, 1);
    owner.tell({ type: "capacity", capacity: 0 });
    const other = await FakeRunner.connect(pool);
    await enqueue(pool, routeOf(runId, pool));
    const { attempt } = await other.take(runId);
    const refused = await RunLink.attach(runId);
    refused.tell(await claimOf(runId, attempt, other.id));
    await refused.next("refused");
    other.decline(runId, attempt, "stale");
    await until(async () => {
      expect(await activeOf(pool)).toEqual({ [owner.id]: [runId], [other.id]: [] });
    });
    await link.complete();
    await until(async () => {
      expect(await activeOf(pool)).toEqual({ [owner.id]: [], [other.id]: [] });
    });
  });

  test("stale, of a run that is over: it is forgotten", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    await runner.complete(runId, { status: "completed" });
    await until(async () => {
      expect(await activeOf(pool)).toEqual({ [runner.id]: [] });
    });
    await enqueue(pool, routeOf(runId, pool));
    await runner.take(runId);
    runner.decline(runId, 1, "stale");
    await until(async () => {
      const { runners, waiting } = await poolOf(pool);
      expect({ active: runners[0]?.active, waiting }).toEqual({ active: [], waiting: [] });
    });
  });

  test("of an offer that is another's changes nothing", async () => {
    const { type, pool } = deployStep();
    const holder = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    await holder.take(runId);
    const other = await FakeRunner.connect(pool);
    other.decline(runId, 1, "busy");
    holder.decline(runId, 2, "busy");
    await other.control.ping();
    expect(await activeOf(pool)).toEqual({ [holder.id]: [runId], [other.id]: [] });
  });
});

describe("a message of the queue that comes twice, or late", () => {
  test("makes no second offer: while it waits, is offered, is accepted, runs", async () => {
    const { type, pool } = deployStep();
    const { runId } = await startRun(type);
    await untilWaiting(pool, runId);
    const route = routeOf(runId, pool);
    await enqueue(pool, route, route);
    const runner = await FakeRunner.connect(pool, { capacity: 3 });
    await runner.control.next("offer");
    await enqueue(pool, route);
    runner.tell({ type: "accept", runId, attempt: 1 });
    await enqueue(pool, route);
    const link = await RunLink.claim(runId, 1, runner.id);
    await enqueue(pool, route, route);
    expect(await unseenOffers(runner)).toEqual([]);
    await link.complete();
  });

  test("waits for nobody when its attempt was over before it came; the next attempt does", async () => {
    const { pool } = deployStep();
    const runId = "run_0000000000000000_1";
    await env.POOLS.getByName(pool).settle(runId, 1);
    await enqueue(pool, routeOf(runId, pool));
    expect((await poolOf(pool)).waiting).toEqual([]);
    await enqueue(pool, routeOf(runId, pool, { attempt: 2 }));
    expect((await poolOf(pool)).waiting).toMatchObject([{ runId, attempt: 2 }]);
    await enqueue(pool, routeOf(runId, pool));
    expect((await poolOf(pool)).waiting).toMatchObject([{ runId, attempt: 2 }]);
  });

  test("invariant 4: nor when it comes late, while the run runs: its key stays taken", async () => {
    const { type, pool } = deployStep({ concurrency: { key: "one", limit: 1 } });
    const runner = await FakeRunner.connect(pool);
    const first = await startRun(type);
    const link = await runner.start(first.runId);
    const second = await startRun(type);
    await untilWaiting(pool, second.runId);
    await letOffersAge(pool);
    const other = await FakeRunner.connect(pool, { capacity: 4 });
    await enqueue(pool, routeOf(first.runId, pool, { concurrency: { key: "one", limit: 1 } }));
    expect(await unseenOffers(other)).toEqual([]);
    expect(await activeOf(pool)).toEqual({ [runner.id]: [first.runId], [other.id]: [] });
    await link.complete();
    await Promise.any([runner.take(second.runId), other.take(second.runId)]);
  });

  test("but is made again when nobody has claimed it for so long", async () => {
    const { type, pool } = deployStep();
    const dead = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    await dead.take(runId);
    await empty(dead, pool);
    await letOffersAge(pool);
    const other = await FakeRunner.connect(pool, { capacity: 2 });
    await enqueue(pool, routeOf(runId, pool));
    await other.take(runId);
  });

  test("the message of an attempt that is over does not bring it back", async () => {
    const { type, pool } = deployStep({ retry: { attempts: 2, on: ["failed"], backoffMs: 1 } });
    const runner = await FakeRunner.connect(pool, { capacity: 2 });
    const { runId } = await startRun(type);
    await (await runner.start(runId)).end({ exit: { code: 1, signal: null } });
    const second = await runner.start(runId);
    await enqueue(pool, routeOf(runId, pool, { attempt: 1 }));
    await env.POOLS.getByName(pool).settle(runId, 1);
    expect(await activeOf(pool)).toEqual({ [runner.id]: [runId] });
    expect(await unseenOffers(runner)).toEqual([]);
    await second.complete();
    await until(async () => {
      expect(await activeOf(pool)).toEqual({ [runner.id]: [] });
    });
  });

  test("what came after its run was over leaves the backlog with the next sweep", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    await runner.complete(runId, { status: "completed" });
    await until(async () => {
      expect(await activeOf(pool)).toEqual({ [runner.id]: [] });
    });
    await runner.control.close();
    await enqueue(pool, routeOf(runId, pool, { queuedAt: 0 }));
    await untilWaiting(pool, runId);
    await fireAlarm(poolStub(pool));
    expect((await poolOf(pool)).waiting).toEqual([]);
  });
});

describe("a runner that comes back", () => {
  test("without what it had accepted and not claimed: it is offered again", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    await runner.take(runId);
    await runner.control.close();
    const back = await FakeRunner.connect(pool, { runnerId: runner.id });
    await back.start(runId);
    expect((await runOf(runId)).status).toBe("running");
  });

  test("after a run of it has ended meanwhile: its place is free", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    const link = await runner.start(runId);
    await link.complete();
    await until(async () => {
      expect(await activeOf(pool)).toEqual({ [runner.id]: [] });
    });
    await crash(poolStub(pool));
    await runner.control.closed;
    const back = await FakeRunner.connect(pool, { runnerId: runner.id });
    await back.take((await startRun(type)).runId);
  });

  test("a missed settle is made good by the sweep", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    await runner.complete(runId, { status: "completed" });
    await until(async () => {
      expect(await activeOf(pool)).toEqual({ [runner.id]: [] });
    });
    // As if the event object's word had never come: the pool still counts the run.
    await enqueue(pool, routeOf(runId, pool));
    await runner.take(runId);
    await empty(runner, pool);
    await letOffersAge(pool);
    expect(await activeOf(pool)).toEqual({ [runner.id]: [runId] });
    await fireAlarm(poolStub(pool));
    expect(await activeOf(pool)).toEqual({ [runner.id]: [] });
  });
});
