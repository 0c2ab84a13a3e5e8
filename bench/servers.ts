/** The Workers under measurement, in workerd without wrangler's proxy in the way; state on disk. */
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTestHarness } from "wrangler";
import { devSecrets, type DevSecrets } from "../runner-agent/dev/secrets.ts";
import { writeDevConfig } from "../runner-agent/dev/wrangler-config.ts";
import { projectPath } from "../scripts/project.ts";

export interface Server {
  url: string;
  close(): Promise<void>;
}

export interface EdgeServer extends Server {
  secrets: DevSecrets;
  /** With the flows of the bench in it; for a runner agent. */
  workspace: string;
}

async function listen(configPath: string): Promise<Server> {
  const harness = createTestHarness({ workers: [{ configPath }] });
  const { url } = await harness.listen();
  return { url: String(url).replace(/\/$/, ""), close: () => harness.close() };
}

export async function floorServer(): Promise<Server> {
  return listen(projectPath("bench/floor/wrangler.json"));
}

const STEP = `console.log("began " + Date.now());
console.log('FLOW_RESULT {"status":"completed"}');
`;

export async function edgeServer(): Promise<EdgeServer> {
  const state = await mkdtemp(join(tmpdir(), "codex-flow-bench-"));
  const workspace = join(state, "workspace");
  await mkdir(join(workspace, "flows"), { recursive: true });
  await cp(projectPath("flows/hello"), join(workspace, "flows/hello"), { recursive: true });
  await mkdir(join(workspace, "flows/bench/exec"), { recursive: true });
  await writeFile(
    join(workspace, "flows/bench/flow.toml"),
    `name = "bench"\nversion = 1\n[[steps]]\nname = "quick"\nrunner = "bun"\nscript = "exec/quick.ts"\n[steps.trigger]\ntype = "bench.quick"\n`,
  );
  await writeFile(join(workspace, "flows/bench/exec/quick.ts"), STEP);
  const secrets = await devSecrets(state);
  const { config, catalog } = await writeDevConfig({ project: projectPath(), state, workspace, secrets });
  process.env["CODEX_FLOW_WORKSPACE"] = workspace;
  process.env["CODEX_FLOW_CATALOG"] = catalog;
  const server = await listen(config);
  return {
    ...server,
    secrets,
    workspace,
    close: async () => {
      await server.close();
      await rm(state, { recursive: true, force: true });
    },
  };
}
