/** The HTTP client against real servers: what it sends, and what it makes of every kind of answer. */
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text as readAll } from "node:stream/consumers";
import { build } from "esbuild";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  createEdgeClient,
  EdgeAnswerError,
  EdgeTimeoutError,
  EdgeUnreachableError,
  EdgeUrlError,
} from "../../client/http.ts";
import { createFlowBackendHttpClient } from "../../client/backend-client.ts";
import { signBody } from "../../client/signature.ts";
import { joinSegments, parseBaseUrl } from "../../client/transport.ts";
import { problemOf, renderProblem } from "../../runner-agent/cli/problem.ts";
import { EVENT_SECRET, startFakeEdge, TOKEN } from "../support/fake-edge.ts";
import { approvalFixture, endedRun, runnerFixture } from "../support/run-fixtures.ts";

async function serve(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(handle);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

const EVENT = { id: "e:1", type: "demo.hello", payload: { text: "grüße 🌍" } };

describe("every route", () => {
  test("is asked with its method, path, query and body", async () => {
    const run = endedRun("completed");
    const edge = await startFakeEdge({
      runs: [[run]],
      runners: [runnerFixture("box 1")],
      approvals: [approvalFixture()],
    });
    const client = createEdgeClient({ url: edge.url, token: TOKEN });
    await client.health();
    await client.dispatch(EVENT, { wait: true });
    await client.dryRun(EVENT);
    await client.listEvents({ type: "a b", limit: 5 });
    await client.getEvent("upstream:1");
    await client.replay("upstream:1", { flow: "release", wait: 3 });
    await client.listRuns({ eventId: "upstream:1", status: "failed" });
    expect((await client.getRun(run.id)).id).toBe(run.id);
    await client.getOutput(run.id, { after: "1.2", stream: "stderr" });
    await client.cancel(run.id, { by: "Ada" });
    expect(await client.listApprovals(run.id)).toEqual([approvalFixture()]);
    const decided = await client.decideApproval(run.id, "a1-1", { decision: "decline", by: "Ada" });
    expect(decided).toMatchObject({ state: "decided", decision: "decline", decidedBy: "Ada" });
    expect((await client.say(run.id, { text: "no tests" })).state).toBe("pending");
    expect((await client.raiseBudget(run.id, { addTokens: 5 })).id).toBe(run.id);
    await client.listRunners({ pool: "gpu" });
    for (const action of ["pause", "resume", "drain"] as const)
      expect((await client.steerRunner("box 1", action, { pool: "gpu" })).name).toBe("box 1");
    expect(await client.listFlows()).toEqual([]);
    expect(edge.calls.map(({ method, path, query, body }) => [method, path, query, body])).toEqual([
      ["GET", "/healthz", {}, ""],
      ["POST", "/events", { wait: "25" }, JSON.stringify(EVENT)],
      ["POST", "/events", { dry_run: "1" }, JSON.stringify(EVENT)],
      ["GET", "/events", { type: "a b", limit: "5" }, ""],
      ["GET", "/events/upstream%3A1", {}, ""],
      ["POST", "/events/upstream%3A1/replay", {}, JSON.stringify({ flow: "release", wait: 3 })],
      ["GET", "/runs", { eventId: "upstream:1", status: "failed" }, ""],
      ["GET", `/runs/${run.id}`, {}, ""],
      ["GET", `/runs/${run.id}/output`, { after: "1.2", stream: "stderr" }, ""],
      ["POST", `/runs/${run.id}/cancel`, {}, JSON.stringify({ by: "Ada" })],
      ["GET", `/runs/${run.id}/approvals`, {}, ""],
      ["POST", `/runs/${run.id}/approvals/a1-1`, {}, JSON.stringify({ decision: "decline", by: "Ada" })],
      ["POST", `/runs/${run.id}/messages`, {}, JSON.stringify({ text: "no tests" })],
      ["POST", `/runs/${run.id}/budget`, {}, JSON.stringify({ addTokens: 5 })],
      ["GET", "/runners", { pool: "gpu" }, ""],
      ["POST", "/runners/box%201/pause", { pool: "gpu" }, "{}"],
      ["POST", "/runners/box%201/resume", { pool: "gpu" }, "{}"],
      ["POST", "/runners/box%201/drain", { pool: "gpu" }, "{}"],
      ["GET", "/flows", {}, ""],
    ]);
  });

  test("keeps the path prefix of the url, with or without a slash at its end", async () => {
    const seen: string[] = [];
    const url = await serve((request, response) => {
      seen.push(request.url ?? "");
      response.end('{"runs":[]}');
    });
    await createEdgeClient({ url: `${url}/tenant/x/` }).listRuns();
    await createEdgeClient({ url: `${url}/tenant/x` }).listRuns();
    expect(seen).toEqual(["/tenant/x/runs", "/tenant/x/runs"]);
  });
});

describe("credentials", () => {
  test("an event is signed over its exact bytes, and then no token goes with it", async () => {
    const received = Promise.withResolvers<{ headers: IncomingMessage["headers"]; body: string }>();
    const url = await serve((request, response) => {
      void readAll(request).then((body) => {
        received.resolve({ headers: request.headers, body });
        response.end('{"eventId":"e","runIds":[],"runs":[]}');
      });
    });
    await createEdgeClient({ url, token: TOKEN, eventSecret: EVENT_SECRET }).dispatch(EVENT);
    const { headers, body } = await received.promise;
    const expected = createHmac("sha256", EVENT_SECRET).update(body, "utf8").digest("hex");
    expect(headers["x-flow-signature-256"]).toBe(`sha256=${expected}`);
    expect(headers.authorization).toBeUndefined();
    expect(headers["content-type"]).toBe("application/json");
  });

  test("an edge takes an event with a signature alone, and refuses a wrong one", async () => {
    const edge = await startFakeEdge();
    const signed = createEdgeClient({ url: edge.url, eventSecret: EVENT_SECRET });
    await expect(signed.dispatch(EVENT)).resolves.toMatchObject({ eventId: EVENT.id });
    const wrong = createEdgeClient({ url: edge.url, eventSecret: "another" });
    await expect(failureOf(wrong.dispatch(EVENT))).resolves.toMatchObject({
      status: 401,
      code: "unauthorized",
    });
  });

  test("only events are signed; all else bears the token", async () => {
    const edge = await startFakeEdge();
    const client = createEdgeClient({ url: edge.url, token: TOKEN, eventSecret: EVENT_SECRET });
    await client.replay("upstream:1");
    expect(edge.calls[0]?.headers).toMatchObject({ authorization: `Bearer ${TOKEN}` });
    expect(edge.calls[0]?.headers).not.toHaveProperty("x-flow-signature-256");
  });

  test("the signature is that of node:crypto for any secret and body", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: "grapheme", minLength: 1 }),
        fc.string({ unit: "grapheme" }),
        async (secret, body) => {
          const expected = createHmac("sha256", secret).update(body, "utf8").digest("hex");
          expect(await signBody(secret, body)).toBe(`sha256=${expected}`);
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe("an answer that is no success", () => {
  test("becomes an EdgeAnswerError with all that the edge says (invariant 13)", async () => {
    const url = await serve((_request, response) => {
      response.writeHead(422).end(
        JSON.stringify({
          error: {
            code: "invalid_event",
            message: "the event is not valid",
            details: [{ path: "/type", message: "is required" }],
            requestId: "request-7",
          },
        }),
      );
    });
    const failure = await failureOf(createEdgeClient({ url }).dispatch(EVENT));
    expect(failure).toBeInstanceOf(EdgeAnswerError);
    expect(failure).toMatchObject({
      name: "EdgeAnswerError",
      call: "POST /events",
      status: 422,
      code: "invalid_event",
      message: "the event is not valid",
      details: [{ path: "/type", message: "is required" }],
      requestId: "request-7",
      retryable: false,
    });
  });

  test.each([
    [
      "HTML of a proxy",
      502,
      "<html>\n <b>Bad gateway</b></html>",
      "http_502",
      /answered 502: <html> <b>Bad/,
      true,
    ],
    ["nothing at all", 404, "", "http_404", /^GET \/runs answered 404$/, false],
    ["JSON of another kind", 500, '{"error":"no"}', "http_500", /answered 500: \{"error":"no"\}/, true],
    ["too many requests", 429, "", "http_429", /429/, true],
    ["a success without JSON", 200, "hello", "not_an_edge", /is this the url of a codex-flow edge/, false],
    ["a success of another server", 200, '{"ok":1}', "not_an_edge", /without "runs"/, false],
    ["a success that is no object", 200, "null", "not_an_edge", /without "runs"/, false],
  ])("%s is named for what it is", async (_name, status, body, code, message, retryable) => {
    const url = await serve((_request, response) => {
      response.writeHead(status).end(body);
    });
    const failure = await failureOf(createEdgeClient({ url }).listRuns());
    expect(failure).toBeInstanceOf(EdgeAnswerError);
    expect(failure).toMatchObject({
      status,
      code,
      retryable,
      message: expect.stringMatching(message) as string,
    });
  });
});

describe("no answer", () => {
  test("a refused connection names the url and what to do", async () => {
    const url = await serve(() => undefined);
    const gone = new URL(url);
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    gone.port = String((server.address() as AddressInfo).port);
    server.close();
    await once(server, "close");
    const failure = await failureOf(createEdgeClient({ url: gone.origin }).health());
    expect(failure).toBeInstanceOf(EdgeUnreachableError);
    expect(failure).toMatchObject({ url: gone.origin, retryable: true });
    expect(String(failure)).toMatch(/cannot reach the edge at http:\/\/127.*ECONNREFUSED.*check the url/);
  });

  test("a connection that is cut off in the middle of an answer is no success", async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write('{"runs":', () => response.destroy());
    });
    expect(await failureOf(createEdgeClient({ url }).listRuns())).toBeInstanceOf(EdgeUnreachableError);
  });

  test.each([
    ["that never begins", () => undefined],
    [
      "that never ends",
      (_request: IncomingMessage, response: ServerResponse) => {
        response.writeHead(200);
        response.write("{");
      },
    ],
  ])("an answer %s ends with the timeout", async (_name, handle) => {
    const url = await serve(handle);
    const failure = await failureOf(createEdgeClient({ url, timeoutMs: 50 }).listRuns());
    expect(failure).toBeInstanceOf(EdgeTimeoutError);
    expect(failure).toBeInstanceOf(EdgeUnreachableError);
    expect(String(failure)).toContain("no answer to GET /runs within 50 ms");
  });

  test("a timeout of an event that was sent says that it may be stored and that sending the same id again is safe", async () => {
    const url = await serve(() => undefined);
    const client = createEdgeClient({ url, token: "t", timeoutMs: 50 });
    const failure = await failureOf(client.dispatch({ id: "e:1", type: "t" }));
    expect(failure).toBeInstanceOf(EdgeTimeoutError);
    expect(String(failure)).toContain("no answer to POST /events within 50 ms");
    expect(String(failure)).toContain("may have been stored; sending it again with the same id is safe");
    expect(problemOf(failure)).toMatchObject({
      code: "timeout",
      fix: expect.stringContaining("same id is safe") as string,
    });
  });

  test("an error does not repeat a token that stands in the path of the address", async () => {
    const token = "a-token-in-the-path";
    const url = await serve((_request, response) => {
      response.writeHead(401).end("{}");
    });
    const backend = createFlowBackendHttpClient({ baseUrl: `${url}/t/${token}/` });
    expect(String(await failureOf(backend.getRun("run_x")))).toContain("GET /t/…/runs/run_x failed with 401");
    const gone = createFlowBackendHttpClient({ baseUrl: `http://127.0.0.1:1/t/${token}` });
    const failure = await failureOf(gone.getRun("run_x"));
    expect(failure).toMatchObject({ code: "edge_unreachable", url: "http://127.0.0.1:1/t/…" });
    expect(String(failure)).not.toContain(token);
  });

  test("what the edge says of a part of the path is shown without its placeholder, and of a query as a flag", () => {
    const details = [
      { path: "{id}", message: "is no run that is stored" },
      { path: "?status", message: "is not known" },
    ];
    const facts = {
      call: "GET /runs/x",
      status: 404,
      code: "run_not_found",
      message: "run not found: x",
      details,
    };
    const shown = renderProblem(problemOf(new EdgeAnswerError(facts)), (word) => word);
    expect(shown).toContain("error: run not found: x\n  --status is not known\nfix:");
    expect(shown).not.toContain("{id}");
  });

  test("waiting for runs extends the timeout by what the edge may hold back", async () => {
    const url = await serve((_request, response) => {
      setTimeout(() => response.end('{"eventId":"e","runIds":[],"runs":[]}'), 100);
    });
    const client = createEdgeClient({ url, timeoutMs: 20 });
    await expect(client.dispatch(EVENT, { wait: 5 })).resolves.toMatchObject({ eventId: "e" });
  });
});

describe("a url that cannot be used", () => {
  test.each([
    ["flows.example.dev", /is no url/],
    ["ftp://flows.example.dev", /begins with http/],
    ["https://user:secret@flows.example.dev", /holds no user/],
    ["https://flows.example.dev/?a=1", /leave out \?/],
  ])("%s is refused before anything is sent", (url, message) => {
    expect(() => createEdgeClient({ url })).toThrow(EdgeUrlError);
    expect(() => createEdgeClient({ url })).toThrow(message);
    expect(() => createEdgeClient({ url })).not.toThrow(/secret/);
  });

  test.each(["", ".", ".."])("the id %j would lead to another route and is refused", async (id) => {
    const edge = await startFakeEdge();
    const client = createEdgeClient({ url: edge.url, token: TOKEN });
    expect(await failureOf(client.cancel(id))).toBeInstanceOf(EdgeUrlError);
    expect(edge.calls).toEqual([]);
  });

  test("any other id arrives as it was given", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1 }), (id) => {
        fc.pre(id !== "." && id !== "..");
        const { pathname } = new URL(`http://edge${joinSegments(["events", id])}`);
        expect(pathname.split("/").slice(1).map(decodeURIComponent)).toEqual(["events", id.toWellFormed()]);
      }),
    );
  });

  test("normalising a url twice changes nothing", () => {
    fc.assert(
      fc.property(fc.webUrl(), (url) => {
        expect(parseBaseUrl(parseBaseUrl(url))).toBe(parseBaseUrl(url));
      }),
    );
  });
});

test("the client needs nothing but what a browser has", async () => {
  const entry = new URL("../../client/http.ts", import.meta.url).pathname;
  const { outputFiles, metafile } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "browser",
    logLevel: "silent",
  });
  expect(outputFiles).toHaveLength(1);
  expect(Object.keys(metafile.inputs).filter((path) => path.includes("node_modules"))).toEqual([]);
});
