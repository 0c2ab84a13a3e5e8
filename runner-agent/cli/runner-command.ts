/** `codex-flow runner`: reads the flags and hands over to the agent, the doctor or the installer, imported only then. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { RUNNER_CAPACITY_MAX } from "../../contract/limits.ts";
import { CAPACITY_DEFAULT_RUNS } from "../config/defaults.ts";
import { EXIT } from "./exit-codes.ts";
import { UsageError } from "./problem.ts";
import { missingToken } from "./configuration.ts";
import type { Act, Invocation } from "./invocation.ts";
import { collect, examples, wholeNumber } from "./option-values.ts";
import { registerRaw } from "./raw-command.ts";
import { registerWorktrees } from "./worktrees-command.ts";

interface DoctorOptions {
  workspace: string;
  config?: string;
  journal?: string;
  pool?: string;
}

interface InstallOptions extends RunnerOptions {
  start: boolean;
  print?: boolean;
  uninstall?: boolean;
}

interface RunnerOptions {
  name?: string;
  pool?: string;
  label?: string[];
  capacity?: number;
  workspace: string;
  journal?: string;
  config?: string;
}

const CONFIG_DESCRIPTION = "configuration file (default: .codex/runner.toml of the workspace)";

export function registerRunner(program: Command, act: Act): void {
  const runner = program.command("runner").description("The agent that runs steps on this machine");
  const start = runner
    .command("start")
    .description("Connect to the edge and run its steps until stopped; opens no port")
    .option("--name <name>", "display name (default: name of the configuration, else the host name)")
    .option("--pool <name>", 'pool whose runs it takes (default: pool of the configuration, else "default")')
    .option(
      "--label <label>",
      "label of this machine, which steps can require; repeatable (default: labels of the configuration; these are added)",
      collect,
    )
    .option(
      "--capacity <n>",
      `runs at a time, at most ${RUNNER_CAPACITY_MAX} (default: capacity of the configuration, else ${CAPACITY_DEFAULT_RUNS})`,
      wholeNumber(1, RUNNER_CAPACITY_MAX),
    )
    .option("--workspace <dir>", "folder with the flow packages", ".")
    .option(
      "--journal <dir>",
      "folder for output and results until the edge has stored them (default: .codex-flow/runner-<pool> of the workspace)",
    )
    .option("--config <file>", CONFIG_DESCRIPTION);
  examples(start, [
    ["codex-flow runner start", "with the url and token of the environment or the profile"],
    [
      "codex-flow runner start --pool gpu --label linux --label cuda --capacity 2",
      "for steps that require these labels",
    ],
  ]);
  act(start, startRunner);

  const doctor = runner
    .command("doctor")
    .description("Check this machine, and show what is missing and how to fix it")
    .option("--workspace <dir>", "folder with the flow packages", ".")
    .option("--config <file>", CONFIG_DESCRIPTION)
    .option("--journal <dir>", "folder of the journal, if it is not in the workspace")
    .option("--pool <name>", "pool whose runs it will take");
  examples(doctor, [
    ["codex-flow runner doctor", "exit code 0: an agent can run here; 1: something is missing"],
    ["codex-flow runner doctor --workspace ~/automation --json", "for a script"],
  ]);
  act(doctor, showDoctor);

  const install = runner
    .command("install")
    .description("Install the agent as a systemd user service that restarts it when it fails")
    .option("--name <name>", "display name; also part of the unit's name")
    .option("--pool <name>", "pool whose runs it takes")
    .option("--label <label>", "label of this machine; repeatable", collect)
    .option(
      "--capacity <n>",
      `runs at a time, at most ${RUNNER_CAPACITY_MAX}`,
      wholeNumber(1, RUNNER_CAPACITY_MAX),
    )
    .option("--workspace <dir>", "folder with the flow packages", ".")
    .option("--journal <dir>", "folder for output and results until the edge has stored them")
    .option("--config <file>", CONFIG_DESCRIPTION)
    .option("--no-start", "enable it, but do not start it")
    .option("--print", "show the unit, and change nothing")
    .option("--uninstall", "drain and stop the agent, and remove what was installed");
  examples(install, [
    [
      "codex-flow runner install --workspace ~/automation",
      "with the url and token of the environment or the profile",
    ],
    [
      "codex-flow runner install --name gpu --pool gpu --journal ~/gpu-journal",
      "a second agent on this machine",
    ],
    ["codex-flow runner install --name gpu --uninstall", "drain and remove it"],
  ]);
  act(install, installRunner);

  registerWorktrees(runner, act);
  registerRaw(runner, act);
}

async function installRunner(invocation: Invocation, options: InstallOptions): Promise<number> {
  const { environment } = invocation.host;
  const { name, start, print, uninstall: remove } = options;
  const { install, planInstall, uninstall } = await import("../install/install.ts");
  const { renderInstalled, renderUninstalled } = await import("./render/install.ts");
  if (remove === true) {
    const done = await uninstall(name, environment);
    await invocation.output.show(done, () => renderUninstalled(done.unit, done.removed));
    return EXIT.ok;
  }
  const connection = await invocation.connection("token");
  if (connection.token === undefined) throw missingToken(connection, false);
  const workspace = resolve(options.workspace);
  if (!existsSync(workspace))
    throw new UsageError(
      `there is no workspace ${workspace}`,
      "give the folder with the flow packages by --workspace",
    );
  const plan = planInstall({
    name,
    workspace,
    flags: installedFlags(options, workspace),
    url: connection.url.value,
    token: connection.token.value,
    environment,
  });
  if (print === true) {
    const { unit, unitPath, unitText } = plan;
    await invocation.output.show({ unit, unitPath, unitText }, () => `# ${unitPath}\n${unitText.trimEnd()}`);
    return EXIT.ok;
  }
  const done = await install(plan, { start, environment });
  await invocation.output.show(done, (style) => renderInstalled(style, done));
  return EXIT.ok;
}

/** The flags of `runner start`, with every path absolute: the unit starts elsewhere. */
function installedFlags(options: InstallOptions, workspace: string): string[] {
  const { name, pool, label = [], capacity, journal, config } = options;
  const given: Array<[flag: string, value: string | undefined]> = [
    ["--workspace", workspace],
    ["--name", name],
    ["--pool", pool],
    ...label.map((each): [string, string] => ["--label", each]),
    ["--capacity", capacity === undefined ? undefined : String(capacity)],
    ["--journal", journal === undefined ? undefined : resolve(journal)],
    ["--config", config === undefined ? undefined : resolve(config)],
  ];
  return given.flatMap(([flag, value]) => (value === undefined ? [] : [flag, value]));
}

async function showDoctor(invocation: Invocation, options: DoctorOptions): Promise<number> {
  const [{ thisBox }, { examine }, { renderDoctor }] = await Promise.all([
    import("../doctor/this-box.ts"),
    import("../doctor/doctor.ts"),
    import("./render/doctor.ts"),
  ]);
  const connection = await invocation.connection("none").catch((error: unknown) => {
    if (error instanceof UsageError) return undefined; // No url: a finding like any other.
    throw error;
  });
  const { config, journal, pool, workspace } = options;
  const box = await thisBox({
    environment: invocation.host.environment,
    workspace: resolve(workspace),
    config: config === undefined ? undefined : resolve(config),
    journal: journal === undefined ? undefined : resolve(journal),
    url: connection?.url.value,
    token: connection?.token?.value,
    pool,
  });
  const checks = await examine(box);
  const ok = checks.every(({ state }) => state !== "missing");
  await invocation.output.show({ ok, checks }, (style) => renderDoctor(style, checks));
  return ok ? EXIT.ok : EXIT.bad;
}

async function startRunner(invocation: Invocation, options: RunnerOptions): Promise<number> {
  const connection = await invocation.connection("token");
  if (connection.token === undefined) throw missingToken(connection, false);
  const { startRunnerAgent } = await import("../agent.ts");
  const { name, pool, label, capacity, workspace, journal, config } = options;
  return startRunnerAgent({
    url: connection.url.value,
    token: connection.token.value,
    name,
    pool,
    labels: label ?? [],
    capacity,
    workspace,
    journal,
    config,
    json: invocation.output.json,
  });
}
