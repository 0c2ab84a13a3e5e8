/** Starts a runner agent from its flags and its box's configuration, and ends it on signals. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import packageJson from "../package.json" with { type: "json" };
import { FlowCheckout } from "./checkout.ts";
import { codexKinds } from "./codex/codex-kind.ts";
import { rawFolder } from "./codex/raw-log.ts";
import { missingProjects, projectPaths } from "./config/projects.ts";
import { readRunnerConfig, RunnerConfigError, runnerConfigFile } from "./config/runner-config.ts";
import { stepEnvironment, type Secret } from "./config/step-environment.ts";
import { JOURNAL_COPIED } from "../contract/runner-link.ts";
import { renewRunnerIdentity, runnerIdentity } from "./journal/identity.ts";
import { Journal } from "./journal/journal.ts";
import { JournalInUseError, JournalUnusableError } from "./journal/tables.ts";
import { agentLog } from "./log.ts";
import { keepTelling } from "./relay/untold.ts";
import { proxySecrets } from "./proxy.ts";
import { RejectedError, Runner } from "./runner.ts";
import { stepStarter } from "./steps/start-step.ts";
import { probeScope } from "./steps/systemd-scope.ts";
import { Workspaces } from "./workspace/workspaces.ts";
import { EXIT } from "./cli/exit-codes.ts";

/** Refusals that name a wrong journal, not a wrong token or address. */
const USAGE_CODES = ["runner_key", JOURNAL_COPIED];

export interface RunnerAgentOptions {
  url: string;
  /** A runner token of the edge. */
  token: string;
  name?: string | undefined;
  pool?: string | undefined;
  labels: string[];
  capacity?: number | undefined;
  workspace: string;
  /** Folder of the journal; by default in the workspace. */
  journal?: string | undefined;
  /** File of the box's configuration; by default in the workspace. */
  config?: string | undefined;
  json: boolean;
}

/** Runs until it is stopped. Returns the exit code: see cli/exit-codes. */
export async function startRunnerAgent(options: RunnerAgentOptions): Promise<number> {
  for (;;) {
    const end = await runAgent(options);
    if (end !== "renewed") return end;
  }
}

/** @returns the exit code; `renewed`: the journal has a new runner id, and the agent has to start with it */
async function runAgent(options: RunnerAgentOptions): Promise<number | "renewed"> {
  const log = agentLog(options.json);
  const workspace = resolve(options.workspace);
  if (!existsSync(workspace)) {
    log("error", `there is no workspace ${workspace}: give the folder with the flow packages by --workspace`);
    return EXIT.usage;
  }
  try {
    const config = await readRunnerConfig({
      workspace,
      ...(options.config === undefined ? {} : { path: resolve(options.config) }),
    });
    const unusable = config.executor.kind === "direct" ? undefined : await probeScope(process.env);
    if (unusable !== undefined) {
      log("error", `executor = "systemd-run": ${unusable.message}`, { code: unusable.code });
      return EXIT.usage;
    }
    if (process.pid === 1)
      log(
        "warn",
        "this agent is PID 1, so that ended processes which steps leave stay as zombies: start the container with --init",
      );
    const projects = projectPaths(config.projects, { workspace, home: homedir() });
    for (const missing of missingProjects(projects)) log("warn", `${missing}; runs that ask for it fail`);
    const name = options.name ?? config.name;
    const pool = options.pool ?? config.pool;
    const folder = options.journal ?? join(workspace, ".codex-flow", `runner-${pool}`);
    const journal = new Journal(join(folder, "journal.sqlite"));
    const checkout = await FlowCheckout.open(workspace);
    for (const fault of checkout.faults) log("error", `broken flow package, not offered: ${fault}`);
    const { runnerId, key } = runnerIdentity(journal);
    const codex = codexKinds({
      config: config.codex,
      environment: process.env,
      runnerId,
      version: packageJson.version,
      configFile: options.config === undefined ? runnerConfigFile(workspace) : resolve(options.config),
      raw: rawFolder(resolve(folder)),
      log,
    });
    const runner = new Runner({
      host: {
        edgeUrl: options.url,
        linkUrl: options.url.replace(/^http/, "ws").replace(/\/$/, ""),
        token: options.token,
        runnerId,
        runnerName: name,
        journal,
        log,
        executor: config.executor,
        environment: stepEnvironment(
          config,
          process.env,
          withheld(options.token, [...config.codex.env, ...proxySecrets(process.env)]),
        ),
        startStep: stepStarter(codex.starters),
        workspaces: new Workspaces({
          workspace,
          runnerId,
          repositories: config.repositories,
          projects,
          quota: config.workspaces,
        }),
      },
      identity: {
        runnerId,
        key,
        process: crypto.randomUUID(),
        name,
        version: packageJson.version,
        labels: [...new Set([...config.labels, ...options.labels])],
        capacity: options.capacity ?? config.capacity,
      },
      pool,
      checkout,
      prepare: (kind) => {
        if (kind === "codex" || kind === "code-mode") codex.prepare(kind);
      },
    });
    const stopListening = onSignals(runner, log);
    const stopTelling = keepTelling({ url: options.url, token: options.token }, log);
    try {
      await runner.start();
      await runner.finished;
    } catch (error) {
      if (!(error instanceof RejectedError) || error.code !== JOURNAL_COPIED) throw error;
      // What the journal still owes belongs to the id: then a person has to decide which machine keeps it.
      if (journal.attempts().length > 0) throw error;
      const renewed = renewRunnerIdentity(journal);
      log("warn", `${error.message}. This agent owes the edge nothing and goes on as ${renewed.runnerId}`);
      return "renewed";
    } finally {
      stopListening();
      await stopTelling();
      await codex.stop();
      journal.close();
    }
    log("info", "stopped");
    return EXIT.ok;
  } catch (error) {
    if (error instanceof RejectedError) {
      log("error", error.message, { code: error.code });
      return USAGE_CODES.includes(error.code) ? EXIT.usage : EXIT.denied;
    }
    if (
      error instanceof JournalInUseError ||
      error instanceof JournalUnusableError ||
      error instanceof RunnerConfigError
    ) {
      log("error", error.message);
      return EXIT.usage;
    }
    throw error;
  }
}

/** No step is given these, and they are redacted: the agent's token, what Codex needs for its model's provider, a proxy's login. */
function withheld(token: string, names: readonly string[]): Secret[] {
  const given = names.flatMap((name) => {
    const value = process.env[name];
    return value === undefined || value === "" ? [] : [{ name, value }];
  });
  return [{ name: "runner token", value: token }, ...given];
}

/** The first signal drains; a second one stops now. */
function onSignals(runner: Runner, log: ReturnType<typeof agentLog>): () => void {
  let signals = 0;
  const received = (): void => {
    signals += 1;
    if (signals === 1) {
      log("info", `draining: ${runner.active} run(s) to finish; a second signal stops them`);
      runner.drain();
    } else if (signals === 2) {
      log("warn", "stopping now");
      void runner.forceStop();
    }
  };
  process.on("SIGTERM", received);
  process.on("SIGINT", received);
  return () => {
    process.off("SIGTERM", received);
    process.off("SIGINT", received);
  };
}
