/**
 * Telegram's side of the webhook, for tests inside workerd: updates with the secret, from people who were given scopes, to an
 * edge that has a bot. What the bot would say waits in its outbox, which has no token here, and is read there.
 */
import { createExecutionContext, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect } from "vitest";
import type { ChatMessage } from "../../../contract/chat/message.ts";
import type { ChatScope } from "../../../contract/chat/scopes.ts";
import { CHAT_ACCESS } from "../../../durable-objects/chat-access/naming.ts";
import type { AuditRow } from "../../../durable-objects/chat-access/calls.ts";
import { app } from "../../../worker/app.ts";
import type { Env } from "../../../worker/env.ts";
import { until } from "./api.ts";

export const BOT = "123456789";
export const SECRETS = { old: "old_secret_of_the_webhook", new: "new-secret-of-the-webhook" };
const CONFIGURED: Partial<Env> = {
  TELEGRAM_BOT_TOKEN: `${BOT}:token-of-the-test`,
  TELEGRAM_WEBHOOK_SECRETS: `${SECRETS.old},${SECRETS.new}`,
};

export interface Person {
  id: number;
  username: string;
}

export interface Chat {
  id: number;
  type: "private" | "group" | "supergroup";
}

let serial = 1_000;

function newId(): number {
  serial += 1;
  return serial;
}

/** Somebody new with these scopes. */
export async function person(username: string, ...scopes: ChatScope[]): Promise<Person> {
  const id = newId();
  if (scopes.length > 0)
    await env.CHAT_ACCESS.getByName(CHAT_ACCESS).setGrant(BOT, `user:${id}`, { scopes }, "the test");
  return { id, username };
}

export function newGroup(): Chat {
  return { id: -1_000_000_000_000 - newId(), type: "supergroup" };
}

export interface Posted {
  status: number;
  /** The method that Telegram is asked to call, or an empty object. */
  body: Record<string, unknown>;
}

export interface PostOptions {
  secret?: string | null;
  /** What the Worker is configured with; the bot and both secrets when absent. */
  settings?: Partial<Env>;
  query?: string;
}

/** One request of Telegram's, or of somebody else's. */
export async function post(body: unknown, options: PostOptions = {}): Promise<Posted> {
  const { secret = SECRETS.new, settings = CONFIGURED, query = "?bot=codex_flow_bot" } = options;
  const response = await app.fetch(
    new Request(`https://edge/telegram/webhook${query}`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(secret === null ? {} : { "x-telegram-bot-api-secret-token": secret }),
      },
      body: typeof body === "string" ? body : JSON.stringify(body),
    }),
    { ...env, ...settings },
    createExecutionContext(),
  );
  return { status: response.status, body: await response.json() };
}

export interface SayOptions {
  topic?: number;
  /** Of the message that this one replies to. */
  replyTo?: object;
  /** Other fields of the message. */
  more?: object;
}

/** An update with a message. */
export function message(chat: Chat, from: Person, text: string, { topic, replyTo, more }: SayOptions = {}) {
  return {
    update_id: newId(),
    message: {
      message_id: newId(),
      date: 1_700_000_000,
      chat,
      from: { is_bot: false, first_name: from.username, ...from },
      text,
      ...(topic === undefined ? {} : { message_thread_id: topic, is_topic_message: true }),
      ...(replyTo === undefined ? {} : { reply_to_message: { message_id: newId(), chat, ...replyTo } }),
      ...more,
    },
  };
}

export function press(chat: Chat, from: Person, data: string) {
  return {
    update_id: newId(),
    callback_query: {
      id: String(newId()),
      from: { is_bot: false, first_name: from.username, ...from },
      message: { message_id: newId(), date: 1_700_000_000, chat, text: "card" },
      data,
    },
  };
}

/** Sends an update, which has to be taken. */
export async function take(update: unknown): Promise<Record<string, unknown>> {
  const { status, body } = await post(update);
  expect(status).toBe(200);
  return body;
}

/** What the bot has to say in a chat, oldest first. */
export async function saidIn(chat: Chat): Promise<ChatMessage[]> {
  const outbox = env.CHAT_OUTBOXES.getByName(`telegram:${BOT}`) as unknown as DurableObjectStub;
  return runInDurableObject(outbox, (_instance, state) => {
    const tables = [...state.storage.sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'message'")];
    if (tables.length === 0) return [];
    return [
      ...state.storage.sql.exec<{ wanted: string | null }>(
        "SELECT wanted FROM message WHERE target = ?1 OR target LIKE ?1 || ':%' ORDER BY seq",
        `telegram:${chat.id}`,
      ),
    ].flatMap(({ wanted }) => (wanted === null ? [] : [JSON.parse(wanted) as ChatMessage]));
  });
}

/** The bot's message with this key, as Telegram shows it to who replies. The outbox takes it for sent, and knows its id. */
export async function botMessage(chat: Chat, key: string, text: string): Promise<object> {
  const id = newId();
  const place = `telegram:${chat.id}`;
  const outbox = env.CHAT_OUTBOXES.getByName(`telegram:${BOT}`) as unknown as DurableObjectStub;
  await runInDurableObject(outbox, (_instance, { storage }) => {
    storage.sql.exec(
      "INSERT INTO message (key, seq, class, target, pending, channel, message, posted_ms, created_ms) VALUES (?, 0, 'event', ?, 0, ?, ?, 1, 1)",
      ...[key, place, String(chat.id), String(id)],
    );
  });
  return { message_id: id, from: { id: Number(BOT), is_bot: true }, text };
}

/** The newest of them, in words. */
export async function lastWords(chat: Chat): Promise<string> {
  const last = (await saidIn(chat)).at(-1);
  return last === undefined ? "" : [last.title, ...(last.lines ?? [])].join("\n");
}

/** A group that has been bound by an administrator of the bot. */
export async function boundGroup(...words: string[]): Promise<{ group: Chat; admin: Person }> {
  const admin = await person("root", "admin");
  const group = newGroup();
  await take(message(group, admin, ["/bind", ...words].join(" ")));
  await until(async () => {
    expect(await saidIn(group)).toHaveLength(1);
  });
  return { group, admin };
}

/** What was refused at the door, of this kind. */
export async function refusedAs(act: string): Promise<AuditRow[]> {
  const rows = await env.CHAT_ACCESS.getByName(CHAT_ACCESS).audit({}, undefined, 500);
  return rows.filter((row) => row.act === act && row.platform === "telegram");
}

/** What the audit says of somebody, oldest first. */
export async function auditOf(who: Person): Promise<AuditRow[]> {
  const rows = await env.CHAT_ACCESS.getByName(CHAT_ACCESS).audit({ user: String(who.id) }, undefined, 100);
  return rows.reverse();
}
