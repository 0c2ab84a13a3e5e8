/** From an event's sending to the step's own code running, one after another, through a real runner agent. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { createEdgeClient } from "../client/http.ts";
import { projectPath } from "../scripts/project.ts";
import { atMost, median, quantile, type Figure } from "./figures.ts";
import { edgeServer } from "./servers.ts";

const EVENTS = 60;
const WARM_UP = 10;
/** The ancestor, which spawns in its own process. */
const ANCESTOR_P50_MS = 41;
const LOOK_AGAIN_MS = 20;
const REST_MS = 3_000;
const RESIDENT_MAX_MB = 80;

export async function latency(): Promise<Figure[]> {
  const edge = await edgeServer();
  const client = createEdgeClient({ url: edge.url, token: edge.secrets.tokens.write });
  const flags = [
    "--workspace",
    edge.workspace,
    "--journal",
    join(edge.workspace, "journal"),
    "--capacity",
    "4",
  ];
  const runner = execa(
    process.execPath,
    [projectPath("bin/codex-flow.mjs"), "runner", "start", "--url", edge.url, ...flags],
    {
      env: { CODEX_FLOW_TOKEN: edge.secrets.tokens.runner },
      reject: false,
      stdio: "ignore",
    },
  );
  try {
    while (!(await client.listRunners()).runners.some(({ state }) => state === "connected"))
      await sleep(LOOK_AGAIN_MS);
    const delays: number[] = [];
    for (let n = 0; n < WARM_UP + EVENTS; n += 1) {
      const sent = Date.now();
      const answer = await client.dispatch(
        { id: `latency:${process.pid}:${n}`, type: "bench.quick" },
        { wait: true },
      );
      const { output } = await client.getOutput(answer.runIds[0] ?? "");
      const began = /began (\d+)/.exec(output.map((chunk) => chunk.text).join(""))?.[1];
      if (n >= WARM_UP) delays.push(Number(began) - sent);
    }
    await sleep(REST_MS);
    return [
      atMost("event sent to step's code, p50", median(delays), "ms", ANCESTOR_P50_MS),
      { name: "event sent to step's code, p90", value: quantile(delays, 0.9), unit: "ms" },
      atMost("runner agent at rest, resident", await residentMb(runner.pid ?? 0), "MB", RESIDENT_MAX_MB),
    ];
  } finally {
    runner.kill("SIGTERM");
    await runner;
    await edge.close();
  }
}

async function residentMb(pid: number): Promise<number> {
  const { stdout } = await execa("ps", ["-o", "rss=", "-p", String(pid)]);
  return Number(stdout) / 1024;
}
