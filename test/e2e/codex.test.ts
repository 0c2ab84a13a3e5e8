/** Codex steps through the real edge, the real agent and the real Codex, behind a fake model. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { isTerminal } from "../../contract/run-record.ts";
import type { RunView } from "../../contract/run-view.ts";
import { command, patch, slow, structured, withUsage } from "../support/fake-model/answers.ts";
import { fakeModelConfig, writeModelCatalog } from "../support/fake-model/codex-home.ts";
import { FakeModel } from "../support/fake-model/fake-model.ts";
import { type AtEnd, atEndOfFile, writeFiles } from "../support/flow-workspace.ts";
import { codexFlow, Edge, startRunner, type Daemon } from "../support/program.ts";
import { processesOfRun, processesWith } from "../support/run-processes.ts";
import { storedTexts } from "../support/stored-texts.ts";
import { until } from "../support/until.ts";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { projectPath } from "../../scripts/project.ts";

const atEnd = atEndOfFile();

const MANIFEST = `name = "codex"
version = 1
[[steps]]
name = "work"
runner = "codex"
script = "prompt.md"
[steps.trigger]
type = "story.codex"
[steps.budget]
tokens = 2000
[steps.retry]
attempts = 2
on = ["lost"]
backoff_ms = 1
`;
const SCRIPTS = `name = "script"
version = 1
[[steps]]
name = "ask"
runner = "code-mode"
script = "ask.js"
[steps.trigger]
type = "story.script-ask"
[[steps]]
name = "work"
runner = "code-mode"
script = "work.js"
# What changes in a package is deployed anew each time.
cwd = "../../app"
[steps.trigger]
type = "story.script-work"
`;
const ASKS = `/*---
approval_policy: untrusted
---*/
const { exit_code } = await tools.exec_command({ cmd: "echo allowed > asked.txt" });
result({ status: "changed", message: "exit code " + exit_code });`;
const WORKS = `text("at work");
for (;;) await tools.exec_command({ cmd: "setsid sleep 300 & echo busy >> log; sleep 0.1" });`;
const PROMPT = "---\napproval_policy: untrusted\n---\n{{payload.task}}";
/** Base64, URLs and JSON each make another text of it. */
const SECRET = `s3cr3t/of+the=box?"&%~'ü-0123456789`;
/** Printed behind it, so that it is known where to look, and when. */
const SHOWN = "shown-beside-the-secret";
/** In pieces that are told one by one, then in every form, then something that may be seen. */
const TELLS = `const { TOKEN } = process.env;
const { existsSync } = require("node:fs");
const until = async (file) => { while (!existsSync(file)) await new Promise((go) => setTimeout(go, 50)); };
(async () => {
  await until("tell");
  for (let at = 0; at < TOKEN.length; at += 3) {
    process.stdout.write(TOKEN.slice(at, at + 3));
    await new Promise((go) => setTimeout(go, 30));
  }
  const base64 = ["", "x", "xy"].map((before) => Buffer.from(before + TOKEN).toString("base64"));
  console.log("\\n" + [TOKEN, ...base64, encodeURIComponent(TOKEN), JSON.stringify(TOKEN)].join("\\n"));
  console.log(${JSON.stringify(SHOWN)});
  await until("told");
})();`;
const FORMS = [
  SECRET,
  encodeURIComponent(SECRET),
  JSON.stringify(SECRET).slice(1, -1),
  ...["", "x", "xy"].map((before) => Buffer.from(`${before}${SECRET}`).toString("base64").slice(4, -4)),
];

const DONE = structured({ status: "completed", message: "done" });
const BIG = { input: 1500, cached: 0, output: 600, reasoning: 0 };
/** More than half of the budget. */
const HALF = { input: 1000, cached: 0, output: 100, reasoning: 0 };

const RULES = [
  { prompt: "was cut off", answers: [DONE] },
  { prompt: "task ask", answers: [command("echo allowed > allowed.txt"), DONE] },
  { prompt: "task long", answers: [command("setsid sleep 300 & setsid sleep 300 & sleep 300"), DONE] },
  // Its usage is told with the next call of the model: an answer at once could be complete before the interrupt is there.
  { prompt: "task spend", answers: [withUsage(command("true"), BIG), slow(DONE, 300)] },
  { prompt: "task half", answers: [withUsage(command("true"), HALF), command("sleep 300"), DONE] },
  {
    prompt: "task tell",
    answers: [
      command(`"${process.execPath}" tell.cjs`, { yield_time_ms: 30_000 }),
      structured({ status: "completed", message: SECRET }),
    ],
  },
  { prompt: "task talk", answers: [command("sleep 8"), DONE] },
  { prompt: "task quick", answers: [command("echo quick"), DONE] },
  { prompt: "asked to make", answers: [patch("*** Add File: made.txt", "+one"), DONE] },
  { prompt: "asked again", answers: [DONE] },
];

let edge: Edge;
let model: FakeModel;
let workspace: string;
let state: string;

async function persistentFolder(name: string, atEnd: AtEnd): Promise<string> {
  // Codex's own home may not lie where commands in a sandbox may write: not below the temporary directory.
  const path = await mkdtemp(join("/var/tmp", `${name}-`));
  atEnd(() => rm(path, { recursive: true, force: true }));
  return path;
}

beforeAll(async () => {
  state = await persistentFolder("codex-story-state", atEnd);
  workspace = await persistentFolder("codex-story", atEnd);
  model = await FakeModel.start(RULES);
  atEnd(() => model.stop());
  const config = fakeModelConfig(model.url, writeModelCatalog(state));
  await writeFiles(workspace, {
    "flows/codex/flow.toml": MANIFEST,
    "flows/codex/prompt.md": PROMPT,
    "flows/codex/tell.cjs": TELLS,
    "flows/script/flow.toml": SCRIPTS,
    "flows/script/ask.js": ASKS,
    "flows/script/work.js": WORKS,
    ".codex/runner.toml": stringify({
      env: { pass: ["TOKEN"] },
      projects: { app: "app" },
      codex: { home: join(state, "codex-home"), config },
    }),
  });
  await cp(projectPath("flows/codex-ask"), join(workspace, "flows/codex-ask"), { recursive: true });
  await mkdir(join(workspace, "app"));
  process.env["TOKEN"] = SECRET;
  process.env["CODEX_FLOWS_MODE"] = "code-mode";
  edge = await Edge.start({ state: join(state, "edge"), workspace });
  atEnd(() => edge.stop());
});

async function runner(): Promise<Daemon> {
  const daemon = await startRunner(edge, {
    name: "box",
    workspace,
    journal: join(state, "journal"),
    capacity: 24,
  });
  onTestFinished(async () => {
    await daemon.kill();
  });
  return daemon;
}

let sent = 0;

async function send(task: string): Promise<string> {
  sent += 1;
  const { runIds } = await edge
    .client()
    .dispatch({ id: `codex:${sent}`, type: "story.codex", payload: { task: `task ${task}` } });
  return runIds[0] ?? "";
}

function reached(id: string, isSo: (run: RunView) => boolean): Promise<RunView> {
  return until(async () => {
    const run = await edge
      .client()
      .getRun(id)
      .catch(() => undefined);
    return run !== undefined && isSo(run) ? run : undefined;
  });
}

const over = (id: string): Promise<RunView> => reached(id, (run) => isTerminal(run.status));
const waits = (id: string): Promise<RunView> => reached(id, (run) => run.pendingApprovals === 1);

async function accept(id: string): Promise<void> {
  const asked = (await waits(id)).approvals?.find(({ state }) => state === "pending");
  const { code } = await codexFlow(edge, "approvals", "accept", id, asked?.id ?? "");
  expect(code).toBe(0);
}

test("an approval outlives a kill -9 of the edge; accepted from a second terminal, the command runs", async () => {
  await runner();
  const id = await send("ask");
  expect((await waits(id)).approvals).toMatchObject([
    {
      id: "a1-1",
      kind: "command",
      title: expect.stringContaining("allowed.txt") as string,
      state: "pending",
    },
  ]);
  await edge.kill();
  await edge.restart();
  await accept(id);
  expect(await over(id)).toMatchObject({
    effectiveStatus: "completed",
    approvals: [{ state: "decided", decision: "accept" }],
    result: { artifacts: { threadId: expect.any(String) as string } },
  });
  expect(existsSync(join(workspace, "flows/codex/allowed.txt"))).toBe(true);
});

test("what is said to a running step steers it, and the run says so", async () => {
  await runner();
  const id = await send("talk");
  await accept(id);
  const said = await codexFlow(edge, "runs", "say", id, "look at the tests, too");
  expect(said.code).toBe(0);
  const run = await over(id);
  expect(run.messages).toMatchObject([{ text: "look at the tests, too" }]);
  expect(["steered", "queued"]).toContain(run.messages?.[0]?.state);
  expect(JSON.stringify(model.requests.flatMap((request) => request.input))).toContain(
    "look at the tests, too",
  );
});

test("invariant 10: a canceled turn leaves nothing of what its commands have started, and the run says so", async () => {
  await runner();
  const id = await send("long");
  await accept(id);
  await until(() => (processesOfRun(id).length >= 2 ? true : undefined));
  await edge.client().cancel(id);
  expect(await over(id)).toMatchObject({
    status: "canceled",
    attempts: [{ tree: { empty: true, survivors: [] } }],
  });
  expect(processesOfRun(id)).toEqual([]);
});

test("kill -9 of the app-server in mid-turn: the attempt is lost, and the next goes on in the same thread", async () => {
  await runner();
  const id = await send("long");
  await accept(id);
  await until(() => (processesOfRun(id).length >= 2 ? true : undefined));
  for (const pid of processesWith("environ", `CODEX_HOME=${join(state, "codex-home")}`))
    if (processesWith("cmdline", "app-server").includes(pid)) process.kill(Number(pid), "SIGKILL");
  const run = await over(id);
  expect(run).toMatchObject({ effectiveStatus: "completed", attemptCount: 2 });
  expect(run.attempts.map(({ status }) => status)).toEqual(["lost", "completed"]);
});

test("kill -9 of the agent in mid-turn: nothing is left, and the next attempt goes on", async () => {
  const first = await runner();
  const id = await send("long");
  await accept(id);
  await until(() => (processesOfRun(id).length >= 2 ? true : undefined));
  await first.kill();
  await runner();
  expect(await over(id)).toMatchObject({ effectiveStatus: "completed", attemptCount: 2 });
  expect(processesOfRun(id)).toEqual([]);
});

test("a budget that is used up stops the run; raised, a new run goes on in the same thread", async () => {
  await runner();
  const id = await send("spend");
  await accept(id);
  const stopped = await over(id);
  expect(stopped).toMatchObject({ effectiveStatus: "needs_intervention", needsAttention: true });
  const raised = await codexFlow(edge, "runs", "budget", id, "--add-tokens", "100000", "--json");
  expect(raised.code).toBe(0);
  const { run } = JSON.parse(raised.stdout) as { run: RunView };
  await accept(run.id);
  const next = await over(run.id);
  expect(next).toMatchObject({ effectiveStatus: "completed", continues: id, origin: "continuation" });
  expect(next.result?.artifacts?.["threadId"]).toBe(stopped.result?.artifacts?.["threadId"]);
});

test("an attempt that is lost has used its part of the budget, also for a box that knows nothing of it", async () => {
  const first = await runner();
  const id = await send("half");
  await accept(id);
  await accept(id);
  await until(() => (processesOfRun(id).length > 0 ? true : undefined));
  await first.kill();
  await rm(join(state, "codex-home", "codex-flow-sessions.json"));
  await runner();
  await accept(id);
  expect(await over(id)).toMatchObject({
    effectiveStatus: "needs_intervention",
    attempts: [{ status: "lost" }, { status: "completed" }],
    result: { artifacts: { budget: { exceeded: "tokens", used: { tokens: 2200 } } } },
  });
});

async function begin(type: string): Promise<string> {
  sent += 1;
  const { runIds } = await edge.client().dispatch({ id: `script:${sent}`, type });
  return runIds[0] ?? "";
}

test("a command of a saved script waits for leave, which is given over HTTP; what is said to it is refused", async () => {
  await runner();
  const asked = model.requests.length;
  const id = await begin("story.script-ask");
  const [approval] = (await waits(id)).approvals ?? [];
  expect(approval).toMatchObject({
    kind: "command",
    title: expect.stringContaining("asked.txt") as string,
    state: "pending",
  });
  expect(existsSync(join(workspace, "flows/script/asked.txt"))).toBe(false);
  const said = await codexFlow(edge, "runs", "say", id, "be quick");
  expect(said.code).not.toBe(0);
  expect(said.stderr).toContain("of kind code-mode, which takes no messages");
  await edge
    .client()
    .decideApproval(id, approval?.id ?? "", { decision: "accept", by: "ada", confirm: true });
  const run = await over(id);
  expect(run).toMatchObject({
    effectiveStatus: "changed",
    result: { message: "exit code 0" },
    approvals: [{ state: "decided", decision: "accept", decidedBy: "api: ada" }],
  });
  expect(run.messages ?? []).toEqual([]);
  expect(existsSync(join(workspace, "flows/script/asked.txt"))).toBe(true);
  expect(model.requests).toHaveLength(asked);
});

test("invariant 10: a script that is canceled in its middle leaves nothing, and goes no further", async () => {
  await runner();
  const id = await begin("story.script-work");
  const log = join(workspace, "app/log");
  await until(() => (existsSync(log) ? true : undefined));
  await edge.client().cancel(id, { by: "ada" });
  expect(await over(id)).toMatchObject({
    status: "canceled",
    cancel: { by: "api: ada", state: "canceled", survivors: [] },
    attempts: [{ tree: { empty: true, survivors: [] } }],
  });
  expect(processesOfRun(id)).toEqual([]);
  const written = await readFile(log, "utf8");
  const next = await begin("story.script-ask");
  await accept(next);
  await over(next);
  expect(await readFile(log, "utf8")).toBe(written);
});

test("invariant 15: a secret that a command prints whole, in pieces and encoded is in no file of edge or journal, and on no terminal", async () => {
  const places = [join(state, "journal"), join(state, "edge")];
  const shows = (at = ""): true | undefined => (storedTexts(at).includes(SHOWN) ? true : undefined);
  const secrets = (): string[] =>
    places.flatMap((at) => {
      const texts = storedTexts(at);
      return FORMS.filter((form) => texts.includes(form)).map((form) => `${form} in ${at}`);
    });
  await runner();
  const id = await send("tell");
  await accept(id);
  await until(() => (processesOfRun(id).length > 0 ? true : undefined));
  // What the edge does not take stays in the journal, where it can be looked at.
  await edge.kill();
  await writeFile(join(workspace, "flows/codex/tell"), "");
  await until(() => shows(places[0]));
  expect(secrets()).toEqual([]);
  await edge.restart();
  await writeFile(join(workspace, "flows/codex/told"), "");
  expect(await over(id)).toMatchObject({ effectiveStatus: "completed" });
  expect(shows(places[1])).toBe(true);
  expect(secrets()).toEqual([]);
  for (const more of [[], ["--json"]]) {
    const { stdout, stderr } = await codexFlow(edge, "runs", "logs", id, ...more);
    expect(stdout).toContain(SHOWN);
    expect(stdout).toContain("***");
    expect(FORMS.filter((form) => `${stdout}${stderr}`.includes(form))).toEqual([]);
  }
});

test("20 at once complete, each with a command that waits for leave until all of them do", async () => {
  await runner();
  const ids = await Promise.all(Array.from({ length: 20 }, () => send("quick")));
  await Promise.all(ids.map(waits));
  await Promise.all(
    ids.map((id) => edge.client().decideApproval(id, "a1-1", { decision: "accept", confirm: true })),
  );
  const runs = await Promise.all(ids.map(over));
  expect(runs.map((run) => run.effectiveStatus)).toEqual(ids.map(() => "completed"));
  expect(runs.map(({ approvals }) => approvals?.map(({ state }) => state))).toEqual(
    ids.map(() => ["decided"]),
  );
});

test("a prompt from a chat is worked on in the project that it names, and the chat goes on in one thread", async () => {
  await runner();
  const ask = async (id: string, payload: object): Promise<RunView> => {
    const asked = { session: "auto", channel: "discord:1", project: "app", ...payload };
    const { runIds } = await edge.client().dispatch({ id: `ask:${id}`, type: "codex.ask", payload: asked });
    return await over(runIds[0] ?? "");
  };
  const first = await ask("1", { prompt: "You are asked to make it." });
  expect(first).toMatchObject({ status: "completed", result: { status: "completed", message: "done" } });
  expect(existsSync(join(workspace, "app/made.txt"))).toBe(true);
  const second = await ask("2", { prompt: "You are asked again." });
  expect(second.result?.artifacts?.["threadId"]).toBe(first.result?.artifacts?.["threadId"]);
  const unknown = await ask("3", { prompt: "You are asked again.", project: "ap" });
  expect(unknown).toMatchObject({
    status: "failed",
    errorCode: "project_unknown",
    error: expect.stringContaining("it has app") as string,
  });
});
