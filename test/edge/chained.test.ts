/**
 * What the queue carries, there and back: runs on their way to a pool, the events that results ask for, and the dead
 * letters. Its consumer is called as the platform calls it, so that a test may deliver twice, late, or in vain.
 */
import {
  createExecutionContext,
  createMessageBatch,
  getQueueResult,
  runInDurableObject,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import {
  BACKLOG_MAX_RUNS,
  CHAIN_MAX_DEPTH,
  CHAIN_MAX_EVENTS,
  CHAIN_MAX_PER_ROOT,
  EVENT_ID_MAX_CHARS,
} from "../../contract/limits.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import type { EventView } from "../../contract/run-view.ts";
import type { QueueMessage, RunRoute } from "../../contract/runner-link.ts";
import worker from "../../worker/index.ts";
import {
  crash,
  eventOf,
  eventStub,
  fireAlarm,
  freshId,
  get,
  poolOf,
  poolStub,
  replay,
  rewriteRun,
  runOf,
  startRun,
  stored,
  until,
  untilRun,
  untilStatus,
  untilWaiting,
} from "./support/api.ts";
import { FakeRunner } from "./support/fake-runner.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";
import { deployStep } from "./support/flow-catalog.ts";

afterEach(closeSockets);
afterAll(endObjects);

const RUNS = "codex-flow-runs";
const DEAD = "codex-flow-runs-dead";

/** What became of each message, by its position: acknowledged, or to come again. */
async function deliver(queue: string, ...bodies: QueueMessage[]): Promise<("ack" | "retry")[]> {
  const messages = bodies.map((body, index) => ({
    id: String(index),
    timestamp: new Date(),
    attempts: 1,
    body,
  }));
  const batch = createMessageBatch<QueueMessage>(queue, messages);
  const context = createExecutionContext();
  await worker.queue(batch, env);
  const { explicitAcks, retryMessages } = await getQueueResult(batch, context);
  return messages.map(({ id }) => {
    const acked = explicitAcks.includes(id);
    expect(acked, `message ${id} is acknowledged or retried`).toBe(
      !retryMessages.some((one) => one.msgId === id),
    );
    return acked ? "ack" : "retry";
  });
}

/** The way of a waiting run, as its event object describes it. */
function routeOf(runId: string, pool: string): RunRoute {
  const flow = { name: "lab", version: 2, digest: "sha256:lab" };
  return { runId, attempt: 1, pool, flow, step: "own", labels: [], priority: 0, queuedAt: Date.now() };
}

/** The message of a waiting run. */
function runMessage(runId: string, pool: string): QueueMessage {
  return { kind: "run", route: routeOf(runId, pool) };
}

/** The message of a chained event. */
function chained(runId: string, index: number): QueueMessage {
  return { kind: "chained", runId, index };
}

/** A run that has ended and whose result asked for `next`; all of them have been dealt with. */
async function runWithNext(next: unknown[]): Promise<{ eventId: string; runId: string }> {
  const { type, pool } = deployStep();
  const runner = await FakeRunner.connect(pool);
  const begun = await startRun(type);
  await runner.complete(begun.runId, { status: "completed", next });
  await untilRun(begun.runId, (run) => {
    expect(run.chained?.filter((entry) => entry.state === "owed")).toEqual([]);
  });
  return begun;
}

/** As if the answer of a chained event had been lost in a crash: it is owed again. */
async function oweAgain(runId: string): Promise<void> {
  await rewriteRun(runId, (run) => ({
    ...run,
    sendAt: Date.now(),
    chained: (run.chained ?? []).map(({ index, eventId }) => ({ index, eventId, state: "owed" as const })),
  }));
}

describe("the events that a result asks for", () => {
  test("start runs of their own, with their lineage, and stand on the run", async () => {
    const child = deployStep();
    const grandchild = deployStep();
    const childId = freshId("child");
    const grandchildId = freshId("grandchild");
    const { eventId, runId } = await runWithNext([{ id: childId, type: child.type, payload: { a: 1 } }]);

    const [childRun] = (await eventOf(childId)).runs;
    expect(childRun).toMatchObject({ origin: "next", depth: 1, eventId: childId });
    expect((await runOf(runId)).chained).toEqual([
      { index: 0, eventId: childId, state: "sent", runIds: [childRun?.id] },
    ]);
    expect((await eventOf(childId)).event).toMatchObject({
      payload: { a: 1 },
      rootId: eventId,
      parentRunId: runId,
      depth: 1,
    });

    const runner = await FakeRunner.connect(child.pool);
    await runner.complete(childRun?.id ?? "", {
      status: "completed",
      next: [{ id: grandchildId, type: grandchild.type }],
    });
    await until(async () => {
      expect((await eventOf(grandchildId)).event).toMatchObject({
        rootId: eventId,
        parentRunId: childRun?.id,
        depth: 2,
      });
    });
  });

  test("may match nothing: listed, with their lineage and without runs", async () => {
    const id = freshId("unmatched");
    const type = `nobody.${freshId()}`;
    const { eventId, runId } = await runWithNext([{ id, type }]);
    expect((await runOf(runId)).chained).toEqual([{ index: 0, eventId: id, state: "sent", runIds: [] }]);
    const lineage = { rootId: eventId, parentRunId: runId, depth: 1 };
    expect(await eventOf(id)).toMatchObject({ event: { matched: 0, ...lineage }, runs: [] });
    const { events } = await get<{ events: EventView[] }>(`/events?type=${encodeURIComponent(type)}`);
    expect(events).toMatchObject([{ id, ...lineage }]);
  });

  test("are refused one by one when they are no events; the others are sent", async () => {
    const good = { id: freshId("good"), type: deployStep().type };
    const { runId } = await runWithNext([
      "junk",
      {},
      { id: "x".repeat(EVENT_ID_MAX_CHARS + 1), type: good.type },
      good,
      null,
    ]);
    const { chained: entries } = await runOf(runId);
    expect(entries?.map((entry) => entry.state)).toEqual([
      "refused",
      "refused",
      "refused",
      "sent",
      "refused",
    ]);
    expect(entries?.[1]?.reason).toContain("/id is required");
    expect(entries?.[2]?.reason).toContain("/id");
    expect((await eventOf(good.id)).runs).toHaveLength(1);
  });

  test(`invariant 12: at most ${CHAIN_MAX_EVENTS} of one run are sent, and the run says so`, async () => {
    const { type } = deployStep();
    const prefix = freshId("many");
    const next = Array.from({ length: CHAIN_MAX_EVENTS + 3 }, (_unused, n) => ({
      id: `${prefix}:${n}`,
      type,
    }));
    const { runId } = await runWithNext(next);
    const entries = (await runOf(runId)).chained ?? [];
    expect(entries).toHaveLength(CHAIN_MAX_EVENTS + 1);
    expect(entries.filter((entry) => entry.state === "sent")).toHaveLength(CHAIN_MAX_EVENTS);
    expect(entries.at(-1)).toMatchObject({ index: CHAIN_MAX_EVENTS, state: "refused" });
    expect(entries.at(-1)?.reason).toContain(String(CHAIN_MAX_EVENTS));
    expect(await stored(await eventStub(next[CHAIN_MAX_EVENTS]?.id ?? ""))).toEqual({ keys: [], tables: [] });
  });

  test(`invariant 12: a chain ends ${CHAIN_MAX_DEPTH} events below its root`, async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const prefix = freshId("chain");
    const { runId: rootRun } = await startRun(type);
    let runId = rootRun;
    for (let depth = 1; depth <= CHAIN_MAX_DEPTH; depth += 1) {
      const id = `${prefix}:${depth}`;
      await runner.complete(runId, { status: "completed", next: [{ id, type }] });
      runId = await until(async () => {
        const [run] = (await eventOf(id)).runs;
        expect(run).toMatchObject({ depth });
        return run?.id ?? "";
      });
    }
    const beyond = `${prefix}:beyond`;
    await runner.complete(runId, { status: "completed", next: [{ id: beyond, type }] });
    const [refused] = (await untilStatus(runId, "completed")).chained ?? [];
    expect(refused).toMatchObject({ eventId: beyond, state: "refused" });
    expect(refused?.reason).toContain(String(CHAIN_MAX_DEPTH));
    expect(await stored(await eventStub(beyond))).toEqual({ keys: [], tables: [] });
  });

  test(`invariant 12: at most ${CHAIN_MAX_PER_ROOT} chained events follow from one root, at all depths, and the run says so`, async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { eventId, runId } = await startRun(type);
    // All places but two are taken.
    await runInDurableObject(await eventStub(eventId), (_root, { storage }) => {
      storage.kv.put("chained-count", CHAIN_MAX_PER_ROOT - 2);
    });
    const [child, grandchild, beyond] = [freshId("child"), freshId("grandchild"), freshId("beyond")];
    await runner.complete(runId, { status: "completed", next: [{ id: child, type }] });
    const childRun = await until(async () => (await eventOf(child)).runs[0]?.id ?? "");
    const next = [grandchild, beyond].map((id) => ({ id, type }));
    await runner.complete(childRun, { status: "completed", next });
    const run = await untilRun(childRun, ({ chained: entries }) => {
      expect(entries?.filter((entry) => entry.state === "owed")).toEqual([]);
    });
    const states = (run.chained ?? []).map((entry) => entry.state);
    expect(states.sort()).toEqual(["refused", "sent"]);
    const refused = run.chained?.find((entry) => entry.state === "refused");
    expect(refused?.reason).toContain(
      `${CHAIN_MAX_PER_ROOT} chained events have followed from event ${eventId}`,
    );
  });

  test("invariant 6: a chained event whose message comes again takes one place of its root", async () => {
    const { type } = deployStep();
    const id = freshId("child");
    const { eventId, runId } = await runWithNext([{ id, type }]);
    await oweAgain(runId);
    await deliver(RUNS, chained(runId, 0), chained(runId, 0));
    const count = await runInDurableObject(await eventStub(eventId), (_root, { storage }) =>
      storage.kv.get("chained-count"),
    );
    expect(count).toBe(1);
  });

  test("invariant 2: a run that asks for its own event starts nothing again", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { eventId, runId } = await startRun(type);
    await runner.complete(runId, { status: "completed", next: [{ id: eventId, type }] });
    await untilRun(runId, (run) => {
      expect(run.chained).toEqual([{ index: 0, eventId, state: "sent", runIds: [runId] }]);
    });
    expect((await eventOf(eventId)).runs).toHaveLength(1);
  });

  test("are not sent for a step that failed", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    const link = await runner.start(runId);
    await link.result({ status: "completed", next: [{ id: freshId(), type }] });
    await link.end({ exit: { code: 1, signal: null } });
    expect(await untilStatus(runId, "failed")).not.toHaveProperty("chained");
  });
});

describe("a message of a chained event", () => {
  test("invariant 6: that comes twice, and again later, sends one event", async () => {
    const { type } = deployStep();
    const id = freshId("child");
    const { runId } = await runWithNext([{ id, type }]);
    const before = await runOf(runId);
    await oweAgain(runId);
    expect(await deliver(RUNS, chained(runId, 0), chained(runId, 0))).toEqual(["ack", "ack"]);
    expect(await deliver(RUNS, chained(runId, 0))).toEqual(["ack"]);
    expect((await eventOf(id)).runs).toHaveLength(1);
    expect((await eventOf(id)).event).not.toHaveProperty("conflicts");
    expect((await runOf(runId)).chained).toEqual(before.chained);
  });

  test("that names nothing is acknowledged, and changes nothing", async () => {
    const { runId } = await runWithNext([{ id: freshId(), type: "nobody.waits" }]);
    const before = await runOf(runId);
    const messages = [chained(runId, 7), chained("no run id", 0), chained(runId.replace(/_1$/, "_9"), 0)];
    expect(await deliver(RUNS, ...messages)).toEqual(["ack", "ack", "ack"]);
    expect(await runOf(runId)).toEqual(before);
  });

  test("invariant 6: that the queue lost is sent again by the alarm", async () => {
    const { type } = deployStep();
    const id = freshId("child");
    const { eventId, runId } = await runWithNext([{ id, type }]);
    await oweAgain(runId);
    await crash(await eventStub(eventId));
    await fireAlarm(await eventStub(eventId));
    await untilRun(runId, (run) => {
      expect(run.chained).toMatchObject([{ state: "sent", runIds: [expect.any(String)] }]);
    });
    expect((await eventOf(id)).runs).toHaveLength(1);
  });

  test("that the queue gave up marks nothing: it stays owed, and the alarm sends it again", async () => {
    const { type } = deployStep();
    const { eventId, runId } = await runWithNext([{ id: freshId("child"), type }]);
    await oweAgain(runId);
    expect(await deliver(DEAD, chained(runId, 0))).toEqual(["ack"]);
    expect(await runOf(runId)).toMatchObject({ status: "completed", chained: [{ state: "owed" }] });
    await fireAlarm(await eventStub(eventId));
    await untilRun(runId, (run) => {
      expect(run.chained).toMatchObject([{ state: "sent" }]);
    });
  });
});

describe("a message of a run", () => {
  test("that comes twice stands once in the backlog", async () => {
    const { type, pool } = deployStep();
    const { runId } = await startRun(type);
    await untilWaiting(pool, runId);
    expect(await deliver(RUNS, runMessage(runId, pool), runMessage(runId, pool))).toEqual(["ack", "ack"]);
    expect((await poolOf(pool)).waiting.map((run) => run.runId)).toEqual([runId]);
  });

  test("goes to its own pool, whatever else is in the batch", async () => {
    const first = deployStep();
    const second = deployStep();
    const { runId } = await runWithNext([{ id: freshId(), type: "nobody.waits" }]);
    const a = runMessage("run_0000000000000001_1", first.pool);
    const b = runMessage("run_0000000000000002_1", second.pool);
    expect(await deliver(RUNS, a, chained(runId, 0), b)).toEqual(["ack", "ack", "ack"]);
    const waiting = async (pool: string): Promise<string[]> =>
      (await poolOf(pool)).waiting.map((run) => run.runId);
    expect(await waiting(first.pool)).toEqual(["run_0000000000000001_1"]);
    expect(await waiting(second.pool)).toEqual(["run_0000000000000002_1"]);
  });

  test("comes again when its pool fails, and is acknowledged only once it is stored", async () => {
    const { pool } = deployStep();
    const other = deployStep();
    expect(await deliver(RUNS, runMessage("run_0000000000000003_1", pool))).toEqual(["ack"]);
    const rename = async (from: string, to: string): Promise<void> =>
      runInDurableObject(poolStub(pool), (_instance, { storage }) => {
        storage.sql.exec(`ALTER TABLE ${from} RENAME TO ${to}`);
      });
    const message = runMessage("run_0000000000000004_1", pool);
    await rename("run", "away");
    // The failure of one pool is none of another's business.
    const elsewhere = runMessage("run_0000000000000005_1", other.pool);
    expect(await deliver(RUNS, message, elsewhere)).toEqual(["retry", "ack"]);
    expect(await deliver(RUNS, message)).toEqual(["retry"]);
    await rename("away", "run");
    expect(await deliver(RUNS, message)).toEqual(["ack"]);
    await crash(poolStub(pool));
    expect((await poolOf(pool)).waiting.map((run) => run.runId)).toEqual([
      "run_0000000000000003_1",
      "run_0000000000000004_1",
    ]);
  });

  test(`invariant 12: comes again when ${BACKLOG_MAX_RUNS} runs wait already`, async () => {
    const { pool } = deployStep();
    const idOf = (n: number): string => `run_${String(n).padStart(16, "0")}_1`;
    const routes = Array.from({ length: BACKLOG_MAX_RUNS }, (_unused, n) => routeOf(idOf(n), pool));
    expect(await env.POOLS.getByName(pool).enqueue(routes)).toEqual({ refused: [] });
    const known = runMessage(idOf(1), pool);
    const news = runMessage(idOf(BACKLOG_MAX_RUNS), pool);
    expect(await deliver(RUNS, news, known)).toEqual(["retry", "ack"]);
    await env.POOLS.getByName(pool).settle(idOf(0), 1);
    expect(await deliver(RUNS, news)).toEqual(["ack"]);
  });
});

describe("a dead letter", () => {
  test("ends the run where people see it; the pool forgets it, and a replay tries again", async () => {
    const { type, pool } = deployStep();
    const { eventId, runId } = await startRun(type);
    await untilWaiting(pool, runId);
    expect(await deliver(DEAD, runMessage(runId, pool))).toEqual(["ack"]);
    const dead = await runOf(runId);
    expect(dead).toMatchObject({
      status: "failed",
      effectiveStatus: "failed",
      errorCode: "dead_lettered",
      needsAttention: true,
    });
    expect(dead.error).toContain(pool);
    await until(async () => {
      expect((await poolOf(pool)).waiting).toEqual([]);
    });

    const again = await replay(eventId);
    expect(again.runs).toMatchObject([{ status: "queued", replayOf: runId }]);
    const runner = await FakeRunner.connect(pool);
    await runner.complete(again.runIds[0] ?? "", { status: "completed" });
    // A good replay ends the need for attention, and changes nothing else of the run.
    expect(await runOf(runId)).toEqual({
      ...dead,
      needsAttention: false,
      supersededBy: again.runIds[0],
      updatedAt: expect.any(String) as string,
    });
  });

  test("invariant 5: changes no run that went another way meanwhile", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    const link = await runner.start(runId);
    expect(await deliver(DEAD, runMessage(runId, pool))).toEqual(["ack"]);
    expect((await runOf(runId)).status).toBe("running");
    await link.complete();
    const over = await runOf(runId);
    expect(await deliver(DEAD, runMessage(runId, pool))).toEqual(["ack"]);
    expect(await runOf(runId)).toEqual(over);
  });

  test("that names nothing is acknowledged", async () => {
    const { pool } = deployStep();
    const nobody = runMessage("run_zzzzzzzzzzzzzzzz_1", pool);
    expect(await deliver(DEAD, nobody, runMessage("no run id", pool))).toEqual(["ack", "ack"]);
  });

  test("is kept while its event cannot record it", async () => {
    const { type, pool } = deployStep();
    const { runId } = await startRun(type);
    await untilWaiting(pool, runId);
    await rewriteRun(runId, ({ attempts: _attempts, ...damaged }) => damaged as RunRecord);
    expect(await deliver(DEAD, runMessage(runId, pool))).toEqual(["retry"]);
    await rewriteRun(runId, (run) => ({ ...run, attempts: [] }));
    expect(await deliver(DEAD, runMessage(runId, pool))).toEqual(["ack"]);
    expect((await runOf(runId)).errorCode).toBe("dead_lettered");
  });
});
