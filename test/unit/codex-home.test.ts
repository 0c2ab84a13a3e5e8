/** The runner's own CODEX_HOME, with the real Codex in it. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse, stringify, type TomlTable } from "smol-toml";
import { describe, expect, onTestFinished, test } from "vitest";
import { stateDirectory, userCodexHome } from "../../runner-agent/codex/codex-host.ts";
import { findCodex } from "../../runner-agent/codex/codex-program.ts";
import { CodexHome, CodexHomeError, homeConfig } from "../../runner-agent/codex/home.ts";
import { projectsOf, type Projects } from "../../runner-agent/codex/trust.ts";
import { appServer, checkout, fakeModel, folder } from "../support/codex.ts";
import { command, message } from "../support/fake-model/answers.ts";
import { DIRECT_MODEL, fakeModelConfig, writeModelCatalog } from "../support/fake-model/codex-home.ts";
import type { Rule } from "../support/fake-model/fake-model.ts";

/** A user's home whose model is the fake one. */
async function userHome(rules: Rule[] = [], more: TomlTable = {}): Promise<string> {
  const home = folder("user-codex-home");
  const config = fakeModelConfig((await fakeModel(rules)).url, writeModelCatalog(home)) as TomlTable;
  writeFileSync(join(home, "config.toml"), stringify({ ...config, ...more }));
  return home;
}

function privateHome(user: string): CodexHome {
  return new CodexHome({ path: join(folder("runner-state"), "codex"), userHome: user });
}

function environment(home: CodexHome, more: Record<string, string> = {}): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "", HOME: home.path, ...home.variables, ...more };
}

function projects(home: CodexHome): unknown {
  return parse(readFileSync(join(home.path, "config.toml"), "utf8"))["projects"];
}

/** Every file below a directory with its content and the time of its last change. */
function photograph(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" }).flatMap((path) => {
    const file = join(directory, path);
    const { mtimeMs } = statSync(file);
    return statSync(file).isFile() ? [`${path} ${mtimeMs} ${readFileSync(file, "latin1")}`] : [];
  });
}

describe("one login (H1)", () => {
  const logIn = (home: string, key: string): void => {
    const { file, args } = findCodex();
    const env = { PATH: process.env["PATH"], HOME: home, CODEX_HOME: home };
    execFileSync(file, [...args, "login", "--with-api-key"], { env, input: key, stdio: "pipe" });
  };
  const keyIn = (home: string): string => readFileSync(join(home, "auth.json"), "utf8");

  test("who logs in anew, in either home, has logged in in both", async () => {
    const user = await userHome();
    logIn(user, "sk-first");
    const home = privateHome(user);
    expect(keyIn(home.path)).toContain("sk-first");
    logIn(home.path, "sk-second");
    expect(keyIn(user)).toContain("sk-second");
    logIn(user, "sk-third");
    expect(keyIn(home.path)).toContain("sk-third");
  });

  test("a token that Codex refreshes in the runner's home is the user's, too", async () => {
    const user = await userHome();
    const claims = { email: "ada@example.com", "https://api.openai.com/auth": { chatgpt_account_id: "acc" } };
    const tokens = (refresh: string, exp: number) => ({
      id_token: jwt(claims),
      access_token: jwt({ ...claims, exp }),
      refresh_token: refresh,
    });
    const auth = {
      auth_mode: "chatgpt",
      tokens: { ...tokens("refresh-old", 1), account_id: "acc" },
      last_refresh: "2020-01-01T00:00:00Z",
    };
    writeFileSync(join(user, "auth.json"), JSON.stringify(auth));
    const asked: string[] = [];
    const issuer = createServer((request, response) => {
      request.on("data", (bytes: Buffer) => asked.push(bytes.toString()));
      request.on("end", () => {
        response.setHeader("content-type", "application/json");
        response.end(JSON.stringify(tokens("refresh-new", 4_000_000_000)));
      });
    });
    issuer.listen(0, "127.0.0.1");
    await once(issuer, "listening");
    onTestFinished(() => {
      issuer.closeAllConnections();
      issuer.close();
    });
    const url = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/oauth/token`;
    const home = privateHome(user);
    const env = environment(home, { CODEX_REFRESH_TOKEN_URL_OVERRIDE: url });
    const server = await appServer({ cwd: home.path, env });
    await server.request("account/read", { refreshToken: true });
    expect(asked.join("")).toContain("refresh-old");
    expect(keyIn(user)).toContain("refresh-new");
    expect(keyIn(home.path)).toBe(keyIn(user));
  });

  test("a login of the runner's own is not replaced", async () => {
    const user = await userHome();
    const path = join(folder("runner-state"), "codex");
    mkdirSync(path);
    logIn(path, "sk-of-the-runner");
    new CodexHome({ path, userHome: user });
    expect(keyIn(path)).toContain("sk-of-the-runner");
  });
});

test("a turn in the runner's home changes no file of the user's", async () => {
  const user = await userHome([{ answers: [command("echo hi > hi.txt"), message("done")] }]);
  const home = privateHome(user);
  const before = photograph(user);
  const cwd = checkout();
  const server = await appServer({ cwd, env: environment(home) });
  const completed = Promise.withResolvers<string>();
  server.onNotification((notification) => {
    if (notification.method === "turn/completed") completed.resolve(notification.params.turn.status);
  });
  const config = { projects: projectsOf(cwd, []) };
  const { thread, model } = await server.request("thread/start", { cwd, config });
  expect(model).toBe(DIRECT_MODEL);
  const input = [{ type: "text" as const, text: "go", text_elements: [] }];
  await server.request("turn/start", { threadId: thread.id, input });
  expect(await completed.promise).toBe("completed");
  expect(readFileSync(join(cwd, "hi.txt"), "utf8")).toBe("hi\n");
  await server.stop();
  expect(photograph(user)).toEqual(before);
  expect(statSync(home.path).mode & 0o777).toBe(0o700);
});

describe("trust (H3)", () => {
  /** A checkout that would like to choose the model itself. */
  function wilful(): string {
    const path = checkout();
    mkdirSync(join(path, ".codex"));
    mkdirSync(join(path, "package"));
    writeFileSync(join(path, ".codex", "config.toml"), 'model = "chosen-by-the-checkout"\n');
    return path;
  }

  /** Of a thread that is told what is trusted, and of the next: Codex reads what it has written itself only then. */
  async function modelIn(home: CodexHome, cwd: string, config: Record<string, Projects>): Promise<string> {
    const server = await appServer({ cwd, env: environment(home) });
    const params = { cwd, sandbox: "workspace-write", config } as const;
    const first = await server.request("thread/start", params);
    const second = await server.request("thread/start", params);
    expect(second.model).toBe(first.model);
    await server.stop();
    return second.model;
  }

  test.each([".", "package"])(
    "a checkout that nobody trusts configures nothing, in %s, and nothing is written of it",
    async (below) => {
      const home = privateHome(await userHome());
      const cwd = join(wilful(), below);
      const before = readFileSync(join(home.path, "config.toml"), "utf8");
      expect(await modelIn(home, cwd, { projects: projectsOf(cwd, []) })).toBe(DIRECT_MODEL);
      expect(readFileSync(join(home.path, "config.toml"), "utf8")).toBe(before);
    },
  );

  test("one that the box's owner trusts does", async () => {
    const cwd = wilful();
    const config = { projects: projectsOf(join(cwd, "package"), [cwd]) };
    expect(await modelIn(privateHome(await userHome()), join(cwd, "package"), config)).toBe(
      "chosen-by-the-checkout",
    );
  });

  test("without a word about it Codex trusts it by itself", async () => {
    const home = privateHome(await userHome());
    const cwd = wilful();
    expect(await modelIn(home, cwd, {})).toBe("chosen-by-the-checkout");
    expect(projects(home)).toMatchObject({ [cwd]: { trust_level: "trusted" } });
  });

  test("a trusted directory does not make the repository around it trusted", () => {
    const path = wilful();
    expect(projectsOf(join(path, "package"), [join(path, "package")])).toEqual({
      [path]: { trust_level: "untrusted" },
      [join(path, "package")]: { trust_level: "trusted" },
    });
  });
});

test("what an attempt's commands keep for a time is the attempt's alone, and what a former life has left is gone", async () => {
  const user = await userHome();
  const path = join(folder("runner-state"), "codex");
  const home = new CodexHome({ path, userHome: user });
  const [one, other] = [home.temporaryOf("run_a_1_a1"), home.temporaryOf("run_b_1_a1")];
  for (const place of [one, other]) writeFileSync(join(place, "kept"), "x");
  await home.removeTemporaryOf("run_a_1_a1");
  expect(readdirSync(home.temporary)).toEqual(["run_b_1_a1"]);
  expect(readdirSync(new CodexHome({ path, userHome: user }).temporary)).toEqual([]);
});

describe("configuration (H2)", () => {
  const user: TomlTable = {
    model: "m",
    model_provider: "p",
    model_providers: { p: { base_url: "http://user" } },
    sandbox_mode: "danger-full-access",
    approval_policy: "on-request",
    notify: ["say"],
    mcp_servers: { mine: { command: "mcp" } },
    hooks: { Stop: [] },
    projects: { "/home/ada": { trust_level: "trusted" } },
    features: { apps: true },
  };

  test("of the user's only the model counts, and the mode is the safe one", () => {
    expect(homeConfig(user, {})).toEqual({
      model: "m",
      model_provider: "p",
      model_providers: { p: { base_url: "http://user" } },
      sandbox_mode: "workspace-write",
      approval_policy: "never",
      allow_login_shell: false,
      web_search: "disabled",
      check_for_update_on_startup: false,
      analytics: { enabled: false },
      features: { plugins: false, apps: false, shell_snapshot: false, goals: false },
      agents: { enabled: false },
    });
  });

  test("the box's owner has the last word, key by key", () => {
    const owner = {
      approval_policy: "on-request",
      web_search: "live",
      features: { apps: true },
      model_providers: { q: {} },
    };
    expect(homeConfig(user, owner)).toMatchObject({
      approval_policy: "on-request",
      web_search: "live",
      features: { plugins: false, apps: true },
      model_providers: { p: { base_url: "http://user" }, q: {} },
    });
  });

  test("a user's configuration that is no TOML is named with its line", () => {
    const home = folder("user-codex-home");
    writeFileSync(join(home, "config.toml"), 'model = "m"\nthis is not\n');
    expect(() => privateHome(home)).toThrow(/config\.toml cannot be read: line 2/);
  });

  test("a user without a home of Codex is no error", () => {
    const home = privateHome(join(folder("nobody"), ".codex"));
    expect(projects(home)).toBeUndefined();
  });
});

test("a variable that is set and empty names no folder: what lies where the agent was started is nobody's home", () => {
  const box = { HOME: "/home/ada", CODEX_HOME: "", XDG_STATE_HOME: "" };
  expect(userCodexHome(box)).toBe("/home/ada/.codex");
  expect(stateDirectory(box)).toBe("/home/ada/.local/state/codex-flow");
  expect(stateDirectory({ ...box, XDG_STATE_HOME: "state" })).toBe("/home/ada/.local/state/codex-flow");
});

test("a home where commands may write is refused (H4)", () => {
  const path = mkdtempSync(join(tmpdir(), "codex-home-"));
  onTestFinished(() => {
    rmSync(path, { recursive: true });
  });
  expect(() => new CodexHome({ path, userHome: folder("user") })).toThrow(CodexHomeError);
});

describe("a home that the disk refuses is one error, which names the place", () => {
  test.each([
    ["a file where it shall be made", (path: string) => join(path, "file", "codex")],
    ["a file where commands shall keep theirs", (path: string) => join(path, "temporary")],
    ["a directory where its configuration shall be written", (path: string) => join(path, "config")],
  ])("%s", (_what, homeIn) => {
    const path = folder("runner-state");
    writeFileSync(join(path, "file"), "");
    for (const there of ["temporary", "config/config.toml/x"])
      mkdirSync(join(path, there), { recursive: true });
    writeFileSync(join(path, "temporary", "commands-tmp"), "");
    const home = homeIn(path);
    const make = (): CodexHome => new CodexHome({ path: home, userHome: folder("user") });
    expect(make).toThrow(CodexHomeError);
    expect(make).toThrow(new RegExp(`${home}.* cannot be made or written: E`));
  });

  test("an attempt's directory that could not be made is made when it can be", async () => {
    const home = privateHome(await userHome());
    rmSync(home.temporary, { recursive: true });
    writeFileSync(home.temporary, "in the way");
    expect(() => home.temporaryOf("run_a_1_a1")).toThrow(CodexHomeError);
    await home.removeTemporaryOf("run_a_1_a1");
    rmSync(home.temporary);
    expect(statSync(home.temporaryOf("run_a_1_a1")).isDirectory()).toBe(true);
  });
});

function jwt(claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "none" })}.${part(claims)}.${Buffer.from("signature").toString("base64url")}`;
}
