/**
 * What runs of local mode take from the box that they run on: its configuration, what steps see of the environment, and
 * the ways to start them. Owns the app-server of steps that Codex works for, while there are any: it would keep the
 * process of a product from ending.
 */
import { homedir } from "node:os";
import packageJson from "../../package.json" with { type: "json" };
import { codexKinds, type CodexKinds } from "../codex/codex-kind.ts";
import type { CodexConfig } from "../config/codex-config.ts";
import { projectPaths } from "../config/projects.ts";
import { readRunnerConfig, RunnerConfigError, runnerConfigFile } from "../config/runner-config.ts";
import { stepEnvironment } from "../config/step-environment.ts";
import { stepStarter } from "../steps/start-step.ts";
import type { RunHost } from "./local-run.ts";
import { LocalConfigurationError } from "./state-error.ts";

/** The program's own credentials: no step is given them, whatever the box passes. */
const WITHHELD_VARIABLES = ["CODEX_FLOW_TOKEN", "CODEX_FLOW_EVENT_SECRET"];
/** Names local mode among the runners of one user. */
const LOCAL_RUNNER = "local";

export class LocalBox {
  readonly #workspace: string;
  readonly #environment: Readonly<Record<string, string | undefined>>;
  #codex: CodexKinds | undefined;

  /** @param environment what steps may get a part of */
  constructor(workspace: string, environment: Readonly<Record<string, string | undefined>>) {
    this.#workspace = workspace;
    this.#environment = environment;
  }

  /** As the box is now. @throws LocalConfigurationError */
  async look(): Promise<Pick<RunHost, "runnerName" | "environment" | "places" | "startStep">> {
    try {
      const config = await readRunnerConfig({ workspace: this.#workspace });
      const withheld = [...WITHHELD_VARIABLES, ...config.codex.env].flatMap((name) => {
        const value = this.#environment[name];
        return value === undefined || value === "" ? [] : [{ name, value }];
      });
      return {
        runnerName: config.name,
        environment: stepEnvironment(config, this.#environment, withheld),
        places: {
          workspace: this.#workspace,
          projects: projectPaths(config.projects, { workspace: this.#workspace, home: homedir() }),
        },
        startStep: stepStarter(this.#codexOf(config.codex).starters),
      };
    } catch (error) {
      if (error instanceof RunnerConfigError)
        throw new LocalConfigurationError(error.message, error.problems);
      throw error;
    }
  }

  /** Nothing runs any more, for now: Codex is started anew by the next step that needs it. */
  async rest(): Promise<void> {
    await this.#codex?.stop();
  }

  /** Of the first look, since one home has one writer. It is not that of an agent, for the same reason. */
  #codexOf(config: CodexConfig): CodexKinds {
    const home = config.home === undefined ? undefined : `${config.home}-${LOCAL_RUNNER}`;
    return (this.#codex ??= codexKinds({
      config: { ...config, home },
      environment: this.#environment,
      runnerId: LOCAL_RUNNER,
      version: packageJson.version,
      configFile: runnerConfigFile(this.#workspace),
    }));
  }
}
