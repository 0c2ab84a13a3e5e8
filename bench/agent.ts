/** A runner agent at rest, after it has worked: what it holds of memory and takes of the processor. */
import { setTimeout as sleep } from "node:timers/promises";
import { createEdgeClient } from "../client/http.ts";
import { atMost, type BenchOptions, type Figure } from "./figures.ts";
import { processorMs, residentMb } from "./processes.ts";
import { startRunner } from "./runner.ts";
import { edgeServer } from "./servers.ts";

const RUNS = 70;
const SETTLE_MS = 3_000;
const REST_MS = 20_000;
const RESIDENT_MAX_MB = 80;
/** Of a second: the flow packages are looked at now and then, and a heartbeat is sent. */
const PROCESSOR_MAX_SHARE = 0.005;

export async function agent({ amount }: BenchOptions): Promise<Figure[]> {
  const [runs, restMs] = [amount(RUNS, 1), amount(REST_MS, SETTLE_MS)];
  const edge = await edgeServer();
  const runner = await startRunner(edge, 4);
  try {
    const client = createEdgeClient({ url: edge.url, token: edge.secrets.tokens.write });
    for (let n = 0; n < runs; n += 1)
      await client.dispatch({ id: `agent:${process.pid}:${n}`, type: "bench.quick" }, { wait: true });
    await sleep(SETTLE_MS);
    const before = processorMs([runner.pid]);
    await sleep(restMs);
    const share = (processorMs([runner.pid]) - before) / restMs;
    return [
      atMost(`resident after ${runs} runs`, residentMb(runner.pid), "MB", RESIDENT_MAX_MB),
      atMost("processor at rest", share * 100, "%", PROCESSOR_MAX_SHARE * 100),
    ];
  } finally {
    await runner.stop();
    await edge.close();
  }
}
