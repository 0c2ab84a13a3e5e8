/** Who may do what, and the one form of every answer. Signed events stand in signatures.test.ts. */
import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import { HTTP_ROUTES, type HttpRoute, type Scope } from "../../contract/http.ts";
import type { Env } from "../../worker/env.ts";
import worker from "../../worker/index.ts";
import {
  call,
  eventStub,
  expectError,
  expectJson,
  freshId,
  get,
  send,
  stored,
  TOKENS,
} from "./support/api.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

const SCOPES_OF: Record<keyof typeof TOKENS, readonly Scope[]> = {
  admin: ["events:write", "runs:read", "runs:write", "runner", "admin"],
  write: ["events:write", "runs:read", "runs:write"],
  read: ["runs:read"],
  runner: ["runner"],
  event: ["events:write"],
};

/** A path of the route that leads to nothing, so that only the right to ask is at stake. */
function pathOf(route: HttpRoute): string {
  return route.path.replace(
    "{id}",
    route.path.startsWith("/runs") ? "run_0000000000000000_1" : freshId("none"),
  );
}

const describedRoutes = HTTP_ROUTES.map((route) => [`${route.method} ${route.path}`, route] as const);
const guarded = describedRoutes.filter(([, route]) => route.scopes.length > 0);

describe("scopes", () => {
  test.each(guarded)("%s opens to its scopes, and to nothing else", async (_name, route) => {
    for (const [kind, scopes] of Object.entries(SCOPES_OF)) {
      const answer = await call(route.method.toUpperCase(), pathOf(route), {
        token: TOKENS[kind as keyof typeof TOKENS],
        ...(route.method === "post" ? { body: {} } : {}),
      });
      if (route.scopes.some((scope) => scopes.includes(scope))) {
        expect([401, 403], `${kind} may`).not.toContain(answer.status);
        await answer.body?.cancel();
      } else expect((await expectError(answer, 403)).message, `${kind} may not`).toContain(route.scopes[0]);
    }
  });

  test("/flow-events opens as /events does", async () => {
    await expectError(call("POST", "/flow-events", { token: TOKENS.read, body: {} }), 403);
    await expectError(call("POST", "/flow-events", { token: TOKENS.event, body: {} }), 422);
  });

  test.each(guarded)("%s refuses who brings nothing, or what is unknown", async (_name, route) => {
    const method = route.method.toUpperCase();
    expect((await expectError(call(method, pathOf(route), { token: null }), 401)).details[0]).toEqual({
      path: "authorization",
      message: "is required",
    });
    for (const token of [
      "",
      "x",
      `${TOKENS.admin}x`,
      TOKENS.admin.slice(1),
      "test-admin-token,test-admin-token-new",
    ])
      await expectError(call(method, pathOf(route), { token }), 401);
  });

  test("invariant 13: a refused event stores nothing", async () => {
    const body = { id: freshId(), type: "lab.one" };
    await expectError(call("POST", "/events", { token: TOKENS.read, body }), 403);
    await expectError(call("POST", "/events", { token: "x", body }), 401);
    expect(await stored(await eventStub(body.id))).toEqual({ keys: [], tables: [] });
  });
});

describe("tokens", () => {
  test("a rotated token works beside the old one", async () => {
    for (const token of ["test-admin-token", "test-admin-token-new"])
      expect((await call("GET", "/flows", { token })).status).toBe(200);
  });

  test("x-api-key is the same, and Authorization goes before it", async () => {
    const key = { "x-api-key": TOKENS.read };
    expect((await call("GET", "/flows", { token: null, headers: key })).status).toBe(200);
    await expectError(call("GET", "/flows", { token: "x", headers: key }), 401);
    await expectError(call("GET", "/flows", { token: null, headers: { "x-api-key": "x" } }), 401);
  });

  test.each(["bearer", "BEARER"])("the scheme may be written %s", async (scheme) => {
    const headers = { authorization: `${scheme} ${TOKENS.read}` };
    expect((await call("GET", "/flows", { token: null, headers })).status).toBe(200);
  });

  test.each([`Basic ${btoa("a:b")}`, TOKENS.read, `Bearer ${TOKENS.read} x`])(
    "a header that is no bearer token: %s",
    async (authorization) => {
      await expectError(call("GET", "/flows", { token: null, headers: { authorization } }), 401);
    },
  );
});

describe("invariant 14: closed by default", () => {
  const SECRETS = [
    "ADMIN_TOKENS",
    "READ_TOKENS",
    "WRITE_TOKENS",
    "RUNNER_TOKENS",
    "EVENT_TOKENS",
    "EVENT_SECRETS",
    "WEBHOOK_SECRETS",
  ] as const;

  async function ask(setting: string | undefined, request: Request): Promise<Response> {
    const settings: Env = { ...env, ...Object.fromEntries(SECRETS.map((name) => [name, setting])) };
    return worker.fetch(
      request as Request<unknown, IncomingRequestCfProperties>,
      settings,
      createExecutionContext(),
    );
  }

  const nothings: [string, string | undefined][] = [
    ["without secrets", undefined],
    ["with empty secrets", ""],
    ["with secrets that are only separators", " ,\n, "],
  ];
  const credentials: Record<string, string>[] = [
    {},
    { authorization: "Bearer " },
    { authorization: "Bearer undefined" },
    { authorization: `Bearer ${TOKENS.admin}` },
    { "x-api-key": "" },
    { "x-api-key": "," },
  ];

  test.each(nothings)("%s every route but /healthz answers 401", async (_what, setting) => {
    for (const [, route] of guarded)
      for (const headers of credentials)
        await expectError(
          ask(
            setting,
            new Request(`https://edge${pathOf(route)}`, { method: route.method.toUpperCase(), headers }),
          ),
          401,
        );
    expect((await ask(setting, new Request("https://edge/healthz"))).status).toBe(200);
  });

  test.each(nothings)("%s no signature opens anything", async (_what, setting) => {
    const signed: Record<string, string>[] = [
      { "x-flow-signature-256": "sha256=" },
      { "x-patch-flow-signature-256": "" },
      {
        "webhook-id": "m",
        "webhook-timestamp": String(Math.floor(Date.now() / 1000)),
        "webhook-signature": "v1,",
      },
    ];
    for (const headers of signed)
      await expectError(
        ask(setting, new Request("https://edge/events", { method: "POST", body: "{}", headers })),
        401,
      );
  });
});

test("/healthz is open to all, and /flows knows the flows of the tests", async () => {
  expect(await expectJson(call("GET", "/healthz", { token: null }), 200)).toEqual({ ok: true });
  const { flows } = await get<{ flows: { name: string }[] }>("/flows");
  expect(flows.map((flow) => flow.name)).toEqual(["release", "lab"]);
});

describe("every answer", () => {
  const answers: [string, () => Promise<Response>, number][] = [
    ["a success", () => call("GET", "/flows"), 200],
    ["an accepted event", () => call("POST", "/events", { body: { id: freshId(), type: "x" } }), 202],
    ["one that is open to all", () => call("GET", "/healthz", { token: null }), 200],
    ["a bad request", () => call("POST", "/events", { body: "{" }), 400],
    ["no credentials", () => call("GET", "/flows", { token: null }), 401],
    ["too small a scope", () => call("GET", "/flows", { token: TOKENS.event }), 403],
    ["an unknown run", () => call("GET", "/runs/x"), 404],
    ["an unknown route", () => call("GET", "/nope"), 404],
    ["an unknown method", () => call("DELETE", "/events"), 404],
    ["a socket route without an upgrade", () => call("GET", "/runners/connect"), 400],
    ["an invalid event", () => call("POST", "/events", { body: {} }), 422],
  ];

  test.each(answers)("%s bears an id and the security headers", async (_what, ask, status) => {
    const answer = await ask();
    expect(answer.status).toBe(status);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      "cache-control": "no-store",
      "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
      "referrer-policy": "no-referrer",
      "strict-transport-security": "max-age=31536000; includeSubDomains",
      "x-content-type-options": "nosniff",
    });
    expect(answer.headers.get("content-type")).toContain("application/json");
    const requestId = answer.headers.get("x-request-id");
    expect(requestId).toBeTruthy();
    if (status >= 400) expect((await expectError(answer, status)).requestId).toBe(requestId);
  });

  test("the id is the platform's own, where there is one", async () => {
    const answer = await call("GET", "/nope", { headers: { "cf-ray": "ray-1" } });
    expect((await expectError(answer, 404)).requestId).toBe("ray-1");
  });

  test("HEAD answers as GET does, without a body", async () => {
    for (const [path, status] of [
      ["/healthz", 200],
      ["/flows", 200],
      ["/nope", 404],
      ["/runs/x", 404],
    ] as const) {
      const answer = await call("HEAD", path);
      expect(answer.status).toBe(status);
      expect(await answer.text()).toBe("");
    }
    expect((await call("HEAD", "/flows", { token: null })).status).toBe(401);
  });

  test("a trailing slash is no other route", async () => {
    expect((await call("GET", "/flows/")).status).toBe(200);
    expect(await send({ id: freshId(), type: "x" })).toMatchObject({ status: "accepted" });
  });
});

describe("secrets that open nothing", () => {
  /** A request with this token to an edge whose admin tokens are `setting`. */
  async function asAdmin(setting: string, token: string): Promise<Response> {
    const headers = { authorization: `Bearer ${token}` };
    return worker.fetch(
      new Request<unknown, IncomingRequestCfProperties>("https://edge/flows", { headers }),
      { ...env, ADMIN_TOKENS: setting },
      createExecutionContext(),
    );
  }

  test("a token that is short, or a part of one that contains white space, is unknown", async () => {
    for (const token of ["hunter2", "correct", "horse"])
      await expectError(asAdmin("hunter2,correct horse", token), 401);
  });

  test("a token that is not used is logged once, by its variable and position and not by its value", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    try {
      const setting = `${TOKENS.admin}-logged,hunter2`;
      for (const token of [`${TOKENS.admin}-logged`, `${TOKENS.admin}-logged`])
        expect((await asAdmin(setting, token)).status).toBe(200);
      const lines = warn.mock.calls
        .map(([line]) => String(line))
        .filter((line) => line.includes("ADMIN_TOKENS"));
      expect(lines).toHaveLength(1);
      expect(lines[0]).toContain("value 2 of ADMIN_TOKENS is not used: it is shorter than 16 characters");
      expect(lines[0]).not.toContain("hunter2");
    } finally {
      warn.mockRestore();
    }
  });
});
