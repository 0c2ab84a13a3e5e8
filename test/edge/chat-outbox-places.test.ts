/** A message for a thread that people have made, and have locked, closed or deleted: it is read in the channel, or its loss is shown. */
import { expect, test } from "vitest";
import { look, tell } from "./support/chat-fakes.ts";
import { CREATE, ownDiscord, ownTelegram, textsIn } from "./support/own-fakes.ts";
import { discordPlace, says, telegramPlace, withDiscord, withTelegram } from "./support/outbox.ts";

const DAY_MS = 86_400_000;

test.each(["not there", "closed"])(
  "of a topic that is %s the end of a run is read in the group, its card is not",
  async (state) => {
    const fake = await ownTelegram();
    await withTelegram(fake, async (outbox) => {
      if (state === "closed") {
        outbox.delivery.thread("topic", telegramPlace(fake.group), "topic");
        await outbox.hurry();
        outbox.delivery.closeThread("topic");
        await outbox.hurry();
        await tell(fake, { do: "set bot", chat: fake.group, status: "member" });
      }
      const topic = outbox.delivery.placeOf("topic") ?? telegramPlace(fake.group, "77");
      outbox.delivery.post("question", topic, "event", says("may it?"));
      outbox.delivery.post("end", topic, "final", says("it is over"));
      outbox.delivery.card("card", topic, says("running"));
      await outbox.hurry();
      expect(outbox.sender.status()).toMatchObject({ waiting: { final: 0, event: 0, state: 0 }, parked: [] });
    });
    expect(await textsIn(fake, fake.group)).toEqual(["may it?", "it is over"]);
  },
);

test("a thread of Discord's that is locked: its channel takes what is new, but for cards", async () => {
  const fake = await ownDiscord();
  await withDiscord(fake, async (outbox) => {
    const thread = discordPlace(fake.text, "4711");
    const locked = { status: 400, code: 50083, message: "Thread is archived" };
    await tell(fake, { do: "misbehave", order: { route: CREATE, with: locked } });
    outbox.delivery.card("card", thread, says("running"));
    await outbox.hurry();
    await tell(fake, { do: "misbehave", order: { route: CREATE, with: locked } });
    outbox.delivery.post("end", thread, "final", says("it is over"));
    await outbox.hurry();
    expect(outbox.sender.status().waiting).toEqual({ final: 0, event: 0, state: 0 });
  });
  expect(await textsIn(fake, fake.text)).toEqual(["it is over"]);
});

test("a thread of Discord's that is deleted: its channel takes all that comes, also later, and after a restart", async () => {
  const fake = await ownDiscord();
  await withDiscord(fake, async (outbox) => {
    outbox.delivery.thread("made", discordPlace(fake.text), "made", says("begin"));
    await outbox.hurry();
    const id = (await look(fake)).threads[0]?.id ?? "";
    await tell(fake, { do: "delete channel", channel: id });
    const thread = discordPlace(fake.text, id);
    outbox.delivery.card("card", thread, says("running"));
    outbox.delivery.post("end", thread, "final", says("it is over"));
    outbox.delivery.post("more", thread, "event", says("one more"));
    await outbox.hurry();
    outbox.restart();
    outbox.delivery.post("late", thread, "event", says("late"));
    await outbox.hurry();
    expect(outbox.sender.status().waiting).toEqual({ final: 0, event: 0, state: 0 });
  });
  expect(await textsIn(fake, fake.text)).toEqual(["begin", "it is over", "one more", "late"]);
});

test("a channel that is deleted takes nothing of its threads", async () => {
  const fake = await ownDiscord();
  await withDiscord(fake, async (outbox) => {
    await tell(fake, { do: "delete channel", channel: fake.text });
    outbox.delivery.post("end", discordPlace(fake.text, "4711"), "final", says("it is over"));
    await outbox.hurry();
    expect(outbox.sender.status()).toMatchObject({
      waiting: { final: 0 },
      parked: [{ code: "10003" }, { code: "10003" }],
    });
  });
});

test("the general topic is closed: the message stays behind with the reason, which is shown for a day", async () => {
  const fake = await ownTelegram();
  await withTelegram(fake, async (outbox) => {
    const fault = { code: 400, description: "Bad Request: TOPIC_CLOSED" };
    await tell(fake, { do: "misbehave", order: { method: "sendMessage", with: fault } });
    outbox.delivery.post("end", telegramPlace(fake.group), "final", says("it is over"));
    outbox.delivery.post("next", telegramPlace(fake.group), "event", says("next"));
    await outbox.hurry();
    expect(outbox.sender.status().parked).toMatchObject([
      { place: `telegram:${fake.group}`, code: "thread_closed" },
    ]);
    outbox.advance(DAY_MS);
    expect(outbox.sender.status().parked).toEqual([]);
  });
  expect(await textsIn(fake, fake.group)).toEqual(["next"]);
});

test("a message that shows nothing but an empty fence is no reason for Telegram to refuse it", async () => {
  const fake = await ownTelegram();
  await withTelegram(fake, async (outbox) => {
    const message = { tone: "neutral", title: "", lines: ["```", "", "```"] } as const;
    outbox.delivery.post("empty", telegramPlace(fake.group), "event", {
      ...message,
      lines: [...message.lines],
    });
    outbox.delivery.post("blank", telegramPlace(fake.group), "event", {
      ...{ tone: "neutral", title: "", code: { text: " \n " } },
    });
    await outbox.hurry();
    expect(outbox.sender.status().parked).toEqual([]);
  });
  expect((await look(fake)).messages).toHaveLength(2);
});

test("a message to a forum that says 50024, and has no title, is a post of its own", async () => {
  const fake = await ownDiscord();
  await withDiscord(fake, async (outbox) => {
    const refusal = { status: 400, code: 50024, message: "Cannot execute action on this channel type" };
    await tell(fake, { do: "misbehave", order: { route: CREATE, with: refusal } });
    outbox.delivery.post("a", discordPlace(fake.forum), "event", { ...says(""), lines: ["hello"] });
    await outbox.hurry();
  });
  const seen = await look(fake);
  expect(seen.threads).toMatchObject([{ parent: fake.forum, name: "run" }]);
  expect(seen.faults).toEqual([]);
});
