/** POST /events and what can be seen of an event afterwards. Replays stand in replay.test.ts. */
import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import { eventKey } from "../../contract/ids.ts";
import {
  EVENT_ID_MAX_CHARS,
  EVENT_MAX_BYTES,
  EVENT_MAX_DEPTH,
  EVENT_TYPE_MAX_CHARS,
  RUNS_PER_EVENT_MAX,
} from "../../contract/limits.ts";
import type { EventView } from "../../contract/run-view.ts";
import { dayOf, ledgerName } from "../../durable-objects/day-ledger/naming.ts";
import worker from "../../worker/index.ts";
import {
  call,
  eventOf,
  eventStub,
  expectError,
  expectJson,
  freshId,
  get,
  ledgerStub,
  poolOf,
  replay,
  send,
  startRun,
  stored,
  TOKENS,
  until,
  untilRun,
  type DispatchBody,
} from "./support/api.ts";
import { FakeRunner } from "./support/fake-runner.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";
import { deployStep } from "./support/flow-catalog.ts";

afterEach(closeSockets);
afterAll(endObjects);

describe("accepted", () => {
  test("invariant 3: one run for each matching step, with ids that name their object", async () => {
    const id = freshId();
    const answer = await send({ id, type: "upstream.release", payload: { tag: "v1" } });
    const key = await eventKey(id);
    expect(answer).toMatchObject({ status: "accepted", eventId: id, matched: 2, idempotent: false });
    expect(answer.runIds).toEqual([`run_${key}_1`, `run_${key}_2`]);
    expect(answer.runs.map((run) => [run.stepName, run.status, run.pool])).toEqual([
      ["rebase", "queued", "default"],
      ["notify", "queued", "other"],
    ]);
    expect(answer).not.toHaveProperty("conflict");
  });

  test("invariant 6: more runs than the queue takes in one call all come to their pool", async () => {
    const { type, pool } = deployStep();
    const steps = 120;
    for (let more = 1; more < steps; more += 1) deployStep({ pool, trigger: { type } });
    const { runIds } = await send({ id: freshId(), type });
    expect(runIds).toHaveLength(steps);
    await until(async () => {
      const { waiting } = await poolOf(pool);
      expect(new Set(waiting.map((run) => run.runId))).toEqual(new Set(runIds));
    });
  });

  test("/flow-events is the same route", async () => {
    const { type } = deployStep();
    const id = freshId();
    const body = { id, type };
    const first = await expectJson<DispatchBody>(call("POST", "/flow-events", { body }), 202);
    expect(await send(body)).toMatchObject({ status: "duplicate", runIds: first.runIds });
  });

  test("unknown top-level fields are kept, absent ones filled", async () => {
    const { type } = deployStep();
    const id = freshId();
    await send({ id, type, source: "probe", occurredAt: "2026-01-01T00:00:00Z", tenant: { a: [1, null] } });
    const { event } = await eventOf(id);
    expect(event).toMatchObject({
      source: "probe",
      occurredAt: "2026-01-01T00:00:00Z",
      payload: {},
      matched: 1,
    });
    expect(event.raw).toMatchObject({ tenant: { a: [1, null] }, receivedAt: event.receivedAt });
  });

  test.each([[null], [false], [0], [""], ["text"], [7.5], [[]], [[1, { a: null }]], [{ deep: { er: [] } }]])(
    "the payload may be any JSON value: %j",
    async (payload: unknown) => {
      const { type } = deployStep();
      const matched = freshId();
      const unmatched = freshId();
      await send({ id: matched, type, payload });
      await send({ id: unmatched, type: "nobody.waits", payload });
      expect((await eventOf(matched)).event.payload).toEqual(payload);
      expect((await eventOf(unmatched)).event.payload).toEqual(payload);
    },
  );

  test.each(["a/b", "a%2Fb", "100%41", "%", "ü/✓ 日本", "a?b#c", "a b+c", "..%2f.", "a%", '"<&>"'])(
    "an event is found by its percent-encoded id: %s",
    async (text) => {
      const id = `${text} ${freshId()}`;
      const { type } = deployStep();
      await send({ id, type });
      expect((await eventOf(id)).event.id).toBe(id);
      expect(await replay(id)).toMatchObject({ eventId: id, matched: 1 });
    },
  );

  test.each(["plain", "✓"])("an event of exactly the bound is accepted (padded with %s)", async (first) => {
    for (const type of [deployStep().type, "nobody.waits"]) {
      const bare = { id: freshId(), type, payload: first };
      const room = EVENT_MAX_BYTES - new TextEncoder().encode(JSON.stringify(bare)).length;
      const payload = first + "x".repeat(room);
      await send({ ...bare, payload });
      const { event } = await eventOf(bare.id);
      expect(event.payload === payload).toBe(true);
    }
  });
});

describe("the same id again (invariant 2)", () => {
  test("invariant 2: the same event is a duplicate with the same run ids", async () => {
    const { type } = deployStep();
    const body = { id: freshId(), type, source: "s", payload: { b: 1, a: [2] } };
    const first = await send(body);
    const again = await send({ ...body, payload: { a: [2], b: 1 }, receivedAt: "2026-01-01T00:00:00Z" });
    expect(again).toMatchObject({ status: "duplicate", runIds: first.runIds, matched: 0, idempotent: true });
    expect(again).not.toHaveProperty("conflict");
    expect((await eventOf(body.id)).event).not.toHaveProperty("conflicts");
  });

  test.each([
    ["another payload", { payload: { b: 2 } }],
    ["another source", { source: "elsewhere" }],
    ["another type that matches", { type: "lab.one" }],
    ["another type that matches nothing", { type: "nobody.waits" }],
  ])("invariant 2: %s is a conflict, and the first event stays", async (_what, change) => {
    const { type } = deployStep();
    const body = { id: freshId(), type, source: "s", payload: { a: 1 } };
    const first = await send(body);
    const again = await send({ ...body, ...change });
    expect(again).toMatchObject({ status: "duplicate", conflict: true, runIds: first.runIds, matched: 0 });
    const { event, runs } = await eventOf(body.id);
    expect(event).toMatchObject({ type, source: "s", payload: { a: 1 }, conflicts: { count: 1 } });
    expect(runs).toHaveLength(1);
  });

  test("invariant 2: run ids stay the same after a replay, also of a step that is new since", async () => {
    const { type } = deployStep();
    const body = { id: freshId(), type };
    const first = await send(body);
    deployStep({ trigger: { type } });
    expect((await replay(body.id)).runs.map((run) => run.replayOf)).toEqual([first.runIds[0], undefined]);
    expect((await send(body)).runIds).toEqual(first.runIds);
  });

  test("invariant 2: at the same time, one is accepted and the others are its duplicates", async () => {
    const { type } = deployStep();
    const body = { id: freshId(), type };
    const answers = await Promise.all(Array.from({ length: 8 }, () => send(body)));
    expect(answers.filter((answer) => answer.status === "accepted")).toHaveLength(1);
    expect(new Set(answers.flatMap((answer) => answer.runIds))).toEqual(new Set(answers[0]?.runIds));
  });
});

describe("an event that matches nothing", () => {
  test("invariant 1: is accepted, shown and listed, and gets no object of its own", async () => {
    const body = { id: freshId(), type: `nobody.${freshId()}`, source: "s", payload: { k: 1 }, extra: 1 };
    expect(await send(body)).toMatchObject({ status: "accepted", runIds: [], runs: [], matched: 0 });
    const { event, runs } = await eventOf(body.id);
    expect(event).toMatchObject({ id: body.id, payload: { k: 1 }, matched: 0, raw: { extra: 1 } });
    expect(runs).toEqual([]);
    const { events } = await get<{ events: EventView[] }>(`/events?type=${encodeURIComponent(body.type)}`);
    expect(events.map((listed) => listed.id)).toEqual([body.id]);
    expect(await stored(await eventStub(body.id))).toEqual({ keys: [], tables: [] });
  });

  test("invariant 2: sent again it is a duplicate, and a conflict when it differs", async () => {
    const body = { id: freshId(), type: "nobody.waits", payload: 1 };
    await send(body);
    expect(await send(body)).toMatchObject({ status: "duplicate", runIds: [], matched: 0 });
    expect(await send({ ...body, payload: 2 })).toMatchObject({ status: "duplicate", conflict: true });
    expect((await eventOf(body.id)).event.payload).toBe(1);
  });

  test("gets its object when the same id, sent again, matches: one row in the list, not two", async () => {
    const type = `later.${freshId()}`;
    const body = { id: freshId(), type };
    expect((await send(body)).matched).toBe(0);
    deployStep({ trigger: { type } });
    expect(await send(body)).toMatchObject({ status: "accepted", matched: 1 });
    expect((await eventOf(body.id)).runs).toHaveLength(1);
    await until(async () => {
      const { events } = await get<{ events: EventView[] }>(`/events?type=${encodeURIComponent(type)}`);
      expect(events.map((event) => [event.id, event.matched])).toEqual([[body.id, 1]]);
    });
  });
});

describe("one id, first without a match and then with one, on the same day (invariant 2)", () => {
  test("invariant 2: a differing event is recorded as a conflict, and the first one stays in the list", async () => {
    const { type } = deployStep();
    const id = freshId();
    const source = freshId("source");
    expect(await send({ id, type: "nobody.waits", source, payload: "first" })).toMatchObject({ matched: 0 });
    expect(await send({ id, type, source, payload: "second" })).toMatchObject({ matched: 1 });
    await until(async () => {
      expect((await eventOf(id)).event).toMatchObject({ payload: "second", conflicts: { count: 1 } });
    });
    const { events } = await get<{ events: EventView[] }>(`/events?source=${encodeURIComponent(source)}`);
    expect(events.map((event) => event.payload)).toEqual(["second", "first"]);
  });
});

describe("more steps than an event may have runs (invariant 12)", () => {
  function deployTooMany(): string {
    const { type, pool } = deployStep();
    for (let more = 0; more < RUNS_PER_EVENT_MAX; more += 1) deployStep({ pool, trigger: { type } });
    return type;
  }

  test("invariant 12: the event is refused, and nothing of it is stored", async () => {
    const body = { id: freshId(), type: deployTooMany() };
    const error = await expectError(call("POST", "/events", { body }), 409);
    expect(error.code).toBe("too_many_runs");
    expect(error.message).toContain(String(RUNS_PER_EVENT_MAX));
    expect(await stored(await eventStub(body.id))).toEqual({ keys: [], tables: [] });
    await expectError(call("GET", `/events/${encodeURIComponent(body.id)}`), 404);
  });

  test("invariant 12: one that a result asks for is refused on its run, and not sent for ever", async () => {
    const next = { id: freshId(), type: deployTooMany() };
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    const link = await runner.start(runId);
    await link.complete({ status: "completed", next: [next] });
    await untilRun(runId, (run) => {
      expect(run.chained).toMatchObject([{ state: "refused", eventId: next.id }]);
      expect(run.chained?.[0]?.reason).toContain(String(RUNS_PER_EVENT_MAX));
    });
  });
});

describe("dry_run", () => {
  test("says what would match and why the others would not, and stores nothing", async () => {
    const id = freshId();
    const body = { id, type: "upstream.release", payload: { tag: 7 } };
    const answer = await expectJson(call("POST", "/events?dry_run=1", { body }), 200);
    expect(answer).toEqual({
      eventId: id,
      matches: [{ flow: "release", step: "notify", pool: "other" }],
      misses: [
        { flow: "release", step: "rebase", errors: [{ path: "/payload/tag", message: "is required" }] },
      ],
    });
    await expectError(call("GET", `/events/${encodeURIComponent(id)}`), 404);
    expect(await stored(await eventStub(id))).toEqual({ keys: [], tables: [] });
  });
});

describe("wait", () => {
  test("answers when the runs are over", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const id = freshId();
    const runId = `run_${await eventKey(id)}_1`;
    const [answer] = await Promise.all([
      send({ id, type }, "?wait=20"),
      runner.complete(runId, { status: "completed", message: "done" }),
    ]);
    expect(answer.runs[0]).toMatchObject({ id: runId, status: "completed", result: { message: "done" } });
  });

  test("answers the present state when the time is up", async () => {
    const { type } = deployStep();
    const answer = await send({ id: freshId(), type }, "?wait=0.05");
    expect(answer.runs[0]?.status).toBe("queued");
  });

  test.each(["soon", "-1", "NaN", "Infinity"])(
    "wait=%s is a bad request, and stores nothing",
    async (wait) => {
      const body = { id: freshId(), type: "lab.one" };
      const error = await expectError(call("POST", `/events?wait=${wait}`, { body }), 400);
      expect(error.details).toEqual([expect.objectContaining({ path: "?wait" })]);
      await expectError(call("GET", `/events/${encodeURIComponent(body.id)}`), 404);
    },
  );
});

test("an upload that the client cuts off is a 400 and leaves no error in the log", async () => {
  const error = vi.spyOn(console, "error").mockImplementation(() => undefined);
  try {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        controller.enqueue(new TextEncoder().encode('{"id":"cut'));
        controller.error(new Error("Network connection lost."));
      },
    });
    const headers = { authorization: `Bearer ${TOKENS.event}` };
    const request = new Request("https://edge/events", { method: "POST", headers, body });
    const answer = worker.fetch(
      request as Request<unknown, IncomingRequestCfProperties>,
      env,
      createExecutionContext(),
    );
    expect((await expectError(answer, 400)).code).toBe("body_incomplete");
    expect(error).not.toHaveBeenCalled();
  } finally {
    error.mockRestore();
  }
});

describe("bad input (invariant 13)", () => {
  const bad: [string, unknown, number, string[]][] = [
    ["no JSON", "{", 400, [""]],
    ["an empty body", "", 400, [""]],
    ["a list", [], 422, [""]],
    ["null", "null", 422, [""]],
    ["no id", { type: "lab.one" }, 422, ["/id"]],
    ["no type", { id: "x" }, 422, ["/type"]],
    ["an id that is a number", { id: 7, type: "lab.one" }, 422, ["/id"]],
    ["an empty id", { id: "", type: "lab.one" }, 422, ["/id"]],
    ["a long id", { id: "x".repeat(EVENT_ID_MAX_CHARS + 1), type: "lab.one" }, 422, ["/id"]],
    ["a long type", { id: "x", type: "t".repeat(EVENT_TYPE_MAX_CHARS + 1) }, 422, ["/type"]],
    ["a source that is an object", { id: "x", type: "lab.one", source: {} }, 422, ["/source"]],
    ["a date that is none", { id: "x", type: "lab.one", occurredAt: "yesterday" }, 422, ["/occurredAt"]],
    ["a receivedAt that is a number", { id: "x", type: "lab.one", receivedAt: 1 }, 422, ["/receivedAt"]],
    [
      "JSON nested too deep",
      `{"id":"x","type":"lab.one","payload":${"[".repeat(EVENT_MAX_DEPTH + 1)}${"]".repeat(EVENT_MAX_DEPTH + 1)}}`,
      422,
      ["/payload"],
    ],
  ];
  test.each(bad)("invariant 13: %s", async (_what, body, status, paths) => {
    const error = await expectError(call("POST", "/events", { body }), status);
    expect(error.details.map((detail) => detail.path)).toEqual(paths);
  });

  test("invariant 12: a body over the bound is refused, and the message names the bound", async () => {
    const body = { id: freshId(), type: "lab.one", payload: "x".repeat(EVENT_MAX_BYTES) };
    const error = await expectError(call("POST", "/events", { body }), 413);
    expect(error.message).toContain(String(EVENT_MAX_BYTES));
  });

  test("invariant 12: so is one that does not say its length", async () => {
    const { exports } = await import("cloudflare:workers");
    const chunk = new TextEncoder().encode("x".repeat(EVENT_MAX_BYTES / 4));
    let left = 6;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (left === 0) controller.close();
        else controller.enqueue(chunk);
        left -= 1;
      },
    });
    const answer = exports.default.fetch("https://edge/events", {
      method: "POST",
      headers: { authorization: "Bearer test-admin-token" },
      body,
    });
    await expectError(answer, 413);
  });

  test("a content type that says that it is something else", async () => {
    const body = { id: freshId(), type: "lab.one" };
    const error = await expectError(
      call("POST", "/events", { body, headers: { "content-type": "text/html" } }),
      415,
    );
    expect(error.message).toContain("text/html");
  });

  test("bytes that are no UTF-8", async () => {
    const { exports } = await import("cloudflare:workers");
    const answer = exports.default.fetch("https://edge/events", {
      method: "POST",
      headers: { authorization: "Bearer test-admin-token" },
      body: new Uint8Array([0x22, 0xff, 0xfe, 0x22]),
    });
    expect((await expectError(answer, 400)).code).toBe("invalid_encoding");
  });

  test.each(["%E0%A4%A", "%", "%zz", "%00"])("a path with the escape %s", async (escape) => {
    const answer = await call("GET", `/events/${escape}`);
    expect([400, 404]).toContain(answer.status);
    await expectError(answer, answer.status);
  });

  test("invariant 13: none of it has stored anything", async () => {
    const ledger = ledgerStub(ledgerName(env, dayOf(Date.now()), await eventKey("x")));
    const before = await stored(ledger);
    for (const [, body, status] of bad) await expectError(call("POST", "/events", { body }), status);
    expect(await stored(await eventStub("x"))).toEqual({ keys: [], tables: [] });
    expect(await stored(ledger)).toEqual(before);
    await expectError(call("GET", "/events/x"), 404);
  });
});
