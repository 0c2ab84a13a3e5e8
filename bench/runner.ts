/** A runner agent as people start it: the built program in a process of its own. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { createEdgeClient } from "../client/http.ts";
import { projectPath } from "../scripts/project.ts";
import type { EdgeServer } from "./servers.ts";

const LOOK_AGAIN_MS = 20;

export interface RunnerProcess {
  pid: number;
  stop(): Promise<void>;
}

/** Resolves when the edge shows it as connected. */
export async function startRunner(edge: EdgeServer, capacity: number): Promise<RunnerProcess> {
  const flags = ["--workspace", edge.workspace, "--journal", join(edge.workspace, "journal")];
  const child = execa(
    process.execPath,
    [
      projectPath("bin/codex-flow.mjs"),
      ...["runner", "start", "--url", edge.url, ...flags, "--capacity", String(capacity)],
    ],
    { env: { CODEX_FLOW_TOKEN: edge.secrets.tokens.runner }, reject: false, stdio: "ignore" },
  );
  const client = createEdgeClient({ url: edge.url, token: edge.secrets.tokens.read });
  while (!(await client.listRunners()).runners.some(({ state }) => state === "connected"))
    await sleep(LOOK_AGAIN_MS);
  return {
    pid: child.pid ?? 0,
    stop: async () => {
      child.kill("SIGTERM");
      await child;
    },
  };
}
