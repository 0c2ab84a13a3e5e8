/** What the doctor says of Codex: with the one that is installed, on a real disk, with homes and logins of the test. */
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Check } from "../../runner-agent/doctor/check.ts";
import {
  codeModeCheck,
  codexCheck,
  codexHomeCheck,
  codexLoginCheck,
  codexSandboxCheck,
  codexServerCheck,
} from "../../runner-agent/doctor/codex.ts";
import { examine, type Examined } from "../../runner-agent/doctor/doctor.ts";
import { thisBox } from "../../runner-agent/doctor/this-box.ts";
import { folder } from "../support/codex.ts";
import { serveSockets } from "../support/socket-server.ts";
import { codexStepsCheck } from "../../runner-agent/doctor/codex-steps.ts";
import { stringify } from "smol-toml";
import { fakeModelConfig, writeModelCatalog } from "../support/fake-model/codex-home.ts";
import { temporaryFolder, writeFiles } from "../support/flow-workspace.ts";

interface Given {
  /** The table [codex] of runner.toml. */
  codex?: string;
  /** Files of the user's own CODEX_HOME. */
  user?: Record<string, string>;
  environment?: Record<string, string>;
  home?: string;
  /** Files of the workspace. */
  files?: Record<string, string>;
}

/** What one check finds; that it leaves nothing behind is checked by the way. */
async function look(
  check: Check,
  { codex = "", user = {}, environment = {}, home, files = {} }: Given = {},
): Promise<Examined> {
  const root = home ?? folder("doctor");
  mkdirSync(join(root, ".codex"), { recursive: true });
  for (const [name, text] of Object.entries(user)) writeFileSync(join(root, ".codex", name), text);
  const config = join(root, "runner.toml");
  writeFileSync(config, `[codex]\n${codex}\n`);
  await writeFiles(root, files);
  const before = readdirSync(root);
  const box = await thisBox({
    environment: { HOME: root, PATH: process.env["PATH"], ...environment },
    workspace: root,
    config,
    url: undefined,
    token: undefined,
  });
  const [found] = await examine(box, [check]);
  expect(readdirSync(root)).toEqual(before);
  if (found === undefined) throw new Error("the doctor has said nothing");
  return found;
}

/** A program that stands in the place of Codex. */
function program(script: string): { codex: string } {
  const file = join(folder("program"), "codex");
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return { codex: `command = ${JSON.stringify(file)}` };
}

test("the installed Codex is the supported one", async () => {
  expect(await look(codexCheck)).toMatchObject({ state: "ok", found: "0.169.0" });
});

test("a home can be made where the agent's state is, but not below a temporary directory", async () => {
  expect(await look(codexHomeCheck)).toMatchObject({ state: "ok" });
  const below = await look(codexHomeCheck, { home: await temporaryFolder() });
  expect(below).toMatchObject({ state: "warn", fix: expect.stringContaining("[codex]") as string });
  expect(below.found).toMatch(/lies below \/tmp/);
  const asked = await look(codexHomeCheck, { codex: 'home = "/tmp/codex-home-of-nobody"' });
  expect(asked.state).toBe("missing");
  const unreadable = await look(codexHomeCheck, { user: { "config.toml": "model = " } });
  expect([unreadable.state, unreadable.found]).toEqual([
    "warn",
    expect.stringMatching(/config\.toml.*line 1/),
  ]);
});

test("a login is found where the user has it, and no part of it is shown", async () => {
  const nobody = await look(codexLoginCheck);
  expect([nobody.state, nobody.found]).toEqual(["warn", expect.stringContaining("nobody has logged in")]);
  expect(nobody.fix).toContain("codex login");
  const login = JSON.stringify({ OPENAI_API_KEY: "sk-proj-of-the-test-1234567890" });
  const somebody = await look(codexLoginCheck, { user: { "auth.json": login } });
  expect(somebody).toEqual({ name: "codex login", state: "ok", found: "by an API key" });
});

test.each([
  ["that wants no key", "", "", {}, "ok", "asks for none"],
  ["whose key Codex does not get", 'env_key = "MY_KEY"', "", { MY_KEY: "k" }, "warn", "does not get"],
  ["whose key is not there", 'env_key = "MY_KEY"', 'env = ["MY_KEY"]', {}, "warn", "not set"],
  ["whose key is there", 'env_key = "MY_KEY"', 'env = ["MY_KEY"]', { MY_KEY: "k" }, "ok", "from MY_KEY"],
])("a provider %s", async (_name, provider, codex, environment, state, found) => {
  const config = `model_provider = "mine"\n[model_providers.mine]\nname = "mine"\nbase_url = "http://127.0.0.1:1"\n${provider}\n`;
  const finding = await look(codexLoginCheck, { user: { "config.toml": config }, codex, environment });
  expect([finding.state, finding.found]).toEqual([state, expect.stringContaining(found)]);
});

test("a sandbox that holds, one that cannot be made, and one that holds nothing", async () => {
  expect(await look(codexSandboxCheck)).toMatchObject({ state: "ok" });
  const none = await look(codexSandboxCheck, program("echo 'Error: bwrap: No permissions' >&2; exit 1"));
  expect([none.state, none.found]).toEqual(["warn", expect.stringContaining("bwrap: No permissions")]);
  expect(none.fix).toContain("user namespaces");
  const open = await look(
    codexSandboxCheck,
    program('while [ "$1" != -- ]; do shift; done; shift; exec "$@"'),
  );
  expect([open.state, open.found]).toEqual(["missing", expect.stringContaining("must not")]);
  const gone = await look(codexSandboxCheck, { codex: 'command = "/nowhere/codex"' });
  expect([gone.state, gone.found]).toEqual(["warn", expect.stringContaining("not tried")]);
});

test("code mode is off unless the environment says so, and then Codex has to have it", async () => {
  expect(await look(codeModeCheck)).toMatchObject({
    state: "ok",
    found: expect.stringMatching(/^off/) as string,
  });
  const environment = { CODEX_FLOWS_MODE: "code-mode" };
  const on = await look(codeModeCheck, { environment, codex: "allow_danger_full_access = true" });
  expect(on).toMatchObject({ state: "ok", found: "on, and possible: in any sandbox" });
  const none = await look(codeModeCheck, { environment, ...program("echo 'hooks  stable  true'") });
  expect([none.state, none.found]).toEqual(["missing", expect.stringContaining("no code mode")]);
  const gone = await look(codeModeCheck, { environment, codex: 'command = "/nowhere/codex"' });
  expect([gone.state, gone.fix]).toEqual(["missing", expect.stringContaining("CODEX_FLOWS_MODE")]);
});

test("an app-server that is to be used has to answer", async () => {
  expect(await look(codexServerCheck)).toMatchObject({ state: "ok" });
  const dead = await look(codexServerCheck, { codex: 'url = "ws://127.0.0.1:1"' });
  expect([dead.state, dead.fix]).toEqual(["missing", expect.stringContaining("--listen ws://127.0.0.1:1")]);
  const { url } = await serveSockets((socket, text) => {
    const { id, method } = JSON.parse(text) as { id?: number; method: string };
    if (method === "initialize") socket.send({ id, result: {} });
  });
  expect(await look(codexServerCheck, { codex: `url = "${url}"` })).toMatchObject({
    state: "ok",
    found: `${url} answers`,
  });
});

test("an app-server that is not the agent's is asked what it is fit for", async () => {
  const { url } = await serveSockets((socket, text) => {
    const { id, method } = JSON.parse(text) as { id?: number; method: string };
    const answers: Record<string, unknown> = {
      initialize: {},
      "account/read": { requiresOpenaiAuth: true, account: null },
      "command/exec": { exitCode: 0, stdout: "", stderr: "" },
    };
    if (id !== undefined) socket.send({ id, result: answers[method] });
  });
  const codex = `url = "${url}"`;
  const login = await look(codexLoginCheck, { codex });
  expect([login.state, login.found]).toEqual(["missing", expect.stringContaining("codex login")]);
  expect((await look(codexSandboxCheck, { codex })).state).toBe("ok");
  const dead = await look(codexLoginCheck, { codex: 'url = "ws://127.0.0.1:1"' });
  expect([dead.state, dead.found]).toEqual(["warn", expect.stringContaining("not tried")]);
});

describe("a workspace with codex steps", () => {
  const packageWith = (prompt: string, toml = ""): Record<string, string> => ({
    "flows/look/flow.toml": `name = "look"\nversion = 1\n[[steps]]\nname = "run"\nrunner = "codex"\nscript = "prompt.md"\n${toml}`,
    "flows/look/prompt.md": prompt,
  });
  const files = packageWith("Do it.");

  test("cannot do without what others do not need: program, login, sandbox, home", async () => {
    const none = { codex: 'config = {}\ncommand = "/nowhere/codex"' };
    expect((await look(codexLoginCheck, { files })).state).toBe("missing");
    expect((await look(codexSandboxCheck, { files, ...program("exit 1") })).state).toBe("missing");
    expect((await look(codexHomeCheck, { files, home: await temporaryFolder() })).state).toBe("missing");
    expect((await look(codexCheck, { files, ...none })).state).toBe("missing");
    // A box whose border is a container, and that says so.
    const open = program("exit 1");
    const allowed = { codex: `${open.codex}\nallow_danger_full_access = true` };
    expect((await look(codexSandboxCheck, { files, ...allowed })).state).toBe("warn");
    expect(await look(codexStepsCheck)).toMatchObject({ state: "ok", found: "none in this workspace" });
  });

  /** [codex] with a provider that is never asked, and Codex's catalogue of two models. */
  function fake(more: object = {}): string {
    const config = fakeModelConfig("http://127.0.0.1:1", writeModelCatalog(folder("catalog")));
    return stringify({ config: { ...config, ...more } }).replaceAll("[config", "[codex.config");
  }

  test.each([
    ["as they should be", "Do it.", "", "ok", "look/run"],
    [
      "a template that cannot be used",
      "---\nmodle: x\n---\nDo it.",
      "",
      "missing",
      "prompt.md:2:1 front matter",
    ],
    [
      "a model that Codex does not know",
      "---\nmodel: fake-dirct\n---\nDo it.",
      "",
      "missing",
      "fake-dirct, which Codex does not know: it knows fake-direct",
    ],
    [
      "a budget in dollars without a price",
      "Do it.",
      "[steps.budget]\nusd = 1\n",
      "missing",
      "no price of the model fake-direct",
    ],
    [
      "a sandbox that the box does not allow",
      "---\nsandbox: danger-full-access\n---\nDo it.",
      "",
      "warn",
      "danger-full-access, which this box",
    ],
  ])("%s: %s", async (_what, prompt, toml, state, words) => {
    const finding = await look(codexStepsCheck, { codex: fake(), files: packageWith(prompt, toml) });
    expect([finding.state, finding.found]).toEqual([state, expect.stringContaining(words)]);
    expect(finding.fix === undefined).toBe(state === "ok");
  });

  test("the box's own default is a model that may be unknown, or its configuration one that Codex does not take", async () => {
    const unknown = await look(codexStepsCheck, { codex: fake({ model: "nobody" }), files });
    expect([unknown.state, unknown.found]).toEqual(["missing", expect.stringContaining("nobody")]);
    const refused = await look(codexStepsCheck, { codex: fake({ sandbox_mode: "none" }), files });
    expect([refused.state, refused.found]).toEqual(["missing", expect.stringContaining("begins no thread")]);
  });
});
