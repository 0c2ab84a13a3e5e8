/** A fake chat as a test inside workerd has it: by orders to the server that holds it (test/support/chat-fakes). */
import { inject } from "vitest";
import type {
  AnyOrder,
  FakeOrder,
  SeenChats,
  SeenMessage,
  StartDiscord,
  StartTelegram,
} from "../../support/chat-fakes/orders.ts";

async function send(order: FakeOrder): Promise<unknown> {
  const answer = await fetch(inject("chatFakes"), { method: "POST", body: JSON.stringify(order) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${order.do}: ${text}`);
  return JSON.parse(text);
}

export interface DiscordFake {
  id: string;
  url: string;
  token: string;
  app: string;
  text: string;
  forum: string;
}

export interface TelegramFake {
  id: string;
  url: string;
  token: string;
  chat: string;
  group: string;
}

export async function startDiscord(options: StartDiscord = {}): Promise<DiscordFake> {
  return (await send({ do: "start discord", options })) as DiscordFake;
}

export async function startTelegram(options: StartTelegram = {}): Promise<TelegramFake> {
  return (await send({ do: "start telegram", options })) as TelegramFake;
}

export async function tell(fake: { id: string }, order: AnyOrder): Promise<unknown> {
  return send({ fake: fake.id, ...order });
}

export async function look(fake: { id: string }): Promise<SeenChats> {
  return (await tell(fake, { do: "look" })) as SeenChats;
}

export async function addChannels(fake: { id: string }, count: number): Promise<string[]> {
  return (await tell(fake, { do: "add channels", count })) as string[];
}

/** Messages of a channel, oldest first. */
export function inChannel(seen: SeenChats, channel: string): SeenMessage[] {
  return seen.messages.filter((message) => message.channel === channel);
}
