/** The ancestor's client of a flow backend against a real server: what it sends, and how it fails. */
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { text as readAll } from "node:stream/consumers";
import { build } from "esbuild";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  createFlowBackendHttpClient,
  createFlowClient,
  EdgeAnswerError,
  EdgeUnreachableError,
  EdgeUrlError,
  FlowBackendError,
  type FlowBackendHttpClientOptions,
} from "../../client/index.ts";

interface Received {
  method: string;
  url: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** A backend that answers everything alike and remembers what it was asked. It goes when its test is over. */
async function backend(status = 200, answer = "{}"): Promise<{ url: string; received: Received[] }> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    void readAll(request).then((body) => {
      const { method = "", url = "", headers } = request;
      received.push({ method, url, headers, body });
      response.writeHead(status).end(answer);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received };
}

const EVENT = { id: "p:1", type: "demo.event", payload: { text: "grüße 🌍" } };

/** The headers of one signed and one plain request. */
async function headersWith(
  options: Omit<FlowBackendHttpClientOptions, "baseUrl">,
): Promise<[post: IncomingHttpHeaders, get: IncomingHttpHeaders]> {
  const { url, received } = await backend();
  const client = createFlowBackendHttpClient({ ...options, baseUrl: url });
  await client.dispatchEvent(EVENT);
  await client.listRuns();
  const [post, get] = received;
  return [post?.headers ?? {}, get?.headers ?? {}];
}

describe("every call", () => {
  test("is the ancestor's request, and createFlowClient makes the same client", async () => {
    const { url, received } = await backend();
    const client = createFlowClient({ mode: "http", baseUrl: url });
    await client.listRuns({ eventId: "p:1", status: "blocked", limit: 5, cursor: undefined });
    await client.getRun("run_1");
    await client.listEvents({ type: "a b", limit: 5 });
    await client.getEvent("p:1/x");
    await client.dispatchEvent(EVENT);
    await client.dispatchEvent(EVENT, { wait: true });
    await client.dispatchEvent(EVENT, { wait: 3 });
    await client.replayEvent("p:1");
    await client.replayEvent("p:1", { wait: false });
    await client.cancelRun("run_1");
    expect(received.map(({ method, url: path, body }) => [method, path, body])).toEqual([
      ["GET", "/runs?eventId=p%3A1&status=blocked&limit=5", ""],
      ["GET", "/runs/run_1", ""],
      ["GET", "/events?type=a+b&limit=5", ""],
      ["GET", "/events/p%3A1%2Fx", ""],
      ["POST", "/events", JSON.stringify(EVENT)],
      ["POST", "/events?wait=true", JSON.stringify(EVENT)],
      ["POST", "/events?wait=3", JSON.stringify(EVENT)],
      ["POST", "/events/p%3A1/replay", "{}"],
      ["POST", "/events/p%3A1/replay", '{"wait":false}'],
      ["POST", "/runs/run_1/cancel", "{}"],
    ]);
  });

  test.each(["/tenant/x", "/tenant/x/"])("keeps the path prefix of %s", async (prefix) => {
    const { url, received } = await backend();
    const client = createFlowBackendHttpClient({ baseUrl: `${url}${prefix}` });
    await client.getRun("run_1");
    await client.dispatchEvent(EVENT);
    expect(received.map((call) => call.url)).toEqual(["/tenant/x/runs/run_1", "/tenant/x/events"]);
  });

  test("goes through the fetch that it was given", async () => {
    const asked: string[] = [];
    const client = createFlowBackendHttpClient({
      baseUrl: "https://flows.example",
      fetch: (input) => {
        asked.push(input instanceof Request ? input.url : String(input));
        return Promise.resolve(Response.json({ run: { id: "run_1", result: { status: "blocked" } } }));
      },
    });
    expect(await client.getRun("run_1")).toMatchObject({ status: "blocked", needsAttention: true });
    expect(asked).toEqual(["https://flows.example/runs/run_1"]);
  });
});

describe("credentials", () => {
  test("bearerToken and apiKey go with every request", async () => {
    for (const headers of await headersWith({ bearerToken: "token", apiKey: "key" }))
      expect(headers).toMatchObject({ authorization: "Bearer token", "x-api-key": "key" });
  });

  test("hmacSecret signs the exact bytes of every body, and of nothing else", async () => {
    const { url, received } = await backend();
    const client = createFlowBackendHttpClient({ baseUrl: url, hmacSecret: "secret" });
    await client.dispatchEvent(EVENT);
    await client.replayEvent("p:1", { wait: true });
    await client.cancelRun("run_1");
    await client.listEvents();
    const signatures = received.map(({ headers }) => headers["x-flow-signature-256"]);
    const expected = received.map(
      ({ body }) => `sha256=${createHmac("sha256", "secret").update(body).digest("hex")}`,
    );
    expect(signatures).toEqual([...expected.slice(0, 3), undefined]);
  });

  test("a token and a signature go together, as the ancestor sends them", async () => {
    const [post] = await headersWith({ bearerToken: "token", hmacSecret: "secret" });
    expect(post).toMatchObject({ authorization: "Bearer token" });
    expect(post).toHaveProperty("x-flow-signature-256");
  });

  test("empty ones are none", async () => {
    const [post] = await headersWith({ bearerToken: "", apiKey: "", hmacSecret: "" });
    for (const name of ["authorization", "x-api-key", "x-flow-signature-256"])
      expect(post).not.toHaveProperty(name);
  });

  test.each<[string, NonNullable<FlowBackendHttpClientOptions["headers"]>]>([
    ["an object", { "X-Tenant": "blue" }],
    ["pairs", [["x-tenant", "blue"]]],
    ["Headers", new Headers({ "x-tenant": "blue" })],
    ["a function", () => ({ "x-tenant": "blue" })],
    ["an async function", () => Promise.resolve(new Headers({ "x-tenant": "blue" }))],
  ])("headers as %s", async (_kind, headers) => {
    for (const sent of await headersWith({ headers })) expect(sent).toMatchObject({ "x-tenant": "blue" });
  });

  test("headers that a function makes are made anew for each request, and credentials stand over them", async () => {
    let made = 0;
    const headers = () => {
      made += 1;
      return Promise.resolve({ Authorization: "Basic x", "x-number": String(made) });
    };
    const [post, get] = await headersWith({ headers, bearerToken: "token" });
    expect(post).toMatchObject({ authorization: "Bearer token", "x-number": "1" });
    expect(get).toMatchObject({ authorization: "Bearer token", "x-number": "2" });
  });
});

describe("an answer that is no success", () => {
  const refusal = JSON.stringify({
    error: {
      code: "run_not_found",
      message: "run not found: r",
      details: [{ path: "/id", message: "is new" }],
    },
  });

  test("the error of a refused call says what was wrong in its message and in fields", async () => {
    const { url } = await backend(404, refusal);
    const client = createFlowBackendHttpClient({ baseUrl: `${url}/tenant/` });
    const error: unknown = await client.getRun("r 1").catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(FlowBackendError);
    expect(error).toMatchObject({
      message: "Flow backend GET /tenant/runs/r%201 failed with 404: run not found: r; /id is new",
      status: 404,
      code: "run_not_found",
      reason: "run not found: r",
      details: [{ path: "/id", message: "is new" }],
      retryable: false,
    });
  });

  test.each([
    ["POST", "/events", (client) => client.dispatchEvent(EVENT, { wait: true })],
    ["POST", "/events/p%3A1/replay", (client) => client.replayEvent("p:1")],
    ["POST", "/runs/r/cancel", (client) => client.cancelRun("r")],
    ["GET", "/events", (client) => client.listEvents({ limit: 1 })],
  ] satisfies Array<[string, string, (client: ReturnType<typeof createFlowClient>) => Promise<unknown>]>)(
    "the error of %s %s begins with the words of the predecessor's client",
    async (method, path, call) => {
      const { url } = await backend(503, "<html>away</html>");
      await expect(call(createFlowBackendHttpClient({ baseUrl: url }))).rejects.toMatchObject({
        message: expect.stringMatching(`^Flow backend ${method} ${path} failed with 503: `) as string,
        code: "http_503",
        retryable: true,
      });
    },
  );

  test("a success without JSON is an error too", async () => {
    const { url } = await backend(200, "<html>");
    await expect(createFlowBackendHttpClient({ baseUrl: url }).listRuns()).rejects.toBeInstanceOf(
      EdgeAnswerError,
    );
  });

  test("no answer, and a url or an id that cannot be used, have errors of their own", async () => {
    const gone = createServer().listen(0, "127.0.0.1");
    await once(gone, "listening");
    const { port } = gone.address() as AddressInfo;
    gone.close();
    await once(gone, "close");
    const nobody = createFlowBackendHttpClient({ baseUrl: `http://127.0.0.1:${port}` });
    await expect(nobody.listRuns()).rejects.toBeInstanceOf(EdgeUnreachableError);
    await expect(nobody.getRun("..")).rejects.toBeInstanceOf(EdgeUrlError);
    expect(() => createFlowBackendHttpClient({ baseUrl: "flows.example" })).toThrow(EdgeUrlError);
  });
});

test("the package's client needs nothing of Node and no package, and leaves out what is not used", async () => {
  const bundled = async (contents: string) => {
    const { outputFiles, metafile } = await build({
      stdin: { contents, resolveDir: new URL("../../client", import.meta.url).pathname },
      bundle: true,
      minify: true,
      write: false,
      metafile: true,
      format: "esm",
      platform: "neutral",
      logLevel: "silent",
    });
    return { bytes: outputFiles[0]?.contents.length ?? 0, inputs: Object.keys(metafile.inputs) };
  };
  const whole = await bundled('export * from "./index.ts"');
  expect(whole.inputs.filter((path) => path.includes("node_modules"))).toEqual([]);
  const part = await bundled('export { EdgeUrlError } from "./index.ts"');
  expect(part.bytes).toBeLessThan(whole.bytes / 2);
});
