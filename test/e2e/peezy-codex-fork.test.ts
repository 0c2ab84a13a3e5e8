/**
 * The flow peezy-codex-fork as it is shipped, but for its configuration, through the real edge, agent and Codex, on real
 * git repositories: an upstream with releases, a fork of it, and a box's clone with a patch branch. No model is there.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { isTerminal } from "../../contract/run-record.ts";
import type { RunView } from "../../contract/run-view.ts";
import { atEndOfFile, temporaryFolder, writeFiles } from "../support/flow-workspace.ts";
import { cloneAt, commit, git } from "../support/git-repositories.ts";
import { Edge, startRunner } from "../support/program.ts";
import { until } from "../support/until.ts";

const atEnd = atEndOfFile();

const PACKAGE = join(import.meta.dirname, "../../flows/peezy-codex-fork");
const BRANCH = "code-mode-exec-hooks";
const LINES = Array.from({ length: 9 }, (_, n) => `line ${n + 1}`);
const original = `${LINES.join("\n")}\n`;
const withLine = (n: number, text: string): string => `${LINES.with(n - 1, text).join("\n")}\n`;

let edge: Edge;
let workspace: string;
let state: string;
/** The box's checkout, somebody's clone of upstream, and the fork's bare repository. */
let clone: string;
let upstream: string;
let fork: string;
let patched: string;

beforeAll(async () => {
  workspace = await temporaryFolder(atEnd);
  state = await temporaryFolder(atEnd);
  const home = await mkdtemp("/var/tmp/peezy-codex-fork-");
  atEnd(() => rm(home, { recursive: true, force: true }));
  const repositories = await temporaryFolder(atEnd);
  clone = join(repositories, "codex");
  ({ remote: fork } = await cloneAt(clone, { "core.rs": original, "other.rs": "other\n" }, atEnd));
  const bare = join(repositories, "upstream.git");
  upstream = join(repositories, "upstream");
  await git(repositories, "clone", "--quiet", "--bare", fork, bare);
  await git(repositories, "clone", "--quiet", bare, upstream);
  await git(clone, "remote", "add", "upstream", bare);
  await git(clone, "checkout", "--quiet", "-b", BRANCH);
  await commit(clone, { "core.rs": withLine(2, "patched") });
  patched = await commit(clone, { "hooks.rs": "hooks\n" });
  await git(clone, "checkout", "--quiet", "main");

  await cp(PACKAGE, join(workspace, "flows/peezy-codex-fork"), { recursive: true });
  const manifest = join(workspace, "flows/peezy-codex-fork/flow.toml");
  const shipped = await readFile(manifest, "utf8");
  const checks = ["grep -q patched core.rs && echo checked $CODEX_FLOW_RUN_ID", "test ! -e broken.rs"];
  await writeFile(
    manifest,
    shipped
      .replace("checks = []", `checks = ${JSON.stringify(checks)}`)
      .replace("push = false", "push = true"),
  );
  await writeFiles(workspace, {
    ".codex/runner.toml": stringify({
      codex: { home: join(home, "home"), allow_danger_full_access: true },
    }),
  });
  process.env["PEEZY_CODEX_REPO"] = clone;
  edge = await Edge.start({ state: join(state, "edge"), workspace });
  atEnd(() => edge.stop());
});

/** Every test finds the checkout as the first one did. */
beforeEach(async () => {
  await git(clone, "reset", "--quiet", "--hard");
  await git(clone, "checkout", "--quiet", "main");
  await git(clone, "branch", "--quiet", "--force", BRANCH, patched);
});

async function agent(mode: Record<string, string>): Promise<void> {
  for (const name of ["CODEX_FLOWS_MODE", "CODEX_FLOWS_ENABLE_CODE_MODE"]) delete process.env[name];
  Object.assign(process.env, mode);
  const started = await startRunner(edge, { name: "box", workspace, journal: join(state, "journal") });
  onTestFinished(async () => {
    started.signal("SIGTERM");
    await started.over();
  });
}

/** Upstream releases what is there, with these files changed behind the first commit. Returns the tag's commit. */
async function release(tag: string, files: Record<string, string>): Promise<string> {
  await git(upstream, "checkout", "--quiet", "--detach", "origin/main");
  const released = await commit(upstream, files);
  await git(upstream, "tag", tag);
  await git(upstream, "push", "--quiet", "origin", `refs/tags/${tag}`);
  return released;
}

let sent = 0;

async function rebase(tag: string): Promise<RunView> {
  sent += 1;
  const { runIds } = await edge.client().dispatch({
    id: `fork:${sent}:${tag}`,
    type: "upstream.release",
    payload: { repo: "openai/codex", tag, fork: "peezy-tech/codex" },
  });
  return until(async () => {
    const run = await edge.client().getRun(runIds[0] ?? "");
    return isTerminal(run.status) ? run : undefined;
  });
}

/** What a run must leave as it was, whatever it found. */
async function found(): Promise<string> {
  return [
    await git(clone, "status", "--porcelain", "--branch"),
    await git(clone, "rev-parse", "HEAD", BRANCH),
    await git(clone, "ls-remote", "origin"),
  ].join("\n");
}

test("where the agent's environment does not allow code mode, the run says so and nothing is touched", async () => {
  const before = await found();
  await agent({});
  const run = await rebase("rust-v0.1.0");
  expect(run).toMatchObject({
    effectiveStatus: "failed",
    attempts: [
      {
        error: expect.stringContaining(
          "Code Mode flow step peezy-codex-fork/rebase requires CODEX_FLOWS_ENABLE_CODE_MODE=1",
        ) as string,
      },
    ],
  });
  expect(await found()).toBe(before);
});

test("a release: the patches are rebased, checked and pushed as a candidate, once", async () => {
  await agent({ CODEX_FLOWS_MODE: "code-mode" });
  const base = await release("rust-v1.0.0", { "core.rs": withLine(8, "upstream") });
  const run = await rebase("rust-v1.0.0");
  expect(run).toMatchObject({
    effectiveStatus: "changed",
    result: {
      artifacts: {
        base,
        before: patched,
        commits: [{ subject: "core.rs" }, { subject: "hooks.rs" }],
        checks: [
          { exitCode: 0, output: expect.stringContaining(`checked ${run.id}`) as string },
          { exitCode: 0 },
        ],
        pushed: { remote: "origin", ref: "refs/heads/candidate/rust-v1.0.0" },
        candidateRefs: [
          { kind: "git", remote: "origin", ref: "refs/heads/candidate/rust-v1.0.0", pushed: true },
        ],
        threadId: expect.any(String) as string,
      },
    },
  });
  const head = await git(clone, "rev-parse", BRANCH);
  expect(run.result?.artifacts?.["head"]).toBe(head);
  expect(await git(clone, "rev-parse", `${BRANCH}~2`)).toBe(base);
  expect(await git(fork, "rev-parse", "refs/heads/candidate/rust-v1.0.0")).toBe(head);
  expect(await git(clone, "status", "--porcelain", "--branch")).toBe("## main...origin/main");
  // What was done is seen as a codex step's work is, and what the script said is its output.
  const { output } = await edge.client().getOutput(run.id);
  expect(output.some(({ item }) => item?.type === "command" && JSON.stringify(item).includes("rebase"))).toBe(
    true,
  );
  expect(output.map(({ text }) => text).join("")).toContain(`pushed ${head} to origin`);

  const again = await rebase("rust-v1.0.0");
  expect(again).toMatchObject({ effectiveStatus: "skipped", result: { artifacts: { head } } });
  expect(await git(clone, "rev-parse", BRANCH)).toBe(head);
});

test("what stands in the way is said, and the checkout is as it was found", async () => {
  await agent({ CODEX_FLOWS_ENABLE_CODE_MODE: "1" });
  await release("rust-v2.0.0", { "core.rs": withLine(2, "upstream"), "other.rs": "changed\n" });
  await release("rust-v3.0.0", { "broken.rs": "does not compile\n" });

  const before = await found();
  const conflict = await rebase("rust-v2.0.0");
  expect(conflict).toMatchObject({
    effectiveStatus: "needs_intervention",
    needsAttention: true,
    result: {
      message: expect.stringContaining("core.rs conflicts in core.rs") as string,
      artifacts: {
        conflict: {
          commit: { subject: "core.rs" },
          step: 1,
          steps: 2,
          count: 1,
          files: [{ path: "core.rs" }],
        },
      },
    },
  });
  const { files } = conflict.result?.artifacts?.["conflict"] as { files: Array<{ hunks: string }> };
  for (const line of ["++<<<<<<<", " +upstream", "+ patched"]) expect(files[0]?.hunks).toContain(line);
  expect(await found()).toBe(before);

  const broken = await rebase("rust-v3.0.0");
  expect(broken).toMatchObject({
    effectiveStatus: "failed",
    result: { message: expect.stringContaining("test ! -e broken.rs") as string },
  });
  expect(await found()).toBe(before);

  expect(await rebase("rust-v9.9.9")).toMatchObject({
    effectiveStatus: "failed",
    result: { message: expect.stringContaining("the tag cannot be fetched") as string },
  });

  await writeFile(join(clone, "note 'n.txt"), "mine");
  await writeFile(join(clone, "other.rs"), "mine");
  const dirty = await found();
  expect(await rebase("rust-v3.0.0")).toMatchObject({
    effectiveStatus: "blocked",
    result: { artifacts: { dirty: expect.arrayContaining(["other.rs", "note 'n.txt"]) as string[] } },
  });
  expect(await found()).toBe(dirty);
  await rm(join(clone, "note 'n.txt"));
});
