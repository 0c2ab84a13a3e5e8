/** Coding agents relayed through a real edge: the real Codex behind a fake model, programs in a terminal, and all that can fail. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { execFileSync } from "node:child_process";
import { dirname, join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { isTerminal } from "../../contract/run-record.ts";
import type { OutputChunkView, RunView } from "../../contract/run-view.ts";
import { cloneAt, commit, git } from "../support/git-repositories.ts";
import { codexProgram } from "../support/codex-exec.ts";
import { command, httpError, message, patch } from "../support/fake-model/answers.ts";
import { writeCodexHome } from "../support/fake-model/codex-home.ts";
import { FakeModel } from "../support/fake-model/fake-model.ts";
import { codexFlow, Daemon, Edge } from "../support/program.ts";
import { processesOfRun } from "../support/run-processes.ts";
import { until } from "../support/until.ts";
import { atEndOfFile } from "../support/flow-workspace.ts";

const atEnd = atEndOfFile();

const OPEN = "4001";
const CLOSED = "4002";
const SECRET = "s3cr3t-of-the-box-0123456789";

let edge: Edge;
let model: FakeModel;
/** Everything of this story. */
let root: string;
let temporary: string;
let codexHome: string;
let orphan: { relay: Daemon; runId: string };

beforeAll(async () => {
  root = await mkdtemp(join("/var/tmp", "relay-story-"));
  atEnd(() => rm(root, { recursive: true, force: true }));
  temporary = join(root, "tmp");
  for (const folder of ["tmp", "app", "workspace", "home"]) await mkdir(join(root, folder));
  execFileSync("git", ["init", "-q"], { cwd: join(root, "app") });
  model = await FakeModel.start([
    { prompt: "broken", answers: [httpError(400, "broken")] },
    {
      prompt: "Review the pull request owner/repo.git#7",
      answers: [
        command("git diff origin/HEAD...HEAD; echo spoiled > app.txt"),
        message("not to be merged: app.txt lies"),
      ],
    },
    {
      answers: [
        command('echo "token $STORY_TOKEN"'),
        patch("*** Add File: new.txt", "+hello"),
        message("two things are done"),
      ],
    },
  ]);
  atEnd(() => model.stop());
  codexHome = writeCodexHome(model.url);
  atEnd(() => rm(codexHome, { recursive: true, force: true }));
  edge = await Edge.start({ state: join(root, "edge"), workspace: join(root, "workspace") });
  atEnd(() => edge.stop());
  expect((await codexFlow(edge, "guard", "activate", "--channel", OPEN)).code).toBe(0);
  // It dies at once, and is looked at last: by then others have relayed on this box.
  orphan = await relayed([], ["sh", "-c", "setsid sleep 600 & sleep 600"]);
  await until(() => (processesOfRun(orphan.runId).length >= 2 ? true : undefined));
  await orphan.relay.kill();
});

function launch(args: string[], env: Record<string, string> = {}, input?: string | Uint8Array): Daemon {
  const all = {
    CODEX_FLOW_URL: edge.info.url,
    CODEX_FLOW_TOKEN: edge.info.tokens.runner,
    STORY_TOKEN: SECRET,
    HOME: join(root, "home"),
    XDG_STATE_HOME: join(root, "state"),
    CODEX_HOME: codexHome,
    TMPDIR: temporary,
  };
  return new Daemon(args, { ...all, ...env }, root, input);
}

function start(
  flags: string[],
  agent: string[],
  more: { tmp?: string; input?: string | Uint8Array } = {},
): Daemon {
  const args = ["relay", "run", "--channel", OPEN, "-w", join(root, "app"), ...flags, "--", ...agent];
  return launch(args, more.tmp === undefined ? {} : { TMPDIR: more.tmp }, more.input);
}

/** A relay whose session has begun. */
async function relayed(flags: string[], agent: string[]): Promise<{ relay: Daemon; runId: string }> {
  const relay = start(flags, agent);
  atEnd(() => relay.kill());
  const line = await relay.line(/running relay\/session/);
  return { relay, runId: /run_[0-9a-z]+_1/.exec(line)?.[0] ?? "" };
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

async function outputOf(id: string): Promise<OutputChunkView[]> {
  return (await edge.client().getOutput(id)).output;
}

const textOf = (chunks: OutputChunkView[]): string => chunks.map(({ text }) => text).join("");

/** Waits until the edge has this much of what the session says; a look has the relay send what it holds back. */
function says(id: string, pattern: RegExp): Promise<string> {
  return until(async () => {
    const text = textOf(await outputOf(id));
    return pattern.test(text) ? text : undefined;
  });
}

test("a session of the real Codex arrives as items, ends with its summary, and the next one goes on in its thread", async () => {
  const exec = [codexProgram(), "exec", "do it"];
  const { relay, runId } = await relayed([], exec);
  expect(await relay.over()).toBe(0);
  const run = await over(runId);
  expect(run).toMatchObject({
    effectiveStatus: "changed",
    result: {
      message: "two things are done",
      artifacts: {
        changedFiles: [{ path: "new.txt", kind: "add" }],
        commands: 1,
        turns: 1,
        tokens: { input: 300, output: 60 },
      },
    },
  });
  const items = (await outputOf(runId)).flatMap(({ item }) => (item?.state === "completed" ? [item] : []));
  expect(items.map(({ type }) => type)).toEqual([
    "command",
    "file_change",
    "message",
    "usage",
    "turn",
    "activity",
  ]);
  expect(items.at(-1)).toMatchObject({
    kind: "summary",
    text: expect.stringContaining("created: new.txt") as string,
  });

  const again = await relayed(["--reuse-session"], exec);
  expect(await again.relay.over()).toBe(0);
  expect(await over(again.runId)).toMatchObject({
    result: {
      artifacts: { threadId: run.result?.artifacts?.["threadId"], tokens: { input: 300, output: 60 } },
    },
  });
});

test("a secret is neither at the edge nor in the log: printed across two writes, and by a command of an agent", async () => {
  const half = SECRET.length / 2;
  const script = `printf %s "$STORY_TOKEN" | cut -c1-${half} | tr -d '\\n'; sleep 0.3; printf '%s\\n' "$STORY_TOKEN" | cut -c${half + 1}-`;
  const { relay, runId } = await relayed([], ["sh", "-c", script]);
  expect(await relay.over()).toBe(0);
  await over(runId);
  expect(textOf(await outputOf(runId))).toContain("***\n");
  for (const { text } of await allOutput()) expect(text).not.toContain(SECRET.slice(0, half));
  for (const text of await logs()) expect(text).not.toContain(SECRET.slice(0, half));
  expect((await logs()).join("")).toContain("token ***");
});

async function allOutput(): Promise<OutputChunkView[]> {
  const { runs } = await edge.client().listRuns();
  return (await Promise.all(runs.map(({ id }) => outputOf(id)))).flat();
}

async function logs(): Promise<string[]> {
  const folders = (await readdir(temporary)).filter((name) => name.startsWith("dev-relay."));
  return Promise.all(folders.map((name) => readFile(join(temporary, name, "stream.jsonl"), "utf8")));
}

test("the edge is killed in mid-session and started again: nothing is missing, and nothing comes twice", async () => {
  const { relay, runId } = await relayed(
    [],
    ["sh", "-c", "for i in $(seq 1 60); do echo line $i; sleep 0.1; done"],
  );
  await says(runId, /line 5\n/);
  await edge.kill();
  await relay.line(/line 40/);
  await edge.restart();
  expect(await relay.over()).toBe(0);
  const run = await over(runId);
  expect(run).toMatchObject({ effectiveStatus: "completed", attemptCount: 1 });
  const { sent, acknowledged, outages } = run.result?.artifacts?.["delivery"] as Record<string, number>;
  expect(outages).toBeGreaterThanOrEqual(1);
  expect(sent).toBeGreaterThan(1);
  expect(acknowledged).toBeLessThanOrEqual(sent ?? 0);
  const lines = textOf((await outputOf(runId)).filter(({ kind }) => kind === "stdout"));
  expect(lines).toBe(Array.from({ length: 60 }, (_unused, index) => `line ${index + 1}\n`).join(""));
});

test("canceled at the edge: the tree is proven empty, and the relay says so by its exit code", async () => {
  const { relay, runId } = await relayed([], ["sh", "-c", "setsid sleep 600 & setsid sleep 600 & sleep 600"]);
  await until(() => (processesOfRun(runId).length >= 3 ? true : undefined));
  await edge.client().cancel(runId, { by: "ada" });
  expect(await over(runId)).toMatchObject({
    status: "canceled",
    cancel: { state: "canceled", by: "api: ada", survivors: [] },
  });
  expect(processesOfRun(runId)).toEqual([]);
  expect(await relay.over()).toBe(130);
});

test("a program that asks a question in its terminal is answered from the chat's side", async () => {
  const { relay, runId } = await relayed(
    [],
    ["sh", "-c", 'test -t 0 && printf "go on? "; read -r x; echo "you said $x"'],
  );
  await says(runId, /go on\? $/);
  expect((await codexFlow(edge, "runs", "say", runId, "yes please")).code).toBe(0);
  expect(await relay.over()).toBe(0);
  expect(textOf(await outputOf(runId))).toContain("you said yes please\n");
  expect((await over(runId)).messages).toMatchObject([{ state: "steered" }]);
});

test("a silent agent is warned of, and ended at the silence clock", async () => {
  const { relay, runId } = await relayed(["-h", "1", "--silence", "3"], ["sleep", "600"]);
  expect(await relay.over()).toBe(124);
  expect(await over(runId)).toMatchObject({ status: "failed", errorCode: "silence" });
  const warnings = (await outputOf(runId)).filter(({ item }) => item?.type === "warning");
  expect(warnings[0]?.item).toMatchObject({ code: "hang", text: "No output for 1 s; still running" });
});

test("every line of a program that prints and ends at once is at the edge, in the log and on the terminal", async () => {
  const whole = `${Array.from({ length: 20_000 }, (_unused, index) => index + 1).join("\n")}\nTHE-END`;
  for (let round = 0; round < 3; round += 1) {
    const { relay, runId } = await relayed([], ["sh", "-c", "seq 1 20000; echo THE-END"]);
    expect(await relay.over()).toBe(0);
    await over(runId);
    expect(textOf((await outputOf(runId)).filter(({ kind }) => kind === "stdout")) === `${whole}\n`).toBe(
      true,
    );
    // `relay.output` merges both streams, so lines of standard error may interrupt the program's.
    expect(relay.output).toContain("THE-END");
    expect((await logs()).some((log) => log.includes(runId) && log.includes("THE-END"))).toBe(true);
  }
});

test("input from a pipe reaches a program whole, and its end ends the program", async () => {
  const lines = execFileSync("seq", ["1", "100000"]);
  for (const [program, input, answer] of [
    [["wc", "-c"], "abc", "3"],
    [["wc", "-l"], lines, "100000"],
  ] as const) {
    const relay = start([], [...program], { input });
    expect(await relay.over()).toBe(0);
    expect(relay.output.split("\n").map((line) => line.trim())).toContain(answer);
  }
});

test("a working directory that does not exist is named with the flag that names another", async () => {
  const relay = start(["-w", "/nope"], ["true"]);
  expect(await relay.over()).toBe(2);
  expect(relay.output).toContain("there is no folder /nope");
  expect(relay.output).toContain("-w");
  expect(relay.output).not.toContain("--workspace");
});

test("a pull request whose repository cannot be cloned is an error that says so, without a stack", async () => {
  const review = launch(["relay", "review", "--channel", OPEN, "file:///nope/pull/7"]);
  expect(await review.over()).toBe(125);
  expect(review.output).toContain("error: nope#7 could not be cloned from file:///nope");
  expect(review.output).not.toMatch(/^\s+at /m);
  expect(review.output).not.toContain("please report it");
});

test("the agent's own exit code is the relay's; a program that is not there starts nothing", async () => {
  const { relay, runId } = await relayed([], ["sh", "-c", "exit 7"]);
  expect(await relay.over()).toBe(7);
  expect(await over(runId)).toMatchObject({ status: "failed", errorCode: "exit_code" });
  const missing = start([], ["no-such-program-anywhere"]);
  expect(await missing.over()).toBe(2);
  expect(missing.output).toContain("there is no program no-such-program-anywhere");
});

test("behind a closed guard nothing is made, started or stored, and the box's audit says so", async () => {
  const tmp = join(root, "closed");
  await mkdir(tmp);
  const trace = join(root, "trace");
  const before = (await edge.client().listRuns()).runs.length;
  const relay = start(["--channel", CLOSED], ["sh", "-c", `touch ${trace}`], { tmp });
  expect(await relay.over()).toBe(125);
  expect(relay.output).toContain("Codeflow is off in this channel. Send /codeflow on there");
  const repository = `file://${join(root, "app")}/pull/7`;
  const review = launch(["relay", "review", "--channel", CLOSED, repository], { TMPDIR: tmp });
  expect(await review.over()).toBe(125);
  expect(review.output).toContain("/codeflow on");
  expect(await readdir(tmp)).toEqual([]);
  expect(await readdir(root)).not.toContain("trace");
  expect((await edge.client().listRuns()).runs).toHaveLength(before);
  const audit = await readFile(join(root, "state", "codeflow", "guard-audit.jsonl"), "utf8");
  expect(JSON.parse(audit.trim().split("\n").at(-1) ?? "")).toMatchObject({
    place: `discord:${CLOSED}`,
    mode: "review",
    allowed: false,
  });
  expect(audit).toContain('"commandHint":"sh -c"');
  expect(audit).not.toContain("trace");
});

test("what somebody wrote to /codeflow is carried out; without a bot the host is told what to say", async () => {
  const write = (text: string) =>
    codexFlow(edge, "control", "--channel", "4003", "--session-key", "main", "--text", text);
  const on = await write("/codeflow enable");
  expect(on.code).toBe(3);
  const [word, document = ""] = on.stdout.split("\n");
  expect(word).toBe("NEED_LLM_ROUTE");
  expect(JSON.parse(document)).toMatchObject({
    message: expect.stringContaining("Codeflow is on here") as string,
    buttons: [[{ callback_data: "/codeflow off" }]],
  });
  expect((await write("/codeflow off")).code).toBe(3);
  expect((await write("hello")).code).toBe(2);
  expect((await codexFlow(edge, "guard", "status", "--channel", "4003")).code).toBe(1);
});

test("several tasks run each in a worktree of its own; one that fails stops no other", async () => {
  const repository = join(root, "app");
  const commit = ["-c", "user.name=n", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "one"];
  execFileSync("git", commit, { cwd: repository });
  await writeFile(
    join(root, "tasks.txt"),
    '# tasks\napp | do one\n"app" | broken two\nhome | do three\nnope | do four\n',
  );
  const tasks = ["relay", "parallel", "--channel", OPEN, "--worktree", join(root, "tasks.txt")];
  const parallel = launch(["--json", ...tasks], {
    PATH: `${dirname(codexProgram())}:${process.env["PATH"] ?? ""}`,
  });
  expect(await parallel.over()).toBe(1);
  const ended = [...parallel.output.matchAll(/"code": (\d+),\s+"message": "(.*)"/g)];
  expect(ended.map(([, code, said]) => [code, said])).toEqual([
    ["0", "two things are done"],
    ["1", "Codex failed: the fake model says 400 broken"],
    ["125", expect.stringContaining("home is not in a git repository") as string],
    ["125", expect.stringContaining("there is no folder") as string],
  ]);
  const kept = (await readdir(join(repository, ".codex", "worktrees"))).filter((name) => /_a1$/.test(name));
  expect(kept).toHaveLength(1);
});

test("a pull request is reviewed in a clone of its own, the result is posted where that was asked, and nothing is left", async () => {
  const bare = join(root, "forge", "owner", "repo.git");
  const { remote, elsewhere } = await cloneAt(join(root, "forge", "clone"), { "app.txt": "true\n" }, atEnd);
  await commit(elsewhere, { "app.txt": "false\n" });
  await git(elsewhere, "push", "--quiet", "origin", "HEAD:refs/pull/7/head");
  await git(root, "clone", "--quiet", "--mirror", remote, bare);
  const tools = join(root, "tools");
  await mkdir(tools);
  await writeFile(
    join(tools, "gh"),
    `#!/bin/sh\n[ "$1" = --version ] || { echo "$@"; cat; } > ${root}/posted\n`,
    {
      mode: 0o755,
    },
  );
  const url = `file://${bare}/pull/7`;
  const review = launch(["--json", "relay", "review", "--channel", OPEN, "-c", url], {
    PATH: `${tools}:${dirname(codexProgram())}:${process.env["PATH"] ?? ""}`,
  });
  expect(await review.over()).toBe(0);
  const { runId } = JSON.parse(await review.line(/"runId".*"exitCode"/)) as { runId: string };
  const { event } = await edge.client().getEvent((await over(runId)).eventId);
  expect(event.payload).toMatchObject({ mode: "review", title: "Review of owner/repo.git#7" });
  // What the agent was told of its command: of a very short one, Codex makes no item now and then.
  const heard = JSON.stringify(model.requests.flatMap(({ input }) => input));
  expect(heard).toContain(JSON.stringify("-true\n+false\n").slice(1, -1));
  expect(heard).toContain("Read-only file system");
  expect(textOf(await outputOf(runId))).toContain("not to be merged: app.txt lies");
  expect(await readFile(join(root, "posted"), "utf8")).toBe(
    `pr comment ${url} --body-file -\nnot to be merged: app.txt lies`,
  );
  expect((await readdir(temporary)).filter((name) => name.startsWith("dev-relay-review."))).toEqual([]);
  const audit = await readFile(join(root, "state", "codeflow", "guard-audit.jsonl"), "utf8");
  expect(audit).toContain('"mode":"review","allowed":true');
});

test("an earlier session is shown again from its folder, as a run of its own", async () => {
  const { relay, runId } = await relayed([], ["sh", "-c", "echo first; echo second"]);
  expect(await relay.over()).toBe(0);
  const folder = /\/\S*dev-relay\.\w+/.exec(relay.output)?.[0] ?? "";
  const { code, stdout } = await codexFlow(edge, "--json", "relay", "resume", "--channel", OPEN, folder);
  expect(code).toBe(0);
  const { runId: again } = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as { runId: string };
  expect(again).not.toBe(runId);
  expect(textOf(await outputOf(again))).toContain("first\nsecond\n");
});

test("kill -9 of the relay: the next one has ended what it left running, and told that the run is lost", async () => {
  expect(processesOfRun(orphan.runId)).toEqual([]);
  expect(await over(orphan.runId)).toMatchObject({ status: "failed", errorCode: "lost", attemptCount: 1 });
});
