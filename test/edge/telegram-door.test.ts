/** Telegram's webhook inside workerd: who is let in, what is not understood, what is not taken, and which chats the bot hears. */
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { ChatPlace } from "../../contract/chat/place.ts";
import { glanceAtSettings } from "../../durable-objects/channel-settings/client.ts";
import { isInUse } from "../../durable-objects/channel-settings/settings.ts";
import type { Env } from "../../worker/env.ts";
import { moveChat } from "../../worker/telegram/chats.ts";
import { lookAtGuard } from "../../worker/chat/guard.ts";
import { TELEGRAM_UPDATE_MAX_BYTES } from "../../contract/limits.ts";
import { until } from "./support/api.ts";
import {
  auditOf,
  refusedAs,
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
    await until(async () => {
      expect(await refusedAs("forged update")).toMatchObject([{ verdict: "denied", tenant: "" }]);
    });
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
    await until(async () => {
      expect((await refusedAs("unreadable update")).map(({ outcome }) => outcome).sort()).toEqual([
        "invalid_json",
        "too_large",
      ]);
      expect(await refusedAs("unknown update")).toMatchObject([{ verdict: "denied" }]);
    });
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
    expect(await take(press(group, ada, action("cancel", RUN)))).toMatchObject({
      method: "answerCallbackQuery",
      text: expect.stringContaining("/bind") as unknown,
      show_alert: true,
    });
    const acts = ["/status", "/ask", "unknown command", "/bind", "/help", "press"];
    // Also those that come again and again.
    for (const text of ["/status", "/help"]) await take(message(group, ada, text));
    expect((await auditOf(ada)).map(({ act, verdict, outcome }) => [act, verdict, outcome])).toEqual(
      acts.map((act) => [act, "denied", "not_bound"]),
    );
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

  test("is deaf after /bind off, also when relays had been let in; whoever says so is told", async () => {
    const { group, admin } = await boundGroup("flows lab");
    const place = { platform: "telegram" as const, channel: String(group.id) };
    await take(message(group, admin, "/codeflow on"));
    await take(message(group, admin, "/codeflow off", { topic: 9 }));
    await take(message(group, admin, "/bind off"));
    expect(await lastWords(group)).toContain("/codeflow was on");
    const said = (await saidIn(group)).length;
    await take(message(group, admin, "/runs"));
    expect(await saidIn(group)).toHaveLength(said);
    expect(await lookAtGuard(env, place, undefined)).toMatchObject({ allowed: false });
    // What was refused to a topic stays refused when the chat is opened again.
    await take(message(group, admin, "/codeflow on"));
    expect(await lookAtGuard(env, { ...place, thread: "9" }, undefined)).toMatchObject({ reason: "off" });
    await take(message(group, admin, "/codeflow off"));
    await take(message(group, admin, "/bind off"));
    expect(await lastWords(group)).not.toContain("/codeflow was on");
  });

  test("of one user with the bot needs no binding, and a stranger's is deaf", async () => {
    const ada = await person("ada", "run:read");
    const eve = await person("eve");
    const own = (who: Person): Chat => ({ id: who.id, type: "private" });
    await take(message(own(ada), ada, "/runs"));
    for (const text of ["/runs", "hello", "/runs"]) await take(message(own(eve), eve, text));
    expect([await saidIn(own(ada)), await saidIn(own(eve))].map(({ length }) => length)).toEqual([1, 0]);
    expect((await auditOf(eve)).map(({ act, verdict }) => [act, verdict])).toEqual([
      ["/runs", "denied"],
      ["message", "denied"],
    ]);
  });

  test("of somebody whom Telegram does not name: nothing is done, and it is written down", async () => {
    const { group, admin } = await boundGroup();
    const anonymous = { sender_chat: { id: group.id, type: "supergroup" } };
    const said = (await saidIn(group)).length;
    expect(await take(message(group, admin, "/ask do it", { more: anonymous }))).toEqual({});
    await take(message(group, admin, "hello all", { more: anonymous }));
    expect(await saidIn(group)).toHaveLength(said);
    const place = `telegram:${group.id}`;
    expect((await refusedAs("/ask")).filter((row) => row.place === place)).toMatchObject([
      { verdict: "denied", outcome: "anonymous", user: { name: "anonymous" } },
    ]);
    expect((await refusedAs("message")).filter((row) => row.place === place)).toEqual([]);
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

describe("a group that becomes a supergroup", () => {
  const chat = ({ id }: Chat): ChatPlace => ({ platform: "telegram", channel: String(id) });

  /** An edge whose n-th call to a channel's settings is its last one. */
  function dyingAt(last: number, when: "before" | "after"): Env {
    let calls = 0;
    const { CHANNEL_SETTINGS: real } = env;
    const get = (id: DurableObjectId) => {
      const stub = real.get(id);
      return {
        fetch: async (request: Request): Promise<Response> => {
          calls += 1;
          if (calls > last || (calls === last && when === "before")) throw new Error("died");
          const response = await stub.fetch(request);
          if (calls === last) throw new Error("died");
          return response;
        },
      };
    };
    const idFromName = (name: string): DurableObjectId => real.idFromName(name);
    return { ...env, CHANNEL_SETTINGS: { idFromName, get } } as unknown as Env;
  }

  test("loses nothing on the way, wherever the moving of its settings is cut off", async () => {
    const deaths: string[] = [];
    for (let call = 1; call <= 9; call += 1)
      for (const when of ["before", "after"] as const) {
        const { group, admin } = await boundGroup("flows lab");
        await take(message(group, admin, "/settings prompts=on safe=on project=shop"));
        for (const text of ["/codeflow on", "/codeflow off"])
          await take(message(group, admin, text, text.endsWith("off") ? { topic: 9 } : {}));
        const [from, to] = [chat(group), chat(newGroup())];
        const whole = await glanceAtSettings(env, from);
        const cutOff = await moveChat(dyingAt(call, when), from, to).then(
          () => false,
          () => true,
        );
        if (cutOff) deaths.push(`${when} ${call}`);
        await Promise.all([moveChat(env, from, to), moveChat(env, from, to)]);
        await moveChat(env, from, to);
        const { followsRev: _rev, toldRev: _told, ...moved } = whole;
        expect(await glanceAtSettings(env, to), `${when} ${call}`).toMatchObject(moved);
        expect(isInUse(await glanceAtSettings(env, from))).toBe(false);
      }
    expect(deaths.length).toBeGreaterThan(8);
  });

  test("keeps what was said in the new one meanwhile, and is bound there only if it was", async () => {
    const { group, admin } = await boundGroup("flows lab");
    await take(message(group, admin, "/settings safe=on"));
    const next = newGroup();
    await take(message(next, admin, "/bind flows release"));
    await take(message(next, admin, "/settings output=minimal"));
    await moveChat(env, chat(group), chat(next));
    expect(await glanceAtSettings(env, chat(next))).toMatchObject({
      bound: true,
      flows: ["release", "lab"],
      safe: false,
      output: "minimal",
    });
    const [relayed, moved] = [newGroup(), newGroup()];
    await take(message(relayed, admin, "/codeflow on"));
    await moveChat(env, chat(relayed), chat(moved));
    expect(await glanceAtSettings(env, chat(moved))).toMatchObject({ bound: false, guards: [{ on: true }] });
  });
});
