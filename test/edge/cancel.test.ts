/** POST /runs/:id/cancel: asked for, passed on, proved (invariant 10). */
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { LOST_AFTER_MS, REQUEST_MAX_BYTES } from "../../contract/limits.ts";
import type { RunView } from "../../contract/run-view.ts";
import {
  call,
  expectError,
  expectJson,
  fireAlarm,
  poolOf,
  rewriteAttempt,
  runOf,
  runStub,
  startRun,
  until,
  untilRun,
  untilStatus,
  untilWaiting,
  claimOf,
} from "./support/api.ts";
import { FakeRunner, RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

/** Answers at once, unless `query` says something else. */
async function cancel(runId: string, body?: object, query = "?wait=0"): Promise<RunView> {
  return (await expectJson<{ run: RunView }>(call("POST", `/runs/${runId}/cancel${query}`, { body }), 202))
    .run;
}

async function running(
  more: Parameters<typeof deployStep>[0] = {},
): Promise<{ runId: string; link: RunLink }> {
  const { runId } = await startRun(deployStep(more).type);
  return { runId, link: await RunLink.claim(runId, 1, "runner-a") };
}

describe("a run that waits", () => {
  test("invariant 10: is canceled at once, and nobody gets it any more", async () => {
    const { type, pool } = deployStep();
    const { runId } = await startRun(type);
    await untilWaiting(pool, runId);
    expect(await cancel(runId, { by: "Ada" })).toMatchObject({
      status: "canceled",
      effectiveStatus: "canceled",
      needsAttention: false,
      cancel: { state: "canceled", by: "api: Ada" },
    });
    await until(async () => {
      expect((await poolOf(pool)).waiting).toEqual([]);
    });
    const link = await RunLink.attach(runId);
    link.tell(await claimOf(runId, 1, "runner-a"));
    expect(await link.next("refused")).toMatchObject({ code: "not_claimable" });
  });

  test("also between two attempts: there is no third", async () => {
    const { runId, link } = await running({ retry: { attempts: 5, on: ["failed"], backoffMs: 60_000 } });
    await link.end({ exit: { code: 1, signal: null } });
    expect(await runOf(runId)).toMatchObject({ status: "queued", attemptCount: 1 });
    expect(await cancel(runId)).toMatchObject({ status: "canceled", attemptCount: 1 });
  });
});

describe("a run that runs", () => {
  test("a cancel without ?wait answers canceled when the runner proves it at once", async () => {
    const { runId, link } = await running();
    const answer = cancel(runId, {}, "");
    await link.next("cancel");
    await link.end({ reason: "canceled", exit: { code: null, signal: "SIGTERM" } });
    expect(await answer).toMatchObject({ status: "canceled", cancel: { state: "canceled" } });
  });

  test("a cancel that nobody proves answers after the bound, still running", async () => {
    const { runId } = await running();
    expect(await cancel(runId, {}, "?wait=1000")).toMatchObject({
      status: "running",
      cancel: { state: "cancel_requested" },
    });
  });

  test("a cancel refuses a wait that is no number of seconds, and cancels nothing", async () => {
    const { runId } = await running();
    const error = await expectError(call("POST", `/runs/${runId}/cancel?wait=soon`), 400);
    expect(error.code).toBe("invalid_wait");
    expect(await runOf(runId)).not.toHaveProperty("cancel");
  });

  test("invariant 10: cancel_requested, signalled, canceled", async () => {
    const { runId, link } = await running();
    expect(await cancel(runId, { by: "Ada" })).toMatchObject({
      status: "running",
      cancel: { state: "cancel_requested", by: "api: Ada" },
    });
    expect((await link.next("cancel")).reason).toContain("Ada");

    link.tell({ type: "canceling", survivors: [4711, 4712] });
    await untilRun(runId, (run) => {
      expect(run).toMatchObject({
        status: "running",
        cancel: { state: "signalled", survivors: [4711, 4712] },
      });
    });
    link.tell({ type: "canceling", survivors: [4712] });
    await untilRun(runId, (run) => {
      expect(run.cancel?.survivors).toEqual([4712]);
    });
    await link.end({ reason: "canceled", exit: { code: null, signal: "SIGKILL" } });
    const run = await runOf(runId);
    expect(run).toMatchObject({ status: "canceled", cancel: { state: "canceled" }, needsAttention: false });
    expect(run).not.toHaveProperty("errorCode");
    expect(run.attempts[0]).toMatchObject({ status: "canceled", tree: { empty: true, survivors: [] } });
  });

  test("invariant 10: is not canceled while processes are left: they are shown by pid", async () => {
    const { runId, link } = await running();
    await cancel(runId);
    await link.end({ reason: "canceled", tree: { empty: false, survivors: [4711] } });
    const run = await runOf(runId);
    expect(run).toMatchObject({ status: "failed", errorCode: "cancel_unproved", needsAttention: true });
    expect(run.error).toContain("4711");
    expect(run.attempts[0]?.tree).toEqual({ empty: false, survivors: [4711] });
  });

  test("asked twice, it is one cancel of the first who asked", async () => {
    const { runId, link } = await running();
    await cancel(runId, { by: "Ada" });
    expect((await cancel(runId, { by: "Bob" })).cancel).toMatchObject({ by: "api: Ada" });
    await link.end({ reason: "canceled" });
    expect((await runOf(runId)).cancel).toMatchObject({ by: "api: Ada", state: "canceled" });
  });

  test("a runner that is away learns of it when it comes back", async () => {
    const { runId, link } = await running();
    await link.close();
    await cancel(runId);
    const { link: back, resumed } = await RunLink.resume(runId, 1, link.lease);
    expect(resumed).toMatchObject({ live: true, cancel: true });
    await back.end({ reason: "canceled" });
    expect((await runOf(runId)).status).toBe("canceled");
  });

  test("a runner that claims once more is refused, because it cannot have started the step: that ends the run", async () => {
    const { runId } = await running();
    await cancel(runId);
    const again = await RunLink.attach(runId);
    again.tell(await claimOf(runId, 1, "runner-a"));
    expect(await again.next("refused")).toMatchObject({ code: "canceled" });
    expect((await runOf(runId)).status).toBe("canceled");
  });

  test("invariant 10: a runner that is declared lost proves it too, and nothing is tried again", async () => {
    const { runId, link } = await running({ retry: { attempts: 3, on: ["lost"], backoffMs: 1 } });
    await cancel(runId);
    await link.close();
    await untilRun(runId, (run) => {
      expect(run.attempts[0]).toHaveProperty("leaseExpiresAt");
    });
    await rewriteAttempt(runId, (attempt) => ({ ...attempt, unseenSince: Date.now() - LOST_AFTER_MS }));
    await fireAlarm(runStub(runId));
    expect(await untilStatus(runId, "canceled")).toMatchObject({ attemptCount: 1 });
  });

  test("a step that ended by itself with a result before the signal came has completed", async () => {
    const { runId, link } = await running();
    await cancel(runId);
    await link.complete({ status: "changed" });
    expect(await runOf(runId)).toMatchObject({ status: "completed", effectiveStatus: "changed" });
  });

  test("frees its place in the pool when it is over, not before", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const first = await startRun(type);
    const link = await runner.start(first.runId);
    const second = await startRun(type);
    await untilWaiting(pool, second.runId);
    await cancel(first.runId);
    link.tell({ type: "canceling", survivors: [] });
    await untilRun(first.runId, (run) => {
      expect(run.cancel?.state).toBe("signalled");
    });
    expect((await poolOf(pool)).runners[0]?.active).toEqual([first.runId]);
    await link.end({ reason: "canceled" });
    await runner.take(second.runId);
  });
});

describe("a run that is over", () => {
  test("invariant 5: cannot be canceled any more", async () => {
    const { runId, link } = await running();
    await link.complete({ status: "changed" });
    const before = await runOf(runId);
    const error = await expectError(call("POST", `/runs/${runId}/cancel`), 409);
    expect(error).toMatchObject({ code: "run_over" });
    expect(error.message).toContain("changed");
    expect(await runOf(runId)).toEqual(before);
  });

  test("one that is canceled already is answered as it is", async () => {
    const { runId } = await startRun(deployStep().type);
    const first = await cancel(runId, { by: "Ada" });
    expect(await cancel(runId, { by: "Bob" })).toEqual(first);
  });
});

describe("bad input (invariant 13)", () => {
  test("is refused, and cancels nothing", async () => {
    const { runId } = await running();
    const path = `/runs/${runId}/cancel`;
    await expectError(call("POST", path, { body: "{" }), 400);
    await expectError(call("POST", path, { body: [] }), 422);
    expect((await expectError(call("POST", path, { body: { by: 7 } }), 422)).details).toMatchObject([
      { path: "/by" },
    ]);
    await expectError(call("POST", path, { body: { by: "x".repeat(REQUEST_MAX_BYTES) } }), 413);
    expect(await runOf(runId)).not.toHaveProperty("cancel");
  });
});
