/** The box's configuration: defaults, clear refusals, and what a step may see. */
import { hostname } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import {
  parseRunnerConfig,
  readRunnerConfig,
  RunnerConfigError,
} from "../../runner-agent/config/runner-config.ts";
import { stepEnvironment } from "../../runner-agent/config/step-environment.ts";
import { packageWith, removePackages } from "./step-harness.ts";

afterAll(removePackages);

const FILE = "/box/.codex/runner.toml";

function problemsOf(text: string): string[] {
  try {
    parseRunnerConfig(text, FILE);
    return [];
  } catch (error) {
    if (!(error instanceof RunnerConfigError)) throw error;
    expect(error.message.startsWith(`${FILE}: `)).toBe(true);
    return error.problems.map(({ path, message }) => `${path}: ${message}`);
  }
}

describe("runner.toml", () => {
  test("an absent file is all defaults; a file that was named must be there", async () => {
    const workspace = packageWith({});
    expect(await readRunnerConfig({ workspace })).toEqual({
      name: hostname().slice(0, 64),
      pool: "default",
      labels: [],
      capacity: 1,
      executor: { kind: "direct" },
      env: { pass: [], plain: [] },
      codex: { env: [], trusted: [], allowDangerFullAccess: false, config: {}, prices: {} },
      repositories: {},
      projects: {},
      workspaces: { max: 20, maxGb: 20 },
    });
    const path = join(workspace, "other.toml");
    await expect(readRunnerConfig({ workspace, path })).rejects.toThrow(`${path}: there is no such file`);
  });

  test("what it says is taken", async () => {
    const text = `
      name = "gpu box"
      pool = "big"
      labels = ["linux", "gpu:a100"]
      capacity = 4
      executor = "systemd-run"
      [limits]
      memory_max = "2G"
      tasks_max = 512
      [env]
      pass = ["GITHUB_TOKEN", "REGION"]
      plain = ["REGION"]
      [codex]
      home = "/srv/codex-home"
      env = ["OPENAI_API_KEY"]
      trusted = ["/srv/codex"]
      allow_danger_full_access = true
      [codex.config]
      model = "gpt-5.6"
      [codex.prices."gpt-5.6"]
      input = 2
      cached_input = 0.5
      output = 8
      [repositories]
      codex = "/srv/codex"
      [projects]
      app = "/srv/app"
      "codex-fork_2.x" = "repos/codex"
      default = "~/src"
      [workspaces]
      max = 3
      max_gb = 0.5
    `;
    const workspace = packageWith({ ".codex/runner.toml": text });
    expect(await readRunnerConfig({ workspace })).toEqual({
      name: "gpu box",
      pool: "big",
      labels: ["linux", "gpu:a100"],
      capacity: 4,
      executor: { kind: "systemd-run", limits: { memoryMax: "2G", cpuQuota: undefined, tasksMax: 512 } },
      env: { pass: ["GITHUB_TOKEN", "REGION"], plain: ["REGION"] },
      codex: {
        home: "/srv/codex-home",
        env: ["OPENAI_API_KEY"],
        trusted: ["/srv/codex"],
        allowDangerFullAccess: true,
        config: { model: "gpt-5.6" },
        prices: { "gpt-5.6": { input: 2, cachedInput: 0.5, output: 8 } },
      },
      repositories: { codex: "/srv/codex" },
      projects: { app: "/srv/app", "codex-fork_2.x": "repos/codex", default: "~/src" },
      workspaces: { max: 3, maxGb: 0.5 },
    });
  });

  test.each([
    ['name = ".."', ["name: must not be . or .."]],
    [
      `capasity = 2`,
      [
        "capasity: unknown key; known are name, pool, labels, capacity, executor, limits, env, codex, repositories, projects, workspaces",
      ],
    ],
    [
      `[limits]
memory = "2G"`,
      ["limits.memory: unknown key; known are memory_max, cpu_quota, tasks_max"],
    ],
    [
      `[limits]
memory_max = "2G"`,
      ['limits: is kept by systemd alone; set executor = "systemd-run" too'],
    ],
    [
      `executor = "systemd-run"
[limits]
cpu_quota = "1.5"`,
      ['limits.cpu_quota: must match pattern "^[0-9]{1,6}%$"'],
    ],
    [`[env]\npas = ["X"]`, ["env.pas: unknown key; known are pass, plain"]],
    [`[workspaces]\nmaximum = 3`, ["workspaces.maximum: unknown key; known are max, max_gb"]],
    [`[workspaces]\nmax = 0\nmax_gb = 0`, ["workspaces.max: must be >= 1", "workspaces.max_gb: must be > 0"]],
    [
      `[repositories]\ncodex = "../codex"`,
      [expect.stringContaining("repositories.codex: must match pattern")],
    ],
    [
      `[repositories]\n"my repo" = "/srv/x"`,
      ["repositories.my repo: a repository's name is 1 to 64 of A-Z a-z 0-9 - _, or owner/name"],
    ],
    [
      `[projects]\n"my app" = "/srv/app"`,
      ["projects.my app: a project's name is 1 to 64 of a-z 0-9 - _ . and begins with a letter or digit"],
    ],
    [
      `[projects]\nApp = "/srv/app"`,
      ["projects.App: a project's name is 1 to 64 of a-z 0-9 - _ . and begins with a letter or digit"],
    ],
    [
      `[projects]\napp = "~ada/app"`,
      ["projects.app: a project's folder is an absolute path, one relative to the workspace, ~ or ~/path"],
    ],
    [
      `[projects]\napp = "a\\u0000b"`,
      ["projects.app: a project's folder is an absolute path, one relative to the workspace, ~ or ~/path"],
    ],
    [`[projects]\napp = 1`, ["projects.app: must be string"]],
    [
      `[projects]\napp = ""`,
      ["projects.app: a project's folder is an absolute path, one relative to the workspace, ~ or ~/path"],
    ],
    [`projects = "/srv"`, ["projects: must be object"]],
    [`capacity = 0`, ["capacity: must be >= 1"]],
    [`capacity = "2"`, ["capacity: must be integer"]],
    [`labels = ["ok", "not ok"]`, [expect.stringContaining("labels.1: must match pattern")]],
    [`[env]\npass = ["A-B"]`, [expect.stringContaining("env.pass.0: must match pattern")]],
    [`[env]\nplain = ["REGION"]`, ["env.plain: REGION is not in env.pass; name it there too"]],
    [`pool = "a"\npool = "b"`, [expect.stringContaining(": line 2, column")]],
    [`name = 1\npool = 2`, ["name: must be string", "pool: must be string"]],
  ])("%j is refused with file, key and reason", (text, problems) => {
    expect(problemsOf(text)).toEqual(problems);
  });
});

describe("what a step may see", () => {
  const config = parseRunnerConfig(
    `[env]\npass = ["TOKEN", "REGION", "AGENT_TOKEN", "HOME", "ABSENT"]\nplain = ["REGION"]`,
    FILE,
  );
  const agent = { name: "runner token", value: "the-agent's-own" };
  const environment = {
    PATH: "/bin",
    HOME: "/home/me",
    TOKEN: "hunter22",
    REGION: "europe",
    AGENT_TOKEN: agent.value,
    CODEX_FLOW_PUSH: "1",
    AWS_SECRET_ACCESS_KEY: "never asked for",
  };
  const seen = stepEnvironment(config, environment, [agent]);

  test("is the built-in list and what the box passes, but never a secret of the agent's own", () => {
    expect(seen.variables).toEqual({
      PATH: "/bin",
      HOME: "/home/me",
      TOKEN: "hunter22",
      REGION: "europe",
      CODEX_FLOW_PUSH: "1",
    });
  });

  test("is redacted unless it is built in or called plain; the agent's secrets always are", () => {
    expect(seen.secrets).toEqual([agent, { name: "TOKEN", value: "hunter22" }]);
  });
});
