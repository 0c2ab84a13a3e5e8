/**
 * Nothing of class final or event is lost or doubled, whatever fails: creations of which nobody knows whether they came
 * through, and the death of the object with messages that wait.
 */
import { describe, expect, test } from "vitest";
import { look, tell } from "./support/chat-fakes.ts";
import { discordPlace, says, telegramPlace, withDiscord, withTelegram } from "./support/outbox.ts";
import { CREATE, ownDiscord, ownTelegram, requestsBy, textsIn } from "./support/own-fakes.ts";

const MINUTE_MS = 60_000;

describe("a message whose creation is in doubt", () => {
  test.each(["done_then_reset", "reset", "done_then_hang", 503, 500] as const)(
    "of Discord, after %s, is there once",
    async (trouble) => {
      const fake = await ownDiscord();
      await tell(fake, { do: "misbehave", order: { route: CREATE, times: 2, with: trouble } });
      await withDiscord(fake, async (outbox) => {
        outbox.delivery.post("a", discordPlace(fake.text), "final", says("a"));
        outbox.delivery.post("b", discordPlace(fake.text), "final", says("b"));
        await outbox.drainAll();
      });
      expect(await textsIn(fake, fake.text)).toEqual(["a", "b"]);
    },
    60_000,
  );

  test.each(["done_then_reset", "reset", 502] as const)(
    "of Telegram, after %s, is there once",
    async (trouble) => {
      const fake = await ownTelegram();
      await withTelegram(fake, async (outbox) => {
        outbox.delivery.post("first", telegramPlace(fake.group), "event", says("first"));
        await outbox.hurry();
        await tell(fake, { do: "misbehave", order: { method: "sendMessage", with: trouble } });
        outbox.delivery.post("a", telegramPlace(fake.group), "final", says("a"));
        outbox.delivery.post("b", telegramPlace(fake.group), "final", says("b"));
        await outbox.hurry();
      });
      expect(await textsIn(fake, fake.group)).toEqual(["first", "a", "b"]);
    },
  );

  test.each([
    ["in a long outage", "done_then_reset", false],
    ["in a long outage, and has not come through", "reset", false],
    ["before the object died, long ago", "done_then_reset", true],
    ["before the object died, long ago, and has not come through", "reset", true],
  ] as const)(
    "of Discord, %s, is there once, also when its nonce is forgotten",
    async (_when, trouble, dies) => {
      const fake = await ownDiscord();
      await withDiscord(fake, async (outbox) => {
        // The same text has been there before: it is not taken for the one in doubt.
        outbox.delivery.post("same", discordPlace(fake.text), "final", says("a"));
        await outbox.hurry();
        await tell(fake, { do: "misbehave", order: { route: CREATE, with: trouble } });
        await tell(fake, { do: "misbehave", order: { route: CREATE, times: 2, with: 503 } });
        outbox.delivery.post("a", discordPlace(fake.text), "final", says("a"));
        outbox.delivery.post("b", discordPlace(fake.text), "final", says("b"));
        await outbox.sender.drain();
        outbox.advance(20 * MINUTE_MS);
        await tell(fake, { do: "advance", ms: 20 * MINUTE_MS });
        if (dies) outbox.restart();
        await outbox.hurry();
      });
      expect(await textsIn(fake, fake.text)).toEqual(["a", "a", "b"]);
    },
  );

  test.each(["done_then_reset", "reset", 503] as const)(
    "of a forum, after %s, is there once",
    async (trouble) => {
      const fake = await ownDiscord();
      await withDiscord(fake, async (outbox) => {
        outbox.delivery.thread("first", discordPlace(fake.forum), "first", says("first"));
        await outbox.hurry();
        await tell(fake, {
          do: "misbehave",
          order: { route: "POST /channels/{channel_id}/threads", with: trouble },
        });
        outbox.delivery.thread("run", discordPlace(fake.forum), "run", says("started"));
        outbox.delivery.post("a", { thread: "run" }, "final", says("a"));
        await outbox.hurry();
      });
      const { threads } = await look(fake);
      expect(threads.map(({ name }) => name)).toEqual(["first", "run"]);
      expect(await textsIn(fake, threads[1]?.id ?? "")).toEqual(["started", "a"]);
    },
  );

  test("of Telegram, when the object dies before it knows", async () => {
    const fake = await ownTelegram();
    await withTelegram(fake, async (outbox) => {
      outbox.delivery.post("first", telegramPlace(fake.group), "event", says("first"));
      await outbox.hurry();
      await tell(fake, { do: "misbehave", order: { method: "sendMessage", with: "done_then_hang" } });
      outbox.delivery.post("a", telegramPlace(fake.group), "final", says("a"));
      outbox.advance(MINUTE_MS);
      void outbox.sender.drain();
      await expect.poll(async () => textsIn(fake, fake.group)).toEqual(["first", "a"]);
      outbox.restart();
      await outbox.hurry();
    });
    expect(await textsIn(fake, fake.group)).toEqual(["first", "a"]);
  });
});

describe("what waits survives", () => {
  test("the death of the object: once, in order, without the waits being forgotten", async () => {
    const fake = await ownDiscord();
    await withDiscord(fake, async (outbox) => {
      await tell(fake, { do: "misbehave", order: { route: CREATE, with: "limited", retryAfter: 40 } });
      for (let n = 0; n < 5; n += 1)
        outbox.delivery.post(`p${n}`, discordPlace(fake.text), "event", says(`${n}`));
      const due = await outbox.sender.drain();
      expect(due).toBeGreaterThan(outbox.now() + 30_000);
      outbox.restart();
      expect(await outbox.sender.drain()).toBe(due);
      expect(await requestsBy(fake, "POST")).toBe(1);
      await outbox.hurry();
    });
    expect(await textsIn(fake, fake.text)).toEqual(["0", "1", "2", "3", "4"]);
  });

  test("a pause that Telegram asked for, for the whole bot and a second longer", async () => {
    const fake = await ownTelegram();
    await withTelegram(fake, async (outbox) => {
      const order = { code: 429, description: "Too Many Requests", parameters: { retry_after: 30 } };
      await tell(fake, { do: "misbehave", order: { with: order } });
      outbox.delivery.post("a", telegramPlace(fake.group), "event", says("a"));
      await outbox.sender.drain();
      outbox.restart();
      outbox.delivery.post("b", telegramPlace(fake.chat), "event", says("b"));
      const due = await outbox.sender.drain();
      expect(due).toBeGreaterThan(outbox.now() + 30_000);
      expect(outbox.sender.status()).toMatchObject({ limited: 1, halted: { code: "429" } });
      expect(await requestsBy(fake, "sendMessage")).toBe(1);
      await outbox.hurry();
    });
    expect(await textsIn(fake, fake.group)).toEqual(["a"]);
    expect(await textsIn(fake, fake.chat)).toEqual(["b"]);
  });

  test("and no token stands in its rows", async () => {
    const fake = await ownDiscord();
    await withDiscord(fake, async (outbox) => {
      await tell(fake, { do: "revoke token" });
      outbox.delivery.post("a", discordPlace(fake.text), "event", says("a"));
      await outbox.sender.drain();
      const rows = ["message", "thread", "barrier"].flatMap((table) =>
        outbox.storage.sql.exec(`SELECT * FROM ${table}`).toArray(),
      );
      expect(rows.length).toBeGreaterThan(1);
      expect(JSON.stringify(rows)).not.toContain(fake.token);
    });
  });
});
