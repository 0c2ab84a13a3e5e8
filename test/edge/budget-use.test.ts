/** What an attempt has used of a budget is known to the one after it, however the first one goes. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import type { BudgetUse } from "../../contract/budget.ts";
import { LOST_AFTER_MS, WALL_MARGIN_MS } from "../../contract/limits.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import type { RunView } from "../../contract/run-view.ts";
import {
  call,
  crash,
  expectJson,
  fireAlarm,
  rewriteAttempt,
  runOf,
  runStub,
  startRun,
  stored,
  untilRun,
} from "./support/api.ts";
import { FakeRunner, RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

const STEP = {
  runner: "codex",
  budget: { tokens: 1_000, usd: 1 },
  retry: { attempts: 4, on: ["lost", "timeout", "failed"], backoffMs: 1 },
} as const;

type Life = { runId: string; pool: string; runner: FakeRunner; link: RunLink };

async function running(more: Partial<Parameters<typeof deployStep>[0]> = {}): Promise<Life> {
  const { type, pool } = deployStep({ ...STEP, retry: { ...STEP.retry, on: [...STEP.retry.on] }, ...more });
  const { runId } = await startRun(type);
  const runner = await FakeRunner.connect(pool, { capacity: 8 });
  return { runId, pool, runner, link: await runner.start(runId) };
}

/** Resolves when the edge has heard it: what follows on the same socket is answered. */
async function tellUse(link: RunLink, used: BudgetUse): Promise<void> {
  link.tell({ type: "used", used });
  link.tell({ type: "thread", threadId: "a-thread" });
  await link.next("thread");
}

/** The attempt has shown no life for longer than its lease lasts, and the alarm comes. */
async function lose(runId: string): Promise<void> {
  await rewriteAttempt(runId, (attempt) => ({ ...attempt, unseenSince: Date.now() - LOST_AFTER_MS }));
  await fireAlarm(runStub(runId));
}

async function leave({ runId, link }: Life): Promise<void> {
  await link.close();
  await untilRun(runId, (run) => {
    expect(run.attempts.at(-1)).toHaveProperty("leaseExpiresAt");
  });
}

async function recordOf(runId: string): Promise<RunRecord | undefined> {
  return runInDurableObject(runStub(runId), (_instance, state) =>
    state.storage.kv.get<RunRecord>("run/000001"),
  );
}

describe("the next attempt's claim says what was used by one that", () => {
  test("was lost with its box, though the edge slept meanwhile", async () => {
    const life = await running();
    expect(life.link.context.used).toEqual({});
    await tellUse(life.link, { tokens: 400, seconds: 2.5, usd: 0.25 });
    expect(await runOf(life.runId)).toMatchObject({
      budget: { tokens: 1_000, usd: 1 },
      budgetUsed: { tokens: 400, seconds: 2.5, usd: 0.25 },
    });
    await evictDurableObject(runStub(life.runId));
    await leave(life);
    await lose(life.runId);
    const second = await life.runner.start(life.runId);
    expect(second.context).toMatchObject({ attempt: 2, used: { tokens: 400, seconds: 2.5, usd: 0.25 } });
  });

  test("the edge itself ended, while its socket was open", async () => {
    const { runId, runner, link } = await running({ timeoutMs: 1 });
    await tellUse(link, { tokens: 400 });
    await rewriteAttempt(runId, (attempt) => ({
      ...attempt,
      startedAt: Date.now() - WALL_MARGIN_MS - 1_000,
    }));
    await fireAlarm(runStub(runId));
    await link.next("lease_lost");
    // Offered before the crash: what only the alarm would tell again comes a minute later.
    const { attempt } = await runner.take(runId);
    await crash(runStub(runId));
    const second = await RunLink.claim(runId, attempt, runner.id);
    expect(second.context).toMatchObject({ attempt: 2, used: { tokens: 400 } });
  });

  test("was lost together with the edge's own process: as far as its last row of output", async () => {
    const { runId, runner, link } = await running();
    await tellUse(link, { tokens: 400 });
    await link.print("a row");
    await crash(runStub(runId));
    expect((await runOf(runId)).budgetUsed).toEqual({ tokens: 400 });
    const { link: again } = await RunLink.resume(runId, 1, link.lease);
    // What it says first on a new socket is output that nobody has acknowledged.
    await again.print("another row");
    await crash(runStub(runId));
    await lose(runId);
    expect((await runner.start(runId)).context.used).toEqual({ tokens: 400 });
  });

  test("failed by itself", async () => {
    const { runId, runner, link } = await running();
    link.tell({ type: "used", used: { tokens: 400 } });
    await link.end({ exit: { code: 1, signal: null } });
    expect((await runner.start(runId)).context.used).toEqual({ tokens: 400 });
  });

  test("said less later, and said it on another socket: it never goes backwards", async () => {
    const life = await running();
    await tellUse(life.link, { tokens: 400, usd: 0.5 });
    await tellUse(life.link, { tokens: 300 });
    const { link, resumed } = await RunLink.resume(life.runId, 1, life.link.lease);
    expect(resumed.countsUse).toBe(true);
    await tellUse(link, { tokens: 100, usd: 0.75 });
    await leave({ ...life, link });
    await lose(life.runId);
    expect((await life.runner.start(life.runId)).context.used).toEqual({ tokens: 400, usd: 0.75 });
  });
});

test("each attempt's own use counts once, also what a lost one tells late", async () => {
  const first = await running();
  await tellUse(first.link, { tokens: 100 });
  await leave(first);
  await lose(first.runId);
  const second = await first.runner.start(first.runId);
  expect(second.context.used).toEqual({ tokens: 100 });
  await tellUse(second, { tokens: 30 });

  const { link: late, resumed } = await RunLink.resume(first.runId, 1, first.link.lease);
  expect(resumed.live).toBe(false);
  await tellUse(late, { tokens: 250 });
  await leave({ ...first, link: second });
  await lose(first.runId);
  expect((await first.runner.start(first.runId)).context.used).toEqual({ tokens: 280 });
});

test("what the runs before have used stands in the claim of a run that continues them, once in each attempt's", async () => {
  const { runId, runner, link } = await running();
  await tellUse(link, { tokens: 1_010, usd: 0.5 });
  await link.complete({
    status: "needs_intervention",
    artifacts: { threadId: "t1", budget: { exceeded: "tokens", used: { tokens: 1_010, usd: 0.5 } } },
  });
  const raise = call("POST", `/runs/${runId}/budget`, { body: { addTokens: 2_000 } });
  const { run } = await expectJson<{ run: RunView }>(raise, 202);
  const first = await runner.start(run.id);
  expect(first.context).toMatchObject({
    used: { tokens: 1_010, usd: 0.5 },
    continues: { used: { tokens: 1_010, usd: 0.5 } },
  });
  await tellUse(first, { tokens: 40, usd: 0.25 });
  await first.end({ exit: { code: 1, signal: null } });
  expect((await runner.start(run.id)).context.used).toEqual({ tokens: 1_050, usd: 0.75 });
});

test("a report writes no row", async () => {
  const { runId, link } = await running();
  const before = [await recordOf(runId), await stored(runStub(runId))];
  await tellUse(link, { tokens: 400 });
  expect([await recordOf(runId), await stored(runStub(runId))]).toEqual(before);
});

test("a step without a budget is not asked what it uses, and what it says of it is not kept", async () => {
  const life = await running({ budget: undefined });
  expect(life.link.context).not.toHaveProperty("used");
  await tellUse(life.link, { tokens: 400 });
  await life.link.print("a row");
  await leave(life);
  await lose(life.runId);
  expect((await recordOf(life.runId))?.attempts[0]).not.toHaveProperty("used");
  expect((await life.runner.start(life.runId)).context).not.toHaveProperty("used");
});
