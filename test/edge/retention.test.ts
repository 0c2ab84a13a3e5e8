/** An event's end: at its retention age its object deletes itself, and not before everything of it is over. */
import { afterAll, afterEach, describe, expect, test } from "vitest";
import {
  armedAt,
  call,
  eventStub,
  expectError,
  fireAlarm,
  get,
  replay,
  runOf,
  send,
  startRun,
  stored,
  until,
} from "./support/api.ts";
import {
  finishedRun,
  forgetInLedger,
  listedEvents,
  listedRun,
  RETENTION_MS,
  rewriteEvent,
  untilAtRest,
} from "./support/event-life.ts";
import { FakeRunner } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

/** The event reaches the age at which it is deleted. */
async function grownOld(eventId: string): Promise<void> {
  await rewriteEvent(eventId, (event) => ({ ...event, createdAt: event.createdAt - RETENTION_MS }));
}

async function untilGone(runId: string): Promise<void> {
  await until(async () => {
    await expectError(call("GET", `/runs/${runId}`), 404);
  });
}

describe("at its retention age", () => {
  test("an event deletes itself, and is unknown from then on", async () => {
    const { eventId, runId } = await finishedRun();
    await grownOld(eventId);
    await fireAlarm(await eventStub(eventId));
    expect(await stored(await eventStub(eventId))).toEqual({ keys: [], tables: [] });
    expect(await armedAt(await eventStub(eventId))).toBeNull();
    await expectError(call("GET", `/events/${encodeURIComponent(eventId)}`), 404);
    for (const path of ["", "/output"]) await expectError(call("GET", `/runs/${runId}${path}`), 404);
    await expectError(call("POST", `/runs/${runId}/cancel`, { body: {} }), 404);
    const replayed = call("POST", `/events/${encodeURIComponent(eventId)}/replay`, { body: {} });
    await expectError(replayed, 404);
    expect(await get(`/runs?eventId=${encodeURIComponent(eventId)}`)).toEqual({ eventId, runs: [] });
    expect(await armedAt(await eventStub(eventId))).toBeNull();
  });

  test("a runner that still holds a socket is sent away", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { eventId, runId } = await startRun(type);
    const link = await runner.start(runId);
    await link.complete();
    // An event that is old before it has rested would delete itself at once.
    await untilAtRest({ eventId, runId });
    await grownOld(eventId);
    await fireAlarm(await eventStub(eventId));
    expect((await link.closed).code).toBe(1000);
  });

  test("an event with a run that is not over stays until it is", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { eventId, runId } = await startRun(type);
    const link = await runner.start(runId);
    await grownOld(eventId);
    await fireAlarm(await eventStub(eventId));
    expect((await runOf(runId)).status).toBe("running");
    await link.complete({ status: "completed", message: "at last" });
    await untilGone(runId);
    expect(await listedRun(runId)).toMatchObject({ status: "completed", result: { message: "at last" } });
  });

  test("its id is free again: a new event, listed on its own day", async () => {
    const { eventId, type } = await finishedRun();
    await grownOld(eventId);
    await fireAlarm(await eventStub(eventId));
    await forgetInLedger(eventId);
    expect(await send({ id: eventId, type, payload: "anew" })).toMatchObject({
      status: "accepted",
      matched: 1,
    });
    await until(async () => {
      expect(await listedEvents(type)).toMatchObject([{ id: eventId, payload: "anew" }]);
    });
    expect(await armedAt(await eventStub(eventId))).not.toBeNull();
  });

  test("a replay does not make it younger", async () => {
    const { eventId } = await finishedRun();
    await grownOld(eventId);
    const [again = ""] = (await replay(eventId)).runIds;
    await call("POST", `/runs/${again}/cancel`, { body: {} });
    await untilGone(again);
  });
});
