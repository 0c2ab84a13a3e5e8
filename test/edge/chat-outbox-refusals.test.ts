/** Chats that refuse: the address, the token, a channel, one message. What is said of it, and what goes on all the same. */
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { ChatOutboxView } from "../../contract/chat/requests.ts";
import { get } from "./support/api.ts";
import { addChannels, look, tell } from "./support/chat-fakes.ts";
import { discordPlace, says, telegramPlace, withDiscord, withTelegram } from "./support/outbox.ts";
import { CREATE, ownDiscord, ownTelegram, requestsBy, textsIn } from "./support/own-fakes.ts";

const MINUTE_MS = 60_000;

describe("when nothing can be sent", () => {
  test("because the address is blocked, it waits 30 s, doubling, says so, and sends in the end", async () => {
    const fake = await ownDiscord();
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
    expect(await textsIn(fake, fake.text)).toEqual(["a"]);
  });

  test("because the token is refused, all stops; another token is tried at once", async () => {
    const fake = await ownDiscord();
    await tell(fake, { do: "misbehave", order: { with: 401 } });
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.post("a", discordPlace(fake.text), "final", says("a"));
      await outbox.sender.drain();
      outbox.delivery.post("b", discordPlace(fake.text), "final", says("b"));
      await outbox.sender.drain();
      outbox.restart();
      await outbox.sender.drain();
      expect(await requestsBy(fake, "POST")).toBe(1);
      const { halted } = outbox.sender.status();
      expect(halted).toMatchObject({ code: "401" });
      expect(halted).not.toHaveProperty("until");
      outbox.restart("another token");
      await outbox.hurry();
    });
    expect(await textsIn(fake, fake.text)).toEqual(["a", "b"]);
  });

  test("because there is no token, nothing is tried, it says so, and all goes out once there is one", async () => {
    const fake = await ownDiscord();
    await withDiscord(fake, async (outbox) => {
      outbox.restart("no token", "DISCORD_BOT_TOKEN");
      outbox.delivery.post("a", discordPlace(fake.text), "final", says("a"));
      const due = (await outbox.sender.drain()) ?? 0;
      expect(due).toBeGreaterThan(outbox.now() + MINUTE_MS);
      outbox.advance(due - outbox.now());
      await outbox.sender.drain();
      const read = { kind: "read", path: "/users/@me", route: "GET me", major: "me" } as const;
      expect(await outbox.sender.read(read)).toBeUndefined();
      expect((await look(fake)).requests).toEqual([]);
      const status = outbox.sender.status();
      expect(status).toMatchObject({ waiting: { final: 1 }, halted: { code: "no_token" } });
      expect(status.halted?.message).toContain("DISCORD_BOT_TOKEN");
      outbox.restart("a token");
      await outbox.hurry();
      expect(outbox.sender.status()).not.toHaveProperty("halted");
    });
    expect(await textsIn(fake, fake.text)).toEqual(["a"]);
  });

  test("the outbox of an edge that has lost its token is asked all the same, and says why", async () => {
    const stub = env.CHAT_OUTBOXES.getByName(`discord:${env.DISCORD_APPLICATION_ID ?? ""}`);
    await stub.post({ key: "a", place: discordPlace("1"), class: "final", message: says("a") });
    const { outboxes } = await get<{ outboxes: ChatOutboxView[] }>("/chat/status");
    expect(outboxes).toMatchObject([
      { platform: "discord", waiting: { final: 1 }, halted: { code: "no_token" }, sent: 0 },
    ]);
  });

  test("because a thousand requests were refused, until the ten minutes are over", async () => {
    const fake = await ownDiscord();
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
    expect(await textsIn(fake, fake.text)).toEqual(["a"]);
  });
});

describe("a target that is", () => {
  test("forbidden is parked with its reason, the others go on, and it gets all once it is allowed", async () => {
    const fake = await ownDiscord();
    const [other = ""] = await addChannels(fake, 1);
    await tell(fake, { do: "deny", channel: fake.text, right: "send" });
    await withDiscord(fake, async (outbox) => {
      outbox.delivery.post("a", discordPlace(fake.text), "final", says("a"));
      outbox.delivery.post("b", discordPlace(fake.text), "final", says("b"));
      outbox.delivery.post("c", discordPlace(other), "final", says("c"));
      const due = (await outbox.sender.drain()) ?? 0;
      expect(await textsIn(fake, other)).toEqual(["c"]);
      expect(outbox.sender.status().parked).toMatchObject([
        { place: `discord:${fake.text}`, code: "50013", waiting: 2 },
      ]);
      outbox.restart();
      expect(await outbox.sender.drain()).toBe(due);
      await tell(fake, { do: "allow", channel: fake.text, right: "send" });
      await outbox.hurry();
      expect(outbox.sender.status().parked).toEqual([]);
    });
    expect(await textsIn(fake, fake.text)).toEqual(["a", "b"]);
  });

  test("gone is dropped with what waits for it", async () => {
    const fake = await ownDiscord();
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
    expect(await textsIn(fake, fake.text)).toEqual(["c"]);
    expect(await requestsBy(fake, "POST")).toBeLessThanOrEqual(3);
  });

  test("moved: a group of Telegram's that grew gets its messages under the new id", async () => {
    const fake = await ownTelegram();
    const [group = ""] = await addChannels(fake, 1);
    await withTelegram(fake, async (outbox) => {
      const grown = (await tell(fake, { do: "migrate", chat: group })) as string;
      outbox.delivery.post("a", telegramPlace(group), "final", says("a"));
      await outbox.hurry();
      outbox.restart();
      outbox.delivery.post("b", telegramPlace(group), "final", says("b"));
      await outbox.hurry();
      expect(await textsIn(fake, grown)).toEqual(["a", "b"]);
    });
  });
});

test("a message that is refused for what it is stays behind, with its body, and the next ones go on", async () => {
  const fake = await ownDiscord();
  const order = { route: CREATE, with: { status: 400, code: 50035, message: "Invalid Form Body" } };
  await tell(fake, { do: "misbehave", order });
  await withDiscord(fake, async (outbox) => {
    outbox.delivery.post("a", discordPlace(fake.text), "final", says("a"));
    outbox.delivery.post("b", discordPlace(fake.text), "final", says("b"));
    await outbox.hurry();
    expect(outbox.sender.status().parked).toMatchObject([{ code: "50035", waiting: 1 }]);
    expect(outbox.rows.message("post:a")?.wanted).toEqual(says("a"));
  });
  expect(await textsIn(fake, fake.text)).toEqual(["b"]);
});
