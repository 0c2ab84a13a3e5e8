/** Webhooks of other products, as they really send them: refused with what to do, and never stored without their data. */
import { afterAll, describe, expect, test } from "vitest";
import {
  call,
  eventStub,
  expectError,
  expectJson,
  freshId,
  PATH_TOKEN,
  stored,
  TOKENS,
} from "./support/api.ts";
import { flowSignature, standardWebhook } from "./support/sign.ts";
import { endObjects } from "./support/tidy.ts";

afterAll(endObjects);

const bearer = { authorization: `Bearer ${TOKENS.event}` };

async function post(body: string, headers: Record<string, string>, path = "/events"): Promise<Response> {
  return call("POST", path, { token: null, headers, body });
}

describe("GitHub", () => {
  const body = JSON.stringify({ action: "opened", number: 1, repository: { full_name: "octo/app" } });
  async function headers(): Promise<Record<string, string>> {
    return {
      "x-github-event": "pull_request",
      "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
      "x-hub-signature-256": await flowSignature(body),
      "content-type": "application/json",
    };
  }

  test("a webhook of GitHub without credentials of this edge gets 401 that says how to wrap it", async () => {
    const error = await expectError(post(body, await headers()), 401);
    expect(error.message).toMatch(/webhook of GitHub.*x-github-delivery.*x-github-event/);
  });

  test("a webhook of GitHub with a token is refused with foreign_webhook", async () => {
    for (const sent of [
      post(body, { ...(await headers()), ...bearer }),
      post(body, await headers(), `/t/${PATH_TOKEN}/events`),
    ])
      expect(await expectError(sent, 422)).toMatchObject({
        code: "foreign_webhook",
        details: [{ path: "/payload" }],
      });
  });

  test("a form of GitHub is refused with the same words", async () => {
    const form = { ...(await headers()), ...bearer, "content-type": "application/x-www-form-urlencoded" };
    const sent = post(`payload=${encodeURIComponent(body)}`, form);
    expect((await expectError(sent, 422)).code).toBe("foreign_webhook");
  });

  test("an event that a proxy has made of it passes, whatever headers it kept", async () => {
    const event = JSON.stringify({
      id: freshId(),
      type: "github.pull_request",
      payload: JSON.parse(body) as object,
    });
    await expectJson(post(event, { ...(await headers()), ...bearer }), 202);
  });
});

describe("other senders", () => {
  const data = { answer: 42 };
  const foreign: [string, object, Record<string, string>, RegExp][] = [
    [
      "Standard Webhooks without an id",
      { type: "a.b", timestamp: "2026-11-01T00:00:00Z", data },
      { "webhook-id": "msg_1" },
      /webhook-id/,
    ],
    [
      "Standard Webhooks with an id",
      { id: "evt_1", type: "a.b", data },
      { "webhook-id": "msg_1" },
      /webhook-id/,
    ],
    ["a sender that calls its payload data", { id: "evt_2", type: "a.b", data }, {}, /payload from \/data/],
    [
      "CloudEvents in structured mode",
      { specversion: "1.0", id: "ce_1", source: "/x", type: "a.b", data },
      {},
      /CloudEvents/,
    ],
    [
      "CloudEvents without data",
      { specversion: "1.0", id: "ce_2", source: "/x", type: "a.b" },
      {},
      /CloudEvents/,
    ],
    [
      "CloudEvents in binary mode",
      data,
      { "ce-specversion": "1.0", "ce-id": "1", "ce-type": "a.b" },
      /ce-id/,
    ],
    ["Svix", { type: "a.b", data }, { "svix-id": "msg_1", "svix-signature": "v1,AAAA" }, /svix-id/],
  ];

  test.each(foreign)(
    "%s is refused with foreign_webhook and stores nothing",
    async (_what, body, headers, how) => {
      const error = await expectError(post(JSON.stringify(body), { ...headers, ...bearer }), 422);
      expect(error.code).toBe("foreign_webhook");
      expect(error.message).toMatch(how);
      if ("id" in body)
        expect(await stored(await eventStub(String(body.id)))).toEqual({ keys: [], tables: [] });
    },
  );

  test("the standard's own body with a right signature is refused with foreign_webhook", async () => {
    const body = JSON.stringify({ type: "a.b", timestamp: "2026-11-01T00:00:00Z", data });
    expect((await expectError(post(body, standardWebhook(body)), 422)).code).toBe("foreign_webhook");
  });

  test("an event with a field data beside its payload is an event", async () => {
    const event = { id: freshId(), type: "nobody.waits", data, payload: {}, specversion: "1.0" };
    await expectJson(post(JSON.stringify(event), bearer), 202);
  });

  test("an event without a payload is still one, with an empty payload", async () => {
    await expectJson(post(JSON.stringify({ id: freshId(), type: "nobody.waits" }), bearer), 202);
  });
});
