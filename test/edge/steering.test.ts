/** Pause, resume and drain from the edge: what the pool does with them, and what it keeps of them. */
import { evictDurableObject } from "cloudflare:test";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import type { RunnerAction } from "../../contract/http-bodies.ts";
import type { PoolRunner } from "../../durable-objects/runner-pool/view.ts";
import {
  call,
  expectError,
  expectJson,
  poolOf,
  poolStub,
  runOf,
  startRun,
  TOKENS,
  until,
  untilStatus,
} from "./support/api.ts";
import { FakeRunner } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

async function steer(pool: string, name: string, action: RunnerAction): Promise<PoolRunner> {
  const path = `/runners/${encodeURIComponent(name)}/${action}?pool=${pool}`;
  return (await expectJson<{ runner: PoolRunner }>(call("POST", path), 200)).runner;
}

async function refusal(pool: string, name: string, action: RunnerAction, status: number) {
  const path = `/runners/${encodeURIComponent(name)}/${action}?pool=${pool}`;
  return expectError(call("POST", path), status);
}

async function expectWaits(runId: string, code: string, words = ""): Promise<void> {
  await until(async () => {
    expect((await runOf(runId)).waiting?.code).toBe(code);
  });
  expect((await runOf(runId)).waiting?.message).toContain(words);
}

async function untilState(pool: string, runner: FakeRunner, state: PoolRunner["state"]): Promise<void> {
  await until(async () => {
    expect((await poolOf(pool)).runners.find(({ id }) => id === runner.id)?.state).toBe(state);
  });
}

describe("a paused runner", () => {
  test("is offered nothing, the run says why, and gets it at the resume", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool, { name: "box 1" });
    expect(await steer(pool, "box 1", "pause")).toMatchObject({ state: "paused", paused: true });
    const { runId } = await startRun(type);
    await expectWaits(runId, "paused", "box 1");
    expect(runner.control.pending("offer")).toEqual([]);
    expect(await steer(pool, runner.id, "resume")).toMatchObject({ state: "connected", paused: false });
    await runner.take(runId);
  });

  test("goes on with what it has: its lease, its output, its result", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool, { capacity: 2 });
    const { runId } = await startRun(type);
    const link = await runner.start(runId);
    await steer(pool, runner.id, "pause");
    await link.ping();
    await link.print("still here");
    await link.complete();
    expect((await untilStatus(runId, "completed")).attemptCount).toBe(1);
  });

  test("another one takes its place", async () => {
    const { type, pool } = deployStep();
    await FakeRunner.connect(pool, { name: "paused", capacity: 9 });
    await steer(pool, "paused", "pause");
    const other = await FakeRunner.connect(pool, { name: "other" });
    await other.take((await startRun(type)).runId);
  });

  test("stays paused over reconnects, restarts of the edge and a goodbye (T1)", async () => {
    const { type, pool } = deployStep();
    const first = await FakeRunner.connect(pool, { name: "box", runnerId: "kept" });
    await steer(pool, "box", "pause");
    await evictDurableObject(poolStub(pool));
    expect((await poolOf(pool)).runners).toMatchObject([{ state: "paused" }]);
    first.tell({ type: "goodbye" });
    await first.control.closed;
    expect((await poolOf(pool)).runners).toMatchObject([{ state: "disconnected", paused: true }]);
    const again = await FakeRunner.connect(pool, { name: "box", runnerId: "kept" });
    const { runId } = await startRun(type);
    await expectWaits(runId, "paused");
    expect(again.control.pending("offer")).toEqual([]);
    await steer(pool, "box", "resume");
    await again.take(runId);
  });

  test("is paused and resumed again without harm", async () => {
    const { pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    for (const action of ["pause", "pause", "resume", "resume"] as const)
      expect((await steer(pool, runner.id, action)).paused).toBe(action === "pause");
  });
});

describe("a drain from the edge", () => {
  test("is told to the runner, which takes nothing more; its goodbye ends it", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool, { name: "box" });
    expect(await steer(pool, "box", "drain")).toMatchObject({ state: "draining" });
    await runner.control.next("drain");
    const { runId } = await startRun(type);
    await expectWaits(runId, "draining", "box");
    runner.tell({ type: "drain" });
    runner.tell({ type: "goodbye" });
    await runner.control.closed;
    const next = await FakeRunner.connect(pool, { name: "box", runnerId: runner.id });
    await next.take(runId);
    expect(next.control.pending("drain")).toEqual([]);
  });

  test("an older runner that does not know the word is offered nothing, and keeps what it runs", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool, { capacity: 2 });
    const link = await runner.start((await startRun(type)).runId);
    await steer(pool, runner.id, "drain");
    const { runId } = await startRun(type);
    await expectWaits(runId, "draining");
    await link.complete();
    expect(runner.control.pending("offer")).toEqual([]);
    expect(await steer(pool, runner.id, "resume")).toMatchObject({ state: "connected" });
    await runner.take(runId);
  });

  test("of a runner that is away is said when it is back, until it says that it drains (T2)", async () => {
    const { pool } = deployStep();
    const away = await FakeRunner.connect(pool, { runnerId: "away" });
    await away.control.close();
    await untilState(pool, away, "disconnected");
    await steer(pool, "away", "drain");
    await evictDurableObject(poolStub(pool));
    const back = await FakeRunner.connect(pool, { runnerId: "away" });
    await back.control.next("drain");
    await back.control.close();
    const again = await FakeRunner.connect(pool, { runnerId: "away" });
    await again.control.next("drain");
    again.tell({ type: "drain" });
    again.hello({ draining: true });
    await again.control.next("welcome");
    expect(again.control.pending("drain")).toEqual([]);
    await untilState(pool, again, "draining");
    again.hello();
    await again.control.next("welcome");
    await untilState(pool, again, "connected");
  });

  test("cannot be taken back once the runner drains: 409, with what to do", async () => {
    const { pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    await steer(pool, runner.id, "drain");
    runner.tell({ type: "drain" });
    await until(async () => {
      expect(await refusal(pool, runner.id, "resume", 409)).toMatchObject({ code: "runner_draining" });
    });
  });

  test("inngest#3822: while a runner drains, its heartbeats are answered and its leases hold", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    const link = await runner.start(runId);
    await steer(pool, runner.id, "drain");
    runner.tell({ type: "drain" });
    await runner.control.ping();
    await link.ping();
    await link.print("more");
    const [attempt] = (await runOf(runId)).attempts;
    expect(attempt).toMatchObject({ status: "running" });
    expect(attempt).not.toHaveProperty("leaseExpiresAt");
    await untilState(pool, runner, "draining");
    await link.complete();
    await untilStatus(runId, "completed");
  });

  test("inngest-js#1370: a draining runner that loses its socket comes back and finishes", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool, { runnerId: "drains" });
    const { runId } = await startRun(type);
    const link = await runner.start(runId);
    await steer(pool, "drains", "drain");
    runner.tell({ type: "drain" });
    await runner.control.close();
    const back = await FakeRunner.connect(pool, {
      runnerId: "drains",
      draining: true,
      active: [{ runId, attempt: 1 }],
    });
    await untilState(pool, back, "draining");
    await link.complete();
    await untilStatus(runId, "completed");
  });
});

describe("which runner", () => {
  test("a name that nobody has: 404 with those that are known", async () => {
    const { pool } = deployStep();
    await FakeRunner.connect(pool, { name: "box-1" });
    const error = await refusal(pool, "box-9", "pause", 404);
    expect(error.code).toBe("runner_not_found");
    expect(error.message).toContain("box-1");
  });

  test("a name that two have: 409 with their ids; one that is away does not count", async () => {
    const { pool } = deployStep();
    const gone = await FakeRunner.connect(pool, { name: "box", runnerId: "gone" });
    await gone.control.close();
    await untilState(pool, gone, "disconnected");
    const here = await FakeRunner.connect(pool, { name: "box" });
    expect((await steer(pool, "box", "pause")).id).toBe(here.id);
    const twin = await FakeRunner.connect(pool, { name: "box" });
    const error = await refusal(pool, "box", "pause", 409);
    expect(error.code).toBe("runner_ambiguous");
    expect(error.message).toContain(twin.id);
    expect((await steer(pool, "gone", "pause")).id).toBe("gone");
  });

  test("without a pool it is looked for in the pools of the deployed flows", async () => {
    const runner = await FakeRunner.connect("default", { name: "here" });
    const path = `/runners/${runner.id}/pause`;
    expect(await expectJson(call("POST", path), 200)).toMatchObject({ runner: { pool: "default" } });
    await expectError(call("POST", path, { token: TOKENS.write }), 403);
    await expectError(call("POST", `${path}?pool=NO`), 400);
  });
});
