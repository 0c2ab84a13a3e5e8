/** Worktrees in the story of a run: what a step leaves behind, and what an agent that is killed leaves behind. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import type { RunView } from "../../contract/run-view.ts";
import type { KeptWorktree } from "../../runner-agent/workspace/ownership.ts";
import { atEndOfFile, temporaryFolder, writeFiles } from "../support/flow-workspace.ts";
import { cloneAt } from "../support/git-repositories.ts";
import { codexFlow, Edge, startRunner, type Daemon } from "../support/program.ts";
import { until } from "../support/until.ts";

const atEnd = atEndOfFile();

const STEP = `
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
export default async ({ flow }) => {
  const git = (...args) => execFileSync("git", args, { encoding: "utf8" }).trim();
  const { work, push, stay } = flow.event.payload;
  if (work) {
    writeFileSync("work.txt", flow.event.id);
    git("add", "--all");
    git("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "--quiet", "--message", "work");
  }
  if (push) git("push", "--quiet", "origin", "HEAD:refs/heads/" + push);
  if (stay) { console.log("staying"); await sleep(600_000); }
  const { CODEX_FLOW_WORKTREE: root, CODEX_FLOW_WORKTREE_BASE: base } = process.env;
  return { status: "changed", artifacts: { cwd: process.cwd(), root, base, head: git("rev-parse", "HEAD") } };
};
`;
const MANIFEST = `name = "tree"
version = 1
[[steps]]
name = "tree"
runner = "node"
script = "exec/tree.mjs"
cwd = "src"
[steps.workspace]
repo = "repos/{{payload.repo}}"
ref = "main"
[steps.trigger]
type = "story.tree"
`;

let edge: Edge;
let workspace: string;
let state: string;

beforeAll(async () => {
  state = await temporaryFolder(atEnd);
  workspace = await temporaryFolder(atEnd);
  await writeFiles(workspace, { "flows/tree/flow.toml": MANIFEST, "flows/tree/exec/tree.mjs": STEP });
  await cloneAt(join(workspace, "repos/app"), { "src/a.txt": "a" }, atEnd);
  edge = await Edge.start({ state, workspace });
  atEnd(() => edge.stop());
});

async function runner(name: string): Promise<Daemon> {
  const daemon = await startRunner(edge, { name, workspace, journal: join(state, name) });
  onTestFinished(() => daemon.kill());
  return daemon;
}

async function send(id: string, payload: object): Promise<string> {
  const { runIds } = await edge
    .client()
    .dispatch({ id, type: "story.tree", payload: { repo: "app", ...payload } });
  return runIds[0] ?? "";
}

async function over(id: string): Promise<RunView> {
  return until(async () => {
    const run = await edge.client().getRun(id);
    return run.completedAt === undefined ? undefined : run;
  });
}

async function says(id: string, text: string): Promise<true> {
  return until(async () => {
    const { output } = await edge.client().getOutput(id);
    return output.some((chunk) => chunk.text.includes(text)) ? true : undefined;
  });
}

interface Artifacts {
  cwd: string;
  root: string;
  base: string;
  head: string;
  workspace?: KeptWorktree;
}
const artifactsOf = (run: RunView): Artifacts => run.result?.artifacts as unknown as Artifacts;

async function keptIds(): Promise<string[]> {
  const listed = await codexFlow(edge, "runner", "worktrees", "--json", "--workspace", workspace);
  const { worktrees } = JSON.parse(listed.stdout) as { worktrees: { id: string; state: string }[] };
  expect(worktrees.every((each) => each.state === "kept")).toBe(true);
  return worktrees.map((each) => each.id);
}

test("a commit that was not pushed is kept and said so; what is pushed or untouched is removed", async () => {
  const agent = await runner("box");
  const kept = await over(await send("tree:commit", { work: true }));
  expect(kept).toMatchObject({ status: "completed", effectiveStatus: "changed" });
  const { cwd, root, base, head, workspace: left } = artifactsOf(kept);
  expect(cwd).toBe(join(root, "src"));
  expect(left).toEqual({
    ...{ path: root, kept: true, reason: "1 commit(s) not pushed", head, base },
    ...{ ahead: 1, changedFiles: 0, unpushedCommits: 1 },
  });
  await says(kept.id, `worktree kept: ${root}`);
  expect(existsSync(join(root, "src/work.txt"))).toBe(true);

  for (const [id, payload] of [
    ["tree:clean", {}],
    ["tree:pushed", { work: true, push: "pushed" }],
  ] as const) {
    const run = await over(await send(id, payload));
    expect(run.effectiveStatus).toBe("changed");
    expect(artifactsOf(run).workspace).toBeUndefined();
    expect(existsSync(artifactsOf(run).root)).toBe(false);
  }

  const [id = ""] = await keptIds();
  expect(id).toBe(`${kept.id}_a1`);
  const prune = ["runner", "worktrees", "prune", "--workspace", workspace];
  expect((await codexFlow(edge, ...prune)).stdout).toContain("1 commit(s) not pushed");
  expect((await codexFlow(edge, ...prune, "--force", "run_none")).code).toBe(2);
  expect((await codexFlow(edge, ...prune, "--force", id)).stdout).toContain(`removed: ${root}`);
  expect(existsSync(root)).toBe(false);

  const refused = await over(await send("tree:nowhere", { repo: "none" }));
  expect(refused).toMatchObject({ status: "failed", errorCode: "workspace_not_git" });
  agent.signal("SIGTERM");
  expect(await agent.over()).toBe(0);
});

test("an agent is killed with -9 in mid-run: its next start removes the clean worktree, keeps the one with work and says so in the run", async () => {
  const flags = { name: "killed", workspace, journal: join(state, "killed"), capacity: 2 };
  const agent = await startRunner(edge, flags);
  onTestFinished(() => agent.kill());
  const clean = await send("tree:killed-clean", { stay: true });
  const dirty = await send("tree:killed-dirty", { work: true, stay: true });
  await Promise.all([says(clean, "staying"), says(dirty, "staying")]);
  await agent.kill();
  const again = await startRunner(edge, flags);
  onTestFinished(() => again.kill());
  expect((await over(clean)).errorCode).toBe("lost");
  expect((await over(dirty)).errorCode).toBe("lost");
  const folder = (id: string): string => join(workspace, ".codex/worktrees", `${id}_a1`);
  await says(dirty, `worktree kept: ${folder(dirty)}`);
  expect(existsSync(folder(clean))).toBe(false);
  expect(existsSync(join(folder(dirty), "src/work.txt"))).toBe(true);
  expect(await keptIds()).toEqual([`${dirty}_a1`]);
});

test("a run that is canceled in mid-work leaves its work in a kept worktree", async () => {
  await runner("canceled");
  const id = await send("tree:canceled", { work: true, stay: true });
  await says(id, "staying");
  await edge.client().cancel(id);
  expect((await over(id)).status).toBe("canceled");
  await says(id, "worktree kept: ");
});
