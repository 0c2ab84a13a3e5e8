/**
 * The document at /openapi.json is what the Worker does: every route stands in it and no other, and real answers are
 * valid by its schemas, with no field that it does not name.
 */
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { HTTP_ROUTES } from "../../contract/http.ts";
import { EVENT_MAX_BYTES } from "../../contract/limits.ts";
import {
  CONTROL_DOWN,
  CONTROL_UP,
  RUN_DOWN,
  RUN_UP,
  TAIL_DOWN,
  type ControlDown,
  type TailDown,
} from "../../contract/runner-link.ts";
import { openApiDocument, type OpenApiDocument } from "../../contract/openapi.ts";
import { app } from "../../worker/app.ts";
import { call, freshId, get, replay, send, startRun, TOKENS, untilWaiting, claimOf } from "./support/api.ts";
import { FakeRunner, RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets, Socket } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

type Method = (typeof HTTP_ROUTES)[number]["method"];

const served = await get<OpenApiDocument>("/openapi.json");
const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats(ajv);
ajv.addSchema(closed(served) as OpenApiDocument, "openapi");

/** The schemas of a document, each closed against fields that it does not name. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (schema === null || typeof schema !== "object") return schema;
  const inner = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  return "properties" in inner && !("additionalProperties" in inner)
    ? { ...inner, additionalProperties: false }
    : inner;
}

/** The check that the document gives for an answer, or for what is sent. */
function checkAt(...pointer: string[]): ValidateFunction {
  const escaped = pointer.map((part) => encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1")));
  return ajv.compile({ $ref: `openapi#/paths/${escaped.join("/")}/content/application~1json/schema` });
}

function expectValid(check: ValidateFunction, value: unknown): void {
  check(value);
  expect(check.errors ?? []).toEqual([]);
}

/** An answer of the Worker, found valid by what the document says of this route and status. */
async function described(
  method: Method,
  route: string,
  path: string,
  status: number,
  options?: Parameters<typeof call>[2],
): Promise<unknown> {
  const answer = await call(method.toUpperCase(), path, options);
  const body: unknown = await answer.json();
  expect(answer.status, JSON.stringify(body)).toBe(status);
  expectValid(checkAt(route, method, "responses", String(status)), body);
  return body;
}

describe("the document", () => {
  test("is the one that the contract makes", () => {
    expect(served.openapi).toBe("3.1.0");
    expect(served).toEqual(JSON.parse(JSON.stringify(openApiDocument(served.info.version))));
  });

  test("holds every route of the contract, with its success", () => {
    for (const { method, path, success } of HTTP_ROUTES)
      expect(served.paths[path]?.[method]).toMatchObject({ responses: { [success.status]: {} } });
  });

  test("holds no route that the Worker lacks, and lacks none that it has", () => {
    const ofWorker = app.routes
      .filter((route) => route.method !== "ALL")
      .map((route) => `${route.method.toLowerCase()} ${route.path.replaceAll(/:(\w+)/g, "{$1}")}`);
    const ofDocument = Object.entries(served.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect(ofDocument.sort()).toEqual([...new Set(ofWorker)].sort());
  });

  test("refers only to what it holds", () => {
    const text = JSON.stringify(served);
    const names = new Set([...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map((match) => match[1]));
    expect(Object.keys(served.components["schemas"] as object)).toEqual(expect.arrayContaining([...names]));
  });
});

describe("answers are as the document says", () => {
  test("of a run's whole life", async () => {
    const child = deployStep();
    const { type, pool } = deployStep({ retry: { attempts: 2, on: ["failed"], backoffMs: 1 } });
    const id = freshId();
    const body = {
      id,
      type,
      source: "probe",
      occurredAt: "2026-01-01T00:00:00Z",
      payload: { a: 1 },
      more: 1,
    };
    const accepted = await described("post", "/events", "/events", 202, { body });
    const [runId = ""] = (accepted as { runIds: string[] }).runIds;
    const conflict = { body: { ...body, payload: 2 } };
    expect(await described("post", "/flow-events", "/flow-events", 202, conflict)).toMatchObject({
      conflict: true,
    });
    await untilWaiting(pool, runId);
    await described("get", "/runs/{id}", `/runs/${runId}`, 200);
    const runners = `/runners?pool=${pool}`;
    await described("get", "/runners", runners, 200);

    const runner = await FakeRunner.connect(pool, { labels: ["linux"] });
    const failing = await runner.start(runId);
    await failing.print("line");
    await failing.end({ exit: { code: null, signal: "SIGKILL" }, tree: { empty: false, survivors: [7] } });
    await failing.close();
    await described("get", "/runs/{id}", `/runs/${runId}`, 200);
    const link = await runner.start(runId);
    await described("get", "/runners", runners, 200);
    const next = [{ id: freshId(), type: child.type }, "junk"];
    await link.complete({ status: "completed", message: "m", artifacts: { a: [1] }, next, extra: true });
    await described("get", "/runs/{id}", `/runs/${runId}`, 200);
    await described("get", "/runs/{id}/output", `/runs/${runId}/output`, 200);
    await described("get", "/events/{id}", `/events/${encodeURIComponent(id)}`, 200);
    await described("get", "/events", "/events?limit=2", 200);
    await described("get", "/runs", "/runs?limit=2", 200);
    await described("get", "/runs", `/runs?eventId=${encodeURIComponent(id)}`, 200);
  });

  test("of a run that is canceled, canceled in vain, and replayed", async () => {
    const { type, pool } = deployStep();
    const { eventId, runId } = await startRun(type);
    const runner = await FakeRunner.connect(pool);
    const link = await runner.start(runId);
    const cancel = `/runs/${runId}/cancel`;
    await described("post", "/runs/{id}/cancel", cancel, 202, { body: { by: "a test" } });
    await link.next("cancel");
    link.tell({ type: "canceling", survivors: [1, 2] });
    await link.end({ reason: "canceled", tree: { empty: false, survivors: [2] } });
    await described("get", "/runs/{id}", `/runs/${runId}`, 200);
    await described("post", "/runs/{id}/cancel", cancel, 409, { body: {} });
    const path = `/events/${encodeURIComponent(eventId)}/replay`;
    await described("post", "/events/{id}/replay", path, 202, { body: { wait: 0 } });
  });

  test("of what came too late", async () => {
    const { type, pool } = deployStep();
    const { runId } = await startRun(type);
    const runner = await FakeRunner.connect(pool);
    const link = await runner.start(runId);
    await link.end({ exit: { code: 1, signal: null } });
    await link.result({ status: "completed" });
    await link.end();
    await described("get", "/runs/{id}", `/runs/${runId}`, 200);
  });

  test("of an event that matches nothing, and of a dry run", async () => {
    const body = { id: freshId(), type: "nobody.waits", payload: "x".repeat(10_000) };
    await described("post", "/events", "/events", 202, { body });
    await described("get", "/events/{id}", `/events/${encodeURIComponent(body.id)}`, 200);
    await described("get", "/events", "/events?type=nobody.waits", 200);
    const miss = { body: { id: freshId(), type: "upstream.release", payload: {} } };
    await described("post", "/events", "/events?dry_run=1", 200, miss);
  });

  test("of the edge about itself", async () => {
    await described("get", "/flows", "/flows", 200);
    await described("get", "/healthz", "/healthz", 200, { token: null });
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    runner.tell({ type: "drain" });
    await runner.control.close();
    await startRun(type);
    await described("get", "/runners", `/runners?pool=${pool}`, 200);
  });

  test("of refusals", async () => {
    const { runId } = await startRun(deployStep().type);
    const events = (status: number, options: Parameters<typeof call>[2]): Promise<unknown> =>
      described("post", "/events", "/events", status, options);
    await events(400, { body: "{" });
    await events(401, { token: null, body: {} });
    await events(403, { token: TOKENS.read, body: {} });
    await events(413, { body: { id: "x", type: "x", payload: "x".repeat(EVENT_MAX_BYTES) } });
    await events(415, { body: "<x/>", headers: { "content-type": "text/xml" } });
    await events(422, { body: {} });
    await described("get", "/runs/{id}", "/runs/none", 404);
    await described("get", "/runs/{id}/output", `/runs/${runId}/output?after=x`, 400);
    await described("get", "/runs/{id}/tail", `/runs/${runId}/tail`, 400);
    await described("get", "/runners/connect", "/runners/connect", 400);
    await described("get", "/runs/{id}/attach", `/runs/${runId}/attach`, 403, { token: TOKENS.read });
  });

  test("of the frames of the three sockets", async () => {
    const frame = (route: string, value: { type: string }): void => {
      const pointer = [route, "get", "x-websocket", "down", value.type].map((part) =>
        encodeURIComponent(part.replaceAll("/", "~1")),
      );
      expectValid(ajv.compile({ $ref: `openapi#/paths/${pointer.join("/")}` }), value);
    };
    const { type, pool } = deployStep();
    const control = await Socket.to<ControlDown>(`/runners/connect?pool=${pool}`);
    const runner = new FakeRunner("runner-of-the-document", control);
    runner.hello();
    frame("/runners/connect", await control.next("welcome"));
    const { runId } = await startRun(type, { k: 1 });
    const tail = await Socket.to<TailDown>(`/runs/${runId}/tail`, TOKENS.read);
    frame("/runs/{id}/tail", await tail.next("run"));
    const offer = await control.next("offer");
    frame("/runners/connect", offer);
    runner.tell({ type: "accept", runId, attempt: offer.attempt });
    const link = await RunLink.attach(runId);
    link.tell(await claimOf(runId, 1, runner.id));
    frame("/runs/{id}/attach", await link.next("claimed"));
    link.tell({ type: "output", chunks: [link.chunk("line")] });
    frame("/runs/{id}/attach", await link.next("ack"));
    frame("/runs/{id}/tail", await tail.next("output"));
    await link.complete();
    frame("/runs/{id}/tail", await tail.next("end"));
    link.sendRaw("{");
    frame("/runs/{id}/attach", await link.next("error"));
  });

  test("which knows every frame of the contract", () => {
    const framesOf = (route: string): unknown => served.paths[route]?.["get"];
    for (const [route, up, down] of [
      ["/runners/connect", CONTROL_UP, CONTROL_DOWN],
      ["/runs/{id}/attach", RUN_UP, RUN_DOWN],
      ["/runs/{id}/tail", {}, TAIL_DOWN],
    ] as const) {
      const { "x-websocket": frames } = framesOf(route) as { "x-websocket": { up: object; down: object } };
      expect(Object.keys(frames.up)).toEqual(Object.keys(up));
      expect(Object.keys(frames.down)).toEqual(Object.keys(down));
    }
  });

  test("of the three sockets", async () => {
    const { runId } = await startRun(deployStep().type);
    for (const route of ["/runners/connect", "/runs/{id}/tail", "/runs/{id}/attach"])
      expect(served.paths[route]?.["get"]).toMatchObject({ responses: { 101: {} } });
    await Socket.to(`/runs/${runId}/tail`, TOKENS.read);
    await RunLink.attach(runId);
    await FakeRunner.connect("default");
  });
});

test("what the document lets through, the Worker takes, and the other way round", async () => {
  const check = checkAt("/events", "post", "requestBody");
  const { type } = deployStep();
  const id = freshId();
  for (const body of [
    { id, type },
    { id, type, payload: null, receivedAt: "2026-01-01T00:00:00+02:00", x: {} },
  ]) {
    expectValid(check, body);
    await send(body);
  }
  for (const body of [
    { type },
    { id: "", type },
    { id, type: 1 },
    { id, type, occurredAt: "today" },
    [],
    7,
  ]) {
    expect(check(body)).toBe(false);
    await described("post", "/events", "/events", 422, { body });
  }
  expectValid(checkAt("/events/{id}/replay", "post", "requestBody"), { flow: "lab", wait: true });
  await replay(id, { flow: "lab", wait: 0 });
});
