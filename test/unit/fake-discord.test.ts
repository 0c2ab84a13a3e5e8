/** What the fake Discord takes and refuses by REST, what it keeps and shows: so that tests built on it can trust it. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { button, call, edit, post, QUIET, row, text, V2 } from "../support/discord-caller.ts";
import { DM, FakeDiscord, FORUM, NO_LIMITS, PUBLIC_THREAD } from "../support/fake-discord/index.ts";

let fake: FakeDiscord;

beforeEach(async () => {
  fake = await FakeDiscord.start({ limits: NO_LIMITS });
});
afterEach(async () => {
  await fake.stop();
});

const rules = () => fake.faults.map(({ rule }) => rule);

test("a card, an edit, a thread, a forum post and a reaction pass without a fault", async () => {
  const container = { type: 17, accent_color: 1, components: [text("run"), row(button("v1:go:1"))] };
  const card = await post(fake, { flags: V2, components: [container] });
  expect((await edit(fake, card.body.id, { components: [text("done"), text("!")] })).status).toBe(200);
  const message = `/channels/${fake.text.id}/messages/${card.body.id}`;
  const thread = await call(fake, "POST", `${message}/threads`, { name: "run 1" });
  expect(thread.body.id).toBe(card.body.id);
  expect((await call(fake, "POST", `${message}/threads`, { name: "run 1" })).body.code).toBe(160004);
  const forumPost = await call(fake, "POST", `/channels/${fake.forum.id}/threads`, {
    name: "run 2",
    applied_tags: [fake.forum.availableTags[0]?.id],
    message: { content: "hello", ...QUIET },
  });
  expect(forumPost.status).toBe(201);
  expect(fake.messages(forumPost.body.id).map(({ content }) => content)).toEqual(["hello"]);
  await call(fake, "PUT", `${message}/reactions/${encodeURIComponent("👍")}/@me`);
  await call(fake, "POST", `/channels/${forumPost.body.id}/typing`);
  const kept = fake.message(card.body.id);
  expect(kept.history.map(({ components }) => components.length)).toEqual([1, 2]);
  expect([...kept.reactions.keys()]).toEqual(["👍"]);
  expect(fake.channel(forumPost.body.id).typingAtMs).toHaveLength(1);
  expect(fake.requests.map(({ status }) => status)).toEqual([200, 200, 201, 400, 201, 204, 204]);
  expect(rules()).toEqual([]);
});

describe("a message that Discord refuses", () => {
  const long = (description: string) => ({ description });
  const buttons = (count: number) => Array.from({ length: count }, (_, n) => button(`b${n}`));
  const select = { type: 3, custom_id: "s", options: [{ label: "x", value: "x" }] };
  test.each([
    ["a mistyped field", { contnet: "x" }, "schema"],
    ["content of 2001", { content: "x".repeat(2001) }, "content_length"],
    ["nothing", {}, "empty_message"],
    [
      "6001 characters of embeds",
      { embeds: [long("x".repeat(4000)), long("x".repeat(2001))] },
      "embed_total",
    ],
    [
      "26 fields",
      { embeds: [{ fields: Array.from({ length: 26 }, () => ({ name: "x", value: "x" })) }] },
      "schema",
    ],
    [
      "a button without custom_id",
      { components: [row({ ...button("x"), custom_id: undefined })] },
      "custom_id_missing",
    ],
    [
      "a link with custom_id",
      { components: [row({ ...button("x"), style: 5, url: "https://x.y" })] },
      "custom_id_missing",
    ],
    ["a link without url", { components: [row({ type: 2, style: 5, label: "x" })] }, "button_url"],
    ["a button without label", { components: [row({ type: 2, style: 1, custom_id: "x" })] }, "button_label"],
    ["a select beside a button", { components: [row(select, button("x"))] }, "row_of_select"],
    ["two equal custom_ids", { components: [row(button("a"), button("a"))] }, "custom_id_duplicate"],
    ["a custom_id of 101", { components: [row(button("x".repeat(101)))] }, "schema"],
    ["six buttons in a row", { components: [row(...buttons(6))] }, "schema"],
    ["six rows", { components: buttons(6).map((one) => row(one)) }, "rows"],
    ["V2 and content", { flags: V2, content: "x", components: [text("y")] }, "v2_content"],
    ["V2 components without the flag", { components: [text("y")] }, "v2_flag_missing"],
    ["4001 characters of V2", { flags: V2, components: [text("x".repeat(4000)), text("y")] }, "v2_text"],
    [
      "41 V2 components",
      { flags: V2, components: [{ type: 17, components: Array(40).fill(text("x")) }] },
      "v2_components",
    ],
    ["an ephemeral one of the bot's", { content: "x", flags: 64 }, "ephemeral"],
    ["a nonce of 26", { content: "x", nonce: "x".repeat(26) }, "schema"],
    ["a tag of nobody", { content: "x", message_reference: { message_id: "1" } }, "schema"],
  ])("%s", async (_, body, rule) => {
    const { status, body: error } = await post(fake, body);
    expect({ status, code: error.code }).toEqual({
      status: 400,
      code: rule === "empty_message" ? 50006 : 50035,
    });
    expect(rules()).toEqual([rule]);
    expect(fake.messages(fake.text.id)).toEqual([]);
  });

  test("tells the place that is wrong, not all branches of a union", async () => {
    const { body } = await post(fake, { components: [row(button("x".repeat(101)))] });
    expect(body.errors).toMatchObject({
      components: {
        "0": {
          components: {
            "0": { custom_id: { _errors: [{ message: expect.stringContaining("100") as string }] } },
          },
        },
      },
    });
  });

  test("an edit that takes the V2 flag off, or empties a message", async () => {
    const card = await post(fake, { flags: V2, components: [text("x")] });
    await edit(fake, card.body.id, { flags: 0, content: "x", components: [] });
    const plain = await post(fake, { content: "x" });
    await edit(fake, plain.body.id, { content: "" });
    expect(rules()).toEqual(["v2_flag_removed", "empty_message"]);
    expect(fake.message(plain.body.id).history).toHaveLength(1);
  });
});

describe("what Discord tolerates, and the project does not", () => {
  test("mentions that are not forbidden, in edits too, and a message without a nonce", async () => {
    const { body } = await call(fake, "POST", `/channels/${fake.text.id}/messages`, {
      content: "@everyone <@5> <@&6>",
    });
    await call(fake, "PATCH", `/channels/${fake.text.id}/messages/${body.id}`, { content: "x" });
    expect(rules()).toEqual(["mentions_on", "nonce_missing", "mentions_on"]);
    expect(fake.faults.every(({ tolerated }) => tolerated)).toBe(true);
    expect(fake.message(body.id).rings).toEqual(["everyone", "user:5", "role:6"]);
  });

  test("rings whom it names, and nobody when it is silent", async () => {
    const allowed_mentions = { parse: [], users: ["5"] };
    const content = "@everyone <@5> <@&6>";
    const loud = await post(fake, { content, allowed_mentions });
    const silent = await post(fake, { content, allowed_mentions, flags: 4096 });
    expect(fake.message(loud.body.id).rings).toEqual(["user:5"]);
    expect(fake.message(silent.body.id).rings).toEqual([]);
    expect(rules()).toEqual([]);
  });

  test("a webhook that does not wait", async () => {
    const hook = fake.addWebhook(fake.text);
    const path = `/webhooks/${hook.id}/${hook.token}`;
    expect((await call(fake, "POST", path, { content: "x", ...QUIET }, { authorization: "" })).status).toBe(
      204,
    );
    expect(rules()).toEqual(["webhook_without_wait"]);
    await call(fake, "DELETE", path);
    expect((await call(fake, "POST", `${path}?wait=true`, { content: "x", ...QUIET })).body.code).toBe(10015);
  });
});

describe("a request that gets no further", () => {
  test("without a right User-Agent or token", async () => {
    const me = (headers: Record<string, string>) => call(fake, "GET", "/users/@me", undefined, headers);
    expect((await me({ "user-agent": "node" })).body.code).toBe(40333);
    expect((await me({ authorization: "" })).status).toBe(401);
    expect((await me({ authorization: "Bot other" })).status).toBe(401);
    fake.revokeToken();
    expect((await me({})).status).toBe(401);
    expect(rules()).toEqual(["user_agent"]);
    expect(fake.invalidRequests).toBe(4);
  });

  test("to what is not there, or not allowed", async () => {
    const code = async (method: string, path: string, body?: unknown) =>
      (await call(fake, method, path, body)).body.code;
    expect(await code("GET", "/channels/1")).toBe(10003);
    expect(await code("GET", `/channels/${fake.text.id}/messages/1`)).toBe(10008);
    expect(await code("GET", "/guilds/1/roles")).toBe(10004);
    expect(await code("POST", "/webhooks/1/x", { content: "x", ...QUIET })).toBe(10015);
    fake.deny(fake.text, "send");
    expect((await post(fake, { content: "x" })).body.code).toBe(50013);
    fake.deny(fake.text, "view");
    expect((await post(fake, { content: "x" })).body.code).toBe(50001);
    expect((await call(fake, "GET", "/nowhere")).status).toBe(404);
    expect((await call(fake, "POST", `/channels/${fake.text.id}`)).status).toBe(405);
    expect((await post(fake, { content: "x" }, fake.forum.id)).body.code).toBe(50008);
    expect(fake.requests.filter(({ route }) => route === undefined)).toHaveLength(2);
  });
});

describe("threads", () => {
  test("an archived one takes no edits, and opens when somebody writes", async () => {
    const thread = fake.addChannel(PUBLIC_THREAD, "run", { parentId: fake.text.id });
    const first = await post(fake, { content: "x" }, thread.id);
    await call(fake, "PATCH", `/channels/${thread.id}`, { archived: true, locked: true });
    expect((await edit(fake, first.body.id, { content: "y" }, thread.id)).body.code).toBe(50083);
    expect((await call(fake, "PATCH", `/channels/${thread.id}`, { name: "z" })).body.code).toBe(50083);
    await post(fake, { content: "again" }, thread.id);
    expect(thread).toMatchObject({ archived: false, locked: true });
  });

  test("a forum wants a first message and knows its tags", async () => {
    const path = `/channels/${fake.forum.id}/threads`;
    expect((await call(fake, "POST", path, { name: "x" })).body.code).toBe(50035);
    const message = { content: "x", ...QUIET };
    expect((await call(fake, "POST", path, { name: "x", message, applied_tags: ["1"] })).body.code).toBe(
      50035,
    );
    expect(fake.threads(fake.forum.id)).toEqual([]);
    expect(fake.channel(fake.forum.id).type).toBe(FORUM);
  });
});

describe("reading without the MESSAGE_CONTENT intent", () => {
  test("shows what mentions the app, replies to it, is its own or is a direct message", async () => {
    const own = await post(fake, { content: "own" });
    fake.say(fake.text, fake.alice, "to others");
    fake.say(fake.text, fake.alice, "to you", { mentionsApp: true });
    fake.say(fake.text, fake.alice, "a reply", { replyTo: fake.message(own.body.id) });
    const direct = fake.addChannel(DM, fake.alice.id);
    fake.say(direct, fake.alice, "in private");
    const list = async (id: string, query: string) =>
      (await call(fake, "GET", `/channels/${id}/messages?${query}`)).list.map(({ content }) => content);
    expect(await list(fake.text.id, `after=${own.body.id}&limit=100`)).toEqual([
      "a reply",
      `<@${fake.app.id}> to you`,
      "",
    ]);
    expect(await list(fake.text.id, `after=${own.body.id}&limit=1`)).toEqual([""]);
    expect(await list(direct.id, "limit=1")).toEqual(["in private"]);
    expect((await call(fake, "GET", `/channels/${direct.id}/messages?limit=101`)).body.code).toBe(50035);
  });
});

describe("commands", () => {
  const path = () => `/applications/${fake.app.id}/commands`;
  const option = { type: 3, name: "prompt", description: "what to do" };
  const command = { name: "run", description: "runs", options: [option] };

  test("are set at once, and keep their ids while their names stay", async () => {
    const first = await call(fake, "PUT", path(), [
      { ...command, contexts: [0], default_member_permissions: "0" },
    ]);
    const second = await call(fake, "PUT", path(), [command, { type: 3, name: "Send to Codex" }]);
    expect(second.list[0]?.id).toBe(first.list[0]?.id);
    expect(fake.commands().map(({ name }) => name)).toEqual(["run", "Send to Codex"]);
    const guild = `/applications/${fake.app.id}/guilds/${fake.guild.id}/commands`;
    expect((await call(fake, "PUT", guild, [command])).status).toBe(200);
    expect((await call(fake, "GET", guild)).list).toHaveLength(1);
    expect(rules()).toEqual([]);
  });

  const optional = { ...option, name: "a" };
  test.each([
    ["capitals", { ...command, name: "Run" }, "command_name"],
    ["no description", { name: "run" }, "command_description"],
    ["a described message command", { type: 3, name: "Send", description: "x" }, "command_description"],
    [
      "required after optional",
      { ...command, options: [optional, { ...option, required: true }] },
      "option_order",
    ],
    [
      "choices and autocomplete",
      { ...command, options: [{ ...option, autocomplete: true, choices: [{ name: "x", value: "x" }] }] },
      "option_autocomplete",
    ],
    ["an option twice", { ...command, options: [option, option] }, "option_duplicate"],
    [
      "options beside subcommands",
      { ...command, options: [{ ...option, type: 1 }, optional] },
      "option_mixture",
    ],
    [
      "more than 8000 characters",
      {
        ...command,
        options: [{ ...option, choices: [1, 2].map((n) => ({ name: `${n}`, value: "x".repeat(4000) })) }],
      },
      "command_size",
    ],
  ])("%s are refused", async (_, body, rule) => {
    expect((await call(fake, "PUT", path(), [body])).body.code).toBe(50035);
    expect(rules()).toEqual([rule]);
  });

  test("names twice, and contexts in a guild", async () => {
    await call(fake, "PUT", path(), [command, command]);
    const guild = `/applications/${fake.app.id}/guilds/${fake.guild.id}/commands`;
    await call(fake, "PUT", guild, [{ ...command, contexts: [0] }]);
    expect(rules()).toEqual(["command_duplicate", "command_scope"]);
  });
});
