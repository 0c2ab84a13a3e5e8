/** Updates of Telegram and the words of commands: read as they are meant, whatever comes. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeAction } from "../../contract/chat/action.ts";
import { TELEGRAM_COMMANDS } from "../../contract/chat/telegram-commands.ts";
import { projectPath } from "../../scripts/project.ts";
import { checkTelegramUpdate } from "../../contract/validate.ts";
import { readCommand, readUpdate, type TelegramRequest } from "../../worker/telegram/update.ts";
import {
  chooseCommand,
  leadingOptions,
  leadingRun,
  namedLists,
  onlyOptions,
  onlyRun,
  runAndApproval,
  switchWord,
  typeAndPayload,
} from "../../worker/telegram/words.ts";

const BOT = { id: "1000", name: "Codex_Flow_bot" };
const RUN = "run_0123456789abcdef_1";
const OTHER = "run_0123456789abcdef_2";
const ada = { id: 7, is_bot: false, first_name: "Ada", last_name: "L", username: "ada" };
const bot = { id: 1000, is_bot: true, first_name: "Codex" };
const group = { id: -100123, type: "supergroup", title: "workshop" };

function message(more: object): object {
  return { message_id: 5, date: 1, chat: group, from: ada, text: "/status", ...more };
}

function read(update: object): TelegramRequest | undefined {
  const checked = checkTelegramUpdate({ update_id: 1, ...update });
  return checked.ok ? readUpdate(checked.value, BOT) : undefined;
}

describe("an update", () => {
  test.each([
    ["/status", { kind: "command", name: "status", rest: "" }],
    ["/Status", { kind: "command", name: "status" }],
    ["/status@codex_flow_bot", { kind: "command", name: "status" }],
    ["/dispatch@CODEX_FLOW_BOT a.b {}", { kind: "command", name: "dispatch", rest: "a.b {}" }],
    ["/ask first\nsecond", { kind: "command", name: "ask", rest: "first\nsecond" }],
    ["/stop@other_bot", { kind: "nothing" }],
    ["/usr/bin is a folder", { kind: "text", text: "/usr/bin is a folder" }],
    ["/status, please", { kind: "text" }],
    ["hello", { kind: "text", text: "hello" }],
    ["   ", { kind: "nothing" }],
    [undefined, { kind: "nothing" }],
  ])("with the text %j", (text, expected) => {
    expect(read({ message: message({ text }) })).toMatchObject(expected);
  });

  test("a command for a named bot is nobody's where the own name is not known", () => {
    const update = { update_id: 1, message: { message_id: 1, chat: group, from: ada, text: "/stop@x" } };
    expect(readUpdate(update, { id: "1000" })).toMatchObject({ kind: "nothing" });
  });

  test("from an anonymous administrator or a channel has no user", () => {
    const stand = { id: 1087968824, is_bot: true, first_name: "Group", username: "GroupAnonymousBot" };
    expect(read({ message: message({ from: stand, sender_chat: group }) })).toMatchObject({
      kind: "command",
      user: undefined,
    });
    const asAda = read({ message: message({ sender_chat: { id: -1009, type: "channel" } }) });
    expect(asAda).toMatchObject({ kind: "command", user: undefined });
  });

  test.each([
    ["another bot", message({ from: { ...ada, is_bot: true } })],
    ["a post of a channel", message({ chat: { id: -1, type: "channel" } })],
    ["a photograph", message({ text: undefined, photo: [] })],
  ])("of %s asks for nothing", (_, sent) => {
    expect(read({ message: sent })).toMatchObject({ kind: "nothing" });
  });

  test.each([
    ["forward_origin", { type: "user", sender_user: { id: 666 } }, "forwarded"],
    ["forward_origin", { type: "of a later version" }, "forwarded"],
    ["forward_date", 1, "forwarded"],
    ["forward_from", { id: 666 }, "forwarded"],
    ["forward_from_chat", { id: -1 }, "forwarded"],
    ["forward_sender_name", "eve", "forwarded"],
    ["is_automatic_forward", true, "forwarded"],
    ["via_bot", { id: 5, is_bot: true }, "via_bot"],
  ])("with %s = %j is neither a command nor plain words", (field, value, why) => {
    for (const text of ["/roles 666 admin", "go on"])
      expect(read({ message: message({ text, [field]: value }) })).toMatchObject({ kind: "foreign", why });
  });

  test.each([
    ["a caption", { message: message({ text: undefined, caption: "/roles 666 admin", photo: [] }) }],
    ["an edited message", { edited_message: message({ text: "/roles 666 admin" }) }],
    ["a post of a channel", { channel_post: message({ text: "/roles 666 admin" }) }],
    ["an edited post of a channel", { edited_channel_post: message({ text: "/roles 666 admin" }) }],
    ["a message of a business account", { business_message: message({ text: "/roles 666 admin" }) }],
    ["a quote", { message: message({ text: undefined, quote: { text: "/roles 666 admin" } }) }],
  ])("that has a command only in %s asks for nothing", (_, update) => {
    expect(read(update)).toMatchObject({ kind: "nothing" });
  });

  test("that quotes a command in a reply asks for what its own text says", () => {
    const quoting = message({
      text: "what is this?",
      quote: { text: "/roles 666 admin" },
      reply_to_message: { message_id: 4, chat: group, from: ada, text: "/roles 666 admin" },
    });
    expect(read({ message: quoting })).toMatchObject({ kind: "text", text: "what is this?" });
  });

  test("in a topic that replies to nothing does not name the person who has opened the topic", () => {
    const opened = { message_id: 9, chat: group, from: { ...ada, id: 8 }, forum_topic_created: {} };
    const inTopic = { text: "/roles admin", message_thread_id: 9, reply_to_message: opened };
    expect(read({ message: message({ ...inTopic, is_topic_message: true }) })).not.toHaveProperty(
      "repliedTo",
    );
    expect(read({ message: message(inTopic) })).toMatchObject({ repliedTo: { user: { id: "8" } } });
  });

  test("belongs to a topic only where Telegram says that it is one", () => {
    const place = { platform: "telegram", channel: "-100123" };
    expect(read({ message: message({ message_thread_id: 9 }) })).toMatchObject({ place });
    expect(read({ message: message({ message_thread_id: 9, is_topic_message: true }) })).toMatchObject({
      place: { ...place, thread: "9" },
    });
    expect(read({ message: message({ chat: { id: 7, type: "private" } }) })).toMatchObject({
      place: { channel: "7" },
      isPrivate: true,
    });
  });

  test("a reply to the bot's message names its run, by a button before the words", () => {
    const reply = (to: object) =>
      read({
        message: message({ text: "go on", reply_to_message: { message_id: 4, chat: group, ...to } }),
      });
    const keyboard = (data: string | undefined) => ({
      inline_keyboard: [
        [
          { text: "x", url: "https://example.com" },
          { text: "x", callback_data: data },
        ],
      ],
    });
    const data = encodeAction({ act: "logs", runId: RUN });
    expect(reply({ from: bot, text: `see ${OTHER}`, reply_markup: keyboard(data) })).toMatchObject({
      repliedTo: { runId: RUN },
    });
    // An agent may have said it: which run that message is of is not in its words.
    for (const text of [`${OTHER} is done`, "hello"])
      expect(reply({ from: bot, text })).toHaveProperty("repliedTo", { ownMessage: "4" });
    // Anybody can write a run's id.
    expect(reply({ from: ada, text: OTHER })).toMatchObject({
      repliedTo: { user: { id: "7", name: "ada" } },
    });
    expect(reply({ from: ada, text: OTHER })).not.toHaveProperty("repliedTo.runId");
  });

  test("a press brings who pressed, whoever the message is from", () => {
    const press = { id: "77", from: ada, message: { message_id: 5, chat: group, from: bot }, data: "v1:x" };
    expect(read({ callback_query: press })).toMatchObject({
      kind: "press",
      callbackId: "77",
      user: { id: "7" },
      data: "v1:x",
    });
    // A message that has become too old comes without its content.
    const old = { ...press, message: { message_id: 5, chat: group, date: 0 } };
    expect(read({ callback_query: old })).toMatchObject({ kind: "press", place: { channel: "-100123" } });
    expect(read({ callback_query: { ...press, message: undefined } })).toMatchObject({ kind: "nothing" });
    expect(read({ callback_query: { ...press, data: undefined } })).toMatchObject({ kind: "nothing" });
  });

  test("a group that became a supergroup, told on both sides", () => {
    const both = { kind: "moved", from: { channel: "-5" }, to: { channel: "-1005" } };
    const old = message({ chat: { id: -5, type: "group" }, text: undefined, migrate_to_chat_id: -1005 });
    expect(read({ message: old })).toMatchObject(both);
    const young = message({
      chat: { id: -1005, type: "supergroup" },
      text: undefined,
      migrate_from_chat_id: -5,
    });
    expect(read({ message: young })).toMatchObject(both);
  });

  test.each([
    ["an edited message", { edited_message: message({}) }],
    ["a poll", { poll: { id: "1" } }],
    [
      "the bot was added",
      { my_chat_member: { chat: group, from: ada, new_chat_member: { status: "member" } } },
    ],
    ["nothing at all", {}],
  ])("%s asks for nothing", (_, update) => {
    expect(read(update)).toMatchObject({ kind: "nothing" });
  });

  test("whatever is sent, nothing is thrown, and a place is one that has a key", () => {
    /** Mostly what it should be. */
    const mostly = (arbitrary: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
      fc.oneof({ weight: 39, arbitrary }, { weight: 1, arbitrary: fc.anything() });
    const text = fc.oneof(
      fc.string(),
      fc.constantFrom("/ask x", "/flow", "/codex ask", "/budget@codex_flow_bot usd=1", "x"),
    );
    const sender = mostly(fc.constantFrom(ada, bot, { ...ada, id: -7 }));
    const id = fc.oneof(fc.maxSafeInteger(), fc.double());
    const chat = mostly(fc.oneof(fc.constant(group), fc.record({ id, type: fc.constant("private") })));
    const plain = fc.record(
      {
        message_id: mostly(fc.nat()),
        chat,
        from: sender,
        text: mostly(text),
        message_thread_id: mostly(fc.integer()),
        is_topic_message: mostly(fc.boolean()),
      },
      { requiredKeys: ["message_id", "chat"] },
    );
    const more = fc.record(
      { sender_chat: chat, reply_to_message: mostly(plain), migrate_to_chat_id: mostly(id) },
      { requiredKeys: [] },
    );
    const sent = fc.tuple(plain, more).map(([message, rest]) => ({ ...message, ...rest }));
    const update = fc.record(
      {
        update_id: mostly(fc.nat()),
        message: mostly(sent),
        callback_query: mostly(
          fc.record({ id: fc.string(), from: sender, message: mostly(plain), data: fc.string() }),
        ),
      },
      { requiredKeys: ["update_id"] },
    );
    let understood = 0;
    fc.assert(
      fc.property(fc.oneof(update, fc.anything()), (value) => {
        const checked = checkTelegramUpdate(value);
        if (!checked.ok) return;
        const request = readUpdate(checked.value, BOT);
        if (!("place" in request)) return;
        understood += 1;
        expect(request.place.channel).toMatch(/^-?\d{1,20}$/);
        if (request.user !== undefined) expect(request.user.id).toMatch(/^\d{1,20}$/);
      }),
      { numRuns: 2_000 },
    );
    expect(understood).toBeGreaterThan(0);
  });
});

describe("words", () => {
  test.each([
    ["status", "", { name: "status", rest: "" }],
    ["flow", "dispatch a.b {}", { name: "dispatch", rest: "a.b {}" }],
    ["flow", "dry-run a.b", { name: "dryrun", rest: "a.b" }],
    ["codex", "Ask do it\nnow", { name: "ask", rest: "do it\nnow" }],
    ["start", "payload", { name: "help", rest: "" }],
    ["codex", "", undefined],
    ["codex", "flow flow flow", undefined],
    ["reboot", "", undefined],
    ["constructor", "", undefined],
  ])("/%s %s", (name, rest, expected) => {
    expect(chooseCommand(name, rest)).toEqual(expected);
  });

  test.each([
    ["a.b", { ok: true, value: { type: "a.b", payload: "" } }],
    ['a.b {"x": [1]}', { ok: true, value: { type: "a.b", payload: '{"x": [1]}' } }],
    ["a.b {“x”: “y”}", { ok: true, value: { type: "a.b", payload: '{"x": "y"}' } }],
    ['a.b {"x": "“y”"}', { ok: true, value: { type: "a.b", payload: '{"x": "“y”"}' } }],
    ["", { ok: false, fault: expect.stringContaining("type") as unknown }],
  ])("an event: %s", (text, expected) => {
    expect(typeAndPayload(text)).toEqual(expected);
  });

  test("a run is a first word that is a run's id", () => {
    expect(leadingRun(`${RUN}  look\nhere`)).toEqual({ runId: RUN, rest: "look\nhere" });
    expect(leadingRun("run it")).toEqual({ rest: "run it" });
    expect(onlyRun("")).toEqual({ ok: true, value: {} });
    expect(onlyRun(RUN)).toEqual({ ok: true, value: { runId: RUN } });
    expect(onlyRun("run_1")).toMatchObject({ ok: false });
    expect(runAndApproval(`${RUN} a1-1`)).toEqual({ ok: true, value: { runId: RUN, approval: "a1-1" } });
    expect(runAndApproval("a1-1")).toEqual({ ok: true, value: { approval: "a1-1" } });
    expect(runAndApproval("a1-1 a1-2")).toMatchObject({ ok: false });
    expect(runAndApproval("<b>")).toMatchObject({ ok: false });
  });

  test("options lead, and the rest is the text with all that looks like one", () => {
    const keys = ["project", "session"] as const;
    expect(leadingOptions('project=web session="my own" set x=1', keys)).toEqual({
      options: { project: "web", session: "my own" },
      rest: "set x=1",
    });
    expect(leadingOptions("x=1 project=web", keys)).toEqual({ options: {}, rest: "x=1 project=web" });
    expect(onlyOptions("project=web", keys)).toEqual({ ok: true, value: { project: "web" } });
    expect(onlyOptions("project=web now", keys)).toMatchObject({ ok: false });
  });

  test.each([
    ["flows a, b types c", { ok: true, value: { flows: ["a", "b"], types: ["c"] } }],
    ["flows=a,b types=*", { ok: true, value: { flows: ["a", "b"], types: ["*"] } }],
    ["flows", { ok: true, value: { flows: [] } }],
    ["", { ok: true, value: {} }],
    ["a", { ok: false, fault: expect.stringContaining("flows or types") as unknown }],
  ])("lists: %s", (text, expected) => {
    expect(namedLists(text, ["flows", "types"] as const)).toEqual(expected);
  });

  test("on and off", () => {
    expect(["on", "Enable", "off", "deactivate", "status"].map(switchWord)).toEqual([
      true,
      true,
      false,
      false,
      undefined,
    ]);
  });

  test("of anybody: nothing is thrown", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 4096 }), (text) => {
        readCommand(text);
        chooseCommand("flow", text);
        typeAndPayload(text);
        runAndApproval(text);
        leadingOptions(text, ["project"]);
        namedLists(text, ["flows"]);
      }),
    );
  });
});

test("every command stands in docs/telegram.md", () => {
  const page = readFileSync(projectPath("docs/telegram.md"), "utf8");
  expect(TELEGRAM_COMMANDS.filter(({ name }) => !page.includes(`\`/${name}`))).toEqual([]);
});

test("the menu keeps Telegram's rules, and every name is one that a message can hold", () => {
  expect(TELEGRAM_COMMANDS.length).toBeLessThanOrEqual(100);
  expect(new Set(TELEGRAM_COMMANDS.map(({ name }) => name)).size).toBe(TELEGRAM_COMMANDS.length);
  for (const { name, description } of TELEGRAM_COMMANDS) {
    expect(name).toMatch(/^[a-z0-9_]{1,32}$/);
    expect(description.length).toBeGreaterThan(0);
    expect(description.length).toBeLessThanOrEqual(256);
    expect(readCommand(`/${name}`)?.name).toBe(name);
  }
});
