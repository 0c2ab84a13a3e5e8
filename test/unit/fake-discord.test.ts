/** What the fake Discord takes, refuses and limits: so that tests built on it can trust it. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeDiscord, NO_LIMITS } from "../support/fake-discord/index.ts";

const QUIET = { allowed_mentions: { parse: [] } };

let fake: FakeDiscord;
let nonces = 0;

beforeEach(async () => {
  fake = await FakeDiscord.start({ limits: NO_LIMITS });
});
afterEach(async () => {
  await fake.stop();
});

interface Answered {
  status: number;
  headers: Headers;
  body: Record<string, unknown> & { id: string; code?: number; errors?: unknown };
  list: Array<Record<string, unknown> & { id: string }>;
}

async function call(
  method: string,
  path: string,
  body?: unknown,
  more: Record<string, string> = {},
): Promise<Answered> {
  const response = await fetch(fake.apiUrl + path, {
    method,
    headers: {
      authorization: `Bot ${fake.botToken}`,
      "user-agent": "DiscordBot (https://example.com, 1.0)",
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...more,
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const json = text.startsWith("{") || text.startsWith("[") ? (JSON.parse(text) as unknown) : {};
  return {
    status: response.status,
    headers: response.headers,
    body: json as Answered["body"],
    list: json as Answered["list"],
  };
}

function unique(): { nonce: string; enforce_nonce: true } {
  nonces += 1;
  return { nonce: `n${nonces}`, enforce_nonce: true };
}

async function post(body: Record<string, unknown>, channel = fake.text.id): Promise<Answered> {
  return call("POST", `/channels/${channel}/messages`, { ...QUIET, ...unique(), ...body });
}

const button = (custom_id: string) => ({ type: 2, style: 1, label: "Go", custom_id });
const row = (...components: unknown[]) => ({ type: 1, components });
const text = (content: string) => ({ type: 10, content });
const V2 = 1 << 15;

test("a card, an edit, a thread, a forum post and a reaction pass without a fault", async () => {
  const card = await post({
    flags: V2,
    components: [{ type: 17, accent_color: 1, components: [text("run"), row(button("v1:go:1"))] }],
  });
  expect(card.status).toBe(200);
  const edited = await call("PATCH", `/channels/${fake.text.id}/messages/${card.body.id}`, {
    ...QUIET,
    components: [text("done")],
  });
  expect(edited.status).toBe(200);
  const thread = await call("POST", `/channels/${fake.text.id}/messages/${card.body.id}/threads`, {
    name: "run 1",
  });
  expect(thread.body.id).toBe(card.body.id);
  const [tag] = fake.forum.availableTags;
  const forumPost = await call("POST", `/channels/${fake.forum.id}/threads`, {
    name: "run 2",
    applied_tags: [tag?.id],
    message: { content: "hello", ...QUIET },
  });
  expect(forumPost.status).toBe(201);
  const emoji = encodeURIComponent("👍");
  await call("PUT", `/channels/${fake.text.id}/messages/${card.body.id}/reactions/${emoji}/@me`);
  expect(fake.message(card.body.id).history.map(({ components }) => components.length)).toEqual([1, 1]);
  expect(fake.message(card.body.id).reactions.get("👍")?.size).toBe(1);
  expect(fake.faults).toEqual([]);
});

describe("a body that Discord refuses", () => {
  const embed = (description: string) => ({ description });
  test.each([
    ["a mistyped field", { contnet: "x" }, "schema"],
    ["content of 2001", { content: "x".repeat(2001) }, "content_length"],
    ["nothing", {}, "empty_message"],
    [
      "6000 characters of embeds",
      { embeds: [embed("x".repeat(4000)), embed("x".repeat(2001))] },
      "embed_total",
    ],
    [
      "a button without custom_id",
      { components: [row({ type: 2, style: 1, label: "x" })] },
      "custom_id_missing",
    ],
    ["two equal custom_ids", { components: [row(button("a"), button("a"))] }, "custom_id_duplicate"],
    ["a custom_id of 101", { components: [row(button("x".repeat(101)))] }, "schema"],
    [
      "six buttons in a row",
      { components: [row(...[1, 2, 3, 4, 5, 6].map((n) => button(`b${n}`)))] },
      "schema",
    ],
    ["six rows", { components: [1, 2, 3, 4, 5, 6].map((n) => row(button(`b${n}`))) }, "rows"],
    ["V2 and content", { flags: V2, content: "x", components: [text("y")] }, "v2_content"],
    ["V2 components without the flag", { components: [text("y")] }, "v2_flag_missing"],
    ["4001 characters of V2", { flags: V2, components: [text("x".repeat(4000)), text("y")] }, "v2_text"],
    [
      "41 V2 components",
      { flags: V2, components: [{ type: 17, components: Array.from({ length: 40 }, () => text("x")) }] },
      "v2_components",
    ],
    ["an ephemeral message of the bot's", { content: "x", flags: 64 }, "ephemeral"],
    ["a nonce of 26", { content: "x", nonce: "x".repeat(26) }, "schema"],
  ])("%s", async (_, body, rule) => {
    const { status, body: error } = await post(body);
    expect({ status, code: error.code }).toEqual({
      status: 400,
      code: rule === "empty_message" ? 50006 : 50035,
    });
    expect(fake.faults.map((fault) => fault.rule)).toEqual([rule]);
    expect(fake.messages(fake.text.id)).toEqual([]);
  });
});
