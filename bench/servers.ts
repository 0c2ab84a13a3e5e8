/**
 * The Workers under measurement: as `wrangler deploy` bundles them, in workerd, state on disk. Requests go straight to
 * them. A development server has two Workers of its own before each of them (wrangler's proxy, in another workerd, and
 * Miniflare's entry), which cost 3 ms a request and are nowhere when the product is deployed.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, parse } from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { unstable_getMiniflareWorkerOptions } from "wrangler";
import { compileCatalog } from "../catalog/compile.ts";
import { devSecrets, type DevSecrets } from "../runner-agent/dev/secrets.ts";
import { writeDevConfig } from "../runner-agent/dev/wrangler-config.ts";
import { projectPath } from "../scripts/project.ts";
import { benchWorkspace } from "./workspace.ts";
import { wrangler } from "./wrangler.ts";

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
  const folder = await mkdtemp(join(tmpdir(), "codex-flow-bench-"));
  const { workerOptions, main } = unstable_getMiniflareWorkerOptions(configPath);
  // The bundle is one file: there is nothing left to find by rules.
  const { modulesRules: _rules, ...options } = workerOptions;
  if (main === undefined) throw new Error(`${configPath} names no main file`);
  await wrangler("deploy", "--dry-run", "--config", configPath, "--outdir", folder);
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      durableObjectsPersist: join(folder, "objects"),
      workers: [
        {
          ...options,
          rootPath: folder,
          modules: true,
          scriptPath: `${parse(main).name}.js`,
          unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
        },
      ],
    }),
  );
  const url = await miniflare.unsafeGetDirectURL();
  return {
    url: url.origin,
    close: async () => {
      await miniflare.dispose();
      await rm(folder, { recursive: true, force: true });
    },
  };
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
    secrets,
    settings: chats,
  });
  await compileCatalog(workspace, catalog);
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
