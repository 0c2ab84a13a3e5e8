/** What the fake Telegram takes, refuses and limits: so that tests built on it can trust it. */
import { execa } from "execa";
import { describe, expect, onTestFinished, test } from "vitest";
import { projectPath } from "../../scripts/project.ts";
import { FakeTelegram, NO_LIMITS, type Options } from "../support/fake-telegram/index.ts";
import { startEndpoint } from "../support/http-endpoint.ts";

const SECRET = "the-secret_1";

async function start(options: Options = { limits: NO_LIMITS }): Promise<FakeTelegram> {
  const fake = await FakeTelegram.start(options);
  onTestFinished(() => fake.stop());
  return fake;
}

interface Answered {
  status: number;
  ok: boolean;
  result: { message_id: number; message_thread_id: number; text?: string; [key: string]: unknown };
  error_code?: number;
  description?: string;
  parameters?: { retry_after?: number; migrate_to_chat_id?: number };
}

async function call(fake: FakeTelegram, method: string, parameters: unknown = {}): Promise<Answered> {
  const response = await fetch(`${fake.apiUrl}/bot${fake.token}/${method}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(parameters),
  });
  return { status: response.status, ...((await response.json()) as Omit<Answered, "status">) };
}

const keyboard = (callback_data: string) => ({
  inline_keyboard: [[{ text: "Go", callback_data, style: "success" }]],
});

test("a message in a topic, its edits, an answered button and the commands pass without a fault", async () => {
  const fake = await start();
  const chat_id = fake.group.id;
  const topic = await call(fake, "createForumTopic", { chat_id, name: "run 1" });
  const { message_thread_id } = topic.result;
  const sent = await call(fake, "sendMessage", {
    chat_id,
    message_thread_id,
    text: '<b>run</b> &lt;1&gt; <pre><code class="language-sh">ls</code></pre>',
    parse_mode: "HTML",
    link_preview_options: { is_disabled: true },
    reply_markup: keyboard("é".repeat(32)),
  });
  expect(sent.result.text).toBe("run <1> ls");
  const { message_id } = sent.result;
  await call(fake, "editMessageText", { chat_id, message_id, text: "done" });
  await call(fake, "editMessageReplyMarkup", { chat_id, message_id, reply_markup: keyboard("v1:go:2") });
  await call(fake, "sendChatAction", { chat_id, message_thread_id, action: "typing" });
  await call(fake, "setMyCommands", { commands: [{ command: "run_1", description: "runs" }] });
  await call(fake, "editForumTopic", { chat_id, message_thread_id, name: "run 1: done" });
  await call(fake, "closeForumTopic", { chat_id, message_thread_id });
  expect(fake.message(fake.group, message_id).history.map(({ plain }) => plain)).toEqual([
    "run <1> ls",
    "done",
    "done",
  ]);
  expect(fake.group.topics.get(message_thread_id)).toMatchObject({ closed: true, name: "run 1: done" });
  expect(fake.commands()).toEqual([{ command: "run_1", description: "runs" }]);
  expect(fake.faults).toEqual([]);
});

describe("parameters that Telegram refuses", () => {
  const said = (text: string, more = {}) => ({ method: "sendMessage", parameters: { text, ...more } });
  test.each([
    ["a mistyped field", said("x", { parse_mod: "HTML" }), "schema"],
    ["text of 4097", said("x".repeat(4097)), "text_length"],
    ["no text", said(""), "empty"],
    ["callback_data of 66 bytes", said("x", { reply_markup: keyboard("é".repeat(33)) }), "schema"],
    ["callback_data of 0 bytes", said("x", { reply_markup: keyboard("") }), "schema"],
    [
      "a button without an action",
      said("x", { reply_markup: { inline_keyboard: [[{ text: "x" }]] } }),
      "button",
    ],
    ["an unknown tag", said("<h1>x</h1>", { parse_mode: "HTML" }), "html"],
    ["an open tag", said("<b>x", { parse_mode: "HTML" }), "html"],
    ["crossed tags", said("<b><i>x</b></i>", { parse_mode: "HTML" }), "html"],
    ["a bare <", said("a < b", { parse_mode: "HTML" }), "html"],
    ["a bare &", said("a & b", { parse_mode: "HTML" }), "html"],
    ["an attribute", said('<b class="x">x</b>', { parse_mode: "HTML" }), "html"],
    [
      "a topic's name of 129",
      { method: "createForumTopic", parameters: { name: "x".repeat(129) } },
      "schema",
    ],
    ["an unknown action", { method: "sendChatAction", parameters: { action: "thinking" } }, "action"],
  ])("%s", async (_, { method, parameters }, rule) => {
    const fake = await start();
    const { status, ok } = await call(fake, method, { chat_id: fake.group.id, ...parameters });
    expect({ status, ok }).toEqual({ status: 400, ok: false });
    expect(fake.faults.map((fault) => fault.rule)).toEqual([rule]);
    expect(fake.messages(fake.group)).toEqual([]);
  });

  test.each([
    ["a command with capitals", "setMyCommands", { commands: [{ command: "Run", description: "x" }] }],
    ["a secret with a space", "setWebhook", { url: "https://example.com/", secret_token: "a b" }],
    [
      "101 commands",
      "setMyCommands",
      { commands: Array.from({ length: 101 }, (_, n) => ({ command: `c${n}`, description: "x" })) },
    ],
    ["an answer of 201", "answerCallbackQuery", { callback_query_id: "1", text: "x".repeat(201) }],
  ])("%s", async (_, method, parameters) => {
    const fake = await start();
    expect((await call(fake, method, parameters)).status).toBe(400);
    expect(fake.faults.map((fault) => fault.rule)).toEqual(["schema"]);
  });

  test("markup does not count in the length of a text", async () => {
    const fake = await start();
    const text = `<b>${"&lt;".repeat(4096)}</b>`;
    expect((await call(fake, "sendMessage", { chat_id: fake.chat.id, text, parse_mode: "HTML" })).ok).toBe(
      true,
    );
  });
});

describe("states of a chat", () => {
  test("unknown, kicked, blocked, migrated, and messages that are gone or the same", async () => {
    const fake = await start();
    const answer = async (method: string, parameters: unknown) => {
      const { error_code, description, parameters: more } = await call(fake, method, parameters);
      return [error_code, description?.slice(0, 60), more];
    };
    const chat_id = fake.chat.id;
    const { result } = await call(fake, "sendMessage", { chat_id, text: "x" });
    const same = { chat_id, message_id: result.message_id, text: "x" };
    expect(await answer("editMessageText", same)).toEqual([
      400,
      expect.stringContaining("message is not modified"),
      undefined,
    ]);
    expect(fake.faults).toMatchObject([{ rule: "not_modified", tolerated: true }]);
    expect(await answer("editMessageText", { ...same, message_id: 1 })).toEqual([
      400,
      "Bad Request: message to edit not found",
      undefined,
    ]);
    expect(await answer("sendMessage", { chat_id: 1, text: "x" })).toEqual([
      400,
      "Bad Request: chat not found",
      undefined,
    ]);
    fake.setBot(fake.chat, "kicked");
    expect(await answer("sendMessage", { chat_id, text: "x" })).toEqual([
      403,
      "Forbidden: bot was blocked by the user",
      undefined,
    ]);
    fake.setBot(fake.group, "kicked");
    expect(await answer("sendMessage", { chat_id: fake.group.id, text: "x" })).toEqual([
      403,
      "Forbidden: bot was kicked from the supergroup chat",
      undefined,
    ]);
    const group = fake.addChat("group", "small");
    const supergroup = fake.migrate(group);
    expect(await answer("sendMessage", { chat_id: group.id, text: "x" })).toEqual([
      400,
      expect.stringContaining("upgraded to a supergroup"),
      { migrate_to_chat_id: supergroup.id },
    ]);
  });

  test("a wrong token is refused, and so is an unknown method", async () => {
    const fake = await start();
    const wrong = await fetch(`${fake.apiUrl}/bot1:wrong/getMe`, { method: "POST" });
    expect(wrong.status).toBe(401);
    expect((await call(fake, "sendMesage", { chat_id: 1, text: "x" })).status).toBe(404);
  });
});

describe("limits", () => {
  test("one message a second in a chat; whoever does not wait commits a fault", async () => {
    const fake = await start({ heldClock: true });
    const say = (text: string) => call(fake, "sendMessage", { chat_id: fake.chat.id, text });
    expect((await say("1")).ok).toBe(true);
    expect(await say("2")).toMatchObject({ status: 429, parameters: { retry_after: 1 } });
    expect(fake.faults).toEqual([]);
    fake.advance(500);
    expect((await say("3")).status).toBe(429);
    expect(fake.faults).toMatchObject([{ rule: "asked_too_early" }]);
    fake.advance(600);
    expect((await say("4")).ok).toBe(true);
    expect(fake.limited.map(({ limit }) => limit)).toEqual(["chat", "chat"]);
  });

  test("twenty a minute in a group, over all topics, edits too", async () => {
    const fake = await start({ heldClock: true, limits: { chat: NO_LIMITS.chat } });
    const chat_id = fake.group.id;
    const topics = await Promise.all(
      ["a", "b"].map((name) => call(fake, "createForumTopic", { chat_id, name })),
    );
    const threads = topics.map(({ result }) => result.message_thread_id);
    const { result } = await call(fake, "sendMessage", { chat_id, text: "x", message_thread_id: threads[0] });
    for (let n = 0; n < 17; n += 1)
      await call(fake, "editMessageText", { chat_id, message_id: result.message_id, text: String(n) });
    expect(fake.limited).toEqual([]);
    const over = await call(fake, "sendMessage", { chat_id, text: "x", message_thread_id: threads[1] });
    expect(over).toMatchObject({ status: 429, error_code: 429 });
    expect(over.parameters?.retry_after).toBeGreaterThan(50);
  });

  test("thirty a second over all chats", async () => {
    const fake = await start({ heldClock: true });
    const chats = Array.from({ length: 31 }, (_, n) => fake.addChat("private", `user ${n}`));
    const answers = await Promise.all(
      chats.map(({ id }) => call(fake, "sendMessage", { chat_id: id, text: "x" })),
    );
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(1);
    expect(fake.limited).toMatchObject([{ limit: "all" }]);
  });
});

describe("faults that a test orders", () => {
  test("a message that was stored although its answer never came", async () => {
    const fake = await start();
    fake.misbehave({ method: "sendMessage", with: "done_then_reset" });
    fake.misbehave({ method: "sendMessage", with: 502 });
    fake.misbehave({
      method: "sendMessage",
      with: { code: 429, description: "Too Many Requests", parameters: { retry_after: 3 } },
    });
    const say = () => call(fake, "sendMessage", { chat_id: fake.chat.id, text: "x" });
    await expect(say()).rejects.toThrow();
    expect(fake.messages(fake.chat)).toHaveLength(1);
    expect((await say()).status).toBe(502);
    expect((await say()).parameters).toEqual({ retry_after: 3 });
    expect((await say()).ok).toBe(true);
  });

  test("a request that hangs", async () => {
    const fake = await start();
    fake.misbehave({ with: "hang" });
    const hanging = call(fake, "getMe").catch(() => "reset");
    await fake.waitFor(({ requests }) => requests.length === 1);
    fake.dropHanging();
    expect(await hanging).toBe("reset");
  });
});

describe("updates", () => {
  test("are delivered again until they are taken, with the secret, and in their order", async () => {
    const fake = await start();
    const seen: Array<{ id: number; secret: unknown }> = [];
    const url = await startEndpoint(({ headers, body }) => {
      const { update_id: id } = JSON.parse(body) as { update_id: number };
      seen.push({ id, secret: headers["x-telegram-bot-api-secret-token"] });
      return { status: seen.length <= 2 ? 500 : 200 };
    });
    await call(fake, "setWebhook", {
      url,
      secret_token: SECRET,
      allowed_updates: ["message", "callback_query"],
    });
    const both = [fake.say(fake.chat, fake.alice, "/run x"), fake.say(fake.chat, fake.alice, "then")];
    const [first, second] = await Promise.all(both);
    const ids = [first, first, first, second].map((delivery) => delivery?.update.update_id);
    expect(seen).toEqual(ids.map((id) => ({ id, secret: SECRET })));
    expect(first?.update["message"]).toMatchObject({
      text: "/run x",
      entities: [{ type: "bot_command", length: 4 }],
    });
    expect(await fake.membership(fake.group, "left", fake.alice)).toBeUndefined();
    expect((await call(fake, "getWebhookInfo")).result).toMatchObject({ url, pending_update_count: 0 });
  });

  test("can be repeated, and forged with a wrong secret or none", async () => {
    const fake = await start();
    const secrets: unknown[] = [];
    const url = await startEndpoint(({ headers }) => {
      const secret = headers["x-telegram-bot-api-secret-token"];
      secrets.push(secret);
      return { status: secret === SECRET ? 200 : 401 };
    });
    fake.useWebhook(url, SECRET);
    const { result } = await call(fake, "sendMessage", {
      chat_id: fake.chat.id,
      text: "x",
      reply_markup: keyboard("v1:a"),
    });
    const { id, delivery } = await fake.press(fake.message(fake.chat, result.message_id), "v1:a", fake.alice);
    if (delivery === undefined) throw new Error("the press was not delivered");
    const again = await fake.repeat(delivery.update);
    expect(again.update.update_id).toBe(delivery.update.update_id);
    expect((await fake.forge("message", {}, "wrong")).status).toBe(401);
    expect((await fake.forge("message", {}, "none")).status).toBe(401);
    expect(secrets).toEqual([SECRET, SECRET, "not-the-secret", undefined]);
    await call(fake, "answerCallbackQuery", { callback_query_id: id, text: "done" });
    expect(fake.callback(id).answers).toEqual([{ text: "done", alert: false }]);
    await expect(fake.press(fake.message(fake.chat, result.message_id), "v1:b", fake.alice)).rejects.toThrow(
      "no button",
    );
  });
});

test("as a program it prints what a Worker has to be told", async () => {
  const program = execa(process.execPath, [projectPath("test/support/fake-telegram/main.ts")], {
    reject: false,
  });
  try {
    for await (const line of program) {
      const { url, token } = JSON.parse(line) as { url: string; token: string };
      expect((await fetch(`${url}/bot${token}/getMe`, { method: "POST" })).status).toBe(200);
      program.kill();
    }
  } finally {
    program.kill();
  }
  expect((await program).exitCode).toBe(0);
});
