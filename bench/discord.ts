/**
 * Fifty people at the same moment, with every object behind the door still asleep: Discord waits for three seconds, and what
 * comes later is "This interaction failed"; people wait for less. Each sends an event, so that every answer is a
 * signature, an admission in the one object that gives them, and an event object of its own. What is not answered soon is
 * acknowledged by a deferral, and the outbox brings the answer to a Discord of our own: both times count, and so does
 * that everybody was answered once. Each round has an edge of its own; the Worker itself is awake.
 * Beside it, as many events by HTTP, while the outbox still shows the runs; and, on another edge, as many of what may have
 * to be answered in the response (discord-inline.ts).
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { EdgeClient } from "../client/http.ts";
import { within } from "../durable-objects/kit/deadline.ts";
import type { FakeDiscord, Interacted } from "../test/support/fake-discord/index.ts";
import { Callers } from "./discord-callers.ts";
import { ASLEEP_AFTER_MS, checkFaults, discordEdge, type DiscordEdge } from "./discord-edge.ts";
import { INLINE_AT_ONCE, inlineScene, type InlineBurst, type InlineScene } from "./discord-inline.ts";
import { atMost, median, quantile, type Figure, type BenchOptions } from "./figures.ts";
import { load, post } from "./http-load.ts";

const AT_ONCE = 50;
const ACKNOWLEDGED_P99_MAX_MS = 300;
/** Nobody sees "thinking" for longer than Discord itself would have waited. */
const ANSWERED_P99_MAX_MS = 3_000;
/** Of an answer that does not come at all. */
const LATEST_MS = 30_000;

interface Burst {
  /** Until Discord had an answer or a deferral, ms. */
  acknowledged: number[];
  /** Until the asker saw what had come of it, ms. */
  answered: number[];
  deferred: number;
}

export async function discord({ rounds, amount }: BenchOptions): Promise<Figure[]> {
  const atOnce = amount(AT_ONCE, 2);
  const cold: Burst[] = [];
  const warm: Burst[] = [];
  const byHttp: number[] = [];
  const inline: InlineBurst[] = [];
  const callers = await Callers.start();
  const all: Round[] = [];
  try {
    for (let round = 0; round < rounds; round += 1) all.push(await openRound(atOnce));
    // What has been awake for that sleeps again before anybody comes.
    await sleep(ASLEEP_AFTER_MS);
    for (let round = all.shift(); round !== undefined; round = all.shift())
      try {
        const { asking, scene } = round;
        const first = await together(asking, callers.send);
        const second = await together(asking, callers.send);
        cold.push(first.burst);
        warm.push(second.burst);
        const { edge, client, fake } = asking;
        const send = (): Promise<void> => post(edge.url, edge.secrets.tokens.write, "bench.quick", {});
        byHttp.push((await load(atOnce, atOnce, send)).p99Ms);
        for (const asked of [...first.asked, ...second.asked]) await checkAnswered(asked, client);
        checkFaults(fake);
        inline.push(await scene.together(callers.send));
      } finally {
        // What it still has to do is in nobody's way then.
        await closeRound(round);
      }
  } finally {
    await callers.stop();
    await Promise.all(all.map(closeRound));
  }
  const medianOf = (bursts: Burst[], which: "acknowledged" | "answered", q: number): number =>
    median(bursts.map((burst) => quantile(burst[which], q)));
  const deferredOf = (bursts: Burst[]): number => median(bursts.map(({ deferred }) => deferred));
  const first = `${atOnce} interactions at once, objects cold`;
  const again = "the same again, admission warm";
  return [
    atMost(
      `${first}, answered or deferred, p99`,
      medianOf(cold, "acknowledged", 0.99),
      "ms",
      ACKNOWLEDGED_P99_MAX_MS,
    ),
    { name: "the same, p50", value: medianOf(cold, "acknowledged", 0.5), unit: "ms" },
    { name: "of them deferred", value: deferredOf(cold), unit: "" },
    atMost(
      "all of them answered in the end, p99",
      medianOf(cold, "answered", 0.99),
      "ms",
      ANSWERED_P99_MAX_MS,
    ),
    { name: "the same, p50", value: medianOf(cold, "answered", 0.5), unit: "ms" },
    { name: `${again}, answered or deferred, p99`, value: medianOf(warm, "acknowledged", 0.99), unit: "ms" },
    { name: "of them deferred", value: deferredOf(warm), unit: "" },
    { name: "all of them answered in the end, p99", value: medianOf(warm, "answered", 0.99), unit: "ms" },
    { name: `${atOnce} events by HTTP at once, p99`, value: median(byHttp), unit: "ms" },
    atMost(
      `${INLINE_AT_ONCE} forms, choices and decisions at once, objects cold, answered or deferred, p99`,
      median(inline.map(({ acknowledged }) => quantile(acknowledged, 0.99))),
      "ms",
      ACKNOWLEDGED_P99_MAX_MS,
    ),
    {
      name: "the same, p50",
      value: median(inline.map(({ acknowledged }) => quantile(acknowledged, 0.5))),
      unit: "ms",
    },
    { name: "of them deferred", value: median(inline.map(({ deferred }) => deferred)), unit: "" },
  ];
}

/** An edge for each of its scenes. */
interface Round {
  asking: DiscordEdge;
  answering: DiscordEdge;
  scene: InlineScene;
}

/** One edge after the other: each is bundled by what stands in the environment. */
async function openRound(people: number): Promise<Round> {
  const asking = await discordEdge(people);
  const answering = await discordEdge(INLINE_AT_ONCE);
  return { asking, answering, scene: await inlineScene(answering) };
}

async function closeRound({ asking, answering, scene }: Round): Promise<void> {
  await scene.stop();
  await Promise.all([asking.close(), answering.close()]);
}

interface Asked {
  sentAt: number;
  shown: Interacted;
}

const EVENT = { type: "bench.quick", payload: "{}" };

/** All of them at once; over when everybody is answered. */
async function together(
  { fake, url, people }: DiscordEdge,
  through: Callers["send"],
): Promise<{ asked: Asked[]; burst: Burst }> {
  const asked = await Promise.all(
    people.map(async (by): Promise<Asked> => {
      const sentAt = Date.now();
      const payload = fake.command("flow dispatch", EVENT, { by });
      return { sentAt, shown: await fake.interact(url, payload, { through }) };
    }),
  );
  const answered = await Promise.all(
    asked.map(async ({ sentAt, shown }) =>
      isDeferred(shown) ? (await edited(fake, shown)) - sentAt : shown.tookMs,
    ),
  );
  const acknowledged = asked.map(({ shown }) => shown.tookMs);
  const deferred = asked.filter(({ shown }) => isDeferred(shown)).length;
  return { asked, burst: { acknowledged, answered, deferred } };
}

/** Throws unless somebody was answered once, and what he asked for was started. */
async function checkAnswered({ shown }: Asked, client: EdgeClient): Promise<void> {
  const { history = [] } = shown.message ?? {};
  const said = JSON.stringify(history.at(-1) ?? shown.text);
  if (!said.includes("Started")) throw new Error(`an interaction started nothing: ${said}`);
  if (history.length !== (isDeferred(shown) ? 2 : 1))
    throw new Error(`an interaction was answered ${history.length} times`);
  await client.getEvent(`discord:${shown.id}`);
}

function isDeferred({ what }: Interacted): boolean {
  return what === "thinking";
}

/** When the answer took the place of the deferral, epoch ms. */
async function edited(fake: FakeDiscord, { message }: Interacted): Promise<number> {
  return within(
    fake.waitFor(() => message?.editedAtMs),
    LATEST_MS,
    () => {
      throw new Error(`no answer has followed a deferral for ${LATEST_MS} ms`);
    },
  );
}
