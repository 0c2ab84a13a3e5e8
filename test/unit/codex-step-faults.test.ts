/** Codex steps on boxes where something is missing or hangs: each is said on the run, none takes others with it. */
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { outcomeOf } from "../../contract/run-outcome.ts";
import { StepLife } from "../../runner-agent/codex/step/step-life.ts";
import { findCodex } from "../../runner-agent/codex/codex-program.ts";
import { checkout, folder } from "../support/codex.ts";
import { freeze } from "../support/freeze.ts";
import { fillDisk, freeDisk } from "../support/full-disk.ts";
import { codexBox, runCodexStep, startCodexStep, type CodexBox } from "../support/codex-step-life.ts";
import { command, failed, held, httpError, structured } from "../support/fake-model/answers.ts";
import { processesWith } from "../support/run-processes.ts";
import { until } from "../support/until.ts";

const DONE = structured({ status: "completed", message: "done" });
const PROMPT = "---\napproval_policy: never\n---\nDo it.";

/** A Codex that runs where no sandbox can be made: without namespaces, as in many containers. */
function codexWithoutSandbox(): string {
  const { file, args } = findCodex(undefined);
  const path = join(folder("codex-without-sandbox"), "codex");
  const inner = `echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin "$@"`;
  writeFileSync(path, `#!/bin/sh\nexec unshare -Ur sh -c '${inner}' sh ${[file, ...args].join(" ")} "$@"\n`);
  chmodSync(path, 0o755);
  return path;
}

function appServersOf({ home }: CodexBox): number[] {
  const servers = processesWith("cmdline", "app-server");
  return processesWith("environ", `CODEX_HOME=${home}`)
    .filter((pid) => servers.includes(pid))
    .map(Number);
}

describe("a box that is not fit says so before a turn is paid for", () => {
  test("no login, where the provider wants one", async () => {
    const at = await codexBox([{ answers: [DONE] }], { config: { model_provider: "openai" } });
    const { end } = await runCodexStep(at, { template: PROMPT });
    expect(end).toMatchObject({ reason: "refused", error: { code: "codex_not_logged_in" } });
    expect(end.error?.message).toContain("codex login");
    expect(at.model.requests).toEqual([]);
  });

  test("no sandbox: the model does not get to call a task done of which no command has run", async () => {
    const at = await codexBox([{ answers: [command("touch x"), DONE] }], { command: codexWithoutSandbox() });
    const { end, results } = await runCodexStep(at, { template: PROMPT });
    expect(end).toMatchObject({ reason: "refused", error: { code: "sandbox_unavailable" } });
    expect(end.error?.message).toContain("bwrap");
    expect(results).toEqual([]);
  });

  test("no sandbox is no matter where the box allows steps to go without", async () => {
    const at = await codexBox([{ answers: [command("touch x"), DONE] }], {
      command: codexWithoutSandbox(),
      allowDangerFullAccess: true,
    });
    const template = PROMPT.replace("never", "never\nsandbox: danger-full-access");
    const { results } = await runCodexStep(at, { template });
    expect(results).toMatchObject([{ status: "completed" }]);
    expect(readdirSync(at.cwd)).toContain("x");
  });
});

test("what is still told when the step is over starts no clock again, and what its commands kept is gone", async () => {
  const at = await codexBox([{ answers: [command("sleep 300 & echo x > $TMPDIR/kept; echo begun"), DONE] }]);
  const { step, results, end, told } = await runCodexStep(at, {
    template: PROMPT,
    step: { silenceMs: 20_000 },
  });
  expect([results.length, end.reason]).toEqual([1, "exited"]);
  expect(told.join("")).toContain("begun");
  if (!(step instanceof StepLife)) throw new Error("a codex step is no StepLife any more");
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();
  step.restartSilence();
  expect(timers()).toBe(before);
  const kept = (): string[] => readdirSync(join(at.home, "commands-tmp"));
  await until(() => (kept().some((name) => name.startsWith("run_")) ? undefined : true));
});

describe("a turn that Codex ends with an error says which", () => {
  test.each([
    ["an unknown model", httpError(404, "model_not_found"), "modelNotFound"],
    ["a schema that the provider refuses", httpError(400, "invalid_json_schema"), "invalid_json_schema"],
    ["a key that is not valid", httpError(401, "invalid_api_key"), "401 Unauthorized"],
    ["a usage limit", httpError(429, "usage_limit_reached"), "usageLimitExceeded"],
    ["a history that is too long", failed("context_length_exceeded"), "contextWindowExceeded"],
  ])("%s", async (_what, answer, word) => {
    const at = await codexBox([{ answers: Array.from({ length: 12 }, () => answer) }]);
    const { end, results } = await runCodexStep(at, { template: PROMPT });
    expect(results).toEqual([]);
    expect(outcomeOf(end, undefined, false)).toMatchObject({
      status: "failed",
      error: { code: "turn_failed", message: expect.stringContaining(word) as string },
    });
  });

  test("a variable of the provider's that the agent does not have", async () => {
    const providers = { fake: { name: "fake", base_url: "http://127.0.0.1:1/v1", env_key: "NO_SUCH_KEY" } };
    const at = await codexBox([], { config: { model_providers: providers } });
    const { end } = await runCodexStep(at, { template: PROMPT });
    expect(end.error?.message).toContain("NO_SUCH_KEY");
  });

  test("a configuration that Codex refuses", async () => {
    const at = await codexBox([], { config: { model_provider: "nobody" } });
    const { end } = await runCodexStep(at, { template: PROMPT });
    expect(end).toMatchObject({ reason: "refused", error: { code: "codex_request_failed" } });
    expect(end.error?.message).toContain("nobody");
  });
});

describe("an app-server that hangs", () => {
  test("after the turn: the result counts, and the next step gets another server", async () => {
    const at = await codexBox([{ answers: [DONE] }]);
    const life = await startCodexStep(at, { template: PROMPT });
    const [hung] = appServersOf(at);
    await life.until(() => {
      if (life.results.length === 0) return false;
      appServersOf(at).forEach(freeze);
      return true;
    });
    expect(await life.step.ended).toMatchObject({ reason: "exited", tree: { empty: true } });
    const next = await runCodexStep(at, { template: PROMPT });
    expect(next.results).toMatchObject([{ status: "completed" }]);
    await until(() => (appServersOf(at).every((pid) => pid !== hung) ? true : undefined));
  });

  test("before the step: a cancel ends those that wait for a thread, and the next one gets another server", async () => {
    const at = await codexBox([{ answers: [DONE] }], { environment: { CODEX_FLOWS_MODE: "code-mode" } });
    await runCodexStep(at, { template: PROMPT });
    const hung = appServersOf(at);
    hung.forEach(freeze);
    const waiting = [
      await startCodexStep(at, { template: PROMPT }),
      await startCodexStep(at, { runner: "code-mode", template: 'result({ status: "completed" });' }),
    ];
    await setImmediate();
    for (const { step } of waiting) step.cancel("canceled");
    for (const { step } of waiting)
      expect(await step.ended).toMatchObject({ reason: "canceled", tree: { empty: true } });
    const next = await runCodexStep(at, { template: PROMPT });
    expect(next.results).toMatchObject([{ status: "completed" }]);
    await until(() => (appServersOf(at).some((pid) => hung.includes(pid)) ? undefined : true));
  });

  test("in mid-turn: a cancel ends the step all the same, and its commands are gone", async () => {
    const at = await codexBox([{ answers: [command("setsid sleep 300 & sleep 300")] }]);
    const life = await startCodexStep(at, { template: PROMPT });
    await life.until(() => life.items.some((item) => item.type === "command"));
    appServersOf(at).forEach(freeze);
    life.step.cancel("canceled");
    expect(await life.step.ended).toMatchObject({ reason: "canceled", tree: { empty: true, survivors: [] } });
    expect(processesWith("environ", `CODEX_FLOW_RUN_ID=${life.runId}`)).toEqual([]);
  });

  test("before it has said that a turn began: nobody waits for it, and it does not go on with the turn", async () => {
    const at = await codexBox([
      { prompt: "Wait", answers: [held(DONE)] },
      { answers: [command("touch x"), DONE] },
    ]);
    const other = await startCodexStep(at, { template: PROMPT.replace("Do it", "Wait") });
    await until(() => at.model.requests[0]);
    const hung = appServersOf(at);
    const life = await startCodexStep(at, { template: PROMPT.replace("never", "never\nsession: auto") });
    // Asked for in the breath before the turn is.
    await life.until(() => {
      if (life.watchers.leased.length === 0) return false;
      hung.forEach(freeze);
      return true;
    });
    await setImmediate();
    life.step.cancel("canceled");
    expect(await life.step.ended).toMatchObject({ reason: "canceled", tree: { empty: true, survivors: [] } });
    expect(appServersOf(at).filter((pid) => hung.includes(pid))).toEqual([]);
    expect(outcomeOf(await other.step.ended, undefined, false)).toMatchObject({
      status: "lost",
      retry: "lost",
    });
    expect(at.model.requests).toHaveLength(1);
    expect(readdirSync(at.cwd)).not.toContain("x");
  });
});

describe("an edge that is away when a thread has to be asked for", () => {
  const AUTO = PROMPT.replace("never", "never\nsession: auto");
  const away = new Promise<never>(() => undefined);

  test.each([
    ["timeout", { timeoutMs: 400 }],
    ["silence", { silenceMs: 400 }],
    ["canceled", {}],
    ["abandoned", {}],
  ] as const)("%s ends the step all the same, and the next one gets the thread", async (reason, step) => {
    const at = await codexBox([{ answers: [DONE] }]);
    const first = await runCodexStep(at, { template: AUTO });
    const life = await startCodexStep(at, {
      template: AUTO,
      step,
      watchers: (watchers) => {
        watchers.lease = away;
      },
    });
    await life.until(() => life.watchers.leased.length === 1);
    if (reason === "canceled" || reason === "abandoned") life.step.cancel(reason);
    expect(await life.step.ended).toMatchObject({ reason, tree: { empty: true } });
    const next = await runCodexStep(at, { template: AUTO });
    expect(next.results[0]?.artifacts?.["threadId"]).toBe(first.results[0]?.artifacts?.["threadId"]);
  });
});

describe("a disk that takes nothing", () => {
  test("in mid-turn: the result arrives, the thread is remembered, and the next step goes on in it", async () => {
    const at = await codexBox([{ answers: [held(DONE)] }]);
    const template = PROMPT.replace("never", "never\nsession: auto");
    const life = await startCodexStep(at, { template, request: { budget: { tokens: 10_000 } } });
    await until(() => at.model.requests[0]);
    onTestFinished(() => {
      freeDisk(process.pid);
    });
    fillDisk(process.pid);
    at.model.release();
    expect(await life.step.ended).toMatchObject({ reason: "exited", tree: { empty: true } });
    freeDisk(process.pid);
    at.model.rules = [{ answers: [DONE] }];
    const next = await runCodexStep(at, { template });
    expect(next.results[0]?.artifacts?.["threadId"]).toBe(life.results[0]?.artifacts?.["threadId"]);
  });

  test("at the start: the step is refused, and says where", async () => {
    const file = join(folder("codex-home-below-a-file"), "file");
    writeFileSync(file, "");
    const at = await codexBox([], { home: join(file, "home") });
    const { end } = await runCodexStep(at, { template: PROMPT });
    expect(end).toMatchObject({ reason: "refused", error: { code: "codex_home_unusable" } });
    expect(end.error?.message).toContain("ENOTDIR");
  });
});

test("what nobody has foreseen ends the attempt, and the server is there for the next", async () => {
  const at = await codexBox([{ answers: [DONE] }]);
  const template = PROMPT.replace("never", "never\nsession: auto");
  const life = await startCodexStep(at, { template });
  // Behind the step's first look at it.
  rmSync(at.cwd, { recursive: true });
  expect(await life.step.ended).toMatchObject({
    reason: "abandoned",
    tree: { empty: true, survivors: [] },
    error: { code: "internal_error", message: expect.stringContaining(at.cwd) as string },
  });
  const next = await runCodexStep({ ...at, cwd: checkout() }, { template });
  expect(next.results).toMatchObject([{ status: "completed" }]);
});

test.each([0, 20, 60, 120])(
  "a cancel after %i ms, however far the start has come, ends the step as canceled",
  async (ms) => {
    const at = await codexBox([{ answers: [held(DONE)] }]);
    const life = await startCodexStep(at, { template: PROMPT });
    await new Promise((resolve) => setTimeout(resolve, ms));
    life.step.cancel("canceled");
    expect(await life.step.ended).toMatchObject({ reason: "canceled", tree: { empty: true } });
    const next = await codexBox([{ answers: [DONE] }]);
    expect((await runCodexStep(next, { template: PROMPT })).results).toHaveLength(1);
  },
);

test("no file in the user's own CODEX_HOME is changed, and none is made", async () => {
  const at = await codexBox([{ answers: [command("touch x"), DONE] }]);
  const own = join(at.home, "..", "of-the-user");
  await mkdir(own);
  await writeFile(join(own, "config.toml"), `model = "gpt-of-the-user"\napproval_policy = "never"\n`);
  await writeFile(join(own, "auth.json"), "{}");
  await runCodexStep(at, { template: PROMPT });
  expect(readdirSync(own).sort()).toEqual(["auth.json", "config.toml"]);
  expect(readFileSync(join(own, "config.toml"), "utf8")).toContain("gpt-of-the-user");
  expect(readFileSync(join(own, "auth.json"), "utf8")).toBe("{}");
});
