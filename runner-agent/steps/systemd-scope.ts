/**
 * `executor = "systemd-run"`: each step's command in a transient scope of the user's systemd, with the box's limits.
 * systemd-run registers the scope for its own process and then becomes the command, so that pid, session, standard
 * input and exit code are those of a step without it. What it adds is the cgroup: no process leaves it by clearing
 * its environment or its session.
 *
 * Where systemd cannot be used nothing is run without it: the agent does not start, and a step is refused.
 */
import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { execa } from "execa";
import { parseAttemptId } from "../../contract/ids.ts";
import type { Reason } from "../../contract/run-record.ts";

export interface Command {
  file: string;
  args: string[];
}

/** What a step's scope may use, in systemd's own words; absent: no limit. */
export interface ScopeLimits {
  /** MemoryMax: bytes, or with K, M, G, T; a share of the machine as "50%". */
  memoryMax?: string | undefined;
  /** CPUQuota: "150%" is one and a half processors. */
  cpuQuota?: string | undefined;
  /** TasksMax: processes and threads. */
  tasksMax?: number | undefined;
}

/** How the commands of steps are run on this box. */
export type Executor = { kind: "direct" } | { kind: "systemd-run"; limits: ScopeLimits };

type Environment = Readonly<Record<string, string | undefined>>;

/** Where systemd-run finds the user's systemd. The step itself does not see them unless it is passed them. */
const BUS_VARIABLES = ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];
const PROBE_TIMEOUT_MS = 5_000;
const REMEDY =
  'let the agent run in a session with a user systemd (`loginctl enable-linger`, XDG_RUNTIME_DIR set), or set executor = "direct" in runner.toml';

/** The scope's name, without ".scope". Attempt ids are unique, and so is it. */
export function scopeUnit(attemptId: string): string {
  const { runId, attempt } = parseAttemptId(attemptId) ?? { runId: attemptId, attempt: 0 };
  return `codex-flow-${runId}-a${attempt}`;
}

/** The command inside a scope, and the environment to start it with. `box` is the agent's own environment. */
export function scopedCommand(
  command: Command,
  {
    attemptId,
    limits,
    variables,
    box,
  }: {
    attemptId: string;
    limits: ScopeLimits;
    variables: Record<string, string>;
    box: Environment;
  },
): Command & { variables: Record<string, string> } {
  const lent = BUS_VARIABLES.filter((name) => variables[name] === undefined && box[name] !== undefined);
  return {
    file: "systemd-run",
    args: [
      ...["--user", "--scope", "--collect", "--quiet", `--unit=${scopeUnit(attemptId)}`],
      ...properties(limits).flatMap((property) => ["-p", property]),
      "--",
      ...(lent.length === 0 ? [] : ["env", ...lent.flatMap((name) => ["-u", name])]),
      command.file,
      ...command.args,
    ],
    variables: { ...variables, ...Object.fromEntries(lent.map((name) => [name, box[name] ?? ""])) },
  };
}

function properties({ memoryMax, cpuQuota, tasksMax }: ScopeLimits): string[] {
  return [
    ...(memoryMax === undefined ? [] : [`MemoryMax=${memoryMax}`]),
    ...(cpuQuota === undefined ? [] : [`CPUQuota=${cpuQuota}`]),
    ...(tasksMax === undefined ? [] : [`TasksMax=${tasksMax}`]),
  ];
}

/** Why no scope can be made, as far as it can be seen without asking; before each step. */
export function scopeFault(box: Environment): Reason | undefined {
  if (!isOnPath("systemd-run", box["PATH"])) return fault("there is no systemd-run on the PATH");
  const runtime = box["XDG_RUNTIME_DIR"];
  const sockets = runtime === undefined ? [] : [join(runtime, "systemd", "private"), join(runtime, "bus")];
  if (box["DBUS_SESSION_BUS_ADDRESS"] === undefined && !sockets.some((path) => existsSync(path)))
    return fault(
      runtime === undefined ? "XDG_RUNTIME_DIR is not set" : `no user systemd listens in ${runtime}`,
    );
  return undefined;
}

/** The same by making one; before the agent starts, and for the doctor. */
export async function probeScope(box: Environment): Promise<Reason | undefined> {
  const seen = scopeFault(box);
  if (seen !== undefined) return seen;
  const { failed, stderr, timedOut } = await execa(
    "systemd-run",
    ["--user", "--scope", "--collect", "--quiet", "--", "true"],
    { env: box, extendEnv: false, reject: false, timeout: PROBE_TIMEOUT_MS, stdin: "ignore" },
  );
  if (!failed) return undefined;
  const why = timedOut ? `no answer within ${PROBE_TIMEOUT_MS / 1000} s` : (stderr.split("\n", 1)[0] ?? "");
  return fault(why === "" ? "systemd-run --user --scope fails" : why);
}

function fault(why: string): Reason {
  return {
    code: "executor_unavailable",
    message: `systemd-run --user cannot be used here: ${why}; ${REMEDY}`,
  };
}

function isOnPath(program: string, path = ""): boolean {
  return path.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Whether a process belongs to the scope, by its /proc/<pid>/cgroup; below it counts too. */
export function isInScope(cgroups: string, unit: string): boolean {
  return cgroups.split("\n").some((line) => `${line}/`.includes(`/${unit}.scope/`));
}

/** The file whose "1" kills the scope's whole cgroup at once (cgroup v2, Linux 5.14); undefined elsewhere. */
export function scopeKillFile(cgroups: string, unit: string): string | undefined {
  const path = /^0::(.*)$/m.exec(cgroups)?.[1] ?? "";
  const end = `${path}/`.indexOf(`/${unit}.scope/`);
  return end < 0 ? undefined : `/sys/fs/cgroup${path.slice(0, end)}/${unit}.scope/cgroup.kill`;
}
