/**
 * Many runs at once: cards that change twice a second, lines of log, a final each. Whatever the platform allows, no
 * 429 by its published limits, every final once and in its place, and every last card right.
 */
import { expect, test } from "vitest";
import type { Target } from "../../durable-objects/chat-outbox/delivery/delivery.ts";
import { addChannels, inChannel, look, startDiscord, startTelegram, tell } from "./support/chat-fakes.ts";
import {
  discordPlace,
  says,
  telegramPlace,
  withDiscord,
  withTelegram,
  type TestOutbox,
} from "./support/outbox.ts";

const SECONDS = 10;
const LOGS = 10;
const HALF_SECOND_MS = 500;
const BURST_TIMEOUT_MS = 120_000;
const CREATE = "POST /channels/{channel_id}/messages";
const EDIT = "PATCH /channels/{channel_id}/messages/{message_id}";
const FIVE_A_SECOND = { limit: 5, windowMs: 1_000 };

interface Load {
  runs: number;
  seconds?: number;
  logs?: number;
  place(run: number): Target;
}

/** Runs that all change at once, as wished for; resolves when all is sent. */
async function burst(
  outbox: TestOutbox,
  { runs, seconds = SECONDS, logs = LOGS, place }: Load,
): Promise<void> {
  const all = Array.from({ length: runs }, (_unused, run) => run);
  let posted = 0;
  for (let tick = 0; tick < seconds * 2; tick += 1) {
    const due = Math.ceil(((tick + 1) / (seconds * 2)) * logs);
    for (const run of all) {
      outbox.delivery.card(`run-${run}`, place(run), says(`card ${run}: state ${tick}`, "running"));
      for (let log = posted; log < due; log += 1)
        outbox.delivery.post(`log-${run}-${log}`, place(run), "event", says(`log ${run}.${log}`));
    }
    posted = due;
    void outbox.sender.drain();
    await new Promise((resolve) => setTimeout(resolve, HALF_SECOND_MS));
  }
  for (const run of all) {
    outbox.delivery.post(`final-${run}`, place(run), "final", says(`final ${run}`, "good"));
    outbox.delivery.card(`run-${run}`, place(run), says(`card ${run}: done`, "good"), { urgent: true });
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

test(
  "40 runs in 40 channels: not one 429",
  async () => {
    const fake = await startDiscord();
    const channels = await addChannels(fake, 40);
    await withDiscord(fake, async (outbox) => {
      await burst(outbox, { runs: 40, place: (run) => discordPlace(channels[run] ?? "") });
    });
    const seen = await look(fake);
    expect(seen.limited).toEqual([]);
    expect(seen.faults).toEqual([]);
    channels.forEach((channel, run) => {
      expectRun(
        inChannel(seen, channel).map(({ text }) => text),
        run,
      );
    });
    await tell(fake, { do: "stop" });
  },
  BURST_TIMEOUT_MS,
);

test(
  "40 runs in one channel: not one 429",
  async () => {
    // As published but for their windows: at Discord's own pace, 160 messages of one channel take almost three minutes.
    const fake = await startDiscord({
      limits: { routes: { [CREATE]: FIVE_A_SECOND, [EDIT]: FIVE_A_SECOND } },
    });
    await withDiscord(fake, async (outbox) => {
      await burst(outbox, { runs: 40, seconds: 5, logs: 1, place: () => discordPlace(fake.text) });
    });
    const seen = await look(fake);
    expect(seen.limited).toEqual([]);
    expect(seen.faults).toEqual([]);
    const texts = inChannel(seen, fake.text).map(({ text }) => text);
    for (let run = 0; run < 40; run += 1) expectRun(texts, run, 1);
    await tell(fake, { do: "stop" });
  },
  BURST_TIMEOUT_MS,
);

test(
  "limits that nobody tells of are met once in a channel and kept from then on",
  async () => {
    const hidden = (route: string) => ({ route, limit: 4, windowMs: 6_000, scope: "shared" as const });
    const fake = await startDiscord({ limits: { hidden: [hidden(CREATE), hidden(EDIT)] } });
    const channels = await addChannels(fake, 4);
    await withDiscord(fake, async (outbox) => {
      await burst(outbox, { runs: 4, place: (run) => discordPlace(channels[run] ?? "") });
    });
    const seen = await look(fake);
    expect(seen.limited.filter((one) => !one.hidden)).toEqual([]);
    for (const channel of channels)
      for (const route of [CREATE, EDIT])
        expect(
          seen.limited.filter((one) => one.major === channel && one.route === route).length,
          `${route} of ${channel}`,
        ).toBeLessThanOrEqual(1);
    expect(seen.faults).toEqual([]);
    channels.forEach((channel, run) => {
      expectRun(
        inChannel(seen, channel).map(({ text }) => text),
        run,
      );
    });
    await tell(fake, { do: "stop" });
  },
  BURST_TIMEOUT_MS,
);

test(
  "runs in a group of Telegram and in a private chat: not one 429",
  async () => {
    const fake = await startTelegram();
    await withTelegram(fake, async (outbox) => {
      const place = (run: number): Target => telegramPlace(run < 2 ? fake.group : fake.chat);
      await burst(outbox, { runs: 3, seconds: 5, logs: 2, place });
    });
    const seen = await look(fake);
    expect(seen.limited).toEqual([]);
    expect(seen.faults).toEqual([]);
    for (let run = 0; run < 3; run += 1) {
      const texts = inChannel(seen, run < 2 ? fake.group : fake.chat).map(({ text }) =>
        text.replaceAll(/<[^>]*>|[^\x20-\x7e]/g, ""),
      );
      expectRun(texts, run, 2);
    }
    await tell(fake, { do: "stop" });
  },
  BURST_TIMEOUT_MS,
);
