/** The real Codex behind a fake model, for one test: homes, checkouts and servers go when it is over. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type AppServer, startAppServer, type StartOptions } from "../../runner-agent/codex/app-server.ts";
import type { ServerNotification } from "../../runner-agent/codex/protocol.ts";
import { writeCodexHome } from "./fake-model/codex-home.ts";
import { FakeModel, type Rule } from "./fake-model/fake-model.ts";
import { Signal } from "./signal.ts";

/** A folder outside of the system's temporary directory, which sandboxes leave open. */
export function folder(name: string): string {
  const path = mkdtempSync(join("/var/tmp", `${name}-`));
  onTestFinished(() => {
    rmSync(path, { recursive: true, force: true });
  });
  return path;
}

/** An empty Git repository. */
export function checkout(): string {
  const path = folder("codex-checkout");
  execFileSync("git", ["init", "-q"], { cwd: path });
  return path;
}

export async function fakeModel(rules: Rule[]): Promise<FakeModel> {
  const model = await FakeModel.start(rules);
  onTestFinished(async () => {
    await model.stop();
  });
  return model;
}

/** `config` overrides tables of the home's config.toml. */
export function codexHome(model: FakeModel, config: Record<string, unknown> = {}): string {
  const home = writeCodexHome(model.url, config);
  onTestFinished(() => {
    rmSync(home, { recursive: true, force: true });
  });
  return home;
}

/** The whole environment of an app-server. */
export function codexEnvironment(home: string): Record<string, string> {
  const temporary = join(home, "tmp-of-steps");
  mkdirSync(temporary, { recursive: true });
  return { PATH: process.env["PATH"] ?? "", HOME: home, CODEX_HOME: home, TMPDIR: temporary };
}

export async function appServer(options: Omit<StartOptions, "version">): Promise<AppServer> {
  const server = await startAppServer({ ...options, version: "0.0.0" });
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

/** An app-server with a thread in a checkout of its own, and all that it has told. */
export interface LiveThread {
  server: AppServer;
  model: FakeModel;
  threadId: string;
  cwd: string;
  told: ServerNotification[];
  signal: Signal;
  /** Starts a turn and returns its id. */
  turn(text: string, more?: Record<string, unknown>): Promise<string>;
  /** Resolves with the first notification of that method that was told, or is going to be. */
  tells<Method extends ServerNotification["method"]>(
    method: Method,
    such?: (notification: Extract<ServerNotification, { method: Method }>) => boolean,
  ): Promise<Extract<ServerNotification, { method: Method }>>;
}

export async function liveThread(
  rules: Rule[],
  thread: Record<string, unknown> = {},
  config: Record<string, unknown> = {},
): Promise<LiveThread> {
  const model = await fakeModel(rules);
  const cwd = checkout();
  const server = await appServer({ cwd, env: codexEnvironment(codexHome(model, config)) });
  const told: ServerNotification[] = [];
  const signal = new Signal();
  server.onNotification((notification) => {
    told.push(notification);
    signal.notify();
  });
  const started = await server.request("thread/start", { cwd, sandbox: "workspace-write", ...thread });
  const threadId = started.thread.id;
  return {
    server,
    model,
    threadId,
    cwd,
    told,
    signal,
    turn: async (text, more = {}) => {
      const input = [{ type: "text" as const, text, text_elements: [] }];
      const { turn } = await server.request("turn/start", { threadId, input, ...more });
      return turn.id;
    },
    tells: async (method, such = () => true) => {
      type Told = Extract<ServerNotification, { method: typeof method }>;
      const is = (one: ServerNotification): one is Told => one.method === method && such(one as Told);
      await signal.until(() => told.some(is));
      const found = told.find(is);
      if (found === undefined) throw new Error(`nothing was told of ${method}`);
      return found;
    },
  };
}
