/** Flags, environment, tasks, sessions and words of `relay` and `control`. */
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { AgentItem } from "../../contract/agent-item.ts";
import { agentSecrets, agentVariables, looksSecret } from "../../runner-agent/relay/agent-secrets.ts";
import { CodexThreads } from "../../runner-agent/relay/codex-threads.ts";
import { routeControl } from "../../runner-agent/relay/control-router.ts";
import { commandHint } from "../../runner-agent/relay/guard-audit.ts";
import { shown, type OutputPolicy } from "../../runner-agent/relay/output-policy.ts";
import { pullRequestOf } from "../../runner-agent/relay/pull-request.ts";
import { relaySettings, type RelayFlags } from "../../runner-agent/relay/relay-settings.ts";
import { readTasks, TASKS_MAX } from "../../runner-agent/relay/tasks-file.ts";
import { temporaryFolder } from "../support/flow-workspace.ts";

const settings = (flags: RelayFlags, environment: Record<string, string> = {}) =>
  relaySettings({ channel: "1", ...flags }, environment);

describe("flags and environment", () => {
  test("the defaults are those that the relay always had", () => {
    expect(settings({ workdir: "/w" })).toMatchObject({
      place: { platform: "discord", channel: "1" },
      workdir: "/w",
      timeoutMs: 1_800_000,
      hangMs: 120_000,
      silenceMs: 1_200_000,
      sessions: "auto",
      prompt: "argv",
      policy: { mode: "balanced", safe: false, skipReads: false },
      logPolicy: "full",
    });
  });

  test.each<[RelayFlags, Record<string, string>, object]>([
    [{ channel: "5" }, {}, { platform: "discord", channel: "5" }],
    [{}, { CODEFLOW_DISCORD_CHANNEL: "6" }, { platform: "discord", channel: "6" }],
    [{ channel: "5", discordThread: "8" }, {}, { platform: "discord", channel: "5", thread: "8" }],
    [
      {},
      { CODEFLOW_DISCORD_CHANNEL: "6", CODEFLOW_DISCORD_THREAD: "9" },
      { platform: "discord", channel: "6", thread: "9" },
    ],
    // The thread of another channel.
    [{ channel: "5" }, { CODEFLOW_DISCORD_THREAD: "9" }, { platform: "discord", channel: "5" }],
    [{ tgChat: "-100" }, { CODEFLOW_DISCORD_CHANNEL: "6" }, { platform: "telegram", channel: "-100" }],
    [
      { platform: "telegram", tgThread: "9" },
      { CODEFLOW_DISCORD_CHANNEL: "6", CODEFLOW_TELEGRAM_CHAT: "7" },
      { platform: "telegram", channel: "7", thread: "9" },
    ],
    [{ platform: "auto" }, { CODEFLOW_TELEGRAM_CHAT: "7" }, { platform: "telegram", channel: "7" }],
  ])("the chat of %j and %j", (flags, environment, place) => {
    expect(relaySettings(flags, environment).place).toEqual(place);
  });

  test.each<[string, RelayFlags, Record<string, string>]>([
    ["no chat is named", {}, {}],
    ["no chat of telegram", { platform: "telegram", channel: "1" }, {}],
    ["is no platform", { platform: "slack", channel: "1" }, {}],
    ["is no id", { channel: "general" }, {}],
    ["both --channel and --tg-chat", { channel: "1", tgChat: "2" }, {}],
    ["contradict", { channel: "1", newSession: true, reuseSession: true }, {}],
    ["contradict", { channel: "1", promptArgv: true, promptStdin: true }, {}],
    ["a thread of Discord holds none", { channel: "1", discordThread: "2", thread: true }, {}],
    ["is no id", { channel: "1", discordThread: "talk" }, {}],
    ["CODEFLOW_OUTPUT_MODE=loud", { channel: "1" }, { CODEFLOW_OUTPUT_MODE: "loud" }],
    ["CODEFLOW_STREAM_LOG=some", { channel: "1" }, { CODEFLOW_STREAM_LOG: "some" }],
  ])("%s: an error that says what to do", (message, flags, environment) => {
    expect(() => relaySettings(flags, environment)).toThrow(message);
  });

  test("a flag goes before its variable", () => {
    const environment = { CODEFLOW_CODEX_SESSION_MODE: "reuse", CODEFLOW_PROMPT_MODE: "stdin" };
    expect(settings({}, environment)).toMatchObject({ sessions: "reuse", prompt: "stdin" });
    expect(settings({ newSession: true, promptArgv: true }, environment)).toMatchObject({
      sessions: "new",
      prompt: "argv",
    });
  });

  test("safe mode cuts the log too, unless the log is said to be full", () => {
    expect(settings({}, { CODEFLOW_SAFE_MODE: "true" })).toMatchObject({
      logPolicy: "redacted",
      policy: { safe: true },
    });
    expect(settings({}, { CODEFLOW_SAFE_MODE: "1", CODEFLOW_STREAM_LOG: "full" }).logPolicy).toBe("full");
  });

  test("under a host that writes command lines, the prompt comes on standard input", () => {
    expect(settings({}, { OPENCLAW_STATE_DIR: "/x" }).prompt).toBe("stdin");
  });
});

describe("which thread of Codex a folder goes on with", () => {
  async function threads() {
    const folder = await temporaryFolder();
    await mkdir(join(folder, "real"));
    await symlink(join(folder, "real"), join(folder, "link"));
    const file = join(folder, "map", "threads.json");
    return { folder, file, threads: new CodexThreads(file) };
  }

  test("by the folder's real path, in auto; /new and --new-session begin anew", async () => {
    const { folder, file, threads: map } = await threads();
    expect(await map.choose("auto", join(folder, "real"), "x")).toBeUndefined();
    await map.remember(join(folder, "link"), { thread: "t1" }, 0);
    expect(await map.choose("auto", join(folder, "real"), "x")).toMatchObject({ thread: "t1" });
    expect(await map.choose("auto", join(folder, "real"), "please /new start")).toBeUndefined();
    expect(await map.choose("auto", join(folder, "real"), "path/new/x")).toMatchObject({ thread: "t1" });
    expect(await map.choose("new", join(folder, "real"), "x")).toBeUndefined();
    expect(await map.choose("reuse", join(folder, "real"), "/new")).toMatchObject({ thread: "t1" });
    expect(JSON.parse(await readFile(file, "utf8"))).toEqual({
      [join(folder, "real")]: { thread: "t1", at: "1970-01-01T00:00:00.000Z" },
    });
  });

  test("--reuse-session without an earlier one is an error", async () => {
    const { folder, threads: map } = await threads();
    await expect(map.choose("reuse", folder, "x")).rejects.toThrow(/no earlier Codex session/);
  });

  test("a map that is no JSON, or a link, says nothing and is replaced", async () => {
    const { folder, threads: map, file } = await threads();
    await mkdir(join(folder, "map"));
    await writeFile(file, "{");
    expect(await map.choose("auto", folder, "x")).toBeUndefined();
    await map.remember(folder, { thread: "t2" }, 0);
    expect(await map.choose("auto", folder, "x")).toMatchObject({ thread: "t2" });
    const link = join(folder, "linked.json");
    await symlink(file, link);
    expect(await new CodexThreads(link).choose("auto", folder, "x")).toBeUndefined();
  });
});

describe("the file of tasks", () => {
  test("comments, empty lines, quotes, and a | in a prompt", () => {
    const text = [
      "# tasks",
      "",
      "a | fix it",
      '  "b | c"  |  "say \\"hi\\" | now"  ',
      "d | one | two",
      'e | "quoted" and more\r',
    ].join("\n");
    expect(readTasks(text, "tasks.txt")).toEqual([
      { line: 3, directory: "a", prompt: "fix it" },
      { line: 4, directory: "b | c", prompt: 'say "hi" | now' },
      { line: 5, directory: "d", prompt: "one | two" },
      { line: 6, directory: "e", prompt: '"quoted" and more' },
    ]);
  });

  test.each([
    ["a fix it", "tasks.txt:1: there is no |"],
    ["# x\n| fix", "tasks.txt:2: there is no directory"],
    ["a |", "tasks.txt:1: there is no prompt"],
    ['"a | fix', "tasks.txt:1: a quote is not closed"],
    ["# only", "holds no task"],
    ["a | b\n".repeat(TASKS_MAX + 1), "at most"],
  ])("%j is refused with its line", (text, message) => {
    expect(() => readTasks(text, "tasks.txt")).toThrow(message);
  });
});

describe("/codeflow", () => {
  test.each([
    ["/codeflow", "on", ""],
    ["/codeflow on", "on", ""],
    ["  /codeflow ENABLE ", "on", ""],
    ["/codeflow activate fix the tests", "on", "fix the tests"],
    ["/codeflow fix the tests", "on", "fix the tests"],
    ["/codeflow off", "off", ""],
    ["/codeflow disable", "off", ""],
    ["/codeflow deactivate", "off", ""],
    ["/codeflow status", "status", ""],
    ["/codeflow@some_bot status", "status", ""],
    ["callback_data: cfe:install", "install", ""],
    ["cfe:install", "install", ""],
  ])("%j", (text, action, rest) => {
    expect(routeControl(text)).toEqual({ action, rest });
  });

  test.each(["", "codeflow on", "/codeflowing", "please /codeflow on", "cfe:other"])(
    "%j is no command",
    (text) => {
      expect(routeControl(text)).toBeUndefined();
    },
  );
});

describe("what leaves the box", () => {
  test.each([
    "MY_TOKEN",
    "GH_TOKEN",
    "OPENAI_API_KEY",
    "client_secret",
    "DB_PASSWORD",
    "PGPASSWORD",
    "AWS_SECRET_ACCESS_KEY",
  ])("%s is a secret by its name", (name) => {
    expect(looksSecret(name)).toBe(true);
  });
  test.each(["PATH", "KEYBOARD", "TOKENIZERS_PARALLELISM", "MONKEY", "SSH_AUTH_SOCK"])(
    "%s is none",
    (name) => {
      expect(looksSecret(name)).toBe(false);
    },
  );

  test("the relay's own credentials are given to no agent, under no name", () => {
    const environment = { CODEX_FLOW_TOKEN: "edge", OTHER: "edge", CODEX_FLOW_EVENT_SECRET: "s", HOME: "/h" };
    expect(agentVariables(environment, "edge")).toEqual({ HOME: "/h" });
  });

  test("the hint of a command has no secret and none of its prompt", () => {
    const secrets = agentSecrets({ X_TOKEN: "abcdefgh" }, "edge-token");
    expect(commandHint(["run-abcdefgh", "exec", "my prompt"], secrets)).toBe("run-*** exec");
  });

  const command: AgentItem = {
    type: "command",
    id: "c",
    state: "completed",
    command: "cat x",
    cwd: ".",
    outcome: "completed",
    output: "body",
  };
  const policy: OutputPolicy = { mode: "balanced", safe: false, skipReads: false };
  const readItem: AgentItem = { type: "activity", id: "r", state: "completed", kind: "read", text: "a" };

  test("safe mode leaves bodies out and counts them", () => {
    expect(shown(command, { ...policy, safe: true })).toMatchObject({ output: "", omittedChars: 4 });
  });
  test("reads can be left out", () => {
    expect(shown(readItem, policy)).toBe(readItem);
    expect(shown(readItem, { ...policy, skipReads: true })).toBeUndefined();
  });
  test("minimal is what went wrong, and how it ended", () => {
    expect(shown(command, { ...policy, mode: "minimal" })).toBeUndefined();
    expect(shown({ ...command, outcome: "failed" }, { ...policy, mode: "minimal" })).toBeDefined();
  });
});

test.each([
  ["https://github.com/o/r/pull/7", "https://github.com/o/r.git", "refs/pull/7/head", "o/r#7"],
  ["https://github.com/o/r/pull/7/files?x=1", "https://github.com/o/r.git", "refs/pull/7/head", "o/r#7"],
  [
    "https://gitlab.com/g/s/r/-/merge_requests/3",
    "https://gitlab.com/g/s/r.git",
    "refs/merge-requests/3/head",
    "s/r#3",
  ],
  ["file:///srv/r/pull/7", "file:///srv/r", "refs/pull/7/head", "srv/r#7"],
])("%s is a pull request", (url, repository, ref, name) => {
  expect(pullRequestOf(url)).toEqual({ repository, ref, name });
});
test.each(["https://github.com/o/r", "o/r#7", "https://github.com/o/r/pull/x", "-x/pull/7"])(
  "%s is none",
  (url) => {
    expect(() => pullRequestOf(url)).toThrow(/not the address/);
  },
);
