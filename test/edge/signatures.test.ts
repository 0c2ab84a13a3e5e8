/** Signed events: the ancestor's HMAC header and Standard Webhooks. The first one opens replays too. */
import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import { afterAll, describe, expect, test } from "vitest";
import { WEBHOOK_TOLERANCE_MS } from "../../contract/limits.ts";
import type { Env } from "../../worker/env.ts";
import worker from "../../worker/index.ts";
import { call, eventStub, expectError, freshId, stored, TOKENS } from "./support/api.ts";
import { endObjects } from "./support/tidy.ts";

afterAll(endObjects);

const FIRST = "x-flow-signature-256";
const SECOND = "x-patch-flow-signature-256";
const [oldSecret = "", newSecret = ""] = (env.EVENT_SECRETS ?? "").split(",");
const webhookSecret = env.WEBHOOK_SECRETS ?? "";

function newEvent(): string {
  return JSON.stringify({ id: freshId("signed"), type: "nobody.waits", payload: { text: "ü ✓" } });
}

async function signature(secret: string, body: string): Promise<string> {
  const encoder = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, ["sign"]);
  const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(body)));
  return `sha256=${[...mac].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

async function post(
  body: string,
  headers: Record<string, string>,
  token: string | null = null,
): Promise<Response> {
  return call("POST", "/events", { token, headers, body });
}

/** Refused, and nothing of it stored. */
async function expectRefused(body: string, headers: Record<string, string>): Promise<void> {
  const error = await expectError(post(body, headers), 401);
  expect(error).toMatchObject({ code: "unauthorized", message: "invalid signature" });
  const { id } = JSON.parse(body) as { id: string };
  expect(await stored(await eventStub(id))).toEqual({ keys: [], tables: [] });
  await expectError(call("GET", `/events/${encodeURIComponent(id)}`), 404);
}

describe("x-flow-signature-256", () => {
  test.each([FIRST, SECOND])("%s: the old and the new secret are both good", async (name) => {
    for (const secret of [oldSecret, newSecret]) {
      const body = newEvent();
      expect((await post(body, { [name]: await signature(secret, body) })).status).toBe(202);
    }
  });

  test("any other signature is refused", async () => {
    const body = newEvent();
    const right = await signature(newSecret, body);
    const wrong = [
      await signature("another secret", body),
      await signature(`${oldSecret},${newSecret}`, body),
      await signature(newSecret, `${body} `),
      right.toUpperCase(),
      right.replace(/[a-f0-9]+$/, (hex) => hex.toUpperCase()),
      right.slice("sha256=".length),
      right.slice(0, -1),
      `${right}, ${right}`,
      "sha256=",
      "",
    ];
    for (const given of wrong) await expectRefused(body, { [FIRST]: given });
  });

  test("with the first header there, the second is not looked at", async () => {
    const body = newEvent();
    const right = await signature(newSecret, body);
    await expectRefused(body, { [FIRST]: "sha256=00", [SECOND]: right });
    expect((await post(body, { [FIRST]: right, [SECOND]: "sha256=00" })).status).toBe(202);
  });

  test("a flow signature that is wrong is not saved by a webhook signature that is right", async () => {
    const body = newEvent();
    await expectRefused(body, { ...standard(body), [FIRST]: "sha256=00" });
  });

  test("a request with a token is judged by the token, and its signature is checked as well", async () => {
    const body = newEvent();
    const right = { [FIRST]: await signature(newSecret, body) };
    await expectError(post(body, right, TOKENS.read), 403);
    await expectError(post(body, right, "unknown"), 401);
    await expectError(post(body, { [FIRST]: "sha256=00" }, TOKENS.event), 401);
    expect((await post(body, right, TOKENS.event)).status).toBe(202);
  });
});

function standard(
  body: string,
  given: { id?: string; at?: Date; secret?: string } = {},
): Record<string, string> {
  const { id = "msg_1", at = new Date(), secret = webhookSecret } = given;
  return {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
    "webhook-signature": new Webhook(secret).sign(id, at, body),
  };
}

describe("Standard Webhooks", () => {
  const otherSecret = `whsec_${btoa("another secret of 24 byt")}`;

  test("what the standard's own library signs is accepted", async () => {
    const body = newEvent();
    expect((await post(body, standard(body))).status).toBe(202);
  });

  test("one right signature among several is enough", async () => {
    const body = newEvent();
    const headers = standard(body);
    const wrong = standard(body, { secret: otherSecret })["webhook-signature"] ?? "";
    headers["webhook-signature"] = `v1a,AAAA ${wrong} ${headers["webhook-signature"] ?? ""}`;
    expect((await post(body, headers)).status).toBe(202);
  });

  test("any other signature is refused", async () => {
    const body = newEvent();
    const right = standard(body);
    const text = right["webhook-signature"] ?? "";
    await expectRefused(body, standard(body, { secret: otherSecret }));
    await expectRefused(body, standard(`${body} `));
    for (const given of [
      "",
      "v1",
      "v1,",
      text.replace("v1,", ""),
      text.replace("v1,", "v2,"),
      text.slice(0, -2),
    ])
      await expectRefused(body, { ...right, "webhook-signature": given });
    await expectRefused(body, { ...right, "webhook-id": "msg_2" });
    const earlier = Number(right["webhook-timestamp"]) - 1;
    await expectRefused(body, { ...right, "webhook-timestamp": String(earlier) });
  });

  test("a secret that is only the prefix opens nothing", async () => {
    const body = newEvent();
    const request = new Request<unknown, IncomingRequestCfProperties>("https://edge/events", {
      method: "POST",
      headers: standard(body),
      body,
    });
    const settings = { ...env, WEBHOOK_SECRETS: "whsec_" };
    await expectError(worker.fetch(request, settings, createExecutionContext()), 401);
  });

  test("a part that is missing is named", async () => {
    const body = newEvent();
    for (const name of ["webhook-id", "webhook-timestamp"]) {
      const { [name]: _gone, ...headers } = standard(body);
      expect((await expectError(post(body, headers), 401)).details[0]?.path).toBe(name);
    }
  });

  test.each([
    ["too old", -WEBHOOK_TOLERANCE_MS - 2_000],
    ["too far ahead", WEBHOOK_TOLERANCE_MS + 2_000],
  ])("a timestamp that is %s", async (_what, offset) => {
    const body = newEvent();
    const error = await expectError(post(body, standard(body, { at: new Date(Date.now() + offset) })), 401);
    expect(error.details).toMatchObject([{ path: "webhook-timestamp" }]);
  });

  test.each(["", "soon", "-1", "1e9", "99999999999999", "1.5"])(
    "a timestamp that is none: %s",
    async (timestamp) => {
      const body = newEvent();
      await expectRefused(body, { ...standard(body), "webhook-timestamp": timestamp });
    },
  );

  test("a timestamp within the tolerance is accepted, on either side", async () => {
    for (const offset of [-WEBHOOK_TOLERANCE_MS + 20_000, WEBHOOK_TOLERANCE_MS - 20_000]) {
      const body = newEvent();
      expect((await post(body, standard(body, { at: new Date(Date.now() + offset) }))).status).toBe(202);
    }
  });
});

test("a signature opens neither reads, nor cancels, nor sockets", async () => {
  const flow = { [FIRST]: await signature(newSecret, "") };
  for (const headers of [flow, standard("")])
    for (const [method, path] of [
      ["GET", "/events"],
      ["GET", "/runs"],
      ["GET", "/flows"],
      ["GET", "/openapi.json"],
      ["GET", "/runners/connect"],
      ["POST", "/runs/run_0000000000000000_1/cancel"],
    ] as const)
      await expectError(call(method, path, { token: null, headers }), 401);
});

describe("replay", () => {
  const PATH = "/events/nobody-sent-this/replay";

  async function replay(body: string, headers: Record<string, string>): Promise<Response> {
    return call("POST", PATH, { token: null, headers, body });
  }

  test.each([FIRST, SECOND])("%s over the body is enough for a replay", async (name) => {
    const body = '{"wait":false}';
    const error = await expectError(replay(body, { [name]: await signature(newSecret, body) }), 404);
    expect(error.code).toBe("event_not_found");
  });

  test("a replay with a wrong flow signature is refused, also beside a token", async () => {
    const wrong = { [FIRST]: await signature(newSecret, "{}") };
    await expectError(replay('{"wait":false}', wrong), 401);
    await expectError(call("POST", PATH, { headers: wrong, body: '{"wait":false}' }), 401);
  });

  test("a Standard Webhooks signature does not open a replay", async () => {
    await expectError(replay("{}", standard("{}")), 401);
  });

  test("a signed event is no replay, and a signed replay is no event", async () => {
    const event = newEvent();
    await expectError(replay(event, { [FIRST]: await signature(newSecret, event) }), 422);
    const body = '{"wait":false}';
    await expectError(post(body, { [FIRST]: await signature(newSecret, body) }), 422);
  });
});

describe("rotation: with the old secret taken out", () => {
  async function ask(
    settings: Partial<Env>,
    body: string,
    headers: Record<string, string>,
  ): Promise<Response> {
    const request = new Request("https://edge/events", { method: "POST", body, headers });
    return worker.fetch(
      request as Request<unknown, IncomingRequestCfProperties>,
      { ...env, ...settings },
      createExecutionContext(),
    );
  }

  test("what it signs is refused, and the new one goes on", async () => {
    const settings = { EVENT_SECRETS: newSecret };
    const [old, next] = [newEvent(), newEvent()];
    await expectError(ask(settings, old, { [FIRST]: await signature(oldSecret, old) }), 401);
    expect((await ask(settings, next, { [FIRST]: await signature(newSecret, next) })).status).toBe(202);
  });

  test("of Standard Webhooks: both are good at once, and later only the new one", async () => {
    const next = `whsec_${btoa("a newer secret of 24 byt")}`;
    const both = { WEBHOOK_SECRETS: `${webhookSecret}, ${next}` };
    for (const secret of [webhookSecret, next]) {
      const body = newEvent();
      expect((await ask(both, body, standard(body, { secret }))).status).toBe(202);
    }
    const body = newEvent();
    await expectError(ask({ WEBHOOK_SECRETS: next }, body, standard(body)), 401);
  });

  test("a token that was taken out is unknown", async () => {
    const headers = { authorization: `Bearer ${TOKENS.event}` };
    expect((await ask({}, newEvent(), headers)).status).toBe(202);
    await expectError(ask({ EVENT_TOKENS: "another" }, newEvent(), headers), 401);
  });
});

describe("the exact bytes of the body", () => {
  test("one that differs in a single byte is refused, by either kind of signature", async () => {
    const body = newEvent();
    const headers = [{ [FIRST]: await signature(newSecret, body) }, standard(body)];
    for (const at of [1, Math.floor(body.length / 2), body.length - 1]) {
      const altered = new TextEncoder().encode(body);
      altered[at] = (altered[at] ?? 0) ^ 1;
      for (const signed of headers)
        await expectError(call("POST", "/events", { token: null, headers: signed, body: altered }), 401);
    }
    await expectError(
      call("GET", `/events/${encodeURIComponent((JSON.parse(body) as { id: string }).id)}`),
      404,
    );
  });

  test("an empty one that is rightly signed is no event all the same", async () => {
    for (const headers of [{ [FIRST]: await signature(newSecret, "") }, standard("")])
      expect((await expectError(post("", headers), 400)).code).toBe("invalid_json");
  });
});
