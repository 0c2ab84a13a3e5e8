/** A burst of events at once for a runner that takes eight at a time: nobody is lost, nobody crowds, the door stays open. */
import { setTimeout as sleep } from "node:timers/promises";
import { createEdgeClient, type EdgeClient } from "../client/http.ts";
import { atLeast, atMost, quantile, type BenchOptions, type Figure } from "./figures.ts";
import { load } from "./http-load.ts";
import { startRunner } from "./runner.ts";
import { edgeServer } from "./servers.ts";

const EVENTS = 400;
const STEP_MS = 500;
const CAPACITY = 8;
const AT_A_TIME = 16;
const HEALTH_P99_MAX_MS = 250;
const HEALTH_P99_AIM_MS = 50;
const LOOK_AGAIN_MS = 1_000;
const HEALTH_EVERY_MS = 20;
const GIVE_UP_MS = 180_000;

export async function burst({ amount }: BenchOptions): Promise<Figure[]> {
  const [events, stepMs] = [amount(EVENTS, CAPACITY), amount(STEP_MS, 1)];
  const edge = await edgeServer();
  const runner = await startRunner(edge, CAPACITY);
  const client = createEdgeClient({ url: edge.url, token: edge.secrets.tokens.write });
  const health = healthWatch(client);
  try {
    const began = performance.now();
    const runIds: string[] = [];
    await load(events, AT_A_TIME, async (n) => {
      const answer = await client.dispatch({
        id: `burst:${process.pid}:${n}`,
        type: "bench.sleep",
        payload: { ms: stepMs },
      });
      runIds.push(...answer.runIds);
    });
    const taken = (performance.now() - began) / 1000;
    await untilOver(client, events);
    const seconds = (performance.now() - began) / 1000;
    const latencies = await health.stop();
    const times = await Promise.all(runIds.map((runId) => timesOf(client, runId)));
    const ran = times.filter((time) => time !== undefined);
    return [
      atLeast(`of ${events} events, runs completed at the first attempt`, ran.length, "", events),
      atMost("steps at once, at most", mostAtOnce(ran), "", CAPACITY),
      atMost("/healthz during the burst, p99", quantile(latencies, 0.99), "ms", HEALTH_P99_MAX_MS, {
        aim: HEALTH_P99_AIM_MS,
      }),
      { name: "/healthz during the burst, p50", value: quantile(latencies, 0.5), unit: "ms" },
      { name: "all accepted after", value: taken, unit: "s" },
      {
        name: `all over after (${(events * stepMs) / CAPACITY / 1000} s of steps)`,
        value: seconds,
        unit: "s",
      },
    ];
  } finally {
    await health.stop();
    await runner.stop();
    await edge.close();
  }
}

/** Asks for /healthz all the time; `stop` gives what each answer took, milliseconds. */
function healthWatch(client: EdgeClient): { stop(): Promise<number[]> } {
  const latencies: number[] = [];
  const stopping = new AbortController();
  const watching = (async () => {
    while (!stopping.signal.aborted) {
      const asked = performance.now();
      await client.health();
      latencies.push(performance.now() - asked);
      await sleep(HEALTH_EVERY_MS);
    }
  })();
  return {
    stop: async () => {
      stopping.abort();
      await watching;
      return latencies;
    },
  };
}

async function untilOver(client: EdgeClient, events: number): Promise<void> {
  const deadline = performance.now() + GIVE_UP_MS;
  for (;;) {
    const { runs } = await client.listRuns({ status: "completed", limit: 500 });
    if (runs.length >= events || performance.now() > deadline) return;
    await sleep(LOOK_AGAIN_MS);
  }
}

interface StepTimes {
  began: number;
  ended: number;
}

/** When the step's own code ran; undefined for a run that did not complete at once. */
async function timesOf(client: EdgeClient, runId: string): Promise<StepTimes | undefined> {
  const run = await client.getRun(runId);
  const text = (run.output ?? []).map((chunk) => chunk.text).join("");
  const [began, ended] = ["began", "ended"].map((word) =>
    Number(new RegExp(`${word} (\\d+)`).exec(text)?.[1]),
  );
  if (run.status !== "completed" || run.attemptCount !== 1 || began === undefined || ended === undefined)
    return undefined;
  return { began, ended };
}

function mostAtOnce(times: readonly StepTimes[]): number {
  return Math.max(
    0,
    ...times.map(({ began }) => times.filter((other) => other.began <= began && other.ended > began).length),
  );
}
