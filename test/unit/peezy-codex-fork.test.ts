/** The script of peezy-codex-fork over the real Codex, and which events start it. The whole story: test/e2e. */
import { existsSync } from "node:fs";
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadCatalog } from "../../catalog/load.ts";
import { compileTrigger } from "../../catalog/trigger-schema.ts";
import type { FlowResult } from "../../contract/flow-result.ts";
import {
  codexBox,
  runCodexStep,
  startCodexStep,
  type CodexLife,
  type CodexStepOptions,
} from "../support/codex-step-life.ts";
import { folder } from "../support/codex.ts";
import { temporaryFolder } from "../support/flow-workspace.ts";
import { cloneAt, commit, git } from "../support/git-repositories.ts";
import { processesOfRun, processesWith } from "../support/run-processes.ts";
import { until } from "../support/until.ts";

const FLOWS = join(import.meta.dirname, "../../flows");
const CONFIG = {
  patch_branch: "patches",
  upstream_remote: "upstream",
  push_remote: "origin",
  candidate_ref: "refs/heads/candidate/{tag}",
};

interface Fork {
  clone: string;
  begin(tag: string): Promise<CodexLife>;
  run(tag: string, config?: Record<string, unknown>): Promise<FlowResult | undefined>;
}

/** A clone on its patch branch, which changes `core.rs`; upstream has released one tag that conflicts, and one that does not. */
async function fork(): Promise<Fork> {
  const clone = join(folder("fork"), "clone");
  const { remote, elsewhere } = await cloneAt(clone, { "core.rs": "one\n", "other.rs": "one\n" });
  await git(clone, "remote", "add", "upstream", remote);
  await git(clone, "checkout", "--quiet", "-b", "patches");
  await commit(clone, { "core.rs": "patched\n" });
  for (const [tag, file] of [
    ["rust-v1.0.0", "other.rs"],
    ["rust-v2.0.0", "core.rs"],
  ] as const) {
    await commit(elsewhere, { [file]: "released\n" });
    await git(elsewhere, "tag", tag);
    await git(elsewhere, "push", "--quiet", "origin", tag);
  }
  const at = await codexBox([], { allowDangerFullAccess: true, config: { model_provider: "openai" } });
  const template = await readFile(join(FLOWS, "peezy-codex-fork/exec/rebase.js"), "utf8");
  const step = (tag: string, config: Record<string, unknown> = {}): CodexStepOptions => ({
    runner: "code-mode",
    template,
    payload: { tag },
    variables: { PEEZY_CODEX_REPO: clone, HOME: at.cwd },
    request: { flow: { name: "fork", version: 1, root: at.cwd, config: { ...CONFIG, ...config } } },
  });
  return {
    clone,
    begin: (tag) => startCodexStep(at, step(tag)),
    run: async (tag, config) => {
      const life = await runCodexStep(at, step(tag, config));
      expect(life.end.error).toBeUndefined();
      return life.results.at(-1);
    },
  };
}

test("a rebase that is to be kept waits in the checkout, and blocks the next run with what it is about", async () => {
  const { clone, run } = await fork();
  const stopped = await run("rust-v2.0.0", { on_conflict: "keep" });
  const conflict = { commit: { subject: "core.rs" }, files: [{ path: "core.rs" }] };
  expect(stopped).toMatchObject({ status: "needs_intervention", artifacts: { conflict } });
  expect(await git(clone, "diff", "--name-only", "--diff-filter=U")).toBe("core.rs");
  expect(await run("rust-v1.0.0")).toMatchObject({ status: "blocked", artifacts: { conflict } });
});

test("a pushed candidate is reported in candidateRefs with its remote, ref and commit", async () => {
  const { clone, run } = await fork();
  const result = await run("rust-v1.0.0", { push: true });
  const head = await git(clone, "rev-parse", "patches");
  const ref = "refs/heads/candidate/rust-v1.0.0";
  expect(result).toMatchObject({
    status: "changed",
    artifacts: { candidateRefs: [{ kind: "git", remote: "origin", ref, sha: head, pushed: true }] },
  });
});

/** From now on each commit of a rebase takes for ever, and says that it has begun. Returns what ends that. */
async function slowDown(clone: string): Promise<{ begun: Promise<true>; end: () => Promise<void> }> {
  const hook = join(clone, ".git", "hooks", "post-commit");
  const begun = join(clone, ".git", "begun");
  await writeFile(hook, `#!/bin/sh\ntouch '${begun}'; sleep 600\n`, { mode: 0o755 });
  return {
    begun: until(() => (existsSync(begun) ? true : undefined)),
    end: () => rm(hook),
  };
}

/** What a run must leave as it found it. */
const checkoutOf = async (clone: string): Promise<string> =>
  [
    await git(clone, "status", "--porcelain", "--branch"),
    await git(clone, "rev-parse", "HEAD", "patches"),
    await git(clone, "status").then((said) => (said.includes("rebas") ? "a rebase" : "no rebase")),
  ].join("\n");

test("canceled in the middle of a rebase it leaves the checkout as it was, and the next run is not blocked", async () => {
  const { clone, begin, run } = await fork();
  await git(clone, "checkout", "--quiet", "main");
  const found = await checkoutOf(clone);
  const slow = await slowDown(clone);
  const life = await begin("rust-v1.0.0");
  await slow.begun;
  expect(await checkoutOf(clone)).toContain("a rebase");
  life.step.cancel("canceled");
  expect(await life.step.ended).toMatchObject({ reason: "canceled", tree: { empty: true } });
  await slow.end();
  expect(await checkoutOf(clone)).toBe(found);
  expect(await run("rust-v1.0.0")).toMatchObject({ status: "changed" });
});

test("what a box without power leaves of a rebase is cleared by the next run; somebody's own rebase is not", async () => {
  const { clone, begin, run } = await fork();
  const found = await checkoutOf(clone);
  const slow = await slowDown(clone);
  const life = await begin("rust-v1.0.0");
  await slow.begun;
  const own = processesOfRun(life.runId);
  for (const guard of processesWith("cmdline", "codex-flow-rebase"))
    if (own.includes(guard)) process.kill(Number(guard), "SIGKILL");
  life.step.cancel("canceled");
  await life.step.ended;
  await slow.end();
  expect(await checkoutOf(clone)).toContain("a rebase");
  expect(await run("rust-v9.9.9")).toMatchObject({ status: "failed" });
  expect(await checkoutOf(clone)).toBe(found);

  await git(clone, "fetch", "--quiet", "--tags", "upstream");
  await git(clone, "rebase", "rust-v2.0.0").catch(() => undefined);
  const theirs = await checkoutOf(clone);
  expect(theirs).toContain("a rebase");
  // Also where a run before it has left its mark behind.
  await writeFile(join(clone, ".git", "codex-flow-rebase"), `main\n${"0".repeat(40)}\n${"1".repeat(40)}\n`);
  expect(await run("rust-v1.0.0")).toMatchObject({ status: "blocked" });
  expect(await checkoutOf(clone)).toBe(theirs);
});

test("the patch branch itself may be checked out: it moves, and a check that fails leaves it where it was", async () => {
  const { clone, run } = await fork();
  const before = await git(clone, "rev-parse", "patches");
  const failed = await run("rust-v1.0.0", { checks: ["echo spoiled > other.rs; echo why; exit 3"] });
  expect(failed).toMatchObject({
    status: "failed",
    artifacts: { checks: [{ exitCode: 3, output: "why\n" }] },
  });
  expect(await git(clone, "rev-parse", "HEAD", "patches")).toBe(`${before}\n${before}`);
  expect(await git(clone, "status", "--porcelain", "--branch")).toBe("## patches");

  const changed = await run("rust-v1.0.0");
  expect(changed).toMatchObject({ status: "changed", artifacts: { before } });
  expect(changed?.artifacts).not.toHaveProperty("pushed");
  expect(await git(clone, "rev-parse", "patches~1")).toBe(changed?.artifacts?.["base"]);
  expect(await git(clone, "status", "--porcelain", "--branch")).toBe("## patches");
  expect(await run("rust-v1.0.0")).toMatchObject({ status: "skipped" });
  // What was rebased without being pushed is pushed by a run that shall push, and only then.
  expect(await run("rust-v1.0.0", { push: true })).toMatchObject({ status: "changed" });
  expect(await run("rust-v1.0.0", { push: true })).toMatchObject({ status: "skipped" });
});

test("a checkout whose state git cannot tell is not taken for a clean one", async () => {
  const { clone, run } = await fork();
  await writeFile(join(clone, ".git/index"), "no index");
  expect(await run("rust-v1.0.0")).toMatchObject({
    status: "blocked",
    message: expect.stringMatching(/git cannot say whether it is clean.*index/) as string,
  });
});

test.each([
  ["there is no patch branch", { patch_branch: "none" }, "blocked", "no branch none"],
  ["there is no upstream", { upstream_remote: "none" }, "blocked", "git remote add none"],
  ["the configuration lacks a name", { upstream_remote: "" }, "failed", "config.upstream_remote"],
])("%s: it says so", async (_what, config, status, words) => {
  const { run } = await fork();
  expect(await run("rust-v1.0.0", config)).toMatchObject({
    status,
    message: expect.stringContaining(words) as string,
  });
});

test("a plain release starts the bindings only; one that names the fork starts both", async () => {
  const workspace = await temporaryFolder();
  await cp(FLOWS, join(workspace, "flows"), { recursive: true });
  const { packages, faults } = await loadCatalog(workspace);
  expect(faults).toEqual([]);
  const started = (payload: object): string[] =>
    packages
      .flatMap(({ flow, schemas }) =>
        flow.steps
          .filter(({ trigger }) => trigger?.type === "upstream.release")
          .filter(({ name }) => {
            const schema = schemas[name]?.compilable;
            return schema === undefined || compileTrigger(schema)(payload);
          })
          .map(() => flow.name),
      )
      .sort();
  const release = { repo: "openai/codex", tag: "rust-v0.169.0" };
  expect(started(release)).toEqual(["openai-codex-bindings"]);
  const forked = { ...release, fork: "peezy-tech/codex" };
  expect(started(forked)).toEqual(["openai-codex-bindings", "peezy-codex-fork"]);
  expect(started({ ...forked, fork: "somebody/codex" })).toEqual(["openai-codex-bindings"]);
  for (const tag of ["v0.169.0", "rust-v1.0.0; true", "--upload-pack=x", "rust-v1.0"])
    expect(started({ ...forked, tag })).not.toContain("peezy-codex-fork");
});

test("a patch branch that somebody has checked out beside it is not moved under their feet", async () => {
  const { clone, run } = await fork();
  await git(clone, "checkout", "--quiet", "main");
  const beside = join(clone, "..", "beside");
  await git(clone, "worktree", "add", "--quiet", beside, "patches");
  const before = await git(clone, "rev-parse", "patches");
  expect(await run("rust-v1.0.0")).toMatchObject({
    status: "blocked",
    message: expect.stringContaining(beside) as string,
  });
  expect(await git(beside, "status", "--porcelain")).toBe("");
  expect(await git(clone, "rev-parse", "patches")).toBe(before);
});

test("a conflict in a binary file, with a name that needs quoting, is told and taken back", async () => {
  const { clone, run } = await fork();
  const name = "bild ü '1'.bin";
  const elsewhere = join(clone, "..", "elsewhere");
  await git(clone, "clone", "--quiet", await git(clone, "remote", "get-url", "upstream"), elsewhere);
  await writeFile(join(elsewhere, name), Buffer.from([0, 1, 255, 10, 0]));
  await git(elsewhere, "add", "--all");
  await git(
    elsewhere,
    "-c",
    "user.name=Ada",
    "-c",
    "user.email=a@b",
    "commit",
    "--quiet",
    "--message",
    "theirs",
  );
  await git(elsewhere, "tag", "rust-v3.0.0");
  await git(elsewhere, "push", "--quiet", "origin", "rust-v3.0.0");
  await writeFile(join(clone, name), Buffer.from([0, 2, 254, 10, 0]));
  await git(clone, "add", "--all");
  await git(clone, "commit", "--quiet", "--message", "ours");
  const found = await checkoutOf(clone);
  expect(await run("rust-v3.0.0")).toMatchObject({
    status: "needs_intervention",
    artifacts: { conflict: { commit: { subject: "ours" }, count: 1, files: [{ path: name }] } },
  });
  expect(await checkoutOf(clone)).toBe(found);
});
