/**
 * A delivery on the storage of a real object, with a clock that a test may move: what a ChatOutbox does, but for the
 * object around it. `restart` is what a crash leaves: the rows and nothing else.
 */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { ChatMessage } from "../../../contract/chat/message.ts";
import type { ChatPlace } from "../../../contract/chat/place.ts";
import { Delivery } from "../../../durable-objects/chat-outbox/delivery/delivery.ts";
import type { Platform } from "../../../durable-objects/chat-outbox/delivery/platform.ts";
import { DeliveryRows } from "../../../durable-objects/chat-outbox/delivery/rows.ts";
import { Sender } from "../../../durable-objects/chat-outbox/delivery/sender.ts";
import { discordPlatform } from "../../../durable-objects/chat-outbox/discord/platform.ts";
import { telegramPlatform } from "../../../durable-objects/chat-outbox/telegram/platform.ts";
import type { DiscordFake, TelegramFake } from "./chat-fakes.ts";

export class TestOutbox {
  readonly storage: DurableObjectStorage;
  readonly #platform: Platform;
  #aheadMs = 0;
  #token = "fingerprint";
  #lacks: string | undefined;
  rows: DeliveryRows;
  delivery: Delivery;
  sender: Sender;

  constructor(storage: DurableObjectStorage, platform: Platform) {
    this.storage = storage;
    this.#platform = platform;
    this.rows = new DeliveryRows(storage);
    this.delivery = new Delivery(this.rows, platform, this.now);
    this.sender = this.#newSender();
  }

  readonly now = (): number => Date.now() + this.#aheadMs;

  advance(ms: number): void {
    this.#aheadMs += ms;
  }

  /** Another life of the object; `token`: with another token of the bot; `lacks`: without any. */
  restart(token = this.#token, lacks?: string): void {
    this.#token = token;
    this.#lacks = lacks;
    this.rows = new DeliveryRows(this.storage);
    this.delivery = new Delivery(this.rows, this.#platform, this.now);
    this.sender = this.#newSender();
  }

  #newSender(): Sender {
    return new Sender({
      rows: this.rows,
      platform: this.#platform,
      fingerprint: this.#token,
      now: this.now,
      ...(this.#lacks === undefined ? {} : { lacks: this.#lacks }),
    });
  }

  /** Until nothing waits; waits as the alarm would. */
  async drainAll(): Promise<void> {
    for (;;) {
      const due = await this.sender.drain();
      if (due === undefined) return;
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - this.now())));
    }
  }

  /** The same, but the clock jumps over every wait. */
  async hurry(): Promise<void> {
    for (;;) {
      const due = await this.sender.drain();
      if (due === undefined) return;
      this.advance(Math.max(0, due - this.now()));
    }
  }
}

let serial = 0;

async function withStorage(
  name: string,
  platform: Platform,
  act: (outbox: TestOutbox) => Promise<void>,
): Promise<void> {
  serial += 1;
  const stub = env.CHAT_OUTBOXES.getByName(`${name}:test-${serial}`) as unknown as DurableObjectStub;
  await runInDurableObject(stub, async (_instance, state) => {
    await act(new TestOutbox(state.storage, platform));
  });
}

export async function withDiscord(
  fake: DiscordFake,
  act: (outbox: TestOutbox) => Promise<void>,
): Promise<void> {
  await withStorage("discord", discordPlatform(fake), act);
}

export async function withTelegram(
  fake: TelegramFake,
  act: (outbox: TestOutbox) => Promise<void>,
): Promise<void> {
  await withStorage("telegram", telegramPlatform(fake), act);
}

export function discordPlace(channel: string, thread?: string): ChatPlace {
  return { platform: "discord", channel, ...(thread === undefined ? {} : { thread }) };
}

export function telegramPlace(channel: string, thread?: string): ChatPlace {
  return { platform: "telegram", channel, ...(thread === undefined ? {} : { thread }) };
}

export function says(title: string, tone: ChatMessage["tone"] = "neutral"): ChatMessage {
  return { tone, title };
}
