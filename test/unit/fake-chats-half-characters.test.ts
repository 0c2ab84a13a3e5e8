/** Half of a character: the fakes refuse it as the platforms do, written out or escaped. */
import { expect, onTestFinished, test } from "vitest";
import { FakeDiscord, NO_LIMITS } from "../support/fake-discord/index.ts";
import { FakeTelegram, NO_LIMITS as NO_TELEGRAM_LIMITS } from "../support/fake-telegram/index.ts";
import { strictJson } from "../support/chat-fakes/strict-json.ts";

const HALF = '{"text":"a\\ud83d"}';

test("is no JSON; a whole one is", () => {
  expect(() => strictJson(HALF)).toThrow(SyntaxError);
  expect(strictJson('{"text":"a\\ud83d\\ude00"}')).toEqual({ text: "a😀" });
});

test("of Discord's messages, with its code", async () => {
  const fake = await FakeDiscord.start({ limits: NO_LIMITS });
  onTestFinished(() => fake.stop());
  const answer = await fetch(`${fake.apiUrl}/channels/${fake.text.id}/messages`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      authorization: `Bot ${fake.botToken}`,
      "user-agent": "DiscordBot (https://example.org, 1)",
    },
    body: '{"content":"a\\ud83d"}',
  });
  expect(answer.status).toBe(400);
  expect(await answer.json()).toMatchObject({ code: 50109 });
});

test("of Telegram's", async () => {
  const fake = await FakeTelegram.start({ limits: NO_TELEGRAM_LIMITS });
  onTestFinished(() => fake.stop());
  const answer = await fetch(`${fake.apiUrl}/bot${fake.token}/sendMessage`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"chat_id":1,"text":"a\\ud83d"}',
  });
  expect(answer.status).toBe(400);
});
