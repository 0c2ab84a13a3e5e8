/** The doctor: what each check says of a box that has what it needs, and of one that has not. */
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Box, Check, ProgramAnswer } from "../../runner-agent/doctor/check.ts";
import { CHECKS, examine } from "../../runner-agent/doctor/doctor.ts";
import { journalCheck, journalDiskCheck, workspaceDiskCheck } from "../../runner-agent/doctor/disk.ts";
import { clockCheck, edgeCheck, socketCheck, tokenCheck } from "../../runner-agent/doctor/edge.ts";
import {
  codeModeCheck,
  codexCheck,
  codexHomeCheck,
  codexLoginCheck,
  codexSandboxCheck,
  codexServerCheck,
} from "../../runner-agent/doctor/codex.ts";
import { codexStepsCheck } from "../../runner-agent/doctor/codex-steps.ts";
import { bunCheck, gitCheck, nodeCheck } from "../../runner-agent/doctor/programs.ts";
import { initCheck, openFilesCheck, procCheck, systemdCheck } from "../../runner-agent/doctor/system.ts";
import { configCheck, flowsCheck, projectsCheck } from "../../runner-agent/doctor/workspace.ts";
import { parseRunnerConfig } from "../../runner-agent/config/runner-config.ts";
import { fakeSystemd } from "../support/fake-systemd.ts";
import { packageFiles, workspaceWith } from "../support/flow-workspace.ts";

const NOW = Date.parse("2026-03-01T12:00:00Z");
const GIB = 1024 ** 3;

/** A program that answers so to everything but bun's script, which ends as it says. */
function says(stdout: string, answer: Partial<ProgramAnswer> = {}): Box["run"] {
  return async (_file, args) =>
    args.includes("-e")
      ? { unstarted: false, exitCode: 7, stdout: "", stderr: "" }
      : { unstarted: false, exitCode: 0, stdout, stderr: "", ...answer };
}

/** An edge that answers everything alike. */
function answers(status: number, body: string, date = new Date(NOW).toUTCString()): Box["fetch"] {
  return async () => new Response(body, { status, headers: { date } });
}

const error = (code: string): string => JSON.stringify({ error: { code, message: code, details: [] } });
const unreachable: Box["fetch"] = async () => {
  throw new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED 127.0.0.1:1") });
};

function box(change: Partial<Box> = {}): Box {
  return {
    environment: {},
    nodeVersion: "22.18.0",
    workspace: "/nowhere",
    journal: "/nowhere/journal",
    url: "https://edge.example",
    token: "t",
    pool: "default",
    config: { file: "/box/runner.toml", value: parseRunnerConfig("", "") },
    programs: { bun: ["bun"], codex: ["codex"] },
    run: says("1.2.3"),
    fetch: answers(200, '{"ok":true}'),
    openSocket: async () => ({ kind: "open", way: undefined }),
    now: () => NOW,
    freeBytes: async () => 100 * GIB,
    openFilesLimit: () => 65_536,
    canRead: () => true,
    isDirectory: () => true,
    ...change,
  };
}

function configured(codex: string): Partial<Box> {
  return { config: { file: "f", value: parseRunnerConfig(`[codex]\n${codex}`, "f") } };
}
const scoped = { file: "f", value: parseRunnerConfig('executor = "systemd-run"', "f") };
const projects = { file: "f", value: parseRunnerConfig('[projects]\napp = "~/app"\nlab = "lab"', "f") };
const gone = { unstarted: true, exitCode: undefined };

const TABLE: Array<[Check, string, Partial<Box>, string, string, string?]> = [
  [nodeCheck, "the oldest that will do", {}, "ok", "22.18.0"],
  [nodeCheck, "a newer one", { nodeVersion: "24.0.0" }, "ok", "24.0.0"],
  [nodeCheck, "too old", { nodeVersion: "22.9.1" }, "missing", "22.18.0 or newer", "newer Node"],
  [bunCheck, "one that runs", {}, "ok", "1.2.3"],
  [bunCheck, "none", { run: says("", gone) }, "missing", "bun is not there", "npm install"],
  [
    bunCheck,
    "one that has a version and does not run",
    { run: async () => ({ unstarted: false, exitCode: 0, stdout: "1.2.3", stderr: "" }) },
    "missing",
    "bun ends with 0",
    "npm install",
  ],
  [codexCheck, "one that runs", { run: says("codex-cli 0.169.0\n") }, "ok", "0.169.0"],
  [
    codexCheck,
    "without its platform's package",
    { run: says("", { exitCode: 1, stderr: "  at x\nError: Missing optional dependency\n" }) },
    "warn",
    "codex ends with 1: Error: Missing optional dependency",
    "CODEX_APP_SERVER_CODEX_COMMAND",
  ],
  [
    codexCheck,
    "one that was asked for, and is not there",
    { ...configured('command = "my-codex"'), run: says("", gone) },
    "missing",
    "not there",
    "[codex]",
  ],
  [codexCheck, "another patch", { run: says("codex-cli 0.169.7") }, "ok", "0.169.7"],
  [codexCheck, "older", { run: says("codex-cli 0.98.0") }, "warn", "older than the 0.169.0", "npm install"],
  [codexCheck, "newer", { run: says("codex-cli 0.170.0-alpha.1") }, "warn", "newer than", "npm install"],
  [
    codexCheck,
    "not needed",
    { ...configured('url = "ws://127.0.0.1:1"'), run: says("", gone) },
    "ok",
    "app-server at ws://127.0.0.1:1",
  ],
  [gitCheck, "there", { run: says("git version 2.39.5") }, "ok", "2.39.5"],
  [gitCheck, "none", { run: says("", gone) }, "warn", "git is not there", "install git"],
  [systemdCheck, "none, and not wanted", {}, "warn", "no systemd-run on the PATH", "executor"],
  [systemdCheck, "none, and wanted", { config: scoped }, "missing", "is configured", "enable-linger"],
  [procCheck, "readable", {}, "ok", "/proc"],
  [initCheck, "another program", { run: says("/sbin/init\0") }, "ok", "another program"],
  [
    initCheck,
    "an init program that starts the agent",
    { run: says("/sbin/tini\0--\0codex-flow\0") },
    "ok",
    "PID 1",
  ],
  [initCheck, "the agent", { run: says("node\0bin/codex-flow.mjs\0runner\0") }, "warn", "zombies", "--init"],
  [initCheck, "not shown", { run: says("", { exitCode: 1 }) }, "ok", "PID 1"],
  [procCheck, "none", { canRead: () => false }, "warn", "no /proc", "Linux"],
  [openFilesCheck, "many", {}, "ok", "65536"],
  [openFilesCheck, "no limit", { openFilesLimit: () => undefined }, "ok", "no limit"],
  [openFilesCheck, "few", { openFilesLimit: () => 1024 }, "warn", "1024", "ulimit -n"],
  [workspaceDiskCheck, "room", {}, "ok", "100.0 GiB"],
  [workspaceDiskCheck, "little room", { freeBytes: async () => GIB }, "warn", "1.0 GiB", "free"],
  [journalDiskCheck, "little room", { freeBytes: async () => 0 }, "warn", "/nowhere/journal", "free"],
  [configCheck, "there", {}, "ok", "/box/runner.toml"],
  [configCheck, "absent", { canRead: () => false }, "ok", "absent"],
  [
    configCheck,
    "wrong",
    { config: { file: "f", fault: "f: x: unknown key" } },
    "missing",
    "unknown key",
    "correct",
  ],
  [projectsCheck, "none", {}, "ok", "none"],
  [projectsCheck, "all there", { config: projects }, "ok", "app, lab"],
  [
    projectsCheck,
    "some are not there",
    { config: projects, environment: { HOME: "/home/ada" }, isDirectory: () => false },
    "warn",
    "project app: there is no directory /home/ada/app, and 1 more",
    "[projects] in f",
  ],
  [
    projectsCheck,
    "one that is relative to the workspace",
    { config: projects, isDirectory: (path) => path !== "/nowhere/lab" },
    "warn",
    "project lab: there is no directory /nowhere/lab",
    "[projects] in f",
  ],
  [projectsCheck, "unknown", { config: { file: "f", fault: "f: x" } }, "warn", "not looked at"],
  [flowsCheck, "no folder", { canRead: () => false }, "missing", "no workspace /nowhere", "--workspace"],
  [edgeCheck, "there", {}, "ok", "https://edge.example answers"],
  [edgeCheck, "no url", { url: undefined }, "missing", "no url", "--url"],
  [
    edgeCheck,
    "unreachable",
    { fetch: unreachable },
    "missing",
    "cannot be reached: connect ECONNREFUSED",
    "firewall",
  ],
  [
    edgeCheck,
    "a page",
    { fetch: answers(200, "<html>") },
    "missing",
    "no codex-flow edge",
    "wrangler deploy",
  ],
  [edgeCheck, "another service", { fetch: answers(404, "{}") }, "missing", "answers 404", "wrangler deploy"],
  [tokenCheck, "a runner's", { fetch: answers(400, error("not_a_websocket")) }, "ok", "as a runner's"],
  [tokenCheck, "none", { token: undefined }, "missing", "no token", "RUNNER_TOKENS"],
  [
    tokenCheck,
    "unknown",
    { fetch: answers(401, error("unauthorized")) },
    "missing",
    "does not know",
    "RUNNER_TOKENS",
  ],
  [
    tokenCheck,
    "without the scope",
    { fetch: answers(403, error("forbidden")) },
    "missing",
    "none of a runner",
    "RUNNER_TOKENS",
  ],
  [tokenCheck, "a bad pool", { fetch: answers(400, error("invalid_pool")) }, "missing", "pool", "--pool"],
  [tokenCheck, "not an edge", { fetch: answers(200, "hello") }, "missing", "no codex-flow edge", "url"],
  [tokenCheck, "unreachable", { fetch: unreachable }, "warn", "not tried"],
  [socketCheck, "one that opens", {}, "ok", "opens"],
  [socketCheck, "no token", { token: undefined }, "warn", "not tried"],
  [
    socketCheck,
    "a proxy that lets HTTPS through and no WebSockets",
    {
      openSocket: async () => ({ kind: "refused", status: 403, way: "through the proxy http://proxy:3128" }),
    },
    "missing",
    "answered with 403 through the proxy",
    "WebSocket upgrades",
  ],
  [
    socketCheck,
    "a proxy that is not there",
    { openSocket: async () => ({ kind: "failed", why: "connect ECONNREFUSED", way: undefined }) },
    "missing",
    "connect ECONNREFUSED",
    "HTTPS_PROXY",
  ],
  [clockCheck, "right", {}, "ok", "0 s"],
  [clockCheck, "a little off", { now: () => NOW + 29_000 }, "ok", "29 s ahead of"],
  [clockCheck, "fast", { now: () => NOW + 31_000 }, "warn", "31 s ahead of", "set-ntp"],
  [clockCheck, "slow", { now: () => NOW - 90_000 }, "warn", "90 s behind", "set-ntp"],
  [clockCheck, "no date", { fetch: answers(200, "{}", "") }, "warn", "no date"],
  [clockCheck, "unreachable", { fetch: unreachable }, "warn", "not compared"],
];

test.each(TABLE)("$0.name, %s", async (check, _case, change, state, found, fix) => {
  const [finding] = await examine(box(change), [check]);
  expect(finding?.found).toContain(found);
  expect(finding?.state).toBe(state);
  if (fix === undefined) expect(finding?.fix).toBeUndefined();
  else expect(finding?.fix).toContain(fix);
});

test("every check is in the table of this test, and has a name of its own", () => {
  const names = CHECKS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  // In the parts on a real disk, and with the real Codex.
  const elsewhere = [
    journalCheck,
    codexServerCheck,
    codexHomeCheck,
    codexLoginCheck,
    codexSandboxCheck,
    codeModeCheck,
    codexStepsCheck,
  ];
  const shown = [...TABLE.map(([check]) => check), ...elsewhere];
  expect(CHECKS.filter((check) => !shown.includes(check))).toEqual([]);
});

describe("on a real disk", () => {
  test("systemd that makes scopes is ok", async () => {
    const { environment } = await fakeSystemd();
    expect(await examine(box({ environment, config: scoped }), [systemdCheck])).toMatchObject([
      { state: "ok" },
    ]);
  });

  test("a journal's folder that is there, one that will be made, and one that cannot be", async () => {
    const folder = await workspaceWith({ file: "" });
    const look = async (journal: string) => (await examine(box({ journal }), [journalCheck]))[0];
    expect(await look(folder)).toMatchObject({ state: "ok" });
    expect(await look(join(folder, "a", "b"))).toMatchObject({ state: "ok" });
    const impossible = await look(join(folder, "file"));
    expect(impossible).toMatchObject({ state: "missing" });
    expect(impossible?.fix).toContain("--journal");
  });

  test("packages that work, that are broken in part, that are all broken, and none", async () => {
    const look = async (files: Record<string, string>) => {
      const [finding] = await examine(box({ workspace: await workspaceWith(files) }), [flowsCheck]);
      return finding;
    };
    const good = packageFiles("flows/good", "good");
    const bad = { "flows/bad/flow.toml": 'name = "bad"\nnonsense = 1\n' };
    expect(await look(good)).toMatchObject({ state: "ok", found: "good" });
    expect(await look({ ...good, ...bad })).toMatchObject({ state: "warn" });
    expect((await look({ ...good, ...bad }))?.found).toMatch(/1 usable, and not offered: .*bad/);
    expect(await look(bad)).toMatchObject({ state: "missing" });
    expect((await look({ file: "" }))?.fix).toContain("flows new");
  });
});

describe("the doctor itself", () => {
  test("names a check that hangs or throws, and finishes the others", async () => {
    const never: Check = { name: "never", probe: () => new Promise(() => undefined) };
    const throws: Check = {
      name: "throws",
      probe: () => {
        throw new Error("oh");
      },
    };
    const found = await examine(box(), [never, throws, nodeCheck], 20);
    expect(found.map(({ state }) => state)).toEqual(["missing", "missing", "ok"]);
    expect(found[0]?.found).toContain("no answer within");
    expect(found[1]?.found).toContain("oh");
  });

  test("asks all at once: a check that waits for another one does not wait for ever", async () => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const first: Check = { name: "first", probe: () => promise.then(() => ({ state: "ok", found: "" })) };
    const second: Check = {
      name: "second",
      probe: () => {
        resolve(undefined);
        return { state: "ok", found: "" };
      },
    };
    expect((await examine(box(), [first, second])).map(({ state }) => state)).toEqual(["ok", "ok"]);
  });

  test("tells a server that is no edge apart, over real HTTP", async () => {
    const server = createServer((_request, response) => response.end("hello"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const found = await examine(box({ url, fetch }), [edgeCheck, tokenCheck]);
    expect(found.map(({ state }) => state)).toEqual(["missing", "missing"]);
  });
});
