/**
 * What surprises about Codex's app-server, each with a step that would fall into it: one test a trap, over the real Codex.
 * The list is what was seen on the installed version; a new one that behaves in another way shows here first.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startAppServer } from "../../runner-agent/codex/app-server.ts";
import { checkout, codexEnvironment, fakeModel, folder } from "../support/codex.ts";
import { codexBox, runCodexStep, startCodexStep, type CodexBox } from "../support/codex-step-life.ts";
import {
  codeMode,
  command,
  held,
  httpError,
  message,
  structured,
  together,
} from "../support/fake-model/answers.ts";
import { CODE_MODE_MODEL, DIRECT_MODEL } from "../support/fake-model/codex-home.ts";
import { processesWith } from "../support/run-processes.ts";
import { until } from "../support/until.ts";

const DONE = structured({ status: "completed", message: "done" });
const AUTO = "---\nsession: auto\napproval_policy: never\n---\nDo it.";
const threadOf = (life: { results: Array<{ artifacts?: Record<string, unknown> }> }): unknown =>
  life.results[0]?.artifacts?.["threadId"];

/** Another agent on the same home: its app-server has none of the threads in memory. */
async function startedAnew(at: CodexBox): Promise<CodexBox> {
  await at.box.stop();
  return at;
}

test("trap 1: a resumed thread has not got its sandbox back, also in another server whose config says danger-full-access", async () => {
  const at = await codexBox(
    [{ answers: [DONE] }, { prompt: "Write", answers: [command("touch x; touch /var/tmp/trap1"), DONE] }],
    {
      config: { sandbox_mode: "danger-full-access" },
    },
  );
  const template = AUTO.replace("never", "never\nsandbox: read-only");
  const first = await runCodexStep(at, { template });
  const second = await runCodexStep(await startedAnew(at), {
    template: template.replace("Do it.", "Write."),
  });
  expect(threadOf(second)).toBe(threadOf(first));
  expect(existsSync(join(at.cwd, "x"))).toBe(false);
  expect(existsSync("/var/tmp/trap1")).toBe(false);
});

test("trap 1, forked: neither sandbox nor model nor the commands' environment is lost", async () => {
  const at = await codexBox([
    { answers: [DONE] },
    { prompt: "Write", answers: [command("touch x; echo run=$CODEX_FLOW_RUN_ID"), DONE] },
  ]);
  const template = AUTO.replace("never", `never\nsandbox: read-only\nmodel: fake-direct\non_conflict: fork`);
  await runCodexStep(at, { template });
  const second = await runCodexStep(at, {
    template: template.replace("Do it.", "Write."),
    watchers: (watchers) => {
      watchers.lease = { granted: false, heldBy: "run_other_1" };
    },
  });
  expect(existsSync(join(at.cwd, "x"))).toBe(false);
  expect(second.told.join("")).toContain(`run=${second.runId}`);
  expect(at.model.requests.at(-1)?.model).toBe("fake-direct");
});

test("trap 1, of a thread in memory whose last turn has failed: it would keep sandbox and environment", async () => {
  const at = await codexBox([
    { prompt: "Fail", answers: [httpError(429)] },
    { prompt: "Write", answers: [command("touch x; echo run=$CODEX_FLOW_RUN_ID"), DONE] },
  ]);
  const first = await runCodexStep(at, { template: AUTO.replace("Do it.", "Fail.") });
  expect(first.end.error?.code).toBe("turn_failed");
  const next = { template: AUTO.replace("Do it.", "Write.").replace("never", "never\nsandbox: read-only") };
  const second = await runCodexStep(at, next);
  expect(existsSync(join(at.cwd, "x"))).toBe(false);
  expect(second.told.join("")).toContain(`run=${second.runId}`);
  // What was said before is not lost, and the session goes on in the thread that has it.
  expect(JSON.stringify(at.model.requests.at(-1)?.input)).toContain("Fail.");
  const third = await runCodexStep(at, { template: AUTO.replace("Do it.", "Write.") });
  expect(threadOf(third)).toBe(threadOf(second));
  expect(third.told.join("")).toContain(`run=${third.runId}`);
});

test("trap 2: a checkout is trusted as soon as it may be written to, and brings its own configuration", async () => {
  const at = await codexBox([{ answers: [DONE, DONE] }]);
  await mkdir(join(at.cwd, ".codex"));
  await writeFile(join(at.cwd, ".codex", "config.toml"), `model = "model-of-the-checkout"\n`);
  await runCodexStep(at, { template: AUTO });
  await runCodexStep(await startedAnew(at), { template: AUTO.replace("auto", "new") });
  expect(at.model.requests.map(({ model }) => model)).toEqual(["fake-direct", "fake-direct"]);
  expect(readFileSync(join(at.home, "config.toml"), "utf8")).not.toContain("trust");
});

test("trap 2, hooks: those of a checkout that nobody trusts are not run, not even where steps may write", async () => {
  const at = await codexBox([{ answers: [command("true"), DONE, DONE] }]);
  const ran = join(at.cwd, "hook-ran");
  const hook = { hooks: [{ type: "command", command: `touch ${ran}` }] };
  await mkdir(join(at.cwd, ".codex"));
  const events = { SessionStart: [hook], PreToolUse: [hook], Stop: [hook] };
  await writeFile(join(at.cwd, ".codex", "hooks.json"), JSON.stringify({ hooks: events }));
  await runCodexStep(at, { template: AUTO });
  const second = await runCodexStep(await startedAnew(at), { template: AUTO });
  expect(second.results).toMatchObject([{ status: "completed" }]);
  expect(existsSync(ran)).toBe(false);
});

test("trap 3: turn/start in a running turn steers it: two steps of one directory never share a turn", async () => {
  const at = await codexBox([{ answers: [DONE] }, { prompt: "Wait", answers: [held(DONE)] }]);
  await runCodexStep(at, { template: AUTO });
  // Nobody at an edge keeps them apart.
  const alone = { request: { conversation: undefined } };
  const first = await startCodexStep(at, { template: AUTO.replace("Do it.", "Wait."), ...alone });
  await until(() => (at.model.requests.length === 2 ? true : undefined));
  const second = await runCodexStep(at, { template: AUTO, ...alone });
  expect(second.results).toMatchObject([{ status: "blocked", artifacts: { heldBy: first.runId } }]);
  at.model.release();
  await first.step.ended;
  expect(first.results).toMatchObject([{ status: "completed" }]);
  expect(JSON.stringify(at.model.requests.slice(1).map(({ input }) => input.at(-1)))).not.toContain("Do it.");
});

test("trap 3, another server: a thread that it has live is not written to; the step is blocked or forks it, as it says", async () => {
  const at = await codexBox([{ answers: [DONE, DONE] }]);
  const first = await runCodexStep(at, { template: AUTO });
  await at.box.stop();
  const other = await startAppServer({ cwd: at.cwd, env: codexEnvironment(at.home), version: "0.0.0" });
  onTestFinished(async () => {
    await other.stop();
  });
  const threadId = String(threadOf(first));
  await other.request("thread/resume", { threadId, cwd: at.cwd, sandbox: "read-only" });
  const blocked = await runCodexStep(at, { template: AUTO });
  expect(blocked.results).toMatchObject([
    { status: "blocked", artifacts: { heldBy: "another program on this box" } },
  ]);
  expect(at.model.requests).toHaveLength(1);
  const forked = await runCodexStep(at, { template: AUTO.replace("never", "never\non_conflict: fork") });
  expect(forked.results).toMatchObject([{ status: "completed" }]);
  expect(threadOf(forked)).not.toBe(threadId);
  expect(forked.told.join("")).toContain("it is forked");
});

test("trap 4: turn/interrupt leaves the running command alive, also one that has left its session", async () => {
  const at = await codexBox([
    {
      answers: [
        together(command("setsid sleep 300 & sleep 300"), command("(setsid setsid sleep 300 &) ; sleep 300")),
      ],
    },
  ]);
  const life = await startCodexStep(at, { template: AUTO });
  const mark = `CODEX_FLOW_RUN_ID=${life.runId}`;
  await until(() => (processesWith("environ", mark).length >= 4 ? true : undefined));
  life.step.cancel("canceled");
  expect(await life.step.ended).toMatchObject({ reason: "canceled", tree: { empty: true, survivors: [] } });
  expect(processesWith("environ", mark)).toEqual([]);
});

test("trap 4, killed: what commands have started outlives the app-server, and is ended all the same", async () => {
  const at = await codexBox([{ answers: [command("(setsid sleep 300 &) ; sleep 300")] }]);
  const life = await startCodexStep(at, { template: AUTO });
  const mark = `CODEX_FLOW_RUN_ID=${life.runId}`;
  await until(() => (processesWith("environ", mark).length >= 2 ? true : undefined));
  const servers = processesWith("cmdline", "app-server");
  for (const pid of processesWith("environ", `CODEX_HOME=${at.home}`))
    if (servers.includes(pid)) process.kill(Number(pid), "SIGKILL");
  expect(await life.step.ended).toMatchObject({ reason: "abandoned", tree: { empty: true, survivors: [] } });
  expect(processesWith("environ", mark)).toEqual([]);
});

test("trap 4 in code mode: the script's command is found and ended, too", async () => {
  const script = `text(await tools.exec_command({ cmd: "setsid sleep 300 & sleep 300" }))`;
  const at = await codexBox([{ answers: [codeMode(script)] }]);
  const life = await startCodexStep(at, {
    template: AUTO.replace("never", `never\nmodel: ${CODE_MODE_MODEL}`),
  });
  const mark = `CODEX_FLOW_RUN_ID=${life.runId}`;
  await until(() => (processesWith("environ", mark).length >= 2 ? true : undefined));
  life.step.cancel("canceled");
  expect(await life.step.ended).toMatchObject({ reason: "canceled", tree: { empty: true } });
  expect(processesWith("environ", mark)).toEqual([]);
});

test("trap 4, without the marks: a command that has shed the run's variables bears the thread's, and is ended", async () => {
  const shed = "env -u CODEX_FLOW_RUN_ID -u CODEX_FLOW_ATTEMPT_ID sleep 300";
  const rules = [{ answers: [command(`(setsid setsid ${shed} &); sleep 300`)] }];
  const at = await codexBox(rules, { allowDangerFullAccess: true });
  const template = AUTO.replace("never", "never\nsandbox: danger-full-access");
  const life = await startCodexStep(at, { template });
  const { threadId } = await until(() => at.model.requests[0]);
  const ofThread = (): string[] => processesWith("environ", `CODEX_THREAD_ID=${threadId}`);
  const marked = (): string[] => processesWith("environ", `CODEX_FLOW_RUN_ID=${life.runId}`);
  await until(() => (ofThread().some((pid) => !marked().includes(pid)) ? true : undefined));
  life.step.cancel("canceled");
  expect(await life.step.ended).toMatchObject({ reason: "canceled", tree: { empty: true, survivors: [] } });
  expect(ofThread()).toEqual([]);
});

test("trap 5: usage is the thread's total: a step counts its own, in the same server and in another one", async () => {
  const at = await codexBox([{ answers: [command("true"), DONE] }]);
  const runs = [await runCodexStep(at, { template: AUTO }), await runCodexStep(at, { template: AUTO })];
  runs.push(await runCodexStep(await startedAnew(at), { template: AUTO }));
  expect(new Set(runs.map(threadOf)).size).toBe(1);
  expect(runs.map(({ results }) => results[0]?.artifacts?.["usage"])).toMatchObject(
    runs.map(() => ({ inputTokens: 200, cachedInputTokens: 80, outputTokens: 40 })),
  );
});

test("trap 6: commands inherit Codex's whole environment, the key of its provider included", async () => {
  const key = "key-of-the-provider-0123456789";
  const model = await fakeModel([{ answers: [command("env"), DONE] }]);
  const fake = { name: "fake", base_url: model.url, env_key: "PROVIDER_KEY" };
  const at = await codexBox([], {
    env: ["PROVIDER_KEY"],
    environment: { PROVIDER_KEY: key, OF_THE_AGENT: "no-business-of-codex" },
    config: { model_providers: { fake } },
  });
  const life = await runCodexStep(at, { template: AUTO, variables: { WANTED: "yes" } });
  // Codex itself has it: the request that it sent shows it.
  expect(model.requests[0]?.headers.authorization).toBe(`Bearer ${key}`);
  const told = life.told.join("\n");
  for (const value of [key, "no-business-of-codex"]) expect(told).not.toContain(value);
  expect(told).toContain("WANTED=yes");
  expect(told).toContain(`CODEX_FLOW_ATTEMPT_ID=${life.runId}_a1`);
  for (const name of ["CODEX_HOME", "CODEX_FLOW_APP_SERVER_ID"]) expect(told).not.toContain(`${name}=`);
});

test("trap 6, of the user's profile: what a login shell would export is no command's", async () => {
  const user = folder("user-with-a-profile");
  for (const name of [".bash_profile", ".profile", ".bashrc", ".zshenv", ".zprofile", ".zshrc"])
    await writeFile(join(user, name), "export OF_THE_PROFILE=s3cr3t-of-the-profile\n");
  const script = `text(await tools.exec_command({ cmd: "env; echo $OF_THE_PROFILE" }))`;
  for (const [model, answer] of [
    [DIRECT_MODEL, command("env; echo $OF_THE_PROFILE")],
    [CODE_MODE_MODEL, codeMode(script)],
  ] as const) {
    const at = await codexBox([{ answers: [answer, DONE] }], { config: { model } });
    const life = await runCodexStep(at, { template: AUTO, variables: { HOME: user } });
    const told = JSON.stringify([life.told, at.model.requests.map(({ input }) => input)]);
    expect(told).toContain(`HOME=${user}`);
    // Of a user whose shell is zsh, which this machine's need not be.
    expect(told).toContain("ZDOTDIR=/dev/null");
    expect(told).not.toContain("s3cr3t-of-the-profile");
  }
});

test("trap 7: what a step gives its commands as their environment is not written into Codex's home", async () => {
  const value = "s3cr3t-of-the-environment-0123456789";
  const at = await codexBox([{ answers: [command("true"), DONE] }]);
  const secrets = [{ name: "TOKEN", value }];
  await runCodexStep(at, { template: AUTO, secrets, variables: { TOKEN: value } });
  await at.box.stop();
  const files = readdirSync(at.home, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  expect(files.length).toBeGreaterThan(3);
  for (const { parentPath, name } of files)
    expect(readFileSync(join(parentPath, name), "latin1"), name).not.toContain(value);
});

test("trap 8: a message of the agent is no answer: only the last one of the turn is", async () => {
  const at = await codexBox([
    {
      answers: [
        together(message(JSON.stringify({ status: "failed", message: "early" })), command("true")),
        DONE,
      ],
    },
  ]);
  const { results } = await runCodexStep(at, { template: AUTO });
  expect(results).toMatchObject([{ status: "completed", message: "done" }]);
});

test("trap 9: what is written into the folder of its step counts at once, and so the box's own rules may not lie there", async () => {
  const rules = [{ answers: [command("echo x >> home/config.toml"), DONE] }];
  const above = (at: CodexBox): string => join(at.home, "..");
  const elsewhere = folder("elsewhere");
  for (const [what, box, cwd] of [
    ["the runner's home", {}, above],
    ["a folder of it", {}, (at: CodexBox) => at.home],
    ["the user's login", { environment: { CODEX_HOME: join(elsewhere, "of/ada") } }, () => elsewhere],
    ["the runner's configuration", { configFile: join(elsewhere, "w/.codex/runner.toml") }, () => elsewhere],
  ] as const) {
    const at = await codexBox(rules, box);
    await mkdir(at.home, { recursive: true });
    const before = (): string[] => readdirSync(at.home);
    const files = before();
    const refused = await runCodexStep(at, { template: AUTO, step: { cwd: cwd(at) } });
    expect(refused.end, what).toMatchObject({ reason: "refused", error: { code: "sandbox_not_allowed" } });
    expect(before()).toEqual(files);
  }
  const at = await codexBox(rules);
  const readOnly = AUTO.replace("never", "never\nsandbox: read-only");
  expect((await runCodexStep(at, { template: readOnly, step: { cwd: above(at) } })).end.reason).toBe(
    "exited",
  );
});

test("trap 9, the workspace itself: Codex lets nobody write to its .codex", async () => {
  const workspace = checkout();
  const answers = [command("mkdir -p .codex; echo x > .codex/runner.toml; touch y"), DONE];
  const at = await codexBox([{ answers }], { configFile: join(workspace, ".codex", "runner.toml") });
  await runCodexStep(at, { template: AUTO, step: { cwd: workspace } });
  expect(readdirSync(workspace)).toContain("y");
  expect(existsSync(join(workspace, ".codex", "runner.toml"))).toBe(false);
});
