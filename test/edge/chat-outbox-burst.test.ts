/**
 * Many runs at once for half a minute: cards that change twice a second, lines of log, a final each. Whatever the platform
 * allows, no 429 by its published limits, one for each cap that it does not tell of, every final once and in its place,
 * and every last card right. Nearly all of it is waiting for the platform's clock, so all of them wait at once. The whole
 * way, from a runner to the chat, is the bench `chat`.
 */
import { describe, expect, test } from "vitest";
import type { Target } from "../../durable-objects/chat-outbox/delivery/delivery.ts";
import type { SeenChats } from "../support/chat-fakes/orders.ts";
import { addChannels, inChannel, look, startDiscord, startTelegram, tell } from "./support/chat-fakes.ts";
import {
  discordPlace,
  says,
  telegramPlace,
  withDiscord,
  withTelegram,
  type TestOutbox,
} from "./support/outbox.ts";

const RUNS = 40;
const SECONDS = 30;
const LOGS = 10;
const HALF_SECOND_MS = 500;
const BURST_TIMEOUT_MS = 120_000;
const CREATE = "POST /channels/{channel_id}/messages";
const EDIT = "PATCH /channels/{channel_id}/messages/{message_id}";
const FIVE_A_SECOND = { limit: 5, windowMs: 1_000 };

/** A change of state does not wait for the pace of its card. */
const CHANGED = { urgent: true };

interface Load {
  runs: number;
  logs?: number;
  place(run: number): Target;
}

/** Runs that all change at once, as wished for; resolves when all is sent. */
async function burst(outbox: TestOutbox, { runs, logs = LOGS, place }: Load): Promise<void> {
  const all = Array.from({ length: runs }, (_unused, run) => run);
  let posted = 0;
  for (let tick = 0; tick < SECONDS * 2; tick += 1) {
    const due = Math.ceil(((tick + 1) / (SECONDS * 2)) * logs);
    for (const run of all) {
      outbox.delivery.card(`run-${run}`, place(run), says(`card ${run}: state ${tick}`, "running"), CHANGED);
      for (let log = posted; log < due; log += 1)
        outbox.delivery.post(`log-${run}-${log}`, place(run), "event", says(`log ${run}.${log}`));
    }
    posted = due;
    void outbox.sender.drain();
    await new Promise((resolve) => setTimeout(resolve, HALF_SECOND_MS));
  }
  for (const run of all) {
    outbox.delivery.post(`final-${run}`, place(run), "final", says(`final ${run}`, "good"));
    outbox.delivery.card(`run-${run}`, place(run), says(`card ${run}: done`, "good"), CHANGED);
  }
  await outbox.drainAll();
}

/** What must be seen of a run, whatever happened on the way. */
function expectRun(texts: string[], run: number, logs = LOGS): void {
  const own = texts.filter((text) => new RegExp(`(log|final|card) ${run}\\b`).test(text));
  const posts = own.filter((text) => !text.includes("card"));
  expect(posts.map((text) => text.replace(/^\W+/, ""))).toEqual([
    ...Array.from({ length: logs }, (_unused, log) => `log ${run}.${log}`),
    `final ${run}`,
  ]);
  expect(own.filter((text) => text.includes("card")).map((text) => text.replace(/^\W+/, ""))).toEqual([
    `card ${run}: done`,
  ]);
}

/** One for each cap that nobody tells of, none by the others. */
function expectOneForEachCap(seen: SeenChats, channels: string[]): void {
  expect(seen.limited.filter(({ hidden }) => !hidden)).toEqual([]);
  for (const channel of channels)
    for (const route of [CREATE, EDIT])
      expect(
        seen.limited.filter((one) => one.major === channel && one.route === route).length,
        `${route} of ${channel}`,
      ).toBe(1);
}

const hidden = (limit: number, windowMs: number) =>
  [CREATE, EDIT].map((route) => ({ route, limit, windowMs, scope: "shared" as const }));
/** As published but for their windows: at Discord's own pace, 160 messages of one channel take almost three minutes. */
const QUICK = { [CREATE]: FIVE_A_SECOND, [EDIT]: FIVE_A_SECOND };

const textsIn = (seen: SeenChats, channel: string): string[] =>
  inChannel(seen, channel).map(({ text }) => text.replaceAll(/<[^>]*>|[^\x20-\x7e]/g, ""));

describe.concurrent("many runs at once", { timeout: BURST_TIMEOUT_MS }, () => {
  test("in one channel with caps that nobody tells of: each is met once, and kept from then on", async () => {
    const fake = await startDiscord({ limits: { routes: QUICK, hidden: hidden(4, 900) } });
    await withDiscord(fake, async (outbox) => {
      await burst(outbox, { runs: 20, logs: 1, place: () => discordPlace(fake.text) });
    });
    const seen = await look(fake);
    expectOneForEachCap(seen, [fake.text]);
    expect(seen.faults).toEqual([]);
    for (let run = 0; run < 20; run += 1) expectRun(textsIn(seen, fake.text), run, 1);
    await tell(fake, { do: "stop" });
  });

  test("in 40 channels: not one 429", async () => {
    const fake = await startDiscord();
    const channels = await addChannels(fake, RUNS);
    await withDiscord(fake, async (outbox) => {
      await burst(outbox, { runs: RUNS, place: (run) => discordPlace(channels[run] ?? "") });
    });
    const seen = await look(fake);
    expect([seen.limited, seen.faults]).toEqual([[], []]);
    for (const [run, channel] of channels.entries()) expectRun(textsIn(seen, channel), run);
    await tell(fake, { do: "stop" });
  });

  test("in one channel: not one 429", async () => {
    const fake = await startDiscord({ limits: { routes: QUICK } });
    await withDiscord(fake, async (outbox) => {
      await burst(outbox, { runs: RUNS, logs: 2, place: () => discordPlace(fake.text) });
    });
    const seen = await look(fake);
    expect([seen.limited, seen.faults]).toEqual([[], []]);
    for (let run = 0; run < RUNS; run += 1) expectRun(textsIn(seen, fake.text), run, 2);
    await tell(fake, { do: "stop" });
  });

  test("in channels with such caps: each is met once", async () => {
    const fake = await startDiscord({ limits: { hidden: hidden(4, 6_000) } });
    const channels = await addChannels(fake, 4);
    await withDiscord(fake, async (outbox) => {
      await burst(outbox, { runs: 4, logs: 25, place: (run) => discordPlace(channels[run] ?? "") });
    });
    const seen = await look(fake);
    expectOneForEachCap(seen, channels);
    expect(seen.faults).toEqual([]);
    for (const [run, channel] of channels.entries()) expectRun(textsIn(seen, channel), run, 25);
    await tell(fake, { do: "stop" });
  });

  test("of Telegram, in one group, in 40 more and in a private chat: not one 429", async () => {
    const fake = await startTelegram();
    const chats = [fake.group, fake.group, fake.group, fake.chat, ...(await addChannels(fake, RUNS))];
    await withTelegram(fake, async (outbox) => {
      const place = (run: number): Target => telegramPlace(chats[run] ?? "");
      await burst(outbox, { runs: chats.length, logs: 2, place });
    });
    const seen = await look(fake);
    expect([seen.limited, seen.faults]).toEqual([[], []]);
    for (const [run, chat] of chats.entries()) expectRun(textsIn(seen, chat), run, 2);
    await tell(fake, { do: "stop" });
  });
});
