/**
 * Faults of the link between runner and edge that other systems have met, by the numbers of their issues. Rows that
 * stand elsewhere: inngest#4181 in offers.test.ts, inngest#2778 in run-link.test.ts, inngest-py#287 in test/e2e.
 */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import type { ControlDown } from "../../contract/runner-link.ts";
import { poolOf, poolStub, rewriteRun, runOf, startRun, until } from "./support/api.ts";
import { FakeRunner, RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets, Socket } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

describe("inngest#4211: the edge fails for a moment", () => {
  /** With a table out of its place, the pool can store no runner. */
  async function renameRunners(pool: string, from: string, to: string): Promise<void> {
    await runInDurableObject(poolStub(pool), (_instance, { storage }) => {
      storage.sql.exec(`ALTER TABLE ${from} RENAME TO ${to}`);
    });
  }

  test("inngest#4211: at a hello: that socket closes for another try, instead of staying open and useless; all others stay", async () => {
    const { type, pool } = deployStep();
    const healthy = await FakeRunner.connect(pool);
    const link = await healthy.start((await startRun(type)).runId);
    await renameRunners(pool, "runner", "away");
    const control = await Socket.to<ControlDown>(`/runners/connect?pool=${pool}`);
    new FakeRunner("late", control).hello();
    expect(await control.next("error")).toMatchObject({ code: "internal" });
    expect(await control.closed).toEqual({ code: 1011, reason: "internal" });
    await renameRunners(pool, "away", "runner");

    const late = await FakeRunner.connect(pool, { runnerId: "late" });
    await late.start((await startRun(type)).runId);
    await healthy.control.ping();
    await link.complete();
  });

  test("inngest#4211: at the end of a run: its socket closes, and on the next one the same end counts", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    const link = await runner.start(runId);
    await link.result({ status: "completed" });
    // A record that cannot be read stands for whatever keeps the object from committing.
    const unreadable = null as unknown as [];
    let attempts: Parameters<Parameters<typeof rewriteRun>[1]>[0]["attempts"] = [];
    await rewriteRun(runId, (run) => {
      ({ attempts } = run);
      return { ...run, attempts: unreadable };
    });
    link.tell({ type: "end", seq: link.seq + 1, reason: "exited", exit: { code: 0, signal: null } });
    expect(await link.next("error")).toMatchObject({ code: "internal" });
    expect(await link.closed).toEqual({ code: 1011, reason: "internal" });
    await rewriteRun(runId, (run) => ({ ...run, attempts }));

    const { link: next, resumed } = await RunLink.resume(runId, 1, link.lease);
    expect(resumed).toMatchObject({ live: true, ackedSeq: link.seq });
    await next.end();
    expect(await runOf(runId)).toMatchObject({ status: "completed" });
  });
});

test("inngest#3725: heartbeats and whoever asks for them meet in one place: a pool that slept through them shows them, and offers by them", async () => {
  const { type, pool } = deployStep();
  const runner = await FakeRunner.connect(pool);
  const [welcomed] = (await poolOf(pool)).runners;
  await evictDurableObject(poolStub(pool));
  await until(async () => {
    await runner.control.ping();
    const [shown] = (await poolOf(pool)).runners;
    expect(shown?.state).toBe("connected");
    expect(Date.parse(shown?.lastSeenAt ?? "")).toBeGreaterThan(Date.parse(welcomed?.lastSeenAt ?? ""));
  });
  await runner.take((await startRun(type)).runId);
});
