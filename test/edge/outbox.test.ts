/**
 * What an event object owes the outside, and its one alarm (invariant 6): whatever a crash or a lost message has cut
 * off is told again, and once all is told nothing wakes the object but its own end.
 */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { normalizeEvent } from "../../contract/flow-event.ts";
import { eventKey } from "../../contract/ids.ts";
import type { FlowEventObject } from "../../durable-objects/flow-event/object.ts";
import type { IngestRequest } from "../../durable-objects/flow-event/calls.ts";
import { matchedSteps } from "../../worker/dispatch.ts";
import {
  armedAt,
  call,
  crash,
  eventOf,
  eventStub,
  fireAlarm,
  freshId,
  poolOf,
  poolStub,
  rewriteRun,
  runOf,
  send,
  startRun,
  until,
  untilWaiting,
} from "./support/api.ts";
import {
  ageOfDeletion,
  finishedRun,
  forgetInLedger,
  listedEvents,
  listedRun,
  todaysLedger,
  untilListed,
} from "./support/event-life.ts";
import { FakeRunner } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

/** With a table out of its place, the ledger can take nothing. */
async function renameInLedger(eventId: string, from: string, to: string): Promise<void> {
  await runInDurableObject(await todaysLedger(eventId), (_instance, { storage }) => {
    storage.sql.exec(`ALTER TABLE ${from} RENAME TO ${to}`);
  });
}

/** What the queue brought to this pool never came, or came to nothing. */
async function forgetInPool(pool: string): Promise<void> {
  await runInDurableObject(poolStub(pool), (_instance, { storage }) => {
    storage.sql.exec("DELETE FROM run");
  });
  await crash(poolStub(pool));
}

/** The object does something, and dies as soon as that is committed: who has been told of it is luck. */
async function crashBehind(
  eventId: string,
  action: (object: Pick<FlowEventObject, "alarm" | "ingest">) => Promise<unknown>,
): Promise<void> {
  await runInDurableObject(await eventStub(eventId), async (instance, state) => {
    await action(instance as Pick<FlowEventObject, "alarm" | "ingest"> & typeof instance);
    await state.storage.sync();
    state.abort("crash of the test");
  }).catch(() => undefined);
}

/** Time passes until what the run owes the queue is due again. */
async function sendIsDue(runId: string): Promise<void> {
  await rewriteRun(runId, (run) => ({ ...run, sendAt: Date.now() }));
}

describe("invariant 6: what was lost is told again", () => {
  test("a queue message", async () => {
    const { type, pool } = deployStep();
    const { eventId, runId } = await startRun(type);
    await untilWaiting(pool, runId);
    await forgetInPool(pool);
    expect((await poolOf(pool)).waiting).toEqual([]);
    expect((await runOf(runId)).waiting).toMatchObject({ code: "on_its_way" });

    await sendIsDue(runId);
    await fireAlarm(await eventStub(eventId));
    await untilWaiting(pool, runId);
    const runner = await FakeRunner.connect(pool);
    await runner.complete(runId, { status: "completed" });
  });

  test("again and again, until somebody takes the run; it waits once all the same", async () => {
    const { type, pool } = deployStep();
    const { eventId, runId } = await startRun(type);
    await untilWaiting(pool, runId);
    const sends: number[] = [];
    for (let round = 0; round < 3; round += 1) {
      await sendIsDue(runId);
      await fireAlarm(await eventStub(eventId));
      await rewriteRun(runId, (run) => {
        sends.push(run.sends);
        return run;
      });
    }
    expect(sends).toEqual([2, 3, 4]);
    expect((await poolOf(pool)).waiting.map((run) => run.runId)).toEqual([runId]);
  });

  test("everything that a crash right behind the commit cut off", async () => {
    const { type, pool } = deployStep();
    const id = freshId();
    const event = normalizeEvent({ id, type }, new Date().toISOString());
    const request: IngestRequest = {
      key: await eventKey(id),
      event,
      identity: "identity",
      matches: matchedSteps(event),
      lineage: { rootId: id, depth: 0 },
      origin: "event",
      createdAt: Date.now(),
    };
    const runId = `run_${request.key}_1`;
    await renameInLedger(id, "event", "away");
    await crashBehind(id, (object) => object.ingest(request));
    await renameInLedger(id, "away", "event");
    expect(await armedAt(await eventStub(id))).not.toBeNull();

    await sendIsDue(runId);
    await fireAlarm(await eventStub(id));
    await untilWaiting(pool, runId);
    await untilListed(runId, "queued");
    expect(await listedEvents(type)).toMatchObject([{ id, matched: 1 }]);
  });

  test("the end of a run, to its ledger and to its pool, whose place it still holds", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { eventId, runId } = await startRun(type);
    const link = await runner.start(runId);
    const held = await poolRow(pool, runId);
    await link.complete();
    await untilListed(runId, "completed");
    await until(async () => {
      expect((await poolOf(pool)).runners[0]?.active).toEqual([]);
    });

    await crash(await eventStub(eventId));
    await forgetInLedger(eventId);
    await restorePoolRow(pool, held);
    expect((await poolOf(pool)).runners[0]?.active).toEqual([runId]);

    await fireAlarm(await eventStub(eventId));
    await untilListed(runId, "completed");
    expect(await listedEvents(type)).toMatchObject([{ id: eventId }]);
    await until(async () => {
      expect((await poolOf(pool)).runners[0]?.active).toEqual([]);
    });
  });

  test("what a ledger could not take, without waiting for the event's end", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { eventId, runId } = await startRun(type);
    const link = await runner.start(runId);
    await untilListed(runId, "running");
    await renameInLedger(eventId, "run", "away");
    await link.complete();
    expect(await armedAt(await eventStub(eventId))).toBeLessThan(await ageOfDeletion(eventId));
    await renameInLedger(eventId, "away", "run");
    await runDurableObjectAlarm(await eventStub(eventId));
    await untilListed(runId, "completed");
  });

  test("what a second crash cut off, in the middle of telling it again", async () => {
    const { eventId, runId } = await finishedRun();
    await crash(await eventStub(eventId));
    await crashBehind(eventId, (object) => object.alarm());
    expect(await armedAt(await eventStub(eventId))).toBeLessThan(await ageOfDeletion(eventId));
    await forgetInLedger(eventId);
    await fireAlarm(await eventStub(eventId));
    await untilListed(runId, "completed");
  });
});

describe("what was told is not told again", () => {
  /** An event with two runs, each in a pool of its own; the first has ended, the other waits. */
  async function halfDone(whileEnding: (eventId: string) => Promise<void> = async () => undefined) {
    const first = deployStep();
    deployStep({ trigger: { type: first.type } });
    const runner = await FakeRunner.connect(first.pool);
    const eventId = freshId();
    const [over = "", waiting = ""] = (await send({ id: eventId, type: first.type })).runIds;
    const link = await runner.start(over);
    await untilListed(over, "running");
    await whileEnding(eventId);
    await link.complete();
    return { eventId, over, waiting };
  }

  /** All that the object has to tell so far is told when this is: one thing is told after the other. */
  async function toldAll(waiting: string): Promise<void> {
    await call("POST", `/runs/${waiting}/cancel`, { body: {} });
    await untilListed(waiting, "canceled");
  }

  async function untilNoted(runId: string): Promise<void> {
    await until(() =>
      rewriteRun(runId, (run) => {
        expect(run.toldRev).toBe(run.rev);
        return run;
      }),
    );
  }

  test("of a run that is over, at each alarm of one that lives", async () => {
    const { eventId, over, waiting } = await halfDone();
    await untilListed(over, "completed");
    await untilNoted(over);
    await forgetInLedger(eventId);
    await crash(await eventStub(eventId));
    await fireAlarm(await eventStub(eventId));
    await toldAll(waiting);
    expect(await listedRun(over)).toBeUndefined();
  });

  test("but what the ledger could not take is told by the next life", async () => {
    const { eventId, over, waiting } = await halfDone((id) => renameInLedger(id, "run", "away"));
    await crash(await eventStub(eventId));
    await renameInLedger(eventId, "away", "run");
    await rewriteRun(over, (run) => {
      expect(run.toldRev).not.toBe(run.rev);
      return run;
    });
    await fireAlarm(await eventStub(eventId));
    await untilListed(over, "completed");
    await toldAll(waiting);
  });

  test("of a run that waits, when it is sent again", async () => {
    const { type, pool } = deployStep();
    const { eventId, runId } = await startRun(type);
    await untilListed(runId, "queued");
    await sendIsDue(runId);
    await fireAlarm(await eventStub(eventId));
    await sendIsDue(runId);
    await fireAlarm(await eventStub(eventId));
    await untilNoted(runId);
    await forgetInLedger(eventId);
    await forgetInPool(pool);
    await sendIsDue(runId);
    await fireAlarm(await eventStub(eventId));
    await untilWaiting(pool, runId);
    expect(await listedRun(runId)).toBeUndefined();
    await toldAll(runId);
  });

  test("of the event itself, by a later life of its object", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { eventId, runId } = await startRun(type);
    await untilListed(runId, "queued");
    const link = await runner.start(runId);
    await untilListed(runId, "running");
    await evictDurableObject(await eventStub(eventId), { webSockets: "hibernate" });
    await forgetInLedger(eventId);
    await link.complete();
    await untilListed(runId, "completed");
    expect(await listedEvents(type)).toEqual([]);
  });

  test("but a conflict is news of it", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { eventId, runId } = await startRun(type);
    const link = await runner.start(runId);
    await untilListed(runId, "running");
    expect(await send({ id: eventId, type, payload: "differs" })).toMatchObject({ conflict: true });
    await link.complete();
    await until(async () => {
      expect(await listedEvents(type)).toMatchObject([{ conflicts: { count: 1 } }]);
    });
  });
});

describe("the alarm", () => {
  test("of an event whose runs are over and told is the one of its deletion", async () => {
    const { eventId, runId } = await finishedRun();
    const before = await runOf(runId);
    await fireAlarm(await eventStub(eventId));
    await until(async () => {
      expect(await armedAt(await eventStub(eventId))).toBe(await ageOfDeletion(eventId));
    });
    expect(await runOf(runId)).toEqual(before);
  });

  test("wakes an object that lost it, as soon as anything looks at it", async () => {
    const { type } = deployStep();
    const { eventId } = await startRun(type);
    await runInDurableObject(await eventStub(eventId), (_instance, { storage }) => storage.deleteAlarm());
    await evictDurableObject(await eventStub(eventId));
    await eventOf(eventId);
    expect(await armedAt(await eventStub(eventId))).not.toBeNull();
  });

  test("is not set by a look at an id that nobody sent", async () => {
    const object = await eventStub(freshId());
    expect(await armedAt(object)).toBeNull();
    await evictDurableObject(object);
    expect(await armedAt(object)).toBeNull();
  });

  test("invariant 16: that comes early, or twice, changes nothing", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { eventId, runId } = await startRun(type);
    await untilListed(runId, "queued");
    const queued = await runOf(runId);
    await fireAlarm(await eventStub(eventId));
    await fireAlarm(await eventStub(eventId));
    expect((await runOf(runId)).updatedAt).toBe(queued.updatedAt);
    const link = await runner.start(runId);
    await fireAlarm(await eventStub(eventId));
    await fireAlarm(await eventStub(eventId));
    await link.print("still alive");
    await link.complete();
    expect((await runOf(runId)).status).toBe("completed");
  });
});

/** A row of a pool's table of runs. */
interface PoolRow extends Record<string, SqlStorageValue> {
  run_id: string;
  runner_id: string | null;
  held_at: number | null;
  route: string;
}

async function poolRow(pool: string, runId: string): Promise<PoolRow> {
  return runInDurableObject(poolStub(pool), (_instance, { storage }) =>
    storage.sql.exec<PoolRow>("SELECT * FROM run WHERE run_id = ?", runId).one(),
  );
}

async function restorePoolRow(pool: string, row: PoolRow): Promise<void> {
  await runInDurableObject(poolStub(pool), (_instance, { storage }) => {
    storage.sql.exec(
      "INSERT INTO run VALUES (?, ?, ?, ?)",
      row.run_id,
      row.runner_id,
      row.held_at,
      row.route,
    );
  });
  await evictDurableObject(poolStub(pool));
}
