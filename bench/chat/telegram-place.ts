/** Runs in a group of a fake Telegram, a topic for each, or in private chats. */
import { FakeTelegram } from "../../test/support/fake-telegram/index.ts";
import { TALK_TYPE, type Place } from "./place.ts";

const SECRET = "secret_of-the-bench";
const CREATED = ["sendMessage"];
const EDITED = ["editMessageText"];

/** @param privateChats how many; 0: the group, with its topics */
export async function telegramPlace(privateChats: number): Promise<Place> {
  const fake = await FakeTelegram.start();
  const people = Array.from({ length: privateChats }, (_unused, at) => fake.addUser(`person-${at}`));
  const asked =
    people.length === 0
      ? [{ user: fake.alice, chat: fake.group }]
      : people.map((user) => ({ user, chat: fake.addChat("private", user.username, { id: user.id }) }));
  return {
    env: {
      TELEGRAM_BOT_TOKEN: fake.token,
      TELEGRAM_WEBHOOK_SECRETS: SECRET,
      TELEGRAM_ADMINS: asked.map(({ user }) => user.id).join(),
      TELEGRAM_API_URL: fake.apiUrl,
    },
    ask: async (edgeUrl, runs) => {
      fake.useWebhook(`${edgeUrl}/telegram/webhook?bot=${fake.bot.username}`, SECRET);
      if (people.length === 0)
        for (const words of ["/bind", "/settings topics=on"])
          await fake.say(fake.group, fake.alice, words.replace(/^\/\w+/, `$&@${fake.bot.username}`));
      for (let run = 0; run < runs; run += 1) {
        const { chat, user } = asked[run % asked.length] ?? { chat: fake.chat, user: fake.alice };
        await fake.say(chat, user, `/dispatch@${fake.bot.username} ${TALK_TYPE} {}`);
      }
    },
    look: () => {
      const done = fake.requests.filter(({ status }) => status === 200);
      return {
        messages: asked.flatMap(({ chat }) =>
          fake.messages(chat).map(({ plain, createdAtMs }) => ({ text: plain, at: createdAtMs })),
        ),
        created: done.filter(({ method }) => CREATED.includes(method)).length,
        edited: done.filter(({ method }) => EDITED.includes(method)).length,
        published: fake.limited.length,
        hidden: new Map(),
        faults: fake.faults.map(({ rule, message }) => `${rule}: ${message}`),
      };
    },
    stop: () => fake.stop(),
  };
}
