/**
 * Fifty people at the same moment, with every object behind the door still asleep: Discord waits for three seconds, and what
 * comes later is "This interaction failed"; people wait for less. Each sends an event, so that every answer is a
 * signature, an admission in the one object that gives them, and an event object of its own. What is not answered soon is
 * acknowledged by a deferral, and the outbox brings the answer to a Discord of our own: both times count, and so does
 * that everybody was answered once. Each round has an edge of its own; the Worker itself is awake.
 * Beside it, as many events by HTTP, while the outbox still shows the runs.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createEdgeClient, type EdgeClient } from "../client/http.ts";
import { within } from "../durable-objects/kit/deadline.ts";
import { FakeDiscord, NO_LIMITS, type Interacted, type User } from "../test/support/fake-discord/index.ts";
import { Callers } from "./discord-callers.ts";
import { atMost, median, quantile, type Figure, type BenchOptions } from "./figures.ts";
import { load, post } from "./http-load.ts";
import { edgeServer } from "./servers.ts";

const AT_ONCE = 50;
/** workerd evicts an object that nobody has called for ten seconds. */
const ASLEEP_AFTER_MS = 12_000;
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

export async function discord({ rounds }: BenchOptions): Promise<Figure[]> {
  const cold: Burst[] = [];
  const warm: Burst[] = [];
  const byHttp: number[] = [];
  const callers = await Callers.start();
  for (let round = 0; round < rounds; round += 1) {
    const fake = await FakeDiscord.start({ limits: NO_LIMITS });
    const edge = await edgeServer(undefined, {
      DISCORD_APPLICATION_ID: fake.app.id,
      DISCORD_PUBLIC_KEY: fake.publicKey,
      DISCORD_BOT_TOKEN: fake.botToken,
      DISCORD_API_URL: fake.apiUrl,
    });
    const url = `${edge.url}/discord/interactions`;
    const client = createEdgeClient({ url: edge.url, token: edge.secrets.tokens.admin });
    const people = Array.from({ length: AT_ONCE }, (_unused, index) =>
      fake.addUser({ username: `person ${index}`, permissions: "8" }),
    );
    try {
      await fake.verifyEndpoint(url);
      // The object that admits has been awake for it; it sleeps again before anybody comes.
      await client.allowServer({ server: fake.guild.id, allowed: true });
      await sleep(ASLEEP_AFTER_MS);
      const first = await together(fake, url, people, callers.send);
      const second = await together(fake, url, people, callers.send);
      cold.push(first.burst);
      warm.push(second.burst);
      const send = (): Promise<void> => post(edge.url, edge.secrets.tokens.write, "bench.quick", {});
      byHttp.push((await load(AT_ONCE, AT_ONCE, send)).p99Ms);
      for (const asked of [...first.asked, ...second.asked]) await checkAnswered(asked, client);
      const faults = fake.faults.filter(({ tolerated }) => !tolerated);
      if (faults.length > 0) throw new Error(`Discord refuses: ${JSON.stringify(faults[0])}`);
    } finally {
      await edge.close();
      await fake.stop();
    }
  }
  await callers.stop();
  const medianOf = (bursts: Burst[], which: "acknowledged" | "answered", q: number): number =>
    median(bursts.map((burst) => quantile(burst[which], q)));
  const deferredOf = (bursts: Burst[]): number => median(bursts.map(({ deferred }) => deferred));
  const first = `${AT_ONCE} interactions at once, objects cold`;
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
    { name: `${AT_ONCE} events by HTTP at once, p99`, value: median(byHttp), unit: "ms" },
  ];
}

interface Asked {
  sentAt: number;
  shown: Interacted;
}

const EVENT = { type: "bench.quick", payload: "{}" };

/** All of them at once; over when everybody is answered. */
async function together(
  fake: FakeDiscord,
  url: string,
  people: User[],
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
