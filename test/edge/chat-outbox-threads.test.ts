/** Threads, forum posts and topics that cannot be made, are archived or deleted: what was meant for them is there once. */
import { describe, expect, test } from "vitest";
import { addChannels, look, tell } from "./support/chat-fakes.ts";
import { discordPlace, says, telegramPlace, withDiscord, withTelegram } from "./support/outbox.ts";
import { ownDiscord, ownTelegram, textsIn } from "./support/own-fakes.ts";

describe("a thread", () => {
  test("of a text channel takes what was meant for it before it was there, closes when all is out, opens again for more", async () => {
    const fake = await ownDiscord();
    await withDiscord(fake, async (outbox) => {
      const { delivery } = outbox;
      delivery.thread("run", discordPlace(fake.text), "run 1", says("started"));
      delivery.card("run", { thread: "run" }, says("card"));
      delivery.post("a", { thread: "run" }, "event", says("a"));
      delivery.post("b", { thread: "run" }, "final", says("b"));
      delivery.closeThread("run");
      expect(delivery.placeOf("run")).toBeUndefined();
      await outbox.hurry();
      const seen = await look(fake);
      expect(seen.threads).toMatchObject([{ parent: fake.text, name: "run 1", archived: true }]);
      const thread = seen.threads[0]?.id ?? "";
      expect(await textsIn(fake, fake.text)).toEqual(["started"]);
      expect(await textsIn(fake, thread)).toEqual(["a", "b", "card"]);
      expect(outbox.delivery.placeOf("run")).toEqual(discordPlace(fake.text, thread));
      expect(outbox.delivery.anchorOf(discordPlace(fake.text, thread))).toBe("run");
      outbox.restart();
      outbox.delivery.card("run", { thread: "run" }, says("card: done"), { urgent: true });
      await outbox.hurry();
      expect(await textsIn(fake, thread)).toEqual(["a", "b", "card: done"]);
      expect((await look(fake)).threads).toMatchObject([{ archived: true }]);
      expect((await look(fake)).faults).toEqual([]);
    });
  });

  test.each(["done_then_reset", "reset", 500] as const)("is made once, after %s", async (trouble) => {
    const fake = await ownDiscord();
    await tell(fake, {
      do: "misbehave",
      order: { route: "POST /channels/{channel_id}/messages/{message_id}/threads", with: trouble },
    });
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.thread("run", discordPlace(fake.text), "run 1");
      outbox.delivery.post("a", { thread: "run" }, "final", says("a"));
      await outbox.hurry();
    });
    const { threads } = await look(fake);
    expect(threads).toHaveLength(1);
    expect(await textsIn(fake, threads[0]?.id ?? "")).toEqual(["a"]);
  });

  test("of a forum is a post", async () => {
    const fake = await ownDiscord();
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.thread("run", discordPlace(fake.forum), "run 1", says("started"));
      outbox.delivery.post("a", { thread: "run" }, "final", says("a"));
      await outbox.hurry();
    });
    const { threads, faults } = await look(fake);
    expect(threads).toMatchObject([{ parent: fake.forum, name: "run 1" }]);
    expect(await textsIn(fake, threads[0]?.id ?? "")).toEqual(["started", "a"]);
    expect(faults).toEqual([]);
  });

  test("that the bot may not make: the channel itself takes the messages", async () => {
    const fake = await ownDiscord();
    await tell(fake, { do: "deny", channel: fake.text, right: "threads" });
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.thread("run", discordPlace(fake.text), "run 1", says("started"));
      outbox.delivery.post("a", { thread: "run" }, "final", says("a"));
      outbox.delivery.closeThread("run");
      await outbox.hurry();
      expect(outbox.delivery.placeOf("run")).toEqual(discordPlace(fake.text));
      expect(outbox.sender.status().parked).toEqual([]);
    });
    expect(await textsIn(fake, fake.text)).toEqual(["started", "a"]);
  });

  test("that somebody deleted: finals go to the channel", async () => {
    const fake = await ownDiscord();
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.thread("run", discordPlace(fake.text), "run 1", says("started"));
      outbox.delivery.card("run", { thread: "run" }, says("card"));
      await outbox.hurry();
      const [thread] = (await look(fake)).threads;
      await tell(fake, { do: "delete channel", channel: thread?.id ?? "" });
      outbox.delivery.card("run", { thread: "run" }, says("card: done"), { urgent: true });
      outbox.delivery.post("a", { thread: "run" }, "final", says("a"));
      expect(await outbox.sender.drain()).toBeUndefined();
    });
    expect(await textsIn(fake, fake.text)).toEqual(["started", "a"]);
  });

  test("that Discord has archived meanwhile is opened for a card", async () => {
    const fake = await ownDiscord();
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.thread("run", discordPlace(fake.text), "run 1");
      outbox.delivery.card("run", { thread: "run" }, says("card"));
      await outbox.hurry();
      const [thread] = (await look(fake)).threads;
      await tell(fake, { do: "archive", channel: thread?.id ?? "" });
      outbox.delivery.card("run", { thread: "run" }, says("card: done"), { urgent: true });
      await outbox.hurry();
      expect(await textsIn(fake, thread?.id ?? "")).toEqual(["card: done"]);
    });
  });

  test("of Telegram is a topic; a group without topics takes the messages itself", async () => {
    const fake = await ownTelegram();
    const [plain = ""] = await addChannels(fake, 1);
    await withTelegram(fake, async (outbox) => {
      for (const [anchor, chat] of [["one", fake.group] as const, ["two", plain] as const]) {
        outbox.delivery.thread(anchor, telegramPlace(chat), `run ${anchor}`, says("started"));
        outbox.delivery.post(`a ${anchor}`, { thread: anchor }, "final", says("a"));
        outbox.delivery.card(anchor, { thread: anchor }, says("card"));
        outbox.delivery.closeThread(anchor);
      }
      await outbox.hurry();
      const { threads, messages, faults } = await look(fake);
      expect(threads).toMatchObject([{ parent: fake.group, name: "run one", archived: true }]);
      const inGroup = messages.filter(({ channel }) => channel === fake.group);
      expect(inGroup.map(({ topic }) => topic)).toEqual(inGroup.map(() => threads[0]?.id));
      expect(await textsIn(fake, fake.group)).toEqual(["started", "a", "card"]);
      expect(await textsIn(fake, plain)).toEqual(["started", "a", "card"]);
      expect(outbox.delivery.placeOf("two")).toEqual(telegramPlace(plain));
      expect(faults).toEqual([]);
    });
  });
});
