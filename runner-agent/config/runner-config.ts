/**
 * The box's own configuration, `<workspace>/.codex/runner.toml`: who this runner is, what it takes, and what its
 * steps may see. Everything in it has a default, so that a box without the file works; what it says is checked, so
 * that a mistyped key is an error and not a default.
 */
import { hostname } from "node:os";
import { join } from "node:path";
import { Ajv, type ErrorObject } from "ajv";
import { parse, TomlError } from "smol-toml";
import Type, { type Static } from "typebox";
import { NotTextError, readTextFile } from "../../catalog/text-file.ts";
import type { ErrorDetail } from "../../contract/errors.ts";
import { RUNNER_CAPACITY_MAX } from "../../contract/limits.ts";
import { RUNNER_NAME } from "../../contract/runner-link.ts";
import { codexConfig, CodexTable, type CodexConfig } from "./codex-config.ts";
import { CAPACITY_DEFAULT_RUNS } from "./defaults.ts";
import { PROJECT_NAME_WORDS, PROJECT_PATH_WORDS, ProjectsTable } from "./projects.ts";
import type { Executor } from "../steps/systemd-scope.ts";

/** Worktrees of one runner's workspace, live and kept, where the configuration says nothing. */
export const WORKTREES_DEFAULT_MAX = 20;
/** What kept worktrees may take of the disk, in GiB, where the configuration says nothing. */
export const WORKTREES_DEFAULT_MAX_GB = 20;
const RUNNER_NAME_MAX_CHARS = 64;
const RUNNER_LABELS_MAX = 64;
const PASSED_VARIABLES_MAX = 256;

const closed = { additionalProperties: false } as const;
const VariableName = Type.String({ pattern: "^[A-Za-z_][A-Za-z0-9_]*$" });
const VariableNames = Type.Array(VariableName, { maxItems: PASSED_VARIABLES_MAX, uniqueItems: true });

/** A word, or `owner/name` as events of a forge say it. */
const RepositoryName = Type.String({
  pattern: "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}(/(?!\\.\\.?$)[A-Za-z0-9._-]{1,100})?$",
});
const AbsolutePath = Type.String({ pattern: "^/" });

const RunnerFile = Type.Object(
  {
    name: Type.Optional(
      Type.String({ minLength: 1, maxLength: RUNNER_NAME_MAX_CHARS, pattern: RUNNER_NAME }),
    ),
    pool: Type.Optional(Type.String({ pattern: "^[a-z0-9][a-z0-9_-]{0,63}$" })),
    labels: Type.Optional(
      Type.Array(Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$" }), {
        maxItems: RUNNER_LABELS_MAX,
        uniqueItems: true,
      }),
    ),
    capacity: Type.Optional(Type.Integer({ minimum: 1, maximum: RUNNER_CAPACITY_MAX })),
    executor: Type.Optional(Type.Enum(["direct", "systemd-run"])),
    limits: Type.Optional(
      Type.Object(
        {
          memory_max: Type.Optional(Type.String({ pattern: "^([0-9]+[KMGT]?|[0-9]{1,3}%)$" })),
          cpu_quota: Type.Optional(Type.String({ pattern: "^[0-9]{1,6}%$" })),
          tasks_max: Type.Optional(Type.Integer({ minimum: 1 })),
        },
        closed,
      ),
    ),
    env: Type.Optional(
      Type.Object({ pass: Type.Optional(VariableNames), plain: Type.Optional(VariableNames) }, closed),
    ),
    codex: Type.Optional(CodexTable),
    repositories: Type.Optional(Type.Record(RepositoryName, AbsolutePath, closed)),
    projects: Type.Optional(ProjectsTable),
    workspaces: Type.Optional(
      Type.Object(
        {
          max: Type.Optional(Type.Integer({ minimum: 1 })),
          max_gb: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
        },
        closed,
      ),
    ),
  },
  closed,
);
type RunnerFile = Static<typeof RunnerFile>;

export interface RunnerConfig {
  /** Shown to people; the host's name by default. */
  name: string;
  pool: string;
  labels: string[];
  /** Runs at a time. */
  capacity: number;
  /** How the commands of steps are run. */
  executor: Executor;
  env: {
    /** Variables of the agent that steps get beside the built-in ones. Their values are secrets, … */
    pass: string[];
    /** … but for these. */
    plain: string[];
  };
  codex: CodexConfig;
  /** Repositories outside of the workspace that steps may have worktrees of: name → absolute path. */
  repositories: Record<string, string>;
  /** Where steps may work for events that say so: name → path as written, see `projectPaths`. */
  projects: Record<string, string>;
  /** Quota of worktrees: how many, live and kept, and how many GiB the kept ones may take. */
  workspaces: { max: number; maxGb: number };
}

/** The configuration cannot be used. `problems` has one entry a key, `path` as in the file ("env.pass"). */
export class RunnerConfigError extends Error {
  override readonly name = "RunnerConfigError";
  readonly file: string;
  readonly problems: ErrorDetail[];

  constructor(file: string, problems: ErrorDetail[]) {
    const lines = problems.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`));
    super(`${file}: ${lines.join("; ")}`);
    this.file = file;
    this.problems = problems;
  }
}

export function runnerConfigFile(workspace: string): string {
  return join(workspace, ".codex", "runner.toml");
}

/** Reads the configuration of a workspace, or the file at `path`, which then has to exist. */
export async function readRunnerConfig(options: { workspace: string; path?: string }): Promise<RunnerConfig> {
  const file = options.path ?? runnerConfigFile(options.workspace);
  let text: string;
  try {
    text = await readTextFile(file);
  } catch (error) {
    const absent = error instanceof Error && "code" in error && error.code === "ENOENT";
    if (absent && options.path === undefined) return withDefaults({});
    throw new RunnerConfigError(file, [
      {
        path: "",
        message: absent
          ? "there is no such file"
          : error instanceof NotTextError
            ? error.message
            : String(error),
      },
    ]);
  }
  return parseRunnerConfig(text, file);
}

/** `file` names the source in errors. */
export function parseRunnerConfig(text: string, file: string): RunnerConfig {
  const value = parseToml(text, file);
  const problems = check(value)
    ? [...plainWithoutPass(value), ...limitsWithoutScope(value)]
    : (check.errors ?? []).map(problemOf);
  if (problems.length > 0) throw new RunnerConfigError(file, problems);
  return withDefaults(value as RunnerFile);
}

const check = new Ajv({ allErrors: true }).compile<RunnerFile>(RunnerFile);

function parseToml(text: string, file: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const message = `line ${error.line}, column ${error.column}: ${error.message.split("\n", 1)[0] ?? ""}`;
    throw new RunnerConfigError(file, [{ path: "", message }]);
  }
}

/** What may stand in a table of the file, by the table's path. */
const keysAt: Partial<Record<string, object>> = {
  "": RunnerFile.properties,
  env: RunnerFile.properties.env.properties,
  limits: RunnerFile.properties.limits.properties,
  codex: RunnerFile.properties.codex.properties,
  workspaces: RunnerFile.properties.workspaces.properties,
};

function problemOf(error: ErrorObject): ErrorDetail {
  const path = error.instancePath.slice(1).replaceAll("/", ".");
  if (error.keyword === "pattern" && path === "name") return { path, message: "must not be . or .." };
  if (error.keyword === "pattern" && path.startsWith("projects."))
    return { path, message: PROJECT_PATH_WORDS };
  if (error.keyword !== "additionalProperties") return { path, message: error.message ?? error.keyword };
  const key = String((error.params as { additionalProperty: unknown }).additionalProperty);
  return {
    path: path === "" ? key : `${path}.${key}`,
    message: wordsForNames[path] ?? `unknown key; known are ${Object.keys(keysAt[path] ?? {}).join(", ")}`,
  };
}

/** Of tables whose keys are names. */
const wordsForNames: Partial<Record<string, string>> = {
  repositories: "a repository's name is 1 to 64 of A-Z a-z 0-9 - _, or owner/name",
  projects: PROJECT_NAME_WORDS,
};

/** A name that is only called plain is passed to nobody: most likely a slip. */
function plainWithoutPass(value: RunnerFile): ErrorDetail[] {
  const lost = (value.env?.plain ?? []).filter((name) => !(value.env?.pass ?? []).includes(name));
  return lost.map((name) => ({
    path: "env.plain",
    message: `${name} is not in env.pass; name it there too`,
  }));
}

/** Limits that nobody would keep must not look as if somebody did. */
function limitsWithoutScope(value: RunnerFile): ErrorDetail[] {
  return value.limits === undefined || value.executor === "systemd-run"
    ? []
    : [{ path: "limits", message: 'is kept by systemd alone; set executor = "systemd-run" too' }];
}

function executorOf({ executor, limits = {} }: RunnerFile): Executor {
  if (executor !== "systemd-run") return { kind: "direct" };
  const { memory_max: memoryMax, cpu_quota: cpuQuota, tasks_max: tasksMax } = limits;
  return { kind: executor, limits: { memoryMax, cpuQuota, tasksMax } };
}

function withDefaults(value: RunnerFile): RunnerConfig {
  return {
    name: value.name ?? hostname().slice(0, RUNNER_NAME_MAX_CHARS),
    pool: value.pool ?? "default",
    labels: value.labels ?? [],
    capacity: value.capacity ?? CAPACITY_DEFAULT_RUNS,
    executor: executorOf(value),
    env: { pass: value.env?.pass ?? [], plain: value.env?.plain ?? [] },
    codex: codexConfig(value.codex),
    repositories: value.repositories ?? {},
    projects: value.projects ?? {},
    workspaces: {
      max: value.workspaces?.max ?? WORKTREES_DEFAULT_MAX,
      maxGb: value.workspaces?.max_gb ?? WORKTREES_DEFAULT_MAX_GB,
    },
  };
}
