/** Runs in channels of a fake Discord: one channel for all, or one for each with a thread for its run. */
import { FakeDiscord, TEXT, type Channel, type Message } from "../../test/support/fake-discord/index.ts";
import { walk } from "../../test/support/fake-discord/message-rules.ts";
import { TALK_TYPE, type Place } from "./place.ts";

const CREATE = "POST /channels/{channel_id}/messages";
const EDIT = "PATCH /channels/{channel_id}/messages/{message_id}";
/** This bench is not about how fast people are answered (discord.ts is). */
const ANSWER_MS = 30_000;
const BELOW_THE_PUBLISHED = { limit: 4, windowMs: 6_000, scope: "shared" as const };

export interface DiscordChoice {
  channels: number;
  /** A thread for each run; else they share the channel itself. */
  threads: boolean;
  /** In each channel caps that no header tells of, lower than the published limits. */
  hidden: boolean;
}

export async function discordPlace({ channels: count, threads, hidden }: DiscordChoice): Promise<Place> {
  const caps = hidden ? [CREATE, EDIT].map((route) => ({ ...BELOW_THE_PUBLISHED, route })) : [];
  const fake = await FakeDiscord.start({ limits: { hidden: caps }, answerMs: ANSWER_MS });
  const channels = Array.from({ length: count }, (_unused, at) => fake.addChannel(TEXT, `runs-${at}`));
  const boss = fake.addUser({ username: "boss", permissions: "8" });
  const command = async (
    edgeUrl: string,
    name: string,
    options: Record<string, string | boolean>,
    channel: Channel,
    answer: string,
  ): Promise<void> => {
    const payload = fake.command(name, options, { by: boss, in: channel });
    const { text } = await fake.ask(`${edgeUrl}/discord/interactions`, payload);
    if (!text.includes(answer)) throw new Error(`/${name} was answered: ${text}`);
  };
  return {
    env: {
      DISCORD_APPLICATION_ID: fake.app.id,
      DISCORD_PUBLIC_KEY: fake.publicKey,
      DISCORD_BOT_TOKEN: fake.botToken,
      DISCORD_API_URL: fake.apiUrl,
    },
    prepare: (owner) => owner.allowServer({ server: fake.guild.id, allowed: true }),
    ask: async (edgeUrl, runs) => {
      for (const channel of channels)
        if (!threads) await command(edgeUrl, "channel set", { threads }, channel, "threads");
      const event = { type: TALK_TYPE, payload: "{}" };
      for (let run = 0; run < runs; run += 1)
        await command(edgeUrl, "flow dispatch", event, channels[run % count] ?? fake.text, "Started");
    },
    look: () => {
      const done = fake.requests.filter(({ status }) => status !== undefined && status < 300);
      const capped = fake.limited.filter((one) => one.hidden);
      return {
        messages: channels
          .flatMap((channel) => [channel, ...fake.threads(channel.id)])
          .flatMap(({ id }) => fake.messages(id).map((message) => seen(message))),
        created: done.filter(({ route }) => route === CREATE).length,
        edited: done.filter(({ route }) => route === EDIT).length,
        published: fake.limited.length - capped.length,
        hidden: counted(capped.map(({ route, major }) => `${route} of ${major}`)),
        faults: fake.faults.map(({ rule, message }) => `${rule}: ${message}`),
      };
    },
    stop: () => fake.stop(),
  };
}

function seen({ components, createdAtMs }: Message): { text: string; at: number } {
  const texts: string[] = [];
  walk(components, [], ({ content }) => {
    if (typeof content === "string") texts.push(content.replaceAll("\\", ""));
  });
  return { text: texts.join("\n"), at: createdAtMs };
}

function counted(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}
