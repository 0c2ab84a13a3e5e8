/**
 * Faults that were proven in the ancestor, by their number in the list of its weaknesses, each shown not to be one
 * here. What needs real processes, or a whole file of its own, stands elsewhere:
 *
 *   8.1-1  runs in flight lost by a stop or a deploy     test/e2e/crashes.test.ts, outbox.test.ts, lease-clock.test.ts
 *   8.1-2  a broken package loses events                 a build with one fails: test/unit/catalog-compile.test.ts
 *   8.1-8  no cancel, clocks, retries, chains            cancel.test.ts, lease-clock.test.ts, chained.test.ts
 *   8.1-9  output thrown away, or in every list          run-link.test.ts, tail.test.ts
 *   8.1-10 the local client saves its state at the end   the client's own tests
 *   8.2    unbounded output, chains, backlog, retention  tail.test.ts, chained.test.ts, lists.test.ts
 *   8.3    no secret by default is open                  auth.test.ts, "closed by default"
 *   8.4    of its bridge, its app-server and its cron    parts that this edge does not have
 */
import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, afterEach, expect, test } from "vitest";
import { RESULT_STATUSES } from "../../contract/flow-result.ts";
import { HTTP_ROUTES } from "../../contract/http.ts";
import { EVENT_MAX_BYTES, LIST_MAX_ITEMS } from "../../contract/limits.ts";
import type { RunView } from "../../contract/run-view.ts";
import type { Env } from "../../worker/env.ts";
import worker from "../../worker/index.ts";
import {
  call,
  crash,
  eventOf,
  eventStub,
  expectError,
  expectJson,
  freshId,
  get,
  runOf,
  runStub,
  send,
  startRun,
  stored,
  until,
  untilWaiting,
  type DispatchBody,
} from "./support/api.ts";
import { RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

test("ancestor 8.1-2: an event is stored with its runs or not at all, so that a retry finds both", async () => {
  const { type, pool } = deployStep();
  const body = { id: freshId(), type };
  const refused = call("POST", "/events", { body: { ...body, occurredAt: "yesterday" } });
  await expectError(refused, 422);
  expect(await stored(await eventStub(body.id))).toEqual({ keys: [], tables: [] });
  const first = await send(body);
  expect(first).toMatchObject({ status: "accepted", matched: 1 });
  // Right behind the commit, before anything was told: what was acknowledged is there, and so are its runs.
  await crash(await eventStub(body.id));
  expect(await send(body)).toMatchObject({ status: "duplicate", runIds: first.runIds });
  await untilWaiting(pool, first.runIds[0] ?? "");
});

test("ancestor 8.1-3: receivedAt null is refused, not swallowed as a duplicate", async () => {
  const { type } = deployStep();
  const body = { id: freshId(), type };
  const error = await expectError(call("POST", "/events", { body: { ...body, receivedAt: null } }), 422);
  expect(error.details).toMatchObject([{ path: "/receivedAt" }]);
  expect(await send(body)).toMatchObject({ status: "accepted", matched: 1 });
});

test("ancestor 8.1-4: a payload that is no object spoils neither the lists nor its own event", async () => {
  const { type } = deployStep();
  const source = freshId("source");
  const payloads = ["text", ["list"], 7, null, false];
  const ids: string[] = [];
  for (const payload of payloads)
    for (const each of [type, "nobody.waits"]) {
      const id = freshId();
      ids.push(id);
      await send({ id, type: each, source, payload });
      expect((await eventOf(id)).event.payload).toEqual(payload);
    }
  await until(async () => {
    const { events } = await get<{ events: { id: string }[] }>(
      `/events?source=${encodeURIComponent(source)}`,
    );
    expect(events.map((event) => event.id).toSorted()).toEqual(ids.toSorted());
  });
});

test("ancestor 8.1-5: an empty id is refused, and asks for nobody's runs", async () => {
  await startRun(deployStep().type);
  await expectError(call("POST", "/events", { body: { id: "", type: "lab.one" } }), 422);
  expect(await get("/runs?eventId=")).toMatchObject({ eventId: "", runs: [] });
});

test.each(RESULT_STATUSES)("ancestor 8.1-6: the semantic status is seen: %s", async (status) => {
  const { eventId, runId } = await startRun(deployStep().type);
  const link = await RunLink.claim(runId, 1, "runner-a");
  await link.complete({ status });
  const needsAttention = ["blocked", "needs_intervention", "failed"].includes(status);
  const seen = { effectiveStatus: status, resultStatus: status, needsAttention };
  expect(await runOf(runId)).toMatchObject(seen);
  expect((await eventOf(eventId)).runs).toMatchObject([seen]);
  await until(async () => {
    const { runs } = await get<{ runs: RunView[] }>(`/runs?status=${status}`);
    expect(runs.find((run) => run.id === runId)).toMatchObject(seen);
  });
});

test("ancestor 8.1-7: of 20 duplicates at the same time every one is told the runs", async () => {
  const { type } = deployStep();
  const body = { id: freshId(), type };
  const answers = await Promise.all(Array.from({ length: 20 }, () => send(body)));
  expect(answers.filter(({ status }) => status === "accepted")).toHaveLength(1);
  const { runs } = await eventOf(body.id);
  expect(runs).toHaveLength(1);
  for (const { runIds } of answers) expect(runIds).toEqual([runs[0]?.id]);
});

test("ancestor 8.1-8: wait is honoured on dispatch", async () => {
  const { type } = deployStep();
  const id = freshId();
  const waiting = expectJson<DispatchBody>(call("POST", "/events?wait=20", { body: { id, type } }), 202);
  const runId = await until(async () => {
    const [run] = (await eventOf(id)).runs;
    if (run === undefined) throw new Error("not stored yet");
    return run.id;
  });
  const link = await RunLink.claim(runId, 1, "runner-a");
  await link.complete();
  expect((await waiting).runs).toMatchObject([{ id: runId, status: "completed" }]);
});

test("ancestor 8.2: a body has a bound, and a list shows no event larger than its own", async () => {
  const source = freshId("source");
  const large = { type: "nobody.waits", source, payload: "x".repeat(EVENT_MAX_BYTES / 2) };
  for (let sent = 0; sent < 5; sent += 1) await send({ ...large, id: freshId() });
  const list = await call("GET", `/events?source=${encodeURIComponent(source)}`);
  const text = await list.text();
  expect((JSON.parse(text) as { events: unknown[] }).events).toHaveLength(5);
  expect(text.length).toBeLessThan(10_000);
  const over = { ...large, id: freshId(), payload: "x".repeat(EVENT_MAX_BYTES) };
  const error = await expectError(call("POST", "/events", { body: over }), 413);
  expect(error.message).toContain(String(EVENT_MAX_BYTES));
});

test("ancestor 8.2: a page has a bound, whatever is asked for", async () => {
  for (const limit of [String(LIST_MAX_ITEMS + 1), "1e9", "Infinity", "-1", "x"]) {
    const { events } = await get<{ events: unknown[] }>(`/events?limit=${limit}`);
    expect(events.length).toBeLessThanOrEqual(LIST_MAX_ITEMS);
  }
});

test("ancestor 8.2: output does not stand in lists", async () => {
  const { runId } = await startRun(deployStep().type);
  const link = await RunLink.claim(runId, 1, "runner-a");
  const line = `line of ${runId}`;
  await link.print(line);
  await link.end({ exit: { code: 1, signal: null } });
  await until(async () => {
    const text = await (await call("GET", "/runs?status=failed")).text();
    expect(text).toContain(runId);
    expect(text).not.toContain(line);
  });
});

const guarded = HTTP_ROUTES.filter((route) => route.scopes.length > 0);

test.each(guarded.map((route) => [route.method, route.path] as const))(
  "ancestor 8.3: %s %s needs credentials",
  async (method, path) => {
    const { eventId, runId } = await startRun(deployStep().type);
    const id = encodeURIComponent(path.startsWith("/events") ? eventId : runId);
    const error = await expectError(
      call(method.toUpperCase(), path.replace(/\{\w+\}/, id), { token: null }),
      401,
    );
    expect(JSON.stringify(error)).not.toContain(eventId);
  },
);

test.each(["/runners/connect", "/runs/{id}/attach", "/runs/{id}/tail", "/", "/events"])(
  "ancestor 8.3: a web page elsewhere opens no socket at %s: it has no token, and cannot send one",
  async (path) => {
    const { runId } = await startRun(deployStep().type);
    const headers = {
      upgrade: "websocket",
      connection: "Upgrade",
      origin: "https://evil.example",
      cookie: "session=1",
    };
    const answer = await call("GET", path.replace("{id}", runId), { token: null, headers });
    expect(answer.webSocket).toBeNull();
    await expectError(answer, path === "/" ? 404 : 401);
    expect(answer.headers.get("access-control-allow-origin")).toBeNull();
    expect(await stored(runStub(runId))).toMatchObject({
      keys: expect.arrayContaining(["event"]) as unknown,
    });
  },
);

test("ancestor 8.3: a fault of the edge itself shows no source line, no path, no secret", async () => {
  const { EVENTS: _missing, ...broken } = env;
  const request = new Request("https://edge/events/x", {
    headers: { authorization: "Bearer test-admin-token" },
  });
  const answer = await worker.fetch(
    request as Request<unknown, IncomingRequestCfProperties>,
    broken as Env,
    createExecutionContext(),
  );
  const error = await expectError(answer, 500);
  expect(error).toMatchObject({ code: "internal", details: [] });
  expect(JSON.stringify(error)).not.toMatch(/getByName|undefined|\.ts|test-admin-token/);
});

test("ancestor 8.4: a run's lease cannot be guessed from its ids", async () => {
  const leases = new Set<string>();
  for (let at = 0; at < 3; at += 1) {
    const { eventId, runId } = await startRun(deployStep().type);
    const { lease } = await RunLink.claim(runId, 1, "runner-a");
    expect(lease).toMatch(/^lease_[0-9a-hjkmnp-tv-z]{26}$/);
    for (const id of [eventId, runId]) expect(lease).not.toContain(id);
    leases.add(lease);
    const text = await (await call("GET", `/runs/${runId}`)).text();
    expect(text).not.toContain(lease);
  }
  expect(leases.size).toBe(3);
});

test("ancestor 8.4: a completion does not overwrite a cancel that was proved", async () => {
  const { runId } = await startRun(deployStep().type);
  const link = await RunLink.claim(runId, 1, "runner-a");
  await expectJson(call("POST", `/runs/${runId}/cancel`, { body: {} }), 202);
  await link.next("cancel");
  await link.end({ reason: "canceled", tree: { empty: true, survivors: [] } });
  await link.complete({ status: "completed" });
  expect(await runOf(runId)).toMatchObject({ status: "canceled", effectiveStatus: "canceled" });
});

test("ancestor 8.4: the schema of a step decides, and a miss starts nothing", async () => {
  const wrong = await send({ id: freshId(), type: "upstream.release", payload: { tag: 1 } });
  expect(wrong.runs.map((run) => run.stepName)).toEqual(["notify"]);
});
