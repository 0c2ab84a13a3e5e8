/**
 * Whatever is sent that is wrong (invariant 13): an error in the one form that all have, which names what is wrong;
 * never a 5xx, never an exception, and nothing is stored. The tables stand in support/malformed-*.ts.
 */
import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { HTTP_ROUTES } from "../../contract/http.ts";
import { CONTROL_UP, RUN_UP, type ControlDown, type TailDown } from "../../contract/runner-link.ts";
import { readControlFrame, readRunFrame } from "../../contract/validate.ts";
import worker from "../../worker/index.ts";
import {
  call,
  eventOf,
  eventStub,
  expectError,
  expectJson,
  freshId,
  get,
  poolOf,
  runOf,
  startRun,
  stored,
  TOKENS,
  until,
  untilWaiting,
} from "./support/api.ts";
import { FakeRunner, RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { REFUSED_EVENT_ID } from "./support/malformed-events.ts";
import {
  CONTROL_FRAMES,
  MALFORMED_CONTROL_FRAMES,
  MALFORMED_RUN_FRAMES,
  onTheWire,
  RUN_FRAMES,
  typeOf,
} from "./support/malformed-frames.ts";
import { MALFORMED_REQUESTS } from "./support/malformed-requests.ts";
import { closeSockets, Socket } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

const UNKNOWN = "run_0000000000000000_1";
const MOST_ROWS = 500;

/** A run that waits, since nobody takes it: what a bad request could harm. */
let target = { eventId: "", runId: "", pool: "" };

beforeAll(async () => {
  const { type, pool } = deployStep();
  target = { ...(await startRun(type)), pool };
  await untilWaiting(pool, target.runId);
  await until(async () => {
    const { runs } = await get<{ runs: { id: string }[] }>("/runs");
    expect(runs.map((run) => run.id)).toContain(target.runId);
  });
});

/** All that can be seen of what is stored, but for the times of runners. */
async function everything(): Promise<unknown> {
  return Promise.all([
    get(`/events?limit=${MOST_ROWS}`),
    get(`/runs?limit=${MOST_ROWS}`),
    eventOf(target.eventId),
    poolOf(target.pool),
  ]);
}

/** A path of the tables with the ids of what is stored here. */
function filled(path: string): string {
  return path
    .replace("{run}", target.runId)
    .replace("{event}", encodeURIComponent(target.eventId))
    .replace("{unknown}", UNKNOWN);
}

describe("requests", () => {
  test.each(HTTP_ROUTES.map(({ method, path }) => `${method} ${path}`))(
    "%s has a row of its own in support/malformed-requests.ts",
    (route) => {
      expect(MALFORMED_REQUESTS.filter((row) => row.route === route)).not.toEqual([]);
    },
  );

  test("every row is aimed at a route that there is", () => {
    const routes = HTTP_ROUTES.map(({ method, path }) => `${method} ${path}`);
    for (const { route } of MALFORMED_REQUESTS) expect(routes).toContain(route);
    expect(MALFORMED_REQUESTS.length).toBeGreaterThanOrEqual(60);
  });

  test.each(MALFORMED_REQUESTS.map((row) => [`${row.route}: ${row.what}`, row] as const))(
    "%s",
    async (_name, { route, method, path, status, code, at, ...options }) => {
      const before = await everything();
      const [ownMethod = "", ownPath = ""] = route.split(" ");
      const answer = call(method ?? ownMethod.toUpperCase(), filled(path ?? ownPath), options);
      const error = await expectError(answer, status);
      expect({ code: error.code, at: error.details.map((detail) => detail.path) }).toEqual({ code, at });
      expect(await everything()).toEqual(before);
      expect(await stored(await eventStub(REFUSED_EVENT_ID))).toEqual({ keys: [], tables: [] });
      await expectError(call("GET", `/events/${encodeURIComponent(REFUSED_EVENT_ID)}`), 404);
    },
  );

  const sockets = HTTP_ROUTES.filter((route) => route.success.status === 101);
  test.each(sockets.map((route) => [route.path] as const))(
    "HEAD of %s, with an upgrade, opens no socket",
    async (path) => {
      // Handed over as it is: on its way through a binding the platform makes a GET of every upgrade.
      const request = new Request(`https://edge${path.replace(/\{\w+\}/, target.runId)}`, {
        method: "HEAD",
        headers: { upgrade: "websocket", authorization: `Bearer ${TOKENS.admin}` },
      });
      const answer = await worker.fetch(
        request as Request<unknown, IncomingRequestCfProperties>,
        env,
        createExecutionContext(),
      );
      expect([answer.status, answer.webSocket]).toEqual([400, null]);
    },
  );
});

describe("what looks wrong and is none", () => {
  test.each([
    ["no content type at all", {}],
    ["JSON of a kind of its own", { "content-type": "application/cloudevents+json; charset=utf-8" }],
    ["what curl -d says of everything", { "content-type": "application/x-www-form-urlencoded" }],
    ["plain text", { "content-type": "text/plain;charset=UTF-8" }],
  ])("ancestor 1.8: the content type decides nothing: %s", async (_what, headers) => {
    const body = new TextEncoder().encode(JSON.stringify({ id: freshId(), type: "nobody.waits" }));
    await expectJson(call("POST", "/events", { body, headers }), 202);
  });

  test("NUL, half surrogates and names of every object are kept as they are", async () => {
    const id = `nul:\u0000:${freshId()}`;
    const text = `{"id":${JSON.stringify(id)},"type":"nobody.waits","constructor":1,"payload":{"__proto__":{"a":"\\ud800\\u0000"},"toString":null}}`;
    await expectJson(call("POST", "/events", { body: text }), 202);
    const { event } = await eventOf(id);
    expect(JSON.stringify(event.payload)).toBe('{"__proto__":{"a":"\\ud800\\u0000"},"toString":null}');
    expect(event.raw).toMatchObject({ constructor: 1 });
    await get(`/events?limit=${MOST_ROWS}`);
  });

  test("so they are when the event has an object and a run", async () => {
    const { type } = deployStep({ concurrency: { key: "{{payload.key}}", limit: 1 } });
    const id = freshId();
    const payload = '{"__proto__":{"a":"\\ud800\\u0000"},"key":"\\udfff\\u0000"}';
    const body = `{"id":"${id}","type":"${type}","__proto__":{"x":1},"payload":${payload}}`;
    const { runIds } = await expectJson<{ runIds: string[] }>(call("POST", "/events", { body }), 202);
    const { event } = await eventOf(id);
    expect(JSON.stringify(event.payload)).toBe(payload);
    const link = await RunLink.claim(runIds[0] ?? "", 1, "runner-a");
    expect(JSON.stringify(link.context.event["payload"])).toBe(payload);
    expect(Object.hasOwn(link.context.event, "__proto__")).toBe(true);
  });
});

describe("frames of the control socket", () => {
  test.each(Object.keys(CONTROL_UP))(
    "%s has a right and a wrong frame in support/malformed-frames.ts",
    (type) => {
      const right = Object.entries(CONTROL_FRAMES).find(([name]) => name === type)?.[1];
      expect(readControlFrame(JSON.stringify(right))).toMatchObject({ ok: true });
      expect(MALFORMED_CONTROL_FRAMES.some(({ frame }) => typeOf(frame) === type)).toBe(true);
    },
  );

  test.each(MALFORMED_CONTROL_FRAMES.map((row) => [row.what, row] as const))(
    "%s: an error frame, a close with 4400, and no harm to others",
    async (_what, { frame, code, names }) => {
      const { type, pool } = deployStep();
      const bystander = await FakeRunner.connect(pool);
      const runner = await FakeRunner.connect(pool, { capacity: 0 });
      const before = await poolOf(pool);
      runner.control.sendRaw(onTheWire(frame));
      const error = await runner.control.next("error");
      expect(error).toMatchObject({ code, message: expect.stringContaining(names) as string });
      expect(await runner.control.closed).toEqual({ code: 4400, reason: code });
      const after = await poolOf(pool);
      expect(after.waiting).toEqual(before.waiting);
      expect(
        after.runners.map(({ id, capacity, flows, labels }) => ({ id, capacity, flows, labels })),
      ).toEqual(before.runners.map(({ id, capacity, flows, labels }) => ({ id, capacity, flows, labels })));
      await bystander.complete((await startRun(type)).runId, { status: "completed" });
    },
  );

  test.each(Object.values(CONTROL_FRAMES).filter(({ type }) => type !== "hello"))(
    "$type before hello is refused",
    async (frame) => {
      const control = await Socket.to<ControlDown>("/runners/connect?pool=nobody-said-hello");
      control.sendRaw(JSON.stringify(frame));
      expect(await control.next("error")).toMatchObject({ code: "no_hello" });
      expect(await control.closed).toEqual({ code: 4400, reason: "no_hello" });
      expect(await poolOf("nobody-said-hello")).toEqual({ runners: [], waiting: [] });
    },
  );
});

describe("frames of the run socket", () => {
  test.each(Object.keys(RUN_UP))(
    "%s has a right and a wrong frame in support/malformed-frames.ts",
    (type) => {
      const right = Object.entries(RUN_FRAMES).find(([name]) => name === type)?.[1];
      expect(readRunFrame(JSON.stringify(right))).toMatchObject({ ok: true });
      expect(MALFORMED_RUN_FRAMES.some(({ frame }) => typeOf(frame) === type)).toBe(true);
    },
  );

  test.each(MALFORMED_RUN_FRAMES.map((row) => [row.what, row] as const))(
    "%s: an error frame, a close with 4400, and no harm to others",
    async (_what, { frame, code, names }) => {
      const { runId } = await startRun(deployStep().type);
      const link = await RunLink.claim(runId, 1, "runner-a");
      const tail = await Socket.to<TailDown>(`/runs/${runId}/tail`, TOKENS.read);
      await tail.next("run");
      const before = await runOf(runId);
      link.sendRaw(onTheWire(frame));
      const error = await link.next("error");
      expect(error).toMatchObject({ code, message: expect.stringContaining(names) as string });
      expect(await link.closed).toEqual({ code: 4400, reason: code });
      const { status, output, outputBytes, result } = await runOf(runId);
      expect({ status, output, outputBytes, result }).toEqual({
        status: before.status,
        output: before.output,
        outputBytes: before.outputBytes,
        result: before.result,
      });
      const { link: back } = await RunLink.resume(runId, 1, link.lease);
      await back.print("still here");
      expect((await tail.next("output")).chunks.map((chunk) => chunk.text)).toEqual(["still here"]);
    },
  );

  test.each(Object.values(RUN_FRAMES).filter(({ type }) => type !== "claim" && type !== "resume"))(
    "$type before a claim is refused",
    async (frame) => {
      const { runId } = await startRun(deployStep().type);
      const link = await RunLink.attach(runId);
      link.sendRaw(JSON.stringify(frame));
      expect(await link.next("error")).toMatchObject({ code: "no_lease" });
      expect(await link.closed).toEqual({ code: 4400, reason: "no_lease" });
      expect(await runOf(runId)).toMatchObject({ status: "queued", attempts: [], output: [] });
    },
  );

  test("an error frame with a fault for each of thousands of items names one", async () => {
    const { runId } = await startRun(deployStep().type);
    const link = await RunLink.claim(runId, 1, "runner-a");
    link.sendRaw(JSON.stringify({ type: "output", chunks: Array.from({ length: 2_000 }, () => ({})) }));
    expect((await link.next("error")).message.length).toBeLessThan(200);
  });
});

test("a body with very many faults is answered with some of them, and their number", async () => {
  const fields = Object.fromEntries(Array.from({ length: 3_000 }, (_unused, n) => [`field${n}`, n]));
  const path = `/events/${encodeURIComponent(target.eventId)}/replay`;
  const { details } = await expectError(call("POST", path, { body: fields }), 422);
  expect(details.length).toBeLessThan(100);
  expect(details.at(-1)?.message).toMatch(/\d+ more/);
});
