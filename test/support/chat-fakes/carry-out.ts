/** Carries an order out on a fake, and shows what stands there. */
import type { FaultOrder as DiscordFault } from "../fake-discord/faults.ts";
import type { FakeDiscord } from "../fake-discord/index.ts";
import { TEXT } from "../fake-discord/index.ts";
import type { FaultOrder as TelegramFault } from "../fake-telegram/server.ts";
import type { Chat, FakeTelegram } from "../fake-telegram/index.ts";
import type { AnyOrder, SeenChats } from "./orders.ts";

export async function discordOrder(fake: FakeDiscord, order: AnyOrder): Promise<unknown> {
  switch (order.do) {
    case "stop":
      await fake.stop();
      return;
    case "look":
      return seenDiscord(fake);
    case "behave":
      fake.behave();
      return;
    case "drop hanging":
      fake.dropHanging();
      return;
    case "advance":
      fake.advance(order.ms);
      return;
    case "misbehave":
      fake.misbehave(order.order as DiscordFault);
      return;
    case "add channels": {
      const ids = Array.from(
        { length: order.count },
        (_unused, at) => fake.addChannel(TEXT, `runs-${at}`).id,
      );
      addedChannels.set(fake, [...(addedChannels.get(fake) ?? []), ...ids]);
      return ids;
    }
    case "deny":
      fake.deny(fake.channel(order.channel), order.right);
      return;
    case "allow":
      fake.channel(order.channel).denied.delete(order.right);
      return;
    case "delete channel":
      fake.deleteChannel(fake.channel(order.channel));
      return;
    case "delete message":
      fake.message(order.id).deleted = true;
      return;
    case "age message":
      fake.ageMessage(order.id, order.ms);
      return;
    case "archive":
      fake.channel(order.channel).archived = true;
      return;
    case "say":
      return fake.say(fake.channel(order.channel), fake.alice, order.text, { mentionsApp: order.mention }).id;
    case "set roles":
      fake.alice.roles = order.roles;
      return;
    case "promote":
      promote(fake, order);
      return;
    case "revoke token":
      fake.revokeToken();
      return;
    case "set bot":
    case "migrate":
      throw new Error(`Discord knows no ${order.do}`);
  }
}

export async function telegramOrder(fake: FakeTelegram, order: AnyOrder): Promise<unknown> {
  const chatOf = (id: string): Chat => {
    const chat = [fake.chat, fake.group, ...(added.get(fake) ?? [])].find((one) => String(one.id) === id);
    if (chat === undefined) throw new Error(`there is no chat ${id}`);
    return chat;
  };
  switch (order.do) {
    case "stop":
      await fake.stop();
      return;
    case "look":
      return seenTelegram(fake);
    case "behave":
      fake.behave();
      return;
    case "drop hanging":
      fake.dropHanging();
      return;
    case "advance":
      fake.advance(order.ms);
      return;
    case "misbehave":
      fake.misbehave(order.order as TelegramFault);
      return;
    case "add channels": {
      const chats = Array.from({ length: order.count }, (_unused, at) =>
        fake.addChat("supergroup", `runs-${at}`),
      );
      added.set(fake, [...(added.get(fake) ?? []), ...chats]);
      return chats.map(({ id }) => String(id));
    }
    case "delete message":
      fake.message(chatOf(order.channel), Number(order.id)).deleted = true;
      return;
    case "set bot":
      fake.setBot(chatOf(order.chat), order.status);
      return;
    case "migrate": {
      const grown = fake.migrate(chatOf(order.chat));
      added.set(fake, [...(added.get(fake) ?? []), grown]);
      return String(grown.id);
    }
    case "age message":
    case "allow":
    case "say":
    case "set roles":
    case "archive":
    case "delete channel":
    case "deny":
    case "promote":
    case "revoke token":
      throw new Error(`Telegram knows no ${order.do}`);
  }
}

const added = new WeakMap<FakeTelegram, Chat[]>();
const addedChannels = new WeakMap<FakeDiscord, string[]>();

function textsOf(components: unknown): string {
  if (!Array.isArray(components)) return "";
  return (components as { content?: string; components?: unknown }[])
    .map(({ content, components: inner }) =>
      [content ?? "", textsOf(inner)].filter((text) => text !== "").join("\n"),
    )
    .filter((text) => text !== "")
    .join("\n");
}

function buttonsOf(components: unknown): string[] {
  if (!Array.isArray(components)) return [];
  return (components as { custom_id?: string; url?: string; components?: unknown }[]).flatMap(
    ({ custom_id: id, url, components: inner }) => [id ?? url ?? [], buttonsOf(inner)].flat(),
  );
}

function keysOf(keyboard: unknown): string[] {
  const { inline_keyboard: rows = [] } = (keyboard ?? {}) as {
    inline_keyboard?: { callback_data?: string; url?: string }[][];
  };
  return rows.flat().flatMap(({ callback_data: data, url }) => data ?? url ?? []);
}

function promote(fake: FakeDiscord, { role, permissions = "0" }: Extract<AnyOrder, { do: "promote" }>): void {
  const { alice, guild } = fake;
  if (role === undefined) guild.ownerId = alice.id;
  else if (role === "own") alice.roles.push(fake.addRole("own", permissions).id);
  else for (const one of guild.roles) if (one.id === guild.id) one.permissions = permissions;
}

function seenDiscord(fake: FakeDiscord): SeenChats {
  const text = (shown: { content: string; components: unknown }): string =>
    [shown.content, textsOf(shown.components)].filter((part) => part !== "").join("\n");
  const parents = [fake.text.id, fake.forum.id, ...(addedChannels.get(fake) ?? [])];
  const threads = parents.flatMap((id) => fake.threads(id));
  const channels = [...parents, ...threads.map(({ id }) => id)];
  return {
    messages: channels
      .flatMap((id) => fake.messages(id))
      .map((message) => ({
        id: message.id,
        channel: message.channelId,
        text: text(message),
        edits: message.history.length - 1,
        history: message.history.map(text),
        buttons: buttonsOf(message.components),
        rings: message.rings,
      })),
    threads: threads.map(({ id, parentId, name, archived }) => ({
      id,
      parent: parentId ?? "",
      name,
      archived,
    })),
    limited: fake.limited.map(({ hidden, route, major }) => ({ hidden, route, major })),
    faults: fake.faults.map(({ rule, message }) => ({ rule, message })),
    requests: fake.requests.map(({ method, path, status, atMs, headers }) => ({
      method,
      path,
      status: status ?? null,
      atMs,
      userAgent: headers["user-agent"] ?? "",
      token: headers.authorization !== undefined,
    })),
  };
}

function seenTelegram(fake: FakeTelegram): SeenChats {
  const chats = [fake.chat, fake.group, ...(added.get(fake) ?? [])];
  return {
    messages: chats
      .flatMap((chat) => fake.messages(chat))
      .map((message) => ({
        id: String(message.id),
        channel: String(message.chatId),
        text: message.text,
        edits: message.history.length - 1,
        history: message.history.map(({ text }) => text),
        buttons: keysOf(message.keyboard),
        rings: [],
        ...(message.topic === undefined ? {} : { topic: String(message.topic) }),
      })),
    threads: chats.flatMap((chat) =>
      [...chat.topics].map(([id, { name, closed }]) => ({
        id: String(id),
        parent: String(chat.id),
        name,
        archived: closed,
      })),
    ),
    limited: fake.limited.map(({ limit, method, chatId }) => ({
      hidden: false,
      route: `${limit} ${method}`,
      major: String(chatId),
    })),
    faults: fake.faults.map(({ rule, message }) => ({ rule, message })),
    requests: fake.requests.map(({ method, parameters, status, atMs, headers }) => ({
      method,
      path: String(parameters["chat_id"]),
      status: status ?? null,
      atMs,
      userAgent: headers["user-agent"] ?? "",
      token: true,
    })),
  };
}
