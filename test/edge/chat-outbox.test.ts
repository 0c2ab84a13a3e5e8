/**
 * What the outbox promises, against a Discord and a Telegram that fail, forget and refuse: nothing of class final or
 * event is lost or doubled while its channel lives, and the last state of every card is right.
 */
import { afterEach, describe, expect, test } from "vitest";
import { addChannels, inChannel, look, startDiscord, startTelegram, tell } from "./support/chat-fakes.ts";
import type { DiscordFake, TelegramFake } from "./support/chat-fakes.ts";
import { discordPlace, says, telegramPlace, withDiscord, withTelegram } from "./support/outbox.ts";
import type { TestOutbox } from "./support/outbox.ts";

const CREATE = "POST /channels/{channel_id}/messages";
const EDIT = "PATCH /channels/{channel_id}/messages/{message_id}";
const MINUTE_MS = 60_000;

const started: { id: string }[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map(async (fake) => tell(fake, { do: "stop" })));
});

async function discord(): Promise<DiscordFake> {
  const fake = await startDiscord({ limits: "none" });
  started.push(fake);
  return fake;
}

async function telegram(): Promise<TelegramFake> {
  const fake = await startTelegram({ limits: "none" });
  started.push(fake);
  return fake;
}

/** Texts of a channel, without markup. */
async function texts(fake: { id: string }, channel: string): Promise<string[]> {
  return inChannel(await look(fake), channel).map(({ text }) =>
    text.replaceAll(/<[^>]*>|[^\x20-\x7e\n]/g, "").replace(/^[# ]+/, ""),
  );
}

async function requests(fake: { id: string }, method: string): Promise<number> {
  return (await look(fake)).requests.filter((request) => request.method === method).length;
}

describe("a message whose creation is in doubt", () => {
  test.each(["done_then_reset", "reset", "done_then_hang", 503, 500] as const)(
    "of Discord, after %s, is there once",
    async (trouble) => {
      const fake = await discord();
      await tell(fake, { do: "misbehave", order: { route: CREATE, times: 2, with: trouble } });
      await withDiscord(fake, async (outbox) => {
        outbox.delivery.post("a", discordPlace(fake.text), "final", says("a"));
        outbox.delivery.post("b", discordPlace(fake.text), "final", says("b"));
        await outbox.drainAll();
      });
      expect(await texts(fake, fake.text)).toEqual(["a", "b"]);
    },
    60_000,
  );

  test.each(["done_then_reset", "reset", 502] as const)(
    "of Telegram, after %s, is there once",
    async (trouble) => {
      const fake = await telegram();
      await withTelegram(fake, async (outbox) => {
        outbox.delivery.post("first", telegramPlace(fake.group), "event", says("first"));
        await outbox.hurry();
        await tell(fake, { do: "misbehave", order: { method: "sendMessage", with: trouble } });
        outbox.delivery.post("a", telegramPlace(fake.group), "final", says("a"));
        outbox.delivery.post("b", telegramPlace(fake.group), "final", says("b"));
        await outbox.hurry();
      });
      expect(await texts(fake, fake.group)).toEqual(["first", "a", "b"]);
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
      const fake = await discord();
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
      expect(await texts(fake, fake.text)).toEqual(["a", "a", "b"]);
    },
  );

  test.each(["done_then_reset", "reset", 503] as const)(
    "of a forum, after %s, is there once",
    async (trouble) => {
      const fake = await discord();
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
      expect(await texts(fake, threads[1]?.id ?? "")).toEqual(["started", "a"]);
    },
  );

  test("of Telegram, when the object dies before it knows", async () => {
    const fake = await telegram();
    await withTelegram(fake, async (outbox) => {
      outbox.delivery.post("first", telegramPlace(fake.group), "event", says("first"));
      await outbox.hurry();
      await tell(fake, { do: "misbehave", order: { method: "sendMessage", with: "done_then_hang" } });
      outbox.delivery.post("a", telegramPlace(fake.group), "final", says("a"));
      outbox.advance(MINUTE_MS);
      void outbox.sender.drain();
      await expect.poll(async () => texts(fake, fake.group)).toEqual(["first", "a"]);
      outbox.restart();
      await outbox.hurry();
    });
    expect(await texts(fake, fake.group)).toEqual(["first", "a"]);
  });
});

describe("what waits survives", () => {
  test("the death of the object: once, in order, without the waits being forgotten", async () => {
    const fake = await discord();
    await withDiscord(fake, async (outbox) => {
      await tell(fake, { do: "misbehave", order: { route: CREATE, with: "limited", retryAfter: 40 } });
      for (let n = 0; n < 5; n += 1)
        outbox.delivery.post(`p${n}`, discordPlace(fake.text), "event", says(`${n}`));
      const due = await outbox.sender.drain();
      expect(due).toBeGreaterThan(outbox.now() + 30_000);
      outbox.restart();
      expect(await outbox.sender.drain()).toBe(due);
      expect(await requests(fake, "POST")).toBe(1);
      await outbox.hurry();
    });
    expect(await texts(fake, fake.text)).toEqual(["0", "1", "2", "3", "4"]);
  });

  test("a pause that Telegram asked for, for the whole bot and a second longer", async () => {
    const fake = await telegram();
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
      expect(await requests(fake, "sendMessage")).toBe(1);
      await outbox.hurry();
    });
    expect(await texts(fake, fake.group)).toEqual(["a"]);
    expect(await texts(fake, fake.chat)).toEqual(["b"]);
  });

  test("and no token stands in its rows", async () => {
    const fake = await discord();
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

describe("when nothing can be sent", () => {
  test("because the address is blocked, it waits 30 s, doubling, says so, and sends in the end", async () => {
    const fake = await discord();
    await tell(fake, { do: "misbehave", order: { times: 3, with: "blocked" } });
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.post("a", discordPlace(fake.text), "final", says("a"));
      for (const seconds of [30, 60, 120]) {
        const due = (await outbox.sender.drain()) ?? 0;
        expect(Math.round((due - outbox.now()) / 1000)).toBe(seconds);
        expect(outbox.sender.status().halted).toMatchObject({ code: "ip_blocked", until: due });
        outbox.restart();
        outbox.advance(due - outbox.now());
      }
      await outbox.hurry();
      expect(outbox.sender.status()).not.toHaveProperty("halted");
    });
    expect(await texts(fake, fake.text)).toEqual(["a"]);
  });

  test("because the token is refused, all stops; another token is tried at once", async () => {
    const fake = await discord();
    await tell(fake, { do: "misbehave", order: { with: 401 } });
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.post("a", discordPlace(fake.text), "final", says("a"));
      await outbox.sender.drain();
      outbox.delivery.post("b", discordPlace(fake.text), "final", says("b"));
      await outbox.sender.drain();
      outbox.restart();
      await outbox.sender.drain();
      expect(await requests(fake, "POST")).toBe(1);
      const { halted } = outbox.sender.status();
      expect(halted).toMatchObject({ code: "401" });
      expect(halted).not.toHaveProperty("until");
      outbox.restart("another token");
      await outbox.hurry();
    });
    expect(await texts(fake, fake.text)).toEqual(["a", "b"]);
  });

  test("because a thousand requests were refused, until the ten minutes are over", async () => {
    const fake = await discord();
    await withDiscord(fake, async (outbox) => {
      const at = outbox.now();
      outbox.rows.putBarrier("invalid", { since: at, count: 999 });
      outbox.restart();
      await tell(fake, { do: "misbehave", order: { with: { status: 403, code: 50013, message: "no" } } });
      outbox.delivery.post("a", discordPlace(fake.text), "final", says("a"));
      const due = await outbox.sender.drain();
      expect(outbox.sender.status().halted).toMatchObject({
        code: "too_many_invalid",
        until: at + 10 * MINUTE_MS,
      });
      expect(due).toBeGreaterThanOrEqual(at + 10 * MINUTE_MS);
      await outbox.hurry();
    });
    expect(await texts(fake, fake.text)).toEqual(["a"]);
  });
});

describe("a target that is", () => {
  test("forbidden is parked with its reason, the others go on, and it gets all once it is allowed", async () => {
    const fake = await discord();
    const [other = ""] = await addChannels(fake, 1);
    await tell(fake, { do: "deny", channel: fake.text, right: "send" });
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.post("a", discordPlace(fake.text), "final", says("a"));
      outbox.delivery.post("b", discordPlace(fake.text), "final", says("b"));
      outbox.delivery.post("c", discordPlace(other), "final", says("c"));
      const due = (await outbox.sender.drain()) ?? 0;
      expect(await texts(fake, other)).toEqual(["c"]);
      expect(outbox.sender.status().parked).toMatchObject([
        { place: `discord:${fake.text}`, code: "50013", waiting: 2 },
      ]);
      outbox.restart();
      expect(await outbox.sender.drain()).toBe(due);
      await tell(fake, { do: "allow", channel: fake.text, right: "send" });
      await outbox.hurry();
      expect(outbox.sender.status().parked).toEqual([]);
    });
    expect(await texts(fake, fake.text)).toEqual(["a", "b"]);
  });

  test("gone is dropped with what waits for it", async () => {
    const fake = await discord();
    const [gone = ""] = await addChannels(fake, 1);
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.post("a", discordPlace(gone), "event", says("a"));
      outbox.delivery.post("b", discordPlace(gone), "event", says("b"));
      outbox.delivery.card("run", discordPlace(gone), says("card"));
      outbox.delivery.post("c", discordPlace(fake.text), "event", says("c"));
      await tell(fake, { do: "delete channel", channel: gone });
      expect(await outbox.sender.drain()).toBeUndefined();
      expect(outbox.sender.status().waiting).toEqual({ final: 0, event: 0, state: 0 });
      expect(outbox.sender.status().parked).toMatchObject([{ code: "10003", waiting: 0 }]);
    });
    expect(await texts(fake, fake.text)).toEqual(["c"]);
    expect(await requests(fake, "POST")).toBeLessThanOrEqual(3);
  });

  test("moved: a group of Telegram's that grew gets its messages under the new id", async () => {
    const fake = await telegram();
    const [group = ""] = await addChannels(fake, 1);
    await withTelegram(fake, async (outbox) => {
      const grown = (await tell(fake, { do: "migrate", chat: group })) as string;
      outbox.delivery.post("a", telegramPlace(group), "final", says("a"));
      await outbox.hurry();
      outbox.restart();
      outbox.delivery.post("b", telegramPlace(group), "final", says("b"));
      await outbox.hurry();
      expect(await texts(fake, grown)).toEqual(["a", "b"]);
    });
  });
});

test("a message that is refused for what it is stays behind, with its body, and the next ones go on", async () => {
  const fake = await discord();
  const order = { route: CREATE, with: { status: 400, code: 50035, message: "Invalid Form Body" } };
  await tell(fake, { do: "misbehave", order });
  await withDiscord(fake, async (outbox) => {
    outbox.delivery.post("a", discordPlace(fake.text), "final", says("a"));
    outbox.delivery.post("b", discordPlace(fake.text), "final", says("b"));
    await outbox.hurry();
    expect(outbox.sender.status().parked).toMatchObject([{ code: "50035", waiting: 1 }]);
    expect(outbox.rows.message("post:a")?.wanted).toEqual(says("a"));
  });
  expect(await texts(fake, fake.text)).toEqual(["b"]);
});

describe("a card", () => {
  const place = (fake: DiscordFake) => discordPlace(fake.text);

  async function shownCard(outbox: TestOutbox, fake: DiscordFake): Promise<string> {
    outbox.delivery.card("run", place(fake), says("state 0"));
    await outbox.hurry();
    return inChannel(await look(fake), fake.text)[0]?.id ?? "";
  }

  test("is edited at its pace, shows its newest state, and a change of state waits for nothing", async () => {
    const fake = await discord();
    await withDiscord(fake, async (outbox) => {
      await shownCard(outbox, fake);
      outbox.delivery.card("run", place(fake), says("state 1"));
      const due = (await outbox.sender.drain()) ?? 0;
      expect(due).toBeGreaterThan(outbox.now() + 2_000);
      outbox.delivery.card("run", place(fake), says("state 2"));
      outbox.delivery.card("run", place(fake), says("state 3"), { urgent: true });
      expect(await outbox.sender.drain()).toBeUndefined();
    });
    expect(inChannel(await look(fake), fake.text)).toMatchObject([
      { text: "### state 3", history: ["### state 0", "### state 3"] },
    ]);
  });

  test("that did not change costs no request and no row", async () => {
    const fake = await discord();
    await withDiscord(fake, async (outbox) => {
      await shownCard(outbox, fake);
      const written = outbox.rows.message("card:run");
      outbox.delivery.card("run", place(fake), says("state 0"), { urgent: true });
      expect(outbox.rows.message("card:run")).toEqual(written);
      outbox.delivery.card("run", place(fake), says("state 1"));
      outbox.delivery.card("run", place(fake), says("state 0"));
      await outbox.hurry();
    });
    expect(await requests(fake, "PATCH")).toBe(0);
  });

  test("is made anew before it is an hour old, and the old one goes", async () => {
    const fake = await discord();
    await withDiscord(fake, async (outbox) => {
      const first = await shownCard(outbox, fake);
      outbox.advance(54 * MINUTE_MS);
      outbox.delivery.card("run", place(fake), says("state 1"));
      await outbox.hurry();
      expect(inChannel(await look(fake), fake.text).map(({ id }) => id)).toEqual([first]);
      outbox.advance(2 * MINUTE_MS);
      outbox.delivery.card("run", place(fake), says("state 2"));
      await outbox.hurry();
      const seen = inChannel(await look(fake), fake.text);
      expect(seen.map(({ text }) => text)).toEqual(["### state 2"]);
      expect(seen[0]?.id).not.toBe(first);
    });
  });

  test("that somebody deleted is made anew with its newest state", async () => {
    const fake = await discord();
    await withDiscord(fake, async (outbox) => {
      const first = await shownCard(outbox, fake);
      await tell(fake, { do: "delete message", channel: fake.text, id: first });
      outbox.delivery.card("run", place(fake), says("state 1"), { urgent: true });
      await outbox.hurry();
    });
    expect(await texts(fake, fake.text)).toEqual(["state 1"]);
  });

  test("that is too old to be edited so often is made anew", async () => {
    const fake = await discord();
    await withDiscord(fake, async (outbox) => {
      await shownCard(outbox, fake);
      await tell(fake, {
        do: "misbehave",
        order: { route: EDIT, with: { status: 429, code: 30046, message: "Maximum number of edits" } },
      });
      outbox.delivery.card("run", place(fake), says("state 1"), { urgent: true });
      await outbox.hurry();
    });
    expect(await texts(fake, fake.text)).toEqual(["state 1"]);
  });

  test("that changes while it is being sent shows the change in the end", async () => {
    const fake = await discord();
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.card("run", place(fake), says("state 0"));
      const draining = outbox.sender.drain();
      outbox.delivery.card("run", place(fake), says("state 1"), { urgent: true });
      await draining;
      await outbox.hurry();
    });
    expect(await texts(fake, fake.text)).toEqual(["state 1"]);
  });
});

describe("a post", () => {
  test("is rewritten, before it is out and after; a change that changes nothing is not sent", async () => {
    const fake = await discord();
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.post("a", discordPlace(fake.text), "event", says("approve?"));
      expect(outbox.delivery.rewrite("a", says("approved early"))).toBe(true);
      await outbox.hurry();
      expect(await texts(fake, fake.text)).toEqual(["approved early"]);
      outbox.delivery.rewrite("a", says("approved"));
      outbox.delivery.rewrite("a", says("approved by ada"));
      outbox.restart();
      await outbox.hurry();
      outbox.delivery.rewrite("a", says("approved by ada"));
      await outbox.hurry();
      expect(outbox.delivery.rewrite("unknown", says("x"))).toBe(false);
    });
    expect(await texts(fake, fake.text)).toEqual(["approved by ada"]);
    expect(await requests(fake, "PATCH")).toBe(1);
  });

  test("that somebody deleted stays deleted when it is rewritten", async () => {
    const fake = await discord();
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.post("a", discordPlace(fake.text), "event", says("approve?"));
      await outbox.hurry();
      const [{ id } = { id: "" }] = inChannel(await look(fake), fake.text);
      await tell(fake, { do: "delete message", channel: fake.text, id });
      outbox.delivery.rewrite("a", says("approved"));
      expect(await outbox.sender.drain()).toBeUndefined();
    });
    expect(await texts(fake, fake.text)).toEqual([]);
  });

  test("that is long is several messages, behind each other, and is rewritten as a whole", async () => {
    const fake = await discord();
    const lines = Array.from({ length: 200 }, (_unused, at) => `line ${at} ${"x".repeat(50)}`);
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.post("long", discordPlace(fake.text), "final", { tone: "good", title: "long", lines });
      outbox.delivery.post("next", discordPlace(fake.text), "final", says("next"));
      await outbox.hurry();
      const seen = await texts(fake, fake.text);
      expect(seen.length).toBeGreaterThan(3);
      expect(seen.at(-1)).toBe("next");
      expect(seen.join("\n").match(/line \d+/g)).toEqual(lines.map((_line, at) => `line ${at}`));
      outbox.delivery.rewrite("long", says("short"));
      await outbox.hurry();
      expect((await texts(fake, fake.text))[0]).toBe("short");
    });
    expect((await look(fake)).faults).toEqual([]);
  });

  test("rings whom it mentions, once; what is changed later rings nobody", async () => {
    const fake = await discord();
    await withDiscord(fake, async (outbox) => {
      const message = { ...says("@everyone <@12>"), mention: ["34"] };
      outbox.delivery.post("a", discordPlace(fake.text), "final", message);
      await outbox.hurry();
      outbox.delivery.rewrite("a", { ...message, title: "decided" });
      await outbox.hurry();
    });
    const seen = await look(fake);
    expect(inChannel(seen, fake.text).map(({ rings }) => rings)).toEqual([["user:34"]]);
    expect(seen.faults).toEqual([]);
    expect(seen.requests.every(({ userAgent }) => /^DiscordBot \(https:\S+, \S+\)$/.test(userAgent))).toBe(
      true,
    );
  });
});

describe("a thread", () => {
  test("of a text channel takes what was meant for it before it was there, closes when all is out, opens again for more", async () => {
    const fake = await discord();
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
      expect(await texts(fake, fake.text)).toEqual(["started"]);
      expect(await texts(fake, thread)).toEqual(["a", "b", "card"]);
      expect(outbox.delivery.placeOf("run")).toEqual(discordPlace(fake.text, thread));
      expect(outbox.delivery.anchorOf(discordPlace(fake.text, thread))).toBe("run");
      outbox.restart();
      outbox.delivery.card("run", { thread: "run" }, says("card: done"), { urgent: true });
      await outbox.hurry();
      expect(await texts(fake, thread)).toEqual(["a", "b", "card: done"]);
      expect((await look(fake)).threads).toMatchObject([{ archived: true }]);
      expect((await look(fake)).faults).toEqual([]);
    });
  });

  test.each(["done_then_reset", "reset", 500] as const)("is made once, after %s", async (trouble) => {
    const fake = await discord();
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
    expect(await texts(fake, threads[0]?.id ?? "")).toEqual(["a"]);
  });

  test("of a forum is a post", async () => {
    const fake = await discord();
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.thread("run", discordPlace(fake.forum), "run 1", says("started"));
      outbox.delivery.post("a", { thread: "run" }, "final", says("a"));
      await outbox.hurry();
    });
    const { threads, faults } = await look(fake);
    expect(threads).toMatchObject([{ parent: fake.forum, name: "run 1" }]);
    expect(await texts(fake, threads[0]?.id ?? "")).toEqual(["started", "a"]);
    expect(faults).toEqual([]);
  });

  test("that the bot may not make: the channel itself takes the messages", async () => {
    const fake = await discord();
    await tell(fake, { do: "deny", channel: fake.text, right: "threads" });
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.thread("run", discordPlace(fake.text), "run 1", says("started"));
      outbox.delivery.post("a", { thread: "run" }, "final", says("a"));
      outbox.delivery.closeThread("run");
      await outbox.hurry();
      expect(outbox.delivery.placeOf("run")).toEqual(discordPlace(fake.text));
      expect(outbox.sender.status().parked).toEqual([]);
    });
    expect(await texts(fake, fake.text)).toEqual(["started", "a"]);
  });

  test("that somebody deleted: finals go to the channel", async () => {
    const fake = await discord();
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
    expect(await texts(fake, fake.text)).toEqual(["started", "a"]);
  });

  test("that Discord has archived meanwhile is opened for a card", async () => {
    const fake = await discord();
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.thread("run", discordPlace(fake.text), "run 1");
      outbox.delivery.card("run", { thread: "run" }, says("card"));
      await outbox.hurry();
      const [thread] = (await look(fake)).threads;
      await tell(fake, { do: "archive", channel: thread?.id ?? "" });
      outbox.delivery.card("run", { thread: "run" }, says("card: done"), { urgent: true });
      await outbox.hurry();
      expect(await texts(fake, thread?.id ?? "")).toEqual(["card: done"]);
    });
  });

  test("of Telegram is a topic; a group without topics takes the messages itself", async () => {
    const fake = await telegram();
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
      expect(await texts(fake, fake.group)).toEqual(["started", "a", "card"]);
      expect(await texts(fake, plain)).toEqual(["started", "a", "card"]);
      expect(outbox.delivery.placeOf("two")).toEqual(telegramPlace(plain));
      expect(faults).toEqual([]);
    });
  });
});

describe("an answer to an interaction", () => {
  const answer = (at: number, place?: ReturnType<typeof discordPlace>) => ({
    key: "i",
    applicationId: "1",
    interactionToken: "token-of-the-interaction",
    at,
    message: says("answer"),
    ...(place === undefined ? {} : { place }),
  });
  const ORIGINAL = "PATCH /webhooks/{webhook_id}/{webhook_token}/messages/@original";

  test("is sent once, without the bot's token, and its own is forgotten", async () => {
    const fake = await discord();
    await tell(fake, { do: "misbehave", order: { route: ORIGINAL, with: 200 } });
    await withDiscord(fake, async (outbox) => {
      expect(outbox.delivery.reply(answer(outbox.now()))).toBe(true);
      await outbox.hurry();
      expect(outbox.delivery.reply(answer(outbox.now()))).toBe(false);
      await outbox.hurry();
      expect(JSON.stringify(outbox.rows.message("reply:i"))).not.toContain("token-of");
    });
    expect((await look(fake)).requests).toMatchObject([{ method: "PATCH", token: false }]);
  });

  test("that Discord does not know yet is tried at 0.5, 1, 2, 4 s; then it is a message, if it may be", async () => {
    const fake = await discord();
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.reply(answer(outbox.now(), discordPlace(fake.text)));
      const waits: number[] = [];
      for (let due = await outbox.sender.drain(); due !== undefined; due = await outbox.sender.drain()) {
        waits.push(Math.round((due - outbox.now()) / 500) / 2);
        outbox.advance(Math.max(0, due - outbox.now()));
      }
      // Those of less than two seconds are slept through.
      expect(waits.filter((seconds) => seconds > 2)).toEqual([4, 4, 4]);
    });
    expect(await texts(fake, fake.text)).toEqual(["answer"]);
    expect(await requests(fake, "PATCH")).toBeGreaterThanOrEqual(5);
  });

  test("goes although the bot's token is refused: it has its own", async () => {
    const fake = await discord();
    await tell(fake, { do: "misbehave", order: { with: 401 } });
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.post("a", discordPlace(fake.text), "final", says("a"));
      await outbox.sender.drain();
      expect(outbox.sender.status().halted).toMatchObject({ code: "401" });
      await tell(fake, { do: "misbehave", order: { route: ORIGINAL, with: 200 } });
      outbox.delivery.reply(answer(outbox.now()));
      outbox.restart();
      await outbox.sender.drain();
      expect(outbox.rows.message("reply:i")?.pending).toBe(false);
    });
    expect(await requests(fake, "PATCH")).toBe(1);
    expect(await texts(fake, fake.text)).toEqual([]);
  });

  test("waits when the address is blocked: that concerns all that is sent from it", async () => {
    const fake = await discord();
    await tell(fake, { do: "misbehave", order: { with: "blocked" } });
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.post("a", discordPlace(fake.text), "final", says("a"));
      await outbox.sender.drain();
      expect(outbox.sender.status().halted).toMatchObject({ code: "ip_blocked" });
      outbox.delivery.reply(answer(outbox.now()));
      await outbox.sender.drain();
      expect(await requests(fake, "PATCH")).toBe(0);
    });
  });

  test("goes before all that waits, and takes nothing of the bot's pace", async () => {
    const fake = await discord();
    await tell(fake, { do: "misbehave", order: { route: ORIGINAL, with: 200 } });
    await withDiscord(fake, async (outbox) => {
      for (const title of ["a", "b", "c"])
        outbox.delivery.post(title, discordPlace(fake.text), "final", says(title));
      outbox.delivery.reply(answer(outbox.now()));
      await outbox.hurry();
    });
    const { requests: sent } = await look(fake);
    expect(sent.map(({ method }) => method)).toEqual(["PATCH", "POST", "POST", "POST"]);
  });

  test("whose token is dead is dropped when nobody else may see it, and nothing stops", async () => {
    const fake = await discord();
    await tell(fake, {
      do: "misbehave",
      order: { route: ORIGINAL, with: { status: 401, code: 50027, message: "Invalid Webhook Token" } },
    });
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.reply(answer(outbox.now() - 16 * MINUTE_MS));
      expect(await outbox.sender.drain()).toBeUndefined();
      expect(outbox.sender.status()).not.toHaveProperty("halted");
    });
    expect(await texts(fake, fake.text)).toEqual([]);
  });
});

test("finals and events come before states, and in the order of their channel", async () => {
  const fake = await discord();
  await withDiscord(fake, async (outbox) => {
    const place = discordPlace(fake.text);
    for (let n = 0; n < 5; n += 1) outbox.delivery.card(`run ${n}`, place, says(`card ${n}`));
    for (let n = 0; n < 5; n += 1)
      outbox.delivery.post(`${n}`, place, n % 2 === 0 ? "event" : "final", says(`${n}`));
    outbox.delivery.post("0", place, "event", says("0 again"));
    await outbox.hurry();
  });
  expect((await texts(fake, fake.text)).slice(0, 5)).toEqual(["0", "1", "2", "3", "4"]);
  expect(await texts(fake, fake.text)).toHaveLength(10);
});
