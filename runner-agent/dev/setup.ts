/**
 * A whole codex-flow on one machine: the edge in workerd (through wrangler, state in a folder) and a runner agent,
 * each a process of its own. `npm run dev` keeps one running, `npm run demo` takes one through an event.
 */
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { delimiter, dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createEdgeClient } from "../../client/http.ts";
import { endLeftovers, rememberProcesses, startProcess, type DevProcess } from "./processes.ts";
import { QUIET_ENVIRONMENT } from "./quiet-environment.ts";
import { CatalogWatch } from "./catalog-watch.ts";
import { LauncherLock } from "./launcher-lock.ts";
import { devSecrets, type DevSecrets } from "./secrets.ts";
import { settingsFromEnvironment } from "./settings-from-environment.ts";
import { SetupError } from "./setup-error.ts";
import { writeDevConfig } from "./wrangler-config.ts";

const READY_TIMEOUT_MS = 90_000;
const LOOK_AGAIN_MS = 100;
const RUNNER_CAPACITY = 4;

export interface SetupOptions {
  /** 0: any free one. */
  port: number;
  state: string;
  workspace: string;
  runner: boolean;
  /** Gets what the processes say. */
  line(name: string, text: string): void;
}

export interface Setup {
  url: string;
  secrets: DevSecrets;
  /** Settles when one of the processes ends by itself, with its name and last words. */
  broken: Promise<{ name: string; words: string }>;
  stop(): Promise<void>;
}

export async function startSetup(options: SetupOptions): Promise<Setup> {
  const project = projectRoot();
  const state = resolve(options.state);
  const workspace = resolve(options.workspace);
  await mkdir(state, { recursive: true, mode: 0o700 });
  // The state may lie in somebody's repository.
  await writeFile(join(state, ".gitignore"), "*\n");
  const lock = await LauncherLock.take(state, { workspace, port: options.port });
  try {
    // What a crash has left behind may still hold the port.
    await endLeftovers(state);
    const port = await freePort(options.port);
    return await startLocked({ ...options, project, state, workspace, port, lock });
  } catch (error) {
    await lock.release();
    throw error;
  }
}

interface LockedOptions extends SetupOptions {
  project: string;
  lock: LauncherLock;
}

async function startLocked(options: LockedOptions): Promise<Setup> {
  const { project, state, workspace, port, lock } = options;
  const url = `http://127.0.0.1:${port}`;
  const secrets = await devSecrets(state);
  const { config, catalog } = await writeDevConfig({
    project,
    state,
    secrets,
    settings: settingsFromEnvironment(process.env),
  });
  const flows = await CatalogWatch.start({
    workspace,
    outFile: catalog,
    say: (text) => {
      options.line("flows", text);
    },
  });
  const processes: DevProcess[] = [];
  const start = async (process: DevProcess): Promise<DevProcess> => {
    processes.push(process);
    await rememberProcesses(state, processes);
    return process;
  };
  const stop = async (): Promise<void> => {
    await flows.stop();
    // The runner first: what it hands over needs the edge.
    for (const process of processes.toReversed()) await process.stop(true);
    await rememberProcesses(state, []);
    await lock.release();
  };
  try {
    const edge = await start(startEdge({ project, state, config, port, line: options.line }));
    const client = createEdgeClient({ url, token: secrets.tokens.read });
    await ready(edge, async () => {
      await client.health();
      return true;
    });
    if (options.runner) {
      const token = secrets.tokens.runner;
      const runner = await start(startRunner({ project, state, workspace, url, token, line: options.line }));
      await ready(runner, async () =>
        (await client.listRunners()).runners.some(({ state }) => state === "connected"),
      );
    }
  } catch (error) {
    await stop();
    throw error;
  }
  const broken = Promise.race(processes.map(async ({ name, over }) => ({ name, words: (await over).words })));
  return { url, secrets, broken, stop };
}

function startEdge(given: {
  project: string;
  state: string;
  config: string;
  port: number;
  line: SetupOptions["line"];
}): DevProcess {
  const wrangler = join(
    dirname(createRequire(import.meta.url).resolve("wrangler/package.json")),
    "bin",
    "wrangler.js",
  );
  const edgeState = join(given.state, "edge");
  return startProcess({
    name: "edge",
    command: process.execPath,
    args: [
      "--no-warnings",
      wrangler,
      "dev",
      ...["--config", given.config],
      ...["--ip", "127.0.0.1", "--port", String(given.port), "--inspector-port", "0"],
      ...["--persist-to", edgeState],
      ...["--log-level", "warn", "--show-interactive-dev-session=false"],
    ],
    cwd: given.project,
    // wrangler starts programs by the name `node`: they need the Node of this program, not an older one of the system.
    env: { ...QUIET_ENVIRONMENT, PATH: [dirname(process.execPath), process.env["PATH"]].join(delimiter) },
    line: (text) => {
      given.line("edge", text);
    },
  });
}

function startRunner(given: {
  project: string;
  state: string;
  workspace: string;
  url: string;
  token: string;
  line: SetupOptions["line"];
}): DevProcess {
  const flags = [
    "--url",
    given.url,
    "--workspace",
    given.workspace,
    "--journal",
    join(given.state, "runner"),
    "--capacity",
    String(RUNNER_CAPACITY),
  ];
  return startProcess({
    name: "runner",
    command: process.execPath,
    args: [join(given.project, "bin", "codex-flow.mjs"), "runner", "start", ...flags],
    cwd: given.workspace,
    // By the environment: arguments can be read by everybody on the machine.
    env: { CODEX_FLOW_TOKEN: given.token },
    line: (text) => {
      given.line("runner", text);
    },
  });
}

/** Waits until `there` says so; throws when the process ends first, or takes too long. */
async function ready(waited: DevProcess, there: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!(await there().catch(() => false))) {
    const died = await Promise.race([waited.over, sleep(LOOK_AGAIN_MS, undefined)]);
    if (died !== undefined) throw new SetupError(`the ${waited.name} did not start:\n${died.words}`);
    if (performance.now() > deadline)
      throw new SetupError(`the ${waited.name} was not there within ${READY_TIMEOUT_MS / 1000} s`);
  }
}

/**
 * The port, when nothing listens there; for 0 any free one. Without this look, the edge of another set-up would answer on
 * the port and be taken for this one.
 */
async function freePort(wanted: number): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => {
      reject(
        new SetupError(
          `cannot listen on 127.0.0.1:${wanted}: ${error.message}`,
          "pass another --port, or --port 0 for any free one",
        ),
      );
    });
    server.listen(wanted, "127.0.0.1", resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new SetupError("no free port on 127.0.0.1");
  return address.port;
}

/** The folder with wrangler.toml, from wherever this file was bundled to. */
export function projectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "wrangler.toml"))) {
    const parent = dirname(folder);
    if (parent === folder)
      throw new SetupError(
        "this installation of codex-flow has no edge in it: use a checkout of codex-flow-edge",
      );
    folder = parent;
  }
  return folder;
}
