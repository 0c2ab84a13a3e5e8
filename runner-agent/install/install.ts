/**
 * `codex-flow runner install`: the unit and its environment file on disk, and the user's systemd told of them. May be
 * called again: what is as it should be is left alone.
 */
import { existsSync } from "node:fs";
import { chmod, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, dirname, isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { UsageError } from "../cli/problem.ts";
import { CODE_MODE_VARIABLES } from "../codex/code-mode/gate.ts";
import { PROXY_VARIABLES } from "../proxy.ts";
import { environmentText, lineChanges, unitName, unitText } from "./unit.ts";

const SYSTEMCTL_TIMEOUT_MS = 15_000;
/** A drain takes as long as the runs. */
const NO_TIMEOUT = 0;
const OWNER_ONLY_FILE = 0o600;
const OWNER_ONLY_FOLDER = 0o700;
const UNIT_FILE = 0o644;
/** What systemd takes in a unit's name without escaping. */
const INSTANCE_NAME = /^[A-Za-z0-9_.-]{1,64}$/;

type Environment = Readonly<Record<string, string | undefined>>;

export interface InstallGiven {
  name?: string | undefined;
  workspace: string;
  /** Words behind `runner start`. */
  flags: string[];
  url: string;
  token: string;
  environment: Environment;
}

export interface InstallPlan {
  unit: string;
  unitPath: string;
  unitText: string;
  environmentPath: string;
  environmentText: string;
  /** The agent's command by itself, for another supervisor. */
  command: string[];
}

export type FileChange = "created" | "changed" | "unchanged";

export interface Installed {
  unit: string;
  unitPath: string;
  environmentPath: string;
  unitFile: FileChange;
  environmentFile: FileChange;
  /** Lines of the unit that went and came. */
  changes: string[];
  started: boolean;
  /** It ran before with what has now changed: it has to be restarted to see it. */
  restartNeeded: boolean;
}

/** What would be written where. Throws UsageError for a name that can be none of a unit. */
export function planInstall(given: InstallGiven): InstallPlan {
  const { name, workspace, flags, url, token, environment } = given;
  const paths = installPaths(name, environment);
  const node = process.execPath;
  const program = programPath();
  const passed = passedVariables(environment);
  const path = lastingPath(environment["PATH"] ?? "/usr/bin:/bin");
  for (const text of [workspace, ...flags, token, url, path, ...Object.values(passed)])
    if (/[\r\n\0]/.test(text))
      throw new UsageError("a line break cannot stand in a unit", "give a path or value without one");
  return {
    ...paths,
    unitText: unitText({
      name,
      node,
      program,
      workspace,
      flags,
      environmentFile: paths.environmentPath,
      path,
    }),
    environmentText: environmentText({
      CODEX_FLOW_URL: url,
      CODEX_FLOW_TOKEN: token,
      ...passed,
    }),
    command: [node, program, "runner", "start", ...flags],
  };
}

/** The unit's agent has none of the caller's environment, but it needs the same way out and what the caller has allowed. */
function passedVariables(environment: Environment): Record<string, string> {
  return Object.fromEntries(
    [...CODE_MODE_VARIABLES, ...PROXY_VARIABLES].flatMap((name) => {
      const value = environment[name];
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
}

/** A PATH without the folders that npm and npx put there for one call: they may be gone at the next start. */
function lastingPath(path: string): string {
  return path
    .split(delimiter)
    .filter((folder) => !/(\/_npx\/|\/node_modules\/\.bin$|\/node-gyp-bin$)/.test(folder))
    .join(delimiter);
}

export function installPaths(
  name: string | undefined,
  environment: Environment,
): Pick<InstallPlan, "unit" | "unitPath" | "environmentPath"> {
  if (name !== undefined && !INSTANCE_NAME.test(name))
    throw new UsageError(
      `"${name}" cannot be part of a unit's name`,
      "use at most 64 letters, digits, dots, _ and - in --name",
    );
  const unit = unitName(name);
  const configured = environment["XDG_CONFIG_HOME"];
  const home = environment["HOME"] ?? homedir();
  const base = configured !== undefined && isAbsolute(configured) ? configured : join(home, ".config");
  return {
    unit,
    unitPath: join(base, "systemd", "user", unit),
    environmentPath: join(base, "codex-flow", unit.replace(/\.service$/, ".env")),
  };
}

/** Writes, and starts it unless told not to. Throws UsageError where there is no systemd, before anything is written. */
export async function install(
  plan: InstallPlan,
  { start, environment }: { start: boolean; environment: Environment },
): Promise<Installed> {
  const instead = plan.command.map((word) => (/\s/.test(word) ? `'${word}'` : word)).join(" ");
  await needSystemd(
    environment,
    `run it under your own supervisor, with CODEX_FLOW_URL and CODEX_FLOW_TOKEN set: ${instead}`,
  );
  const before = await readIfThere(plan.unitPath);
  const environmentFile = await put(
    plan.environmentPath,
    plan.environmentText,
    OWNER_ONLY_FILE,
    OWNER_ONLY_FOLDER,
  );
  const unitFile = await put(plan.unitPath, plan.unitText, UNIT_FILE);
  const active = (await systemctl(environment, ["is-active", "--quiet", plan.unit])).exitCode === 0;
  await mustDo(environment, ["daemon-reload"]);
  await mustDo(environment, ["enable", ...(start ? ["--now"] : []), plan.unit]);
  const changed = unitFile !== "unchanged" || environmentFile !== "unchanged";
  return {
    unit: plan.unit,
    unitPath: plan.unitPath,
    environmentPath: plan.environmentPath,
    unitFile,
    environmentFile,
    changes: before === undefined ? [] : lineChanges(before, plan.unitText),
    started: start,
    restartNeeded: active && changed,
  };
}

/** Stops the agent (a drain), and takes unit and environment file away. What is not there needs no removing. */
export async function uninstall(
  name: string | undefined,
  environment: Environment,
): Promise<{ unit: string; removed: string[] }> {
  const { unit, unitPath, environmentPath } = installPaths(name, environment);
  const there = [unitPath, environmentPath].filter((path) => existsSync(path));
  if (there.length === 0) return { unit, removed: [] };
  await needSystemd(environment, `delete ${there.join(" and ")} by hand`);
  if (existsSync(unitPath)) await mustDo(environment, ["disable", "--now", unit], NO_TIMEOUT);
  for (const path of there) await rm(path, { force: true });
  await mustDo(environment, ["daemon-reload"]);
  return { unit, removed: there };
}

async function needSystemd(environment: Environment, instead: string): Promise<void> {
  const { failed, code, stderr } = await systemctl(environment, ["show-environment"]);
  if (!failed) return;
  const why = code === "ENOENT" ? "there is no systemctl on the PATH" : stderr.split("\n", 1)[0];
  throw new UsageError(
    `no user systemd answers here: ${why === undefined || why === "" ? "no answer" : why}`,
    instead,
    "systemd_unavailable",
  );
}

async function mustDo(
  environment: Environment,
  words: string[],
  timeout = SYSTEMCTL_TIMEOUT_MS,
): Promise<void> {
  const { failed, stderr } = await systemctl(environment, words, timeout);
  if (failed)
    throw new UsageError(
      `systemctl --user ${words.join(" ")} failed: ${stderr.split("\n", 1)[0] ?? ""}`,
      `see \`systemctl --user status ${words.at(-1) ?? ""}\`, mend it and call this again`,
      "systemd_failed",
    );
}

function systemctl(environment: Environment, words: string[], timeout = SYSTEMCTL_TIMEOUT_MS) {
  return execa("systemctl", ["--user", ...words], {
    env: environment,
    extendEnv: false,
    reject: false,
    stdin: "ignore",
    timeout,
  });
}

/** Written whole under another name first, so that nobody reads half of it and a secret is never open to others. */
async function put(path: string, text: string, mode: number, folderMode?: number): Promise<FileChange> {
  const before = await readIfThere(path);
  if (before === text) {
    await chmod(path, mode);
    return "unchanged";
  }
  await mkdir(dirname(path), { recursive: true, ...(folderMode === undefined ? {} : { mode: folderMode }) });
  const draft = `${path}.${process.pid}.new`;
  await writeFile(draft, text, { mode });
  await rename(draft, path);
  return before === undefined ? "created" : "changed";
}

async function readIfThere(path: string): Promise<string | undefined> {
  return readFile(path, "utf8").catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  });
}

/** bin/codex-flow.mjs of this installation, from the source and from the bundle alike. */
function programPath(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "bin", "codex-flow.mjs"))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error("this installation of codex-flow has no bin/codex-flow.mjs");
    folder = parent;
  }
  return join(folder, "bin", "codex-flow.mjs");
}
