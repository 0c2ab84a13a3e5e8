/**
 * Fifty people at the same moment, with every object behind the door still asleep: Discord waits for three seconds, and what
 * comes later is "This interaction failed". Each sends an event, so that every answer is a signature, an admission in the one
 * object that gives them, and an event object of its own. Each round has an edge of its own; the Worker itself is awake.
 * Beside it, as many events by HTTP: what the machine takes for the event objects alone.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createEdgeClient } from "../client/http.ts";
import { atMost, median, quantile, type Figure, type BenchOptions } from "./figures.ts";
import { load, post } from "./http-load.ts";
import { edgeServer, type EdgeServer } from "./servers.ts";
import { Signer } from "../test/support/fake-discord/signer.ts";

const AT_ONCE = 50;
const P99_MAX_MS = 300;
/** An interaction over an event by HTTP: admission, and the word of what came of it, are rows of one object. */
const RATIO_MAX = 2;
const GUILD = "900000000000000001";
/** workerd evicts an object that nobody has called for ten seconds. */
const ASLEEP_AFTER_MS = 12_000;

export async function discord({ rounds }: BenchOptions): Promise<Figure[]> {
  const signer = new Signer();
  const cold: number[][] = [];
  const warm: number[][] = [];
  const byHttp: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const edge = await edgeServer(undefined, { DISCORD_PUBLIC_KEY: signer.publicKey });
    try {
      await letServerIn(edge);
      await interact(edge.url, signer, { type: 1 });
      cold.push(await together(edge.url, signer, `${round}0`));
      warm.push(await together(edge.url, signer, `${round}1`));
      const send = (): Promise<void> => post(edge.url, edge.secrets.tokens.write, "bench.quick", {});
      byHttp.push((await load(AT_ONCE, AT_ONCE, send)).p99Ms);
    } finally {
      await edge.close();
    }
  }
  const medianOf = (bursts: number[][], q: number): number =>
    median(bursts.map((burst) => quantile(burst, q)));
  return [
    atMost(`${AT_ONCE} interactions at once, objects cold, p99`, medianOf(cold, 0.99), "ms", P99_MAX_MS),
    { name: "the same, p50", value: medianOf(cold, 0.5), unit: "ms" },
    { name: "the same again, admission warm, p99", value: medianOf(warm, 0.99), unit: "ms" },
    { name: `${AT_ONCE} events by HTTP at once, p99`, value: median(byHttp), unit: "ms" },
    atMost("the first over these", medianOf(cold, 0.99) / median(byHttp), "×", RATIO_MAX),
  ];
}

/** The object that admits has been awake for it; it sleeps again before anybody comes. */
async function letServerIn({ url, secrets }: EdgeServer): Promise<void> {
  const client = createEdgeClient({ url, token: secrets.tokens.admin });
  await client.allowServer({ server: GUILD, allowed: true });
  await sleep(ASLEEP_AFTER_MS);
}

/** Latencies of a burst, ms. */
async function together(url: string, signer: Signer, burst: string): Promise<number[]> {
  return Promise.all(
    Array.from({ length: AT_ONCE }, async (_unused, index) => {
      const payload = dispatchBy(`7${burst}${String(index).padStart(15, "0")}`);
      const sent = performance.now();
      const text = await interact(url, signer, payload);
      if (!text.includes("Started")) throw new Error(`an interaction started nothing: ${text}`);
      return performance.now() - sent;
    }),
  );
}

async function interact(url: string, signer: Signer, payload: object): Promise<string> {
  const { headers, body } = signer.sign(
    JSON.stringify({ id: "1", application_id: "1", ...payload }),
    Date.now(),
  );
  const answer = await fetch(`${url}/discord/interactions`, {
    method: "POST",
    headers,
    body: new Uint8Array(body),
  });
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`an interaction got ${answer.status}: ${text}`);
  return text;
}

/** `/flow dispatch` by an administrator of a server; every one has an id of its own. */
function dispatchBy(id: string): object {
  const options = [
    { name: "type", type: 3, value: "bench.quick" },
    { name: "payload", type: 3, value: "{}" },
  ];
  return {
    id,
    token: "token",
    type: 2,
    guild_id: GUILD,
    channel: { id, type: 0 },
    member: { user: { id, username: "ada" }, roles: [], permissions: "8" },
    data: { id: "1", name: "flow", type: 1, options: [{ name: "dispatch", type: 1, options }] },
  };
}
