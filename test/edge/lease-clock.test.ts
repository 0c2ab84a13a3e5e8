/** What time does to a run: a runner that is away, one that stays away, nobody who comes, one that never ends. */
import { evictDurableObject } from "cloudflare:test";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { LOST_AFTER_MS, WALL_MARGIN_MS } from "../../contract/limits.ts";
import type { RunView } from "../../contract/run-view.ts";
import {
  armedAt,
  crash,
  fireAlarm,
  outputOf,
  poolOf,
  rewriteAttempt,
  runOf,
  runStub,
  startRun,
  until,
  untilRun,
  untilStatus,
} from "./support/api.ts";
import { FakeRunner, RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

async function claimed(
  more: Parameters<typeof deployStep>[0] = {},
): Promise<{ runId: string; pool: string; link: RunLink }> {
  const { type, pool } = deployStep(more);
  const { runId } = await startRun(type);
  return { runId, pool, link: await RunLink.claim(runId, 1, "runner-a") };
}

/** The runner's socket closes, and the edge has noted it. */
async function leave(runId: string, link: RunLink): Promise<RunView> {
  await link.close();
  return untilRun(runId, (run) => {
    expect(run.attempts.at(-1)).toHaveProperty("leaseExpiresAt");
  });
}

/** The runner has been away for longer than its lease lasts, and the alarm comes. */
async function lose(runId: string, link: RunLink): Promise<void> {
  await leave(runId, link);
  await rewriteAttempt(runId, (attempt) => ({ ...attempt, unseenSince: Date.now() - LOST_AFTER_MS }));
  await fireAlarm(runStub(runId));
}

describe("the lease clock", () => {
  test("invariant 7: a socket that closes changes no run, and one that opens stops the clock", async () => {
    const { runId, link } = await claimed();
    const before = await runOf(runId);
    const away = await leave(runId, link);
    const { leaseExpiresAt, ...attempt } = away.attempts[0] ?? {};
    expect({ ...away, attempts: [attempt] }).toEqual(before);
    expect(await armedAt(runStub(runId))).toBeLessThanOrEqual(Number(leaseExpiresAt));
    const { link: next } = await RunLink.resume(runId, 1, link.lease);
    expect(await runOf(runId)).toEqual(before);
    await next.complete();
  });

  test("invariant 7: an alarm before its time changes nothing either", async () => {
    const { runId, link } = await claimed();
    const away = await leave(runId, link);
    await fireAlarm(runStub(runId));
    expect(await runOf(runId)).toEqual(away);
    expect(await armedAt(runStub(runId))).toBe(away.attempts[0]?.leaseExpiresAt);
  });

  test("a runner that stays away has lost its attempt", async () => {
    const { runId, link } = await claimed();
    await lose(runId, link);
    const run = await untilStatus(runId, "failed");
    expect(run).toMatchObject({ errorCode: "lost", needsAttention: true, attempts: [{ status: "lost" }] });
    expect(run.error).toContain("runner-a");
    expect(run.attempts[0]).not.toHaveProperty("leaseExpiresAt");
  });

  test("a runner that is connected loses nothing, whatever the alarm does", async () => {
    const { runId, link } = await claimed({ timeoutMs: 10 * LOST_AFTER_MS });
    await rewriteAttempt(runId, (attempt) => ({ ...attempt, startedAt: Date.now() - 2 * LOST_AFTER_MS }));
    await fireAlarm(runStub(runId));
    expect((await runOf(runId)).status).toBe("running");
    await link.complete();
  });

  test("invariant 16: an object that has just woken grants the whole time", async () => {
    const { runId, link } = await claimed();
    await crash(runStub(runId));
    await link.closed;
    expect((await runOf(runId)).attempts[0]).not.toHaveProperty("leaseExpiresAt");
    const wokeAt = Date.now();
    await fireAlarm(runStub(runId));
    const run = await runOf(runId);
    expect(run.status).toBe("running");
    expect(run.attempts[0]?.leaseExpiresAt).toBeGreaterThanOrEqual(wokeAt + LOST_AFTER_MS);
    expect((await RunLink.resume(runId, 1, link.lease)).resumed.live).toBe(true);
  });

  test("invariant 16: so does one that has slept through the deadline itself", async () => {
    const { runId, link } = await claimed();
    await leave(runId, link);
    await rewriteAttempt(runId, (attempt) => ({ ...attempt, unseenSince: Date.now() - 3 * LOST_AFTER_MS }));
    await fireAlarm(runStub(runId));
    expect((await runOf(runId)).status).toBe("running");
    expect((await RunLink.resume(runId, 1, link.lease)).resumed.live).toBe(true);
  });
});

describe("what comes late (invariant 4)", () => {
  test("invariant 4: output, result and end are evidence, and the run stays as it is", async () => {
    const { runId, link } = await claimed();
    await link.print("in time");
    await lose(runId, link);
    const lost = await untilStatus(runId, "failed");

    const { link: late, resumed } = await RunLink.resume(runId, 1, link.lease);
    expect(resumed).toMatchObject({ live: false, ackedSeq: 1, cancel: false });
    await late.print("late");
    await late.result({ status: "completed", message: "too late" });
    await late.end();

    const { attempts, output, ...run } = await runOf(runId);
    expect(run).toEqual({ ...lost, attempts: undefined, output: undefined });
    expect(attempts).toMatchObject([
      {
        status: "lost",
        late: { result: { message: "too late" }, end: { reason: "exited", exit: { code: 0 } } },
      },
    ]);
    expect(attempts[0]).not.toHaveProperty("result");
    expect(output?.map((chunk) => [chunk.attempt, chunk.text])).toEqual([
      [1, "in time"],
      [1, "late"],
    ]);
  });

  test("invariant 4: not even while a newer attempt runs", async () => {
    const { runId, pool, link } = await claimed({ retry: { attempts: 2, on: ["lost"], backoffMs: 1 } });
    await lose(runId, link);
    const runner = await FakeRunner.connect(pool);
    const second = await runner.start(runId);
    expect(second.attempt).toBe(2);
    expect(second.lease).not.toBe(link.lease);

    const { link: late } = await RunLink.resume(runId, 1, link.lease);
    await late.complete({ status: "failed", message: "too late" });
    expect(await runOf(runId)).toMatchObject({ status: "running", attemptCount: 2 });
    await second.complete({ status: "completed", message: "in time" });
    expect(await runOf(runId)).toMatchObject({ status: "completed", result: { message: "in time" } });
  });

  test("invariant 4: a runner that is connected is told to stop", async () => {
    const { runId, link } = await claimed({ timeoutMs: 1 });
    await rewriteAttempt(runId, (attempt) => ({
      ...attempt,
      startedAt: Date.now() - WALL_MARGIN_MS - 1_000,
    }));
    await fireAlarm(runStub(runId));
    expect((await link.next("lease_lost")).reason).toContain("timeout_ms");
  });
});

describe("retry", () => {
  test("a lost attempt is tried again until the policy is used up", async () => {
    const { type, pool } = deployStep({ retry: { attempts: 3, on: ["lost"], backoffMs: 1 } });
    const runner = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    for (const attempt of [1, 2, 3]) {
      const link = await runner.start(runId);
      expect(link.attempt).toBe(attempt);
      await link.print(`output of ${attempt}`);
      await lose(runId, link);
    }
    expect(await untilStatus(runId, "failed")).toMatchObject({
      errorCode: "lost",
      attemptCount: 3,
      outputBytes: 33,
      attempts: [{ status: "lost" }, { status: "lost" }, { status: "lost" }],
    });
    expect((await outputOf(runId)).output.map((chunk) => chunk.cursor)).toEqual(["1.1", "2.1", "3.1"]);
    await until(async () => {
      expect((await poolOf(pool)).runners[0]?.active).toEqual([]);
    });
  });

  test("a later attempt may succeed, and is given the same event", async () => {
    const { type, pool } = deployStep({ retry: { attempts: 2, on: ["failed"], backoffMs: 1 } });
    const runner = await FakeRunner.connect(pool);
    const { runId } = await startRun(type, { k: 1 });
    const first = await runner.start(runId);
    await first.end({ exit: { code: 1, signal: null } });
    const second = await runner.start(runId);
    expect(second.context).toEqual({ ...first.context, attempt: 2 });
    await second.complete();
    expect(await runOf(runId)).toMatchObject({ status: "completed", attemptCount: 2 });
    expect(await runOf(runId)).not.toHaveProperty("error");
  });

  test("what the policy does not name is not tried again", async () => {
    const { runId, link } = await claimed({ retry: { attempts: 3, on: ["lost"], backoffMs: 1 } });
    await link.end({ exit: { code: 1, signal: null } });
    expect(await runOf(runId)).toMatchObject({ status: "failed", attemptCount: 1 });
  });
});

describe("the other clocks (invariant 11)", () => {
  test("invariant 11: a run that nobody takes ends when its wait is over, and leaves its pool", async () => {
    const { type, pool } = deployStep({ queueMs: 1 });
    const { runId } = await startRun(type);
    const run = await untilStatus(runId, "failed");
    expect(run).toMatchObject({ errorCode: "queue_timeout", attemptCount: 0, needsAttention: true });
    expect(run.error).toContain(pool);
    await until(async () => {
      expect((await poolOf(pool)).waiting).toEqual([]);
    });
  });

  test("invariant 11: the edge ends an attempt whose runner does not keep the wall clock", async () => {
    const { runId, link } = await claimed({ timeoutMs: 1_000 });
    await link.print("1");
    await rewriteAttempt(runId, (attempt) => ({
      ...attempt,
      startedAt: Date.now() - 1_000 - WALL_MARGIN_MS,
    }));
    await fireAlarm(runStub(runId));
    await link.next("lease_lost");
    expect(await runOf(runId)).toMatchObject({
      status: "failed",
      errorCode: "timeout",
      outputBytes: 1,
      attempts: [{ status: "timeout" }],
    });
  });

  test("invariant 11: one that is away may still hand over what it holds", async () => {
    const { runId, link } = await claimed({ timeoutMs: 1_000 });
    await leave(runId, link);
    await rewriteAttempt(runId, (attempt) => ({
      ...attempt,
      startedAt: Date.now() - 1_000 - WALL_MARGIN_MS,
    }));
    await fireAlarm(runStub(runId));
    const { link: back } = await RunLink.resume(runId, 1, link.lease);
    await back.complete({ status: "completed" });
    expect((await runOf(runId)).status).toBe("completed");
  });
});

describe("hibernation", () => {
  test("invariant 16: in the middle of a run it keeps the sockets and the state", async () => {
    const { runId, link } = await claimed();
    await link.print("1");
    await evictDurableObject(runStub(runId), { webSockets: "hibernate" });
    await link.ping();
    await link.print("2");
    await evictDurableObject(runStub(runId), { webSockets: "hibernate" });
    await link.result({ status: "completed", message: "awake" });
    await evictDurableObject(runStub(runId), { webSockets: "hibernate" });
    await link.end();
    expect(await runOf(runId)).toMatchObject({
      status: "completed",
      result: { message: "awake" },
      outputBytes: 2,
      attemptCount: 1,
    });
  });

  test("invariant 16: a deploy drops every socket, and the runner resumes", async () => {
    const { runId, link } = await claimed();
    await link.print("1");
    await evictDurableObject(runStub(runId), { webSockets: "close" });
    await link.closed;
    const { link: next, resumed } = await RunLink.resume(runId, 1, link.lease);
    expect(resumed).toMatchObject({ live: true, ackedSeq: 1 });
    await next.complete();
    expect((await runOf(runId)).status).toBe("completed");
  });
});
