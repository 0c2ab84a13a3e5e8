/** POST /events/:id/replay: the same event again, with new runs. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { eventKey } from "../../contract/ids.ts";
import { REQUEST_MAX_BYTES, RUNS_PER_EVENT_MAX } from "../../contract/limits.ts";
import type { EventView } from "../../contract/run-view.ts";
import { dayOf, ledgerName, previousDay } from "../../durable-objects/day-ledger/naming.ts";
import {
  call,
  eventOf,
  expectError,
  freshId,
  get,
  ledgerStub,
  replay,
  runOf,
  send,
  startRun,
  until,
} from "./support/api.ts";
import { FakeRunner } from "./support/fake-runner.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";
import { deployStep } from "./support/flow-catalog.ts";

afterEach(closeSockets);
afterAll(endObjects);

const DAY_MS = 86_400_000;
const replayPath = (eventId: string): string => `/events/${encodeURIComponent(eventId)}/replay`;

describe("an event that has matched", () => {
  test("invariant 5: a new run, linked to the one it repeats, which never changes", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { eventId, runId } = await startRun(type);
    await runner.complete(runId, { status: "completed", message: "first" });
    const before = await runOf(runId);

    const again = await replay(eventId);
    expect(again).toMatchObject({ status: "accepted", matched: 1, idempotent: false });
    expect(again.runs[0]).toMatchObject({ origin: "replay", replayOf: runId, status: "queued" });
    const newId = again.runIds[0] ?? "";
    expect(newId).not.toBe(runId);

    const link = await runner.start(newId);
    await link.result({ status: "failed" });
    await link.end({ exit: { code: 1, signal: null } });
    expect(await runOf(newId)).toMatchObject({ status: "failed" });
    expect(await runOf(runId)).toEqual(before);
  });

  test("the step is told that it is a replay", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool, { capacity: 2 });
    const { eventId, runId } = await startRun(type);
    expect((await runner.start(runId)).context.replay).toBe(false);
    const [again = ""] = (await replay(eventId)).runIds;
    expect((await runner.start(again)).context.replay).toBe(true);
  });

  test("a second replay repeats the first one", async () => {
    const { eventId } = await startRun(deployStep().type);
    const first = await replay(eventId);
    const second = await replay(eventId);
    expect(second.runs[0]?.replayOf).toBe(first.runIds[0]);
  });

  test("only the steps that the filter names", async () => {
    const id = freshId();
    await send({ id, type: "upstream.release", payload: { tag: "v1" } });
    const steps = async (body: object): Promise<string[]> =>
      (await replay(id, body)).runs.map((run) => `${run.flowName}/${run.stepName}`);
    expect(await steps({ flow: "release", step: "notify" })).toEqual(["release/notify"]);
    expect(await steps({ step: "rebase" })).toEqual(["release/rebase"]);
    expect(await steps({ flow: "release" })).toEqual(["release/rebase", "release/notify"]);
    expect(await steps({ flow: "lab" })).toEqual([]);
  });

  test("waits until the new runs are over when it is asked to", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool, { capacity: 2 });
    const { eventId, runId } = await startRun(type);
    const newId = runId.replace(/_1$/, "_2");
    const [answer] = await Promise.all([
      replay(eventId, { wait: 20 }),
      runner.complete(newId, { status: "completed" }),
    ]);
    expect(answer.runs).toMatchObject([{ id: newId, status: "completed" }]);
  });

  test(`invariant 12: an event has at most ${RUNS_PER_EVENT_MAX} runs`, async () => {
    const { type } = deployStep();
    const steps = RUNS_PER_EVENT_MAX / 4;
    for (let more = 1; more < steps; more += 1) deployStep({ trigger: { type } });
    const id = freshId();
    expect((await send({ id, type })).matched).toBe(steps);
    for (let round = 0; round < 3; round += 1) expect((await replay(id)).matched).toBe(steps);
    const error = await expectError(call("POST", replayPath(id), { body: {} }), 409);
    expect(error).toMatchObject({ code: "too_many_runs" });
    expect(error.message).toContain(String(RUNS_PER_EVENT_MAX));
    expect((await eventOf(id)).runs).toHaveLength(RUNS_PER_EVENT_MAX);
  });
});

describe("an event that had matched nothing", () => {
  test("gets its object when a flow has been deployed for it since", async () => {
    const type = `later.${freshId()}`;
    const body = { id: freshId(), type, payload: { k: 1 } };
    await send(body);
    expect(await replay(body.id)).toMatchObject({ matched: 0, runs: [] });
    deployStep({ trigger: { type } });
    const again = await replay(body.id);
    expect(again).toMatchObject({ status: "accepted", matched: 1 });
    expect(again.runs[0]).toMatchObject({ origin: "replay", status: "queued" });
    expect(again.runs[0]).not.toHaveProperty("replayOf");
    expect((await eventOf(body.id)).event).toMatchObject({ payload: { k: 1 }, matched: 1 });
  });

  test("is found in the ledger of an earlier day", async () => {
    const { type } = deployStep();
    const event = { id: freshId(), type, receivedAt: "2026-01-01T00:00:00Z", payload: [7] };
    const key = await eventKey(event.id);
    const yesterday = ledgerName(env, previousDay(dayOf(Date.now())), key);
    const lineage = { rootId: event.id, depth: 0 };
    await env.LEDGERS.getByName(yesterday).recordUnmatched({ key, event, identity: "identity", lineage });
    await runInDurableObject(ledgerStub(yesterday), (_instance, { storage }) => {
      for (const table of ["event", "listed"])
        storage.sql.exec(`UPDATE ${table} SET created_ms = created_ms - ${DAY_MS} WHERE key = ?`, key);
    });
    expect((await eventOf(event.id)).event).toMatchObject({ id: event.id, payload: [7], matched: 0 });
    expect((await replay(event.id)).matched).toBe(1);
    expect((await eventOf(event.id)).runs).toHaveLength(1);
    await until(async () => {
      const { events } = await get<{ events: EventView[] }>(`/events?type=${encodeURIComponent(type)}`);
      expect(events.map((listed) => [listed.id, listed.matched])).toEqual([[event.id, 1]]);
    });
  });
});

describe("bad input (invariant 13)", () => {
  test("an id that nobody sent", async () => {
    expect((await expectError(call("POST", replayPath(freshId()), { body: {} }), 404)).code).toBe(
      "event_not_found",
    );
  });

  test.each([
    ["an unknown field", { flows: "lab" }, ["/flows"]],
    ["an empty flow", { flow: "" }, ["/flow"]],
    ["a step that is a number", { step: 1 }, ["/step"]],
  ])("%s", async (_what, body, paths) => {
    const { eventId } = await startRun(deployStep().type);
    const error = await expectError(call("POST", replayPath(eventId), { body }), 422);
    expect(error.details.map((detail) => detail.path)).toEqual(paths);
    expect((await eventOf(eventId)).runs).toHaveLength(1);
  });

  test("a body over the bound", async () => {
    const body = { flow: "x".repeat(REQUEST_MAX_BYTES) };
    await expectError(call("POST", replayPath("x"), { body }), 413);
  });

  test("no body at all is the same as {}", async () => {
    const { eventId } = await startRun(deployStep().type);
    expect((await call("POST", replayPath(eventId))).status).toBe(202);
  });
});
