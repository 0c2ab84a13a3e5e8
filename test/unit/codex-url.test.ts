/** Steps over an app-server that the agent has not started: the same safety as far as a thread can bring it, and no proof that nobody has. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { isOnThisMachine } from "../../runner-agent/codex/codex-host.ts";
import { findCodex } from "../../runner-agent/codex/codex-program.ts";
import { outcomeOf } from "../../contract/run-outcome.ts";
import { codexEnvironment, codexHome, folder } from "../support/codex.ts";
import { codexBox, runCodexStep, startCodexStep, type CodexBox } from "../support/codex-step-life.ts";
import { command, held, structured } from "../support/fake-model/answers.ts";
import type { Rule } from "../support/fake-model/fake-model.ts";
import { processesWith } from "../support/run-processes.ts";
import { until } from "../support/until.ts";

const DONE = structured({ status: "completed", message: "done" });
const PROMPT = "---\napproval_policy: never\n---\nDo it.";
const KEY = "key-of-the-server-0123456789";

/** Somebody's app-server on a socket, whose own home is as careless as homes are, and a box that uses it. */
async function elsewhere(rules: Rule[]): Promise<CodexBox & { serverHome: string }> {
  const socket = join(folder("codex-socket"), "app-server.sock");
  const at = await codexBox(rules, { url: `unix://${socket}` });
  const serverHome = codexHome(at.model, { sandbox_mode: "danger-full-access" });
  const { file, args } = findCodex();
  const server = spawn(file, [...args, "app-server", "--listen", `unix://${socket}`], {
    env: { ...codexEnvironment(serverHome), KEY_OF_THE_SERVER: KEY },
    stdio: "ignore",
  });
  onTestFinished(async () => {
    server.kill();
    await until(() => (server.exitCode !== null || server.signalCode !== null ? true : undefined));
  });
  await until(() => (existsSync(socket) ? true : undefined));
  return { ...at, serverHome };
}

test("a step runs, sandboxed and without the server's own environment, in a checkout that stays untrusted (trap 2)", async () => {
  const script = `env; touch inside; touch ${folder("outside")}/x || echo refused; touch "$TMPDIR/kept-$$" && echo temporary`;
  const at = await elsewhere([{ answers: [command(script), DONE, command(script), DONE] }]);
  const ran = join(at.cwd, "hook-ran");
  mkdirSync(join(at.cwd, ".codex"));
  writeFileSync(join(at.cwd, ".codex/config.toml"), 'model = "model-of-the-checkout"\n');
  const hook = { hooks: [{ type: "command", command: `touch ${ran}` }] };
  writeFileSync(join(at.cwd, ".codex/hooks.json"), JSON.stringify({ hooks: { SessionStart: [hook] } }));
  for (const _time of [1, 2]) {
    const { results, end, told } = await runCodexStep(at, {
      template: PROMPT.replace("never", "never\nsession: auto"),
    });
    expect(results).toMatchObject([{ status: "completed" }]);
    expect(end.tree).toEqual({ empty: true, survivors: [] });
    for (const word of ["refused", "temporary", "CODEX_FLOW_RUN_ID="]) expect(told.join("")).toContain(word);
    expect(told.join("")).not.toContain(KEY);
  }
  expect(existsSync(join(at.cwd, "inside"))).toBe(true);
  expect(existsSync(ran)).toBe(false);
  expect(new Set(at.model.requests.map(({ model }) => model))).toEqual(new Set(["fake-direct"]));
  expect(readFileSync(join(at.serverHome, "config.toml"), "utf8")).not.toContain("trust");
});

test("a cancel leaves nothing on this machine, and the server lives on", async () => {
  const at = await elsewhere([
    { answers: [command("setsid sleep 300 & sleep 300")] },
    { prompt: "then", answers: [DONE] },
  ]);
  const life = await startCodexStep(at, { template: PROMPT });
  const mark = `CODEX_FLOW_RUN_ID=${life.runId}`;
  await until(() => (processesWith("environ", mark).length >= 2 ? true : undefined));
  life.step.cancel("canceled");
  expect(await life.step.ended).toMatchObject({ reason: "canceled", tree: { empty: true, survivors: [] } });
  expect(processesWith("environ", mark)).toEqual([]);
  const next = await runCodexStep(at, { template: PROMPT.replace("Do it", "Do it then") });
  expect(next.results).toMatchObject([{ status: "completed" }]);
});

test("on another machine nobody has seen its commands go: no proof is claimed, and a cancel says so", async () => {
  const at = await codexBox([{ answers: [held(DONE)] }]);
  const away = { ...at, box: Object.assign(Object.create(at.box) as typeof at.box, { here: false }) };
  const life = await startCodexStep(away, { template: PROMPT });
  await until(() => (at.model.requests.length === 1 ? true : undefined));
  life.step.cancel("canceled");
  const end = await life.step.ended;
  expect(end).not.toHaveProperty("tree");
  expect(outcomeOf(end, undefined, true)).toMatchObject({ error: { code: "cancel_unproved" } });
});

test.each([
  ["unix:///run/codex.sock", true],
  ["ws://127.0.0.1:4500", true],
  ["ws://localhost:4500", true],
  ["ws://[::1]:4500", true],
  ["ws://10.0.0.7:4500", false],
  ["ws://localhost.example.org:4500", false],
  ["ws://127.0.0.1.example.org:4500", false],
])("%s is on this machine: %s", (url, here) => {
  expect(isOnThisMachine(url)).toBe(here);
});
