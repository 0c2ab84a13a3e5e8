/** Tokens in the path: `/t/<token>/…`, for clients that can be given an address and nothing else. */
import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import { HTTP_ROUTES } from "../../contract/http.ts";
import worker from "../../worker/index.ts";
import { call, expectError, expectJson, freshId, PATH_TOKEN, startRun, TOKENS } from "./support/api.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

const AT = `/t/${PATH_TOKEN}`;
const plain = { token: null };

describe("a token in the path", () => {
  test("a token in the path may send, replay and read", async () => {
    const { type } = deployStep();
    const id = freshId();
    const path = `/events/${encodeURIComponent(id)}`;
    const sent = await expectJson<{ runIds: string[] }>(
      call("POST", `${AT}/events`, { ...plain, body: { id, type } }),
      202,
    );
    const [runId = ""] = sent.runIds;
    await expectJson(call("POST", `${AT}${path}/replay`, { ...plain, body: {} }), 202);
    expect(await expectJson(call("GET", `${AT}/runs/${runId}`, plain), 200)).toMatchObject({
      run: { id: runId, flowName: "lab" },
    });
    for (const route of [path, "/events", "/flow-events", "/runs", `/runs/${runId}/output`, "/openapi.json"])
      expect((await call("GET", `${AT}${route}`, plain)).status, route).toBe(200);
  });

  test("a token in the path may neither cancel, nor decide, nor be a runner or an administrator", async () => {
    const { runId } = await startRun(deployStep().type);
    const allowed = new Set(["events:write", "runs:read"]);
    const closed = HTTP_ROUTES.filter(
      ({ scopes }) => scopes.length > 0 && !scopes.some((scope) => allowed.has(scope)),
    );
    expect(closed.length).toBeGreaterThan(5);
    for (const { method, path } of closed) {
      const body = method === "post" ? { body: {} } : {};
      const answer = call(method.toUpperCase(), `${AT}${path.replace("{id}", runId)}`, { ...plain, ...body });
      await expectError(answer, 403);
    }
  });

  test.each([
    ["an admin token in the path", `/t/${TOKENS.admin}/flows`],
    ["an unknown token in the path", "/t/nobody-knows-this-token/flows"],
    ["an empty token in the path", "/t//flows"],
    ["a broken escape in the path", "/t/%E0%A4%A/flows"],
    ["the token alone, without a route", "/t/nobody-knows-this-token"],
    ["the token behind another segment", `/x/t/${PATH_TOKEN}/flows`],
  ])("%s opens nothing", async (_what, path) => {
    expect([401, 404]).toContain((await call("GET", path, plain)).status);
  });

  test("a path token is unknown as a bearer token, and its internal header cannot be sent", async () => {
    await expectError(call("GET", "/flows", { token: PATH_TOKEN }), 401);
    const headers = { "x-codex-flow-path-token": PATH_TOKEN };
    await expectError(call("GET", "/flows", { token: null, headers }), 401);
  });

  test("a bearer token beside it decides, right or wrong", async () => {
    await expectError(call("GET", `${AT}/flows`, { token: "unknown-token-of-nobody" }), 401);
    expect((await call("GET", "/t/unknown-token-of-nobody/flows", { token: TOKENS.read })).status).toBe(200);
  });

  test("no answer, header or log line repeats the token", async () => {
    const lines: string[] = [];
    const spies = (["log", "info", "warn", "error"] as const).map((level) =>
      vi.spyOn(console, level).mockImplementation((...parts: unknown[]) => {
        lines.push(parts.map(String).join(" "));
      }),
    );
    try {
      const bodies = [
        "/events/none",
        "/nowhere",
        "/runs/none",
        "/runners/connect",
        "/runs?cursor=x",
        "",
        "/%E0%A4%A",
      ];
      // Without its objects, the edge fails inside: that is logged.
      const broken = { ...env, EVENTS: undefined as unknown as typeof env.EVENTS };
      for (const path of bodies)
        for (const settings of [env, broken]) {
          const request = new Request<unknown, IncomingRequestCfProperties>(`https://edge${AT}${path}`, {
            headers: { referer: `https://edge${AT}/` },
          });
          const answer = await worker.fetch(request, settings, createExecutionContext());
          expect(answer.status).toBeGreaterThanOrEqual(400);
          expect(`${await answer.text()}${JSON.stringify([...answer.headers])}`).not.toContain(PATH_TOKEN);
        }
      expect(lines.length).toBeGreaterThan(0);
      expect(lines.join("\n")).not.toContain(PATH_TOKEN);
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
  });

  test.each([
    `/t//${PATH_TOKEN}/nowhere`,
    `//t/${PATH_TOKEN}/nowhere`,
    `/T/${PATH_TOKEN}/events`,
    `/%74/${PATH_TOKEN}/events`,
    `/x/t/${PATH_TOKEN}/events`,
    `${AT}/t/${PATH_TOKEN}/events`,
    `${AT}/%74/${PATH_TOKEN}`,
  ])("the 404 of a mistyped path with a token does not repeat the token: %s", async (path) => {
    const request = new Request<unknown, IncomingRequestCfProperties>(`https://edge${path}`);
    const answer = await worker.fetch(request, env, createExecutionContext());
    expect(answer.status).toBe(404);
    expect(await answer.text()).not.toContain(PATH_TOKEN);
  });

  test("doubled slashes around a token in the path change nothing", async () => {
    for (const path of [`//t/${PATH_TOKEN}/flows`, `/t//${PATH_TOKEN}/flows`]) {
      const request = new Request<unknown, IncomingRequestCfProperties>(`https://edge${path}`);
      expect((await worker.fetch(request, env, createExecutionContext())).status, path).toBe(200);
    }
  });

  test("an edge without PATH_TOKENS opens no path", async () => {
    const request = new Request<unknown, IncomingRequestCfProperties>(`https://edge${AT}/flows`);
    const settings = { ...env, PATH_TOKENS: undefined };
    await expectError(worker.fetch(request, settings, createExecutionContext()), 401);
  });
});

describe("X-Patch-Admin-Token", () => {
  test("a token in x-patch-admin-token counts as one in x-api-key does", async () => {
    const headers = (token: string): Record<string, string> => ({ "X-Patch-Admin-Token": token });
    expect((await call("GET", "/flow-events", { ...plain, headers: headers(TOKENS.read) })).status).toBe(200);
    await expectError(call("GET", "/flow-events", { ...plain, headers: headers(TOKENS.event) }), 403);
    await expectError(call("GET", "/flow-events", { ...plain, headers: headers("unknown-token") }), 401);
  });
});
