/** Cards, posts and answers against chats that delete, forget and age: the last state of each is right, and in its place. */
import { describe, expect, test } from "vitest";
import { inChannel, look, tell, type DiscordFake } from "./support/chat-fakes.ts";
import { discordPlace, says, withDiscord, type TestOutbox } from "./support/outbox.ts";
import { CREATE, EDIT, ownDiscord, requestsBy, textsIn } from "./support/own-fakes.ts";

const MINUTE_MS = 60_000;

describe("a card", () => {
  const place = (fake: DiscordFake) => discordPlace(fake.text);

  async function shownCard(outbox: TestOutbox, fake: DiscordFake): Promise<string> {
    outbox.delivery.card("run", place(fake), says("state 0"));
    await outbox.hurry();
    return inChannel(await look(fake), fake.text)[0]?.id ?? "";
  }

  test("is edited at its pace, shows its newest state, and a change of state waits for nothing", async () => {
    const fake = await ownDiscord();
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
    const fake = await ownDiscord();
    await withDiscord(fake, async (outbox) => {
      await shownCard(outbox, fake);
      const written = outbox.rows.message("card:run");
      outbox.delivery.card("run", place(fake), says("state 0"), { urgent: true });
      expect(outbox.rows.message("card:run")).toEqual(written);
      outbox.delivery.card("run", place(fake), says("state 1"));
      outbox.delivery.card("run", place(fake), says("state 0"));
      await outbox.hurry();
    });
    expect(await requestsBy(fake, "PATCH")).toBe(0);
  });

  const withButton = (title: string) => ({
    ...says(title),
    fields: [{ name: "Run", value: "run_1" }],
    buttons: [[{ label: "Cancel", style: "danger" as const, action: "v1:cancel:run_1" }]],
  });
  const pressable = async (fake: DiscordFake, channel: string) =>
    inChannel(await look(fake), channel).map(
      ({ buttons }) => buttons.filter((one) => one.startsWith("v1:")).length,
    );

  test("is made anew before it is an hour old, and the old one points to it, by one edit", async () => {
    const fake = await ownDiscord();
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.thread("run", place(fake), "run", says("started"));
      outbox.delivery.card("run", { thread: "run" }, withButton("state 0"));
      await outbox.hurry();
      const thread = (await look(fake)).threads[0]?.id ?? "";
      outbox.advance(54 * MINUTE_MS);
      outbox.delivery.card("run", { thread: "run" }, withButton("state 1"));
      await outbox.hurry();
      expect(await textsIn(fake, thread)).toEqual([expect.stringContaining("state 1")]);
      outbox.restart();
      outbox.advance(2 * MINUTE_MS);
      outbox.delivery.card("run", { thread: "run" }, withButton("state 2"));
      await outbox.hurry();
      const [old, fresh, ...more] = inChannel(await look(fake), thread);
      expect(more).toEqual([]);
      expect(old?.text).toMatch(/goes on in a newer message[^]*run\\_1/);
      expect(old?.edits).toBe(2);
      expect(old?.buttons).toEqual([
        expect.stringMatching(new RegExp(`^https://discord.com/channels/\\d+/${thread}/${fresh?.id ?? ""}$`)),
      ]);
      expect(fresh?.text).toContain("state 2");
      expect(await pressable(fake, thread)).toEqual([0, 1]);
      expect((await look(fake)).faults).toEqual([]);
    });
  });

  test.each(["reset", "done_then_reset", 503] as const)(
    "and its successor never have buttons both, also when the old one cannot be changed for now (%s)",
    async (trouble) => {
      const fake = await ownDiscord();
      await withDiscord(fake, async (outbox) => {
        outbox.delivery.card("run", place(fake), withButton("state 0"));
        await outbox.hurry();
        outbox.advance(56 * MINUTE_MS);
        outbox.delivery.card("run", place(fake), withButton("state 1"), { urgent: true });
        await tell(fake, { do: "misbehave", order: { route: CREATE, with: trouble } });
        await tell(fake, { do: "misbehave", order: { route: EDIT, times: 3, with: trouble } });
        for (let due = await outbox.sender.drain(); due !== undefined; due = await outbox.sender.drain()) {
          const counts = await pressable(fake, fake.text);
          expect(counts.reduce((sum, count) => sum + count)).toBeLessThanOrEqual(1);
          outbox.restart();
          outbox.advance(Math.max(0, due - outbox.now()));
        }
        expect(await pressable(fake, fake.text)).toEqual([0, 1]);
        expect((await textsIn(fake, fake.text)).at(-1)).toContain("state 1");
      });
    },
  );

  test("whose old one bears no edit now (30046) is not made anew for that again", async () => {
    const fake = await ownDiscord();
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.card("run", place(fake), withButton("state 0"));
      await outbox.hurry();
      outbox.advance(56 * MINUTE_MS);
      await tell(fake, {
        do: "misbehave",
        order: { route: EDIT, with: { status: 429, code: 30046, message: "Maximum number of edits" } },
      });
      outbox.delivery.card("run", place(fake), withButton("state 1"));
      await outbox.hurry();
      expect(await pressable(fake, fake.text)).toEqual([0, 1]);
    });
  });

  test("that somebody deleted is made anew with its newest state", async () => {
    const fake = await ownDiscord();
    await withDiscord(fake, async (outbox) => {
      const first = await shownCard(outbox, fake);
      await tell(fake, { do: "delete message", channel: fake.text, id: first });
      outbox.delivery.card("run", place(fake), says("state 1"), { urgent: true });
      await outbox.hurry();
    });
    expect(await textsIn(fake, fake.text)).toEqual(["state 1"]);
  });

  test("that is too old to be edited so often is made anew", async () => {
    const fake = await ownDiscord();
    await withDiscord(fake, async (outbox) => {
      await shownCard(outbox, fake);
      await tell(fake, {
        do: "misbehave",
        order: { route: EDIT, with: { status: 429, code: 30046, message: "Maximum number of edits" } },
      });
      outbox.delivery.card("run", place(fake), says("state 1"), { urgent: true });
      await outbox.hurry();
    });
    expect(await textsIn(fake, fake.text)).toEqual([expect.stringContaining("goes on"), "state 1"]);
  });

  test("that changes while it is being sent shows the change in the end", async () => {
    const fake = await ownDiscord();
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.card("run", place(fake), says("state 0"));
      const draining = outbox.sender.drain();
      outbox.delivery.card("run", place(fake), says("state 1"), { urgent: true });
      await draining;
      await outbox.hurry();
    });
    expect(await textsIn(fake, fake.text)).toEqual(["state 1"]);
  });
});

describe("a post", () => {
  test("is rewritten, before it is out and after; a change that changes nothing is not sent", async () => {
    const fake = await ownDiscord();
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.post("a", discordPlace(fake.text), "event", says("approve?"));
      expect(outbox.delivery.rewrite("a", says("approved early"))).toBe(true);
      await outbox.hurry();
      expect(await textsIn(fake, fake.text)).toEqual(["approved early"]);
      outbox.delivery.rewrite("a", says("approved"));
      outbox.delivery.rewrite("a", says("approved by ada"));
      outbox.restart();
      await outbox.hurry();
      outbox.delivery.rewrite("a", says("approved by ada"));
      await outbox.hurry();
      expect(outbox.delivery.rewrite("unknown", says("x"))).toBe(false);
    });
    expect(await textsIn(fake, fake.text)).toEqual(["approved by ada"]);
    expect(await requestsBy(fake, "PATCH")).toBe(1);
  });

  test("that somebody deleted stays deleted when it is rewritten", async () => {
    const fake = await ownDiscord();
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.post("a", discordPlace(fake.text), "event", says("approve?"));
      await outbox.hurry();
      const [{ id } = { id: "" }] = inChannel(await look(fake), fake.text);
      await tell(fake, { do: "delete message", channel: fake.text, id });
      outbox.delivery.rewrite("a", says("approved"));
      expect(await outbox.sender.drain()).toBeUndefined();
    });
    expect(await textsIn(fake, fake.text)).toEqual([]);
  });

  test("that is long is several messages, behind each other, and is rewritten as a whole", async () => {
    const fake = await ownDiscord();
    const lines = Array.from({ length: 200 }, (_unused, at) => `line ${at} ${"x".repeat(50)}`);
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.post("long", discordPlace(fake.text), "final", { tone: "good", title: "long", lines });
      outbox.delivery.post("next", discordPlace(fake.text), "final", says("next"));
      await outbox.hurry();
      const seen = await textsIn(fake, fake.text);
      expect(seen.length).toBeGreaterThan(3);
      expect(seen.at(-1)).toBe("next");
      expect(seen.join("\n").match(/line \d+/g)).toEqual(lines.map((_line, at) => `line ${at}`));
      outbox.delivery.rewrite("long", says("short"));
      await outbox.hurry();
      expect((await textsIn(fake, fake.text))[0]).toBe("short");
    });
    expect((await look(fake)).faults).toEqual([]);
  });

  test("rings whom it mentions, once; what is changed later rings nobody", async () => {
    const fake = await ownDiscord();
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
    expect(seen.requests.every(({ userAgent }) => /^DiscordBot \(\S+, \S+\)$/.test(userAgent))).toBe(true);
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
    const fake = await ownDiscord();
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
    const fake = await ownDiscord();
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
    expect(await textsIn(fake, fake.text)).toEqual(["answer"]);
    expect(await requestsBy(fake, "PATCH")).toBeGreaterThanOrEqual(5);
  });

  test("goes although the bot's token is refused: it has its own", async () => {
    const fake = await ownDiscord();
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
    expect(await requestsBy(fake, "PATCH")).toBe(1);
    expect(await textsIn(fake, fake.text)).toEqual([]);
  });

  test("waits when the address is blocked: that concerns all that is sent from it", async () => {
    const fake = await ownDiscord();
    await tell(fake, { do: "misbehave", order: { with: "blocked" } });
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.post("a", discordPlace(fake.text), "final", says("a"));
      await outbox.sender.drain();
      expect(outbox.sender.status().halted).toMatchObject({ code: "ip_blocked" });
      outbox.delivery.reply(answer(outbox.now()));
      await outbox.sender.drain();
      expect(await requestsBy(fake, "PATCH")).toBe(0);
    });
  });

  test("goes before all that waits, and takes nothing of the bot's pace", async () => {
    const fake = await ownDiscord();
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
    const fake = await ownDiscord();
    await tell(fake, {
      do: "misbehave",
      order: { route: ORIGINAL, with: { status: 401, code: 50027, message: "Invalid Webhook Token" } },
    });
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.reply(answer(outbox.now() - 16 * MINUTE_MS));
      expect(await outbox.sender.drain()).toBeUndefined();
      expect(outbox.sender.status()).not.toHaveProperty("halted");
    });
    expect(await textsIn(fake, fake.text)).toEqual([]);
  });
});

test("finals and events come before states, and in the order of their channel", async () => {
  const fake = await ownDiscord();
  await withDiscord(fake, async (outbox) => {
    const place = discordPlace(fake.text);
    for (let n = 0; n < 5; n += 1) outbox.delivery.card(`run ${n}`, place, says(`card ${n}`));
    for (let n = 0; n < 5; n += 1)
      outbox.delivery.post(`${n}`, place, n % 2 === 0 ? "event" : "final", says(`${n}`));
    outbox.delivery.post("0", place, "event", says("0 again"));
    await outbox.hurry();
  });
  expect((await textsIn(fake, fake.text)).slice(0, 5)).toEqual(["0", "1", "2", "3", "4"]);
  expect(await textsIn(fake, fake.text)).toHaveLength(10);
});
