/**
 * Many runs in the chats at once: each changes its state twice a second and prints ten lines with each change, for 30 s; 40 of
 * them in 40 channels, and in one. Whatever the platform's limits: none that it tells of is run into, one that it does not
 * tell of is run into once; every final message comes once and in its order, every last card is right.
 *
 * All of it is real but the platform, a fake that enforces its limits, and the processes of the steps
 * (chat/talking-runner.ts). A group of Telegram takes 20 messages a minute: 40 runs would need a quarter of an hour there.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createEdgeClient } from "../client/http.ts";
import { discordPlace, type DiscordChoice } from "./chat/discord-place.ts";
import type { Place } from "./chat/place.ts";
import { startTalkingRunner, STATES_A_SECOND } from "./chat/talking-runner.ts";
import { telegramPlace } from "./chat/telegram-place.ts";
import { judge } from "./chat/verdict.ts";
import { atMost, quantile, type BenchOptions, type Figure } from "./figures.ts";
import { processorMs, runtimePids } from "./processes.ts";
import { edgeServer, type EdgeServer } from "./servers.ts";

const RUNS = 40;
const SECONDS = 30;
const LOOK_AGAIN_MS = 500;
const RUNS_IN_GROUP = 10;
/** Of the runs, and then of what is to be said of them. */
const RUNS_GIVE_UP_MS = 120_000;
const SAID_GIVE_UP_MS = 10 * 60_000;
const FAULTS_SHOWN = 5;

interface Scene {
  runs: number;
  open: (runs: number) => Promise<Place>;
}

/** By name, for `--part`. */
const SCENES: Record<string, Scene> = {
  "discord-channels": onDiscord((runs) => ({ channels: runs, threads: true, hidden: false })),
  "discord-channels-hidden": onDiscord((runs) => ({ channels: runs, threads: true, hidden: true })),
  "discord-channel": onDiscord(() => ({ channels: 1, threads: false, hidden: false })),
  "discord-channel-hidden": onDiscord(() => ({ channels: 1, threads: false, hidden: true })),
  "telegram-chats": { runs: RUNS, open: telegramPlace },
  "telegram-group": { runs: RUNS_IN_GROUP, open: () => telegramPlace(0) },
};

function onDiscord(choice: (runs: number) => DiscordChoice): Scene {
  return { runs: RUNS, open: (runs) => discordPlace(choice(runs)) };
}

export async function chat({
  say,
  amount,
  seconds = amount(SECONDS, 1),
  parts = Object.keys(SCENES),
}: BenchOptions): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const name of parts) {
    const scene = SCENES[name];
    if (scene === undefined)
      throw new Error(`chat has no part ${name}; it has ${Object.keys(SCENES).join(", ")}`);
    const runs = amount(scene.runs, 1);
    const place = await scene.open(runs);
    const edge = await edgeServer(undefined, place.env);
    try {
      for (const figure of await burst(place, edge, { runs, seconds, say }))
        figures.push({ ...figure, name: `${name}: ${figure.name}` });
    } finally {
      await edge.close();
      await place.stop();
    }
  }
  return figures;
}

async function burst(
  place: Place,
  edge: EdgeServer,
  { runs, seconds, say }: { runs: number; seconds: number; say: BenchOptions["say"] },
): Promise<Figure[]> {
  const states = seconds * STATES_A_SECOND;
  const client = createEdgeClient({ url: edge.url, token: edge.secrets.tokens.read });
  const runner = await startTalkingRunner(edge, { capacity: runs, states });
  await place.prepare?.(createEdgeClient({ url: edge.url, token: edge.secrets.tokens.admin }));
  try {
    const [asked, processor] = [Date.now(), processorMs(runtimePids())];
    await place.ask(edge.url, runs);
    const taken = Date.now();
    await until(() => runner.ended.size === runs, RUNS_GIVE_UP_MS);
    const [over, used] = [Date.now(), processorMs(runtimePids()) - processor];
    await until(async () => {
      const [outbox] = await client.listChatOutboxes();
      if (outbox === undefined || outbox.shownRuns > 0) return false;
      return Object.values(outbox.waiting).every((waiting) => waiting === 0);
    }, SAID_GIVE_UP_MS);
    const said = Date.now();
    const seen = place.look();
    for (const fault of seen.faults.slice(0, FAULTS_SHOWN)) say(`    ${fault}`);
    const { missing, doubled, disordered, wrongCards, waits } = judge(seen, runner.ended, states);
    const changes = runs * states;
    return [
      atMost("429s by published limits", seen.published, "", 0),
      atMost("429s by a hidden cap, at most", Math.max(0, ...seen.hidden.values()), "", 1),
      { name: "429s by hidden caps, all", value: total([...seen.hidden.values()]), unit: "" },
      atMost("rules broken", seen.faults.length, "", 0),
      atMost("finals that are missing", missing + runs - runner.ended.size, "", 0),
      atMost("finals that came twice", doubled, "", 0),
      atMost("runs whose messages are not in order", disordered, "", 0),
      atMost("last cards that are wrong", wrongCards, "", 0),
      { name: "messages sent", value: seen.created, unit: "" },
      { name: "edits sent", value: seen.edited, unit: "" },
      {
        name: "changes of state without an edit of their own",
        value: changes - seen.edited,
        unit: `of ${changes}`,
      },
      { name: "from a run's end to its final, p50", value: quantile(waits, 0.5) / 1000, unit: "s" },
      { name: "the same, p99", value: quantile(waits, 0.99) / 1000, unit: "s" },
      { name: "all runs asked for after", value: (taken - asked) / 1000, unit: "s" },
      { name: "all runs over after", value: (over - asked) / 1000, unit: "s" },
      { name: "all said after", value: (said - asked) / 1000, unit: "s" },
      { name: "of a core, the edge took", value: (100 * used) / (over - asked), unit: "%" },
    ];
  } finally {
    await runner.stop();
  }
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

/** Resolves when it is so, or when nobody waits any longer: the figures tell. */
async function until(isSo: () => boolean | Promise<boolean>, giveUpMs: number): Promise<void> {
  const deadline = performance.now() + giveUpMs;
  while (!(await isSo()) && performance.now() < deadline) await sleep(LOOK_AGAIN_MS);
}
