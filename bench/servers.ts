/** The Workers under measurement, in workerd without wrangler's proxy in the way; state on disk. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTestHarness } from "wrangler";
import { devSecrets, type DevSecrets } from "../runner-agent/dev/secrets.ts";
import { writeDevConfig } from "../runner-agent/dev/wrangler-config.ts";
import { projectPath } from "../scripts/project.ts";
import { benchWorkspace } from "./workspace.ts";

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

/** A Worker to serve in place of the product's own, with what its configuration has more. */
export interface OtherWorker {
  /** Path of its main file in this project. */
  main: string;
  objects: { name: string; class_name: string }[];
}

/** @param chats settings of chats, by their names in the Worker's environment */
export async function edgeServer(
  other?: OtherWorker,
  chats: Record<string, string> = {},
): Promise<EdgeServer> {
  const state = await mkdtemp(join(tmpdir(), "codex-flow-bench-"));
  const workspace = join(state, "workspace");
  await benchWorkspace(workspace);
  const secrets = await devSecrets(state);
  const { config, catalog } = await writeDevConfig({
    project: projectPath(),
    state,
    workspace,
    secrets,
    chats,
  });
  process.env["CODEX_FLOW_WORKSPACE"] = workspace;
  process.env["CODEX_FLOW_CATALOG"] = catalog;
  if (other !== undefined) await replaceWorker(config, other);
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

/** What of a configuration changes with its Worker. */
interface WorkerConfig {
  main: string;
  durable_objects: { bindings: { name: string; class_name: string }[] };
  migrations: { new_sqlite_classes: string[] }[];
}

async function replaceWorker(path: string, { main, objects }: OtherWorker): Promise<void> {
  const config = JSON.parse(await readFile(path, "utf8")) as WorkerConfig;
  config.main = projectPath(main);
  config.durable_objects.bindings.push(...objects);
  config.migrations[0]?.new_sqlite_classes.push(...objects.map(({ class_name }) => class_name));
  await writeFile(path, JSON.stringify(config));
}
