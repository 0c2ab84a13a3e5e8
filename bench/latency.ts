/** From an event's sending to the step's own code running, one after another, through a real runner agent. */
import { createEdgeClient } from "../client/http.ts";
import { atMost, median, quantile, type BenchOptions, type Figure } from "./figures.ts";
import { startRunner } from "./runner.ts";
import { edgeServer } from "./servers.ts";

const EVENTS = 60;
const WARM_UP = 10;
/** The ancestor, which spawns in its own process. */
const ANCESTOR_P50_MS = 41;
const AIM_P50_MS = 25;

export async function latency({ amount }: BenchOptions): Promise<Figure[]> {
  const edge = await edgeServer();
  const client = createEdgeClient({ url: edge.url, token: edge.secrets.tokens.write });
  const runner = await startRunner(edge, 4);
  try {
    const [warmUp, events] = [amount(WARM_UP, 0), amount(EVENTS, 1)];
    const delays: number[] = [];
    for (let n = 0; n < warmUp + events; n += 1) {
      const sent = Date.now();
      const answer = await client.dispatch(
        { id: `latency:${process.pid}:${n}`, type: "bench.quick" },
        { wait: true },
      );
      const { output } = await client.getOutput(answer.runIds[0] ?? "");
      const began = /began (\d+)/.exec(output.map((chunk) => chunk.text).join(""))?.[1];
      if (n >= warmUp) delays.push(Number(began) - sent);
    }
    return [
      atMost("event sent to step's code, p50", median(delays), "ms", ANCESTOR_P50_MS, {
        ancestor: ANCESTOR_P50_MS,
        aim: AIM_P50_MS,
      }),
      { name: "event sent to step's code, p90", value: quantile(delays, 0.9), unit: "ms" },
    ];
  } finally {
    await runner.stop();
    await edge.close();
  }
}
