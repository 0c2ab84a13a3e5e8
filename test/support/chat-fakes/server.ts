/**
 * The fake chats for tests inside workerd, which cannot hold them: a server on loopback that starts one for whoever
 * asks and does to it what it is told. One request, one order (`orders.ts`); the answer is JSON.
 */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text as readAll } from "node:stream/consumers";
import type { TestProject } from "vitest/node";
import {
  FakeDiscord,
  NO_LIMITS as DISCORD_UNLIMITED,
  type Options as DiscordOptions,
} from "../fake-discord/index.ts";
import {
  FakeTelegram,
  NO_LIMITS as TELEGRAM_UNLIMITED,
  type Options as TelegramOptions,
} from "../fake-telegram/index.ts";
import { discordOrder, telegramOrder } from "./carry-out.ts";
import type { FakeOrder, StartDiscord, StartTelegram } from "./orders.ts";

/** Vitest's global setup: up before the first test, down after the last. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const discords = new Map<string, FakeDiscord>();
  const telegrams = new Map<string, FakeTelegram>();
  let serial = 0;

  const carryOut = async (order: FakeOrder): Promise<unknown> => {
    if (order.do === "start discord") {
      serial += 1;
      const id = `discord ${serial}`;
      const fake = await FakeDiscord.start(discordOptions(order.options));
      discords.set(id, fake);
      return {
        id,
        url: fake.apiUrl,
        token: fake.botToken,
        app: fake.app.id,
        text: fake.text.id,
        forum: fake.forum.id,
      };
    }
    if (order.do === "start telegram") {
      serial += 1;
      const id = `telegram ${serial}`;
      const fake = await FakeTelegram.start(telegramOptions(order.options));
      telegrams.set(id, fake);
      return {
        id,
        url: fake.apiUrl,
        token: fake.token,
        chat: String(fake.chat.id),
        group: String(fake.group.id),
      };
    }
    const discord = discords.get(order.fake);
    if (discord !== undefined) return await discordOrder(discord, order);
    const telegram = telegrams.get(order.fake);
    if (telegram !== undefined) return await telegramOrder(telegram, order);
    throw new Error(`there is no ${order.fake}`);
  };

  const server = createServer((request, response) => {
    void readAll(request)
      .then(async (body) => carryOut(JSON.parse(body) as FakeOrder))
      .then(
        (answer) => response.end(JSON.stringify(answer ?? null)),
        (error: unknown) => {
          response.statusCode = 500;
          response.end(String(error));
        },
      );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  project.provide("chatFakes", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  return async () => {
    await Promise.all([...discords.values(), ...telegrams.values()].map(async (fake) => fake.stop()));
    server.closeAllConnections();
    server.close();
  };
}

function discordOptions({ limits, ...more }: StartDiscord): DiscordOptions {
  return limits === "none" ? { ...more, limits: DISCORD_UNLIMITED } : { ...more, ...(limits && { limits }) };
}

function telegramOptions({ limits }: StartTelegram): TelegramOptions {
  return limits === "none" ? { limits: TELEGRAM_UNLIMITED } : { ...(limits && { limits }) };
}
