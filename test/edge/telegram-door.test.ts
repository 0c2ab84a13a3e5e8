/** Telegram's webhook inside workerd: who is let in, what is not understood, what is not taken, and which chats the bot hears. */
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { TELEGRAM_UPDATE_MAX_BYTES } from "../../contract/limits.ts";
import {
  auditOf,
  BOT,
  boundGroup,
  lastWords,
  message,
  newGroup,
  person,
  post,
  press,
  saidIn,
  SECRETS,
  take,
  type Chat,
  type Person,
} from "./support/telegram.ts";
import { action, codexOfFile, RUN, runAskedBy } from "./support/telegram-runs.ts";

codexOfFile();

describe("who is let in", () => {
  test("both secrets of a rotation, and nothing else", async () => {
    const nothing = { update_id: 1 };
    const statuses = [];
    for (const secret of [SECRETS.old, SECRETS.new, "wrong", "", null, `${SECRETS.old},${SECRETS.new}`])
      statuses.push((await post(nothing, { secret })).status);
    expect(statuses).toEqual([200, 200, 401, 401, 401, 401]);
  });

  test("nobody where no secret, or no bot, is configured", async () => {
    const token = { TELEGRAM_BOT_TOKEN: `${BOT}:x` };
    for (const secret of ["", "undefined", SECRETS.new])
      expect((await post({ update_id: 1 }, { secret, settings: token })).status).toBe(401);
    const settings = { TELEGRAM_WEBHOOK_SECRETS: SECRETS.new };
    expect((await post({ update_id: 1 }, { settings })).status).toBe(401);
  });

  test("a forged update starts nothing", async () => {
    const { group } = await boundGroup();
    const ada = await person("ada", "run:start");
    expect((await post(message(group, ada, "/ask do it"), { secret: "wrong" })).status).toBe(401);
    expect(await auditOf(ada)).toEqual([]);
  });
});

describe("what is not understood is taken and forgotten", () => {
  test.each([
    ["an unknown kind", { update_id: 1, purchased_paid_media: {} }],
    ["an edited message", { update_id: 1, edited_message: { message_id: 1 } }],
    ["a message of another form", { update_id: 1, message: "hello" }],
    ["no update at all", [1, 2]],
    ["no object", "17"],
  ])("%s", async (_, body) => {
    expect(await post(body)).toEqual({ status: 200, body: {} });
  });

  test("what no Telegram sends is refused: no JSON, too large", async () => {
    expect((await post("{")).status).toBe(400);
    expect((await post(`"${"x".repeat(TELEGRAM_UPDATE_MAX_BYTES)}"`)).status).toBe(413);
  });
});

test("an update is not taken while the audit cannot be written, so that it comes again", async () => {
  const { group, admin } = await boundGroup();
  const broken = {
    ...env,
    CHAT_ACCESS: { getByName: () => ({ admit: () => Promise.reject(new Error("no storage")) }) },
  } as unknown as Partial<typeof env>;
  const update = message(group, admin, "/ask do it");
  const settings = {
    ...broken,
    TELEGRAM_BOT_TOKEN: `${BOT}:x`,
    TELEGRAM_WEBHOOK_SECRETS: SECRETS.new,
  };
  const failed = await post(update, { settings });
  expect([failed.status, failed.body]).toEqual([
    503,
    { error: expect.objectContaining({ code: "overloaded" }) as unknown },
  ]);
  await take(update);
  await runAskedBy(admin);
});

describe("a chat", () => {
  test("that is not bound is deaf: to commands, to words, and to strangers who would bind it", async () => {
    const group = newGroup();
    const ada = await person("ada", "run:start", "run:read");
    for (const text of ["/status", "/ask do it", "hello", "/nonsense@codex_flow_bot", "/bind", "/help"])
      expect(await take(message(group, ada, text))).toEqual({});
    expect(await saidIn(group)).toEqual([]);
    expect((await auditOf(ada)).map(({ act, verdict }) => [act, verdict])).toEqual([
      ["/bind", "denied"],
      ["/help", "denied"],
    ]);
    expect(await take(press(group, ada, action("cancel", RUN)))).toMatchObject({
      method: "answerCallbackQuery",
      text: expect.stringContaining("/bind") as unknown,
      show_alert: true,
    });
  });

  test("is bound by an administrator of the bot, and let go again", async () => {
    const { group, admin } = await boundGroup("flows lab");
    expect(await lastWords(group)).toContain("Follows flows: lab");
    await take(message(group, admin, "/runs"));
    expect(await saidIn(group)).toHaveLength(2);
    await take(message(group, admin, "/bind off"));
    await take(message(group, admin, "/runs"));
    expect(await saidIn(group)).toHaveLength(3);
  });

  test("of one user with the bot needs no binding, and a stranger's is deaf", async () => {
    const ada = await person("ada", "run:read");
    const eve = await person("eve");
    const own = (who: Person): Chat => ({ id: who.id, type: "private" });
    await take(message(own(ada), ada, "/runs"));
    await take(message(own(eve), eve, "/runs"));
    expect([await saidIn(own(ada)), await saidIn(own(eve))].map(({ length }) => length)).toEqual([1, 0]);
  });

  test("that becomes a supergroup takes its settings along, once", async () => {
    const { group, admin } = await boundGroup("flows lab");
    await take(message(group, admin, "/settings prompts=on safe=on"));
    const next = newGroup();
    const moved = [
      message(group, admin, "", { more: { text: undefined, migrate_to_chat_id: next.id } }),
      message(next, admin, "", { more: { text: undefined, migrate_from_chat_id: group.id } }),
    ];
    for (const update of [...moved, ...moved]) await take(update);
    await take(message(next, admin, "/settings"));
    expect(await lastWords(next)).toContain("Follows flows: lab");
    const shown = (await saidIn(next)).at(-1)?.fields;
    expect(shown).toContainEqual({ name: "safe mode", value: "on" });
    expect(shown).toContainEqual({ name: "plain messages", value: "prompts" });
    const before = (await saidIn(group)).length;
    await take(message(group, admin, "/runs"));
    expect(await saidIn(group)).toHaveLength(before);
  });
});
