/**
 * Worktrees for attempts, with real git repositories: a worktree is made of what was asked for and of nothing that
 * the box does not show, it never takes work with it when it goes, and whatever cannot be done has a code.
 */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { FlowEvent } from "../../contract/flow-event.ts";
import { resolveManifest, type StepWorktree } from "../../contract/flow-manifest.ts";
import { attemptId } from "../../contract/ids.ts";
import { isDiskFull, pastLocks, withoutCredentials } from "../../runner-agent/workspace/git.ts";
import { Owners, type KeptWorktree } from "../../runner-agent/workspace/ownership.ts";
import {
  Workspaces,
  type PreparedWorkspace,
  type WorkspacesOptions,
} from "../../runner-agent/workspace/workspaces.ts";
import { temporaryFolder, writeFiles } from "../support/flow-workspace.ts";
import { cloneAt, commit, git, type Repositories } from "../support/git-repositories.ts";
import { freshRunId } from "./step-harness.ts";

interface Box extends Repositories {
  /** The runner's workspace, itself a clone, with a flow package in it. */
  workspace: string;
  workspaces: Workspaces;
  /** The same workspace for an agent of another life or with other settings. */
  again(options: Partial<WorkspacesOptions>): Workspaces;
}

async function box(options: Partial<WorkspacesOptions> = {}): Promise<Box> {
  const workspace = join(await temporaryFolder(), "workspace");
  const repositories = await cloneAt(workspace, { "README.md": "hello\n", "flows/f/flow.toml": "" });
  const again = (other: Partial<WorkspacesOptions>): Workspaces =>
    new Workspaces({
      workspace,
      runnerId: "runner_this",
      repositories: {},
      projects: {},
      quota: { max: 20, maxGb: 20 },
      ...options,
      ...other,
    });
  return { ...repositories, workspace, workspaces: again({}), again };
}

interface Wanted extends Partial<StepWorktree> {
  cwd?: string;
  project?: string;
  payload?: unknown;
  attempt?: string;
  signal?: AbortSignal;
}

async function freshAttempt(): Promise<string> {
  return attemptId(await freshRunId(), 1);
}

async function prepare(at: Box, wanted: Wanted = {}, workspaces = at.workspaces) {
  const { repo, ref, needs, cwd, project, payload = {}, signal } = wanted;
  const workspace = {
    ...(repo === undefined ? {} : { repo }),
    ...(ref === undefined ? {} : { ref }),
    ...(needs === undefined ? {} : { needs }),
  };
  const manifest = { name: "s", runner: "node", script: "s.mjs", workspace } as const;
  const more = {
    ...(cwd === undefined ? {} : { cwd }),
    ...(project === undefined ? {} : { project }),
  };
  const flow = resolveManifest({ name: "f", version: 1, steps: [{ ...manifest, ...more }] }, "digest");
  const [step] = flow.steps;
  if (step === undefined) throw new Error("the manifest has lost its step");
  const event: FlowEvent = { id: "e", type: "t", receivedAt: "2026-01-01T00:00:00Z", payload };
  return workspaces.prepare({
    attempt: wanted.attempt ?? (await freshAttempt()),
    step,
    event,
    flowRoot: join(at.workspace, "flows/f"),
    ...(signal === undefined ? {} : { signal }),
  });
}

interface Made {
  root: string;
  base: string;
  attempt: string;
  release(): Promise<KeptWorktree | undefined>;
}

function made(prepared: Awaited<ReturnType<typeof prepare>>): Made {
  if ("refused" in prepared) throw new Error(`${prepared.refused.code}: ${prepared.refused.message}`);
  const worktree: PreparedWorkspace["worktree"] = prepared.worktree;
  if (worktree === undefined) throw new Error("no worktree");
  return {
    ...worktree,
    attempt: worktree.root.split("/").at(-1) ?? "",
    release: () => prepared.release({ processesGone: true }),
  };
}

async function refusal(prepared: ReturnType<typeof prepare>): Promise<{ code: string; message: string }> {
  const answer = await prepared;
  if ("refused" in answer) return answer.refused;
  throw new Error("it was not refused");
}

async function headOf(directory: string): Promise<string> {
  return git(directory, "rev-parse", "HEAD");
}

/** Nothing of a worktree is left: not its files, not its owner, not git's entry, no ref. */
async function expectNoTrace({ workspace }: Box): Promise<void> {
  const left = await readdir(join(workspace, ".codex/worktrees")).catch(() => []);
  expect(left.filter((name) => name !== ".gitignore")).toEqual([]);
  expect((await git(workspace, "worktree", "list")).split("\n")).toHaveLength(1);
  expect(await git(workspace, "for-each-ref", "refs/codex-flow")).toBe("");
}

describe("a worktree is made of what was asked for", () => {
  test("without repo and ref: HEAD of the flow package's repository, detached, for this user alone, unseen by git", async () => {
    const at = await box();
    const worktree = made(await prepare(at));
    expect(worktree.base).toBe(await headOf(at.workspace));
    expect(await readFile(join(worktree.root, "README.md"), "utf8")).toBe("hello\n");
    expect(await git(worktree.root, "rev-parse", "--abbrev-ref", "HEAD")).toBe("HEAD");
    expect((await stat(join(at.workspace, ".codex/worktrees"))).mode & 0o777).toBe(0o700);
    expect(await git(at.workspace, "status", "--porcelain")).toBe("");
    expect(await worktree.release()).toBeUndefined();
    await expectNoTrace(at);
  });

  test.each(["main", "origin/main", "v1", "refs/heads/main", "main~0"])("of the ref %s", async (ref) => {
    const at = await box();
    await git(at.workspace, "tag", "v1");
    const first = made(await prepare(at, { ref }));
    // A branch that is checked out somewhere can be asked for any number of times.
    const second = made(await prepare(at, { ref }));
    expect([first.base, second.base]).toEqual(Array(2).fill(await headOf(at.workspace)));
  });

  test("of a commit, a branch and a pull request that only the remote has: they are fetched", async () => {
    const at = await box();
    const later = await commit(at.elsewhere, { "later.txt": "1" });
    await git(at.elsewhere, "push", "--quiet", "origin", "HEAD:topic/one", "HEAD:refs/pull/7/head");
    for (const ref of ["topic/one", "origin/topic/one", "refs/pull/{{payload.number}}/head", later]) {
      const worktree = made(await prepare(at, { ref, payload: { number: 7 } }));
      expect(worktree.base).toBe(later);
      await worktree.release();
    }
    await expectNoTrace(at);
  });

  test("of a repository below the workspace, and of one that the box names", async () => {
    const at = await box();
    const named = join(await temporaryFolder(), "named");
    await cloneAt(named, { "named.txt": "" });
    await cloneAt(join(at.workspace, "repos/inner"), { "inner.txt": "" });
    const workspaces = at.again({ repositories: { codex: named } });
    for (const [repo, file] of [
      ["repos/{{payload.name}}", "inner.txt"],
      [join(at.workspace, "repos/inner"), "inner.txt"],
      ["codex", "named.txt"],
      [named, "named.txt"],
    ] as const) {
      const worktree = made(await prepare(at, { repo, payload: { name: "inner" } }, workspaces));
      expect(existsSync(join(worktree.root, file)), repo).toBe(true);
      expect(await worktree.release()).toBeUndefined();
    }
  });

  test("of the project that the event names, of the package's own where it names none", async () => {
    const at = await box();
    const app = join(await temporaryFolder(), "app");
    await cloneAt(app, { "app.txt": "" });
    const workspaces = at.again({ projects: { app } });
    const project = "{{payload.project?}}";
    for (const [payload, file] of [
      [{ project: "app" }, "app.txt"],
      [{}, "flows/f/flow.toml"],
    ] as const) {
      const worktree = made(await prepare(at, { project, payload }, workspaces));
      expect(existsSync(join(worktree.root, file)), file).toBe(true);
      expect(await worktree.release()).toBeUndefined();
    }
    const unknown = prepare(at, { project, payload: { project: "ap" } }, workspaces);
    expect((await refusal(unknown)).code).toBe("project_unknown");
  });

  test("its repository's hooks do not run", async () => {
    const at = await box();
    const hook = join(at.workspace, ".git/hooks/post-checkout");
    await writeFile(hook, `#!/bin/sh\ntouch "${at.workspace}/hooked"\n`, { mode: 0o755 });
    await made(await prepare(at)).release();
    expect(existsSync(join(at.workspace, "hooked"))).toBe(false);
  });

  test("a step in the shared checkout gets none", async () => {
    const at = await box();
    const flow = resolveManifest(
      { name: "f", version: 1, steps: [{ name: "s", runner: "node", script: "s.mjs", workspace: "shared" }] },
      "digest",
    );
    const [step] = flow.steps;
    if (step === undefined) throw new Error("the manifest has lost its step");
    const event: FlowEvent = { id: "e", type: "t", receivedAt: "", payload: {} };
    const prepared = await at.workspaces.prepare({ attempt: "a", step, event, flowRoot: at.workspace });
    expect(prepared).not.toHaveProperty("worktree");
    expect(existsSync(join(at.workspace, ".codex/worktrees"))).toBe(false);
  });
});

describe("what cannot be made is refused with a code, and leaves nothing behind", () => {
  test.each<[string, Wanted, string, string]>([
    ["a value that the event has not", { ref: "{{payload.sha}}" }, "workspace_value_missing", "payload.sha"],
    [
      "a ref that is an option",
      { ref: "{{payload.ref}}", payload: { ref: "--all" } },
      "workspace_value_invalid",
      "--all",
    ],
    ["a repository that is an option", { repo: "-x" }, "workspace_value_invalid", "-x"],
    ["a ref of two lines", { ref: "main\nx" }, "workspace_value_invalid", "main\\nx"],
    [
      "a needed commit that nobody has",
      { needs: ["HEAD", "f".repeat(40)] },
      "workspace_ref_unknown",
      "needs",
    ],
    ["a ref that nobody has", { ref: "nowhere" }, "workspace_ref_unknown", "nowhere"],
    [
      "a ref that would write another one",
      { ref: "main:refs/heads/other" },
      "workspace_ref_unknown",
      "not the name",
    ],
    ["a ref that names a file", { ref: "HEAD:README.md" }, "workspace_ref_unknown", "not the name"],
    ["a folder that is not there", { repo: "repos/none" }, "workspace_not_git", "there is no directory"],
    ["a folder above the workspace", { repo: "../remote" }, "workspace_not_git", "there is no directory"],
    ["a folder outside", { repo: "/tmp" }, "workspace_outside", "[repositories]"],
    [
      "a way out of the workspace",
      { repo: "{{payload.repo}}", payload: { repo: "../.." } },
      "workspace_outside",
      "[repositories]",
    ],
    ["a cwd that leads out of the worktree", { cwd: "../.." }, "workspace_outside", "cwd"],
  ])("%s", async (_what, wanted, code, words) => {
    const at = await box();
    const refused = await refusal(prepare(at, wanted));
    expect(refused.code).toBe(code);
    expect(refused.message).toContain(words);
    await expectNoTrace(at);
    expect(await git(at.workspace, "for-each-ref", "refs/heads/other")).toBe("");
  });

  test("a link in the workspace to a repository outside of it", async () => {
    const at = await box();
    await symlink(at.elsewhere, join(at.workspace, "link"));
    expect((await refusal(prepare(at, { repo: "link" }))).code).toBe("workspace_outside");
  });

  test("a flow package that is in no repository", async () => {
    const at = await box();
    await rm(join(at.workspace, ".git"), { recursive: true });
    const refused = await refusal(prepare(at));
    expect(refused.code).toBe("workspace_not_git");
    expect(refused.message).toContain("not a git repository");
  });

  test("a box without git", async () => {
    const at = await box();
    const path = process.env["PATH"];
    process.env["PATH"] = at.workspace;
    onTestFinished(() => {
      process.env["PATH"] = path;
    });
    expect((await refusal(prepare(at))).code).toBe("workspace_git_missing");
  });

  test("a second worktree for one attempt", async () => {
    const at = await box();
    const attempt = await freshAttempt();
    const answers = await Promise.all([prepare(at, { attempt }), prepare(at, { attempt })]);
    const refused = answers.flatMap((answer) => ("refused" in answer ? [answer.refused.code] : []));
    expect(refused).toEqual(["workspace_in_use"]);
    const [worktree] = answers.filter((answer) => !("refused" in answer)).map(made);
    expect(worktree !== undefined && existsSync(join(worktree.root, "README.md"))).toBe(true);
  });

  test("a folder that is there already, whoever made it: nothing in it is touched", async () => {
    const at = await box();
    const attempt = await freshAttempt();
    const folder = join(at.workspace, ".codex/worktrees", attempt);
    await writeFiles(folder, { "in-the-way": "" });
    expect((await refusal(prepare(at, { attempt }))).code).toBe("workspace_in_use");
    expect(await readdir(folder)).toEqual(["in-the-way"]);
  });

  test("a commit whose files git cannot write", async () => {
    const at = await box();
    const blob = await git(at.workspace, "rev-parse", "HEAD:README.md");
    await rm(join(at.workspace, ".git/objects", blob.slice(0, 2), blob.slice(2)));
    expect((await refusal(prepare(at))).code).toBe("workspace_git_failed");
    await expectNoTrace(at);
  });

  test("one that is canceled while it is made", async () => {
    const at = await box();
    const refused = await refusal(prepare(at, { signal: AbortSignal.abort() }));
    expect(refused.code).toBe("workspace_canceled");
    await expectNoTrace(at);
  });
});

describe("no work goes with a worktree", () => {
  test.each<[string, (root: string, at: Box) => Promise<unknown>, Partial<KeptWorktree>]>([
    [
      "a changed file",
      (root) => writeFile(join(root, "README.md"), "changed"),
      { reason: "1 changed or new file(s)", changedFiles: 1, ahead: 0, unpushedCommits: 0 },
    ],
    ["a new file", (root) => writeFiles(root, { "new/file.txt": "" }), { changedFiles: 1 }],
    [
      "a new file, although the repository's settings hide those",
      async (root) => {
        await git(root, "config", "status.showUntrackedFiles", "no");
        await writeFiles(root, { "new.txt": "" });
      },
      { changedFiles: 1 },
    ],
    [
      "a commit that is not pushed",
      (root) => commit(root, { "a.txt": "1" }),
      { reason: "1 commit(s) not pushed", ahead: 1, unpushedCommits: 1, changedFiles: 0 },
    ],
    [
      "a commit on a branch of its own that is not pushed",
      async (root) => {
        await git(root, "checkout", "--quiet", "-b", "fix");
        await commit(root, { "a.txt": "1" });
      },
      { unpushedCommits: 1 },
    ],
    [
      "a commit that HEAD has left for another one",
      async (root, at) => {
        await commit(root, { "a.txt": "1" });
        await git(root, "checkout", "--quiet", "--detach", await headOf(at.workspace));
      },
      { ahead: 0, unpushedCommits: 1 },
    ],
    [
      "a commit that was pushed, with another one on top",
      async (root) => {
        await commit(root, { "a.txt": "1" });
        await git(root, "push", "--quiet", "origin", "HEAD:refs/heads/pushed");
        await commit(root, { "b.txt": "1" });
      },
      { ahead: 2, unpushedCommits: 1 },
    ],
    [
      "a stash",
      async (root) => {
        await writeFile(join(root, "README.md"), "changed");
        await git(root, "stash");
      },
      { reason: "1 stash(es) made meanwhile in its repository", changedFiles: 0 },
    ],
    [
      "a merge that is not finished",
      async (root, at) => {
        await commit(at.elsewhere, { "README.md": "theirs" });
        await git(at.elsewhere, "push", "--quiet", "origin", "HEAD:theirs");
        await git(root, "fetch", "--quiet", "origin");
        await git(root, "merge", "--no-commit", "--no-ff", "origin/theirs");
      },
      { reason: expect.stringContaining("a merge is not finished") as string },
    ],
    [
      "an orphan branch",
      (root) => git(root, "checkout", "--quiet", "--orphan", "fresh"),
      { head: undefined, reason: expect.stringContaining("HEAD names no commit") as string },
    ],
    [
      "a worktree whose .git is gone",
      (root) => rm(join(root, ".git")),
      { reason: expect.stringContaining("could not be looked at") as string },
    ],
    [
      "a submodule, which git does not remove",
      async (root, at) => {
        await git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", at.remote, "sub");
        await git(root, "commit", "--quiet", "--message", "sub");
        await git(root, "push", "--quiet", "origin", "HEAD:refs/heads/pushed");
      },
      { reason: expect.stringContaining("git does not remove it") as string },
    ],
  ])("%s: it is kept, and said so", async (_what, work, expected) => {
    const at = await box();
    const worktree = made(await prepare(at));
    await work(worktree.root, at);
    const kept = await worktree.release();
    expect(kept).toMatchObject({ path: worktree.root, kept: true, base: worktree.base, ...expected });
    expect(existsSync(worktree.root)).toBe(true);
    // And the next look keeps it as well.
    expect(await at.workspaces.prune()).toMatchObject({ removed: [], kept: [{ path: worktree.root }] });
    expect(await at.workspaces.list()).toMatchObject([
      { attempt: worktree.attempt, state: "kept", keptAs: { reason: kept?.reason } },
    ]);
  });

  test.each<[string, (root: string, at: Box) => Promise<unknown>]>([
    ["nothing was done", () => Promise.resolve()],
    [
      "its commits are pushed",
      async (root) => {
        await commit(root, { "a.txt": "1" });
        await git(root, "push", "--quiet", "origin", "HEAD:refs/heads/pushed");
      },
    ],
    ["only ignored files are left", (root) => writeFiles(root, { "dist/out.js": "" })],
    [
      "it went to another pushed commit",
      async (root, at) => {
        await commit(at.elsewhere, { "a.txt": "1" });
        await git(at.elsewhere, "push", "--quiet", "origin", "HEAD:topic");
        await git(root, "fetch", "--quiet", "origin");
        await git(root, "checkout", "--quiet", "--detach", "origin/topic");
      },
    ],
    ["the step has removed it itself", (root, at) => git(at.workspace, "worktree", "remove", root)],
    ["somebody has deleted the folder", (root) => rm(root, { recursive: true })],
  ])("%s: it is removed", async (_what, work) => {
    const at = await box();
    await writeFile(join(at.workspace, ".git/info/exclude"), "dist/\n");
    const worktree = made(await prepare(at));
    await work(worktree.root, at);
    expect(await worktree.release()).toBeUndefined();
    await expectNoTrace(at);
  });

  test("commits and stashes that were there before are not its own", async () => {
    const at = await box();
    await commit(at.workspace, { "local.txt": "not pushed" });
    await writeFile(join(at.workspace, "README.md"), "changed");
    await git(at.workspace, "stash");
    expect(await made(await prepare(at)).release()).toBeUndefined();
  });

  test("while processes of its step are there it is kept", async () => {
    const at = await box();
    const prepared = await prepare(at);
    if ("refused" in prepared) throw new Error(prepared.refused.message);
    expect(await prepared.release({ processesGone: false })).toMatchObject({
      reason: "processes of its step are still there",
    });
  });

  test("once it is pushed, the next look removes it", async () => {
    const at = await box();
    const worktree = made(await prepare(at));
    await commit(worktree.root, { "a.txt": "1" });
    expect(await worktree.release()).toBeDefined();
    await git(worktree.root, "push", "--quiet", "origin", "HEAD:refs/heads/pushed");
    expect(await at.workspaces.prune()).toEqual({ removed: [worktree.root], kept: [] });
    await expectNoTrace(at);
  });
});

describe("at a start", () => {
  test("what a previous life left is removed when it is clean, and kept when it is not", async () => {
    const at = await box();
    const clean = made(await prepare(at));
    const dirty = made(await prepare(at));
    await writeFiles(dirty.root, { "work.txt": "" });
    const { removed, kept } = await at.again({}).pruneAtStart();
    expect(removed).toEqual([clean.root]);
    expect(kept).toMatchObject([{ path: dirty.root, changedFiles: 1 }]);
  });

  test("what another runner of the workspace uses is left alone", async () => {
    const at = await box();
    const worktree = made(await prepare(at));
    const other = at.again({ runnerId: "runner_other" });
    expect(await other.pruneAtStart()).toEqual({ removed: [], kept: [] });
    expect(existsSync(worktree.root)).toBe(true);
    await expect(other.force(worktree.attempt)).rejects.toMatchObject({ code: "workspace_in_use" });
  });

  test("what git was still making is removed, also when only its owner is known, or git has locked it", async () => {
    const at = await box();
    const owners = new Owners(at.workspace);
    const [half, unborn] = [made(await prepare(at)), made(await prepare(at))];
    for (const { attempt } of [half, unborn]) {
      const owned = await owners.read(attempt);
      if (owned === undefined) throw new Error("nobody owns it");
      await owners.write({ ...owned, state: "making" });
    }
    await git(at.workspace, "worktree", "lock", "--reason", "initializing", half.root);
    await git(at.workspace, "worktree", "remove", unborn.root);
    const { removed } = await at.again({}).pruneAtStart();
    expect(removed.sort()).toEqual([half.root, unborn.root].sort());
    await expectNoTrace(at);
  });

  test("one whose repository is gone is kept, and does not stop the start", async () => {
    const at = await box();
    const repository = join(at.workspace, "inner");
    await cloneAt(repository);
    const worktree = made(await prepare(at, { repo: "inner" }));
    await rm(repository, { recursive: true });
    const { kept } = await at.again({}).pruneAtStart();
    expect(kept).toMatchObject([
      { path: worktree.root, reason: expect.stringContaining("could not be looked at") as string },
    ]);
  });

  test("worktrees of people are left alone, also when their folder is away", async () => {
    const at = await box();
    const theirs = join(await temporaryFolder(), "theirs");
    await git(at.workspace, "worktree", "add", "--quiet", "--detach", theirs);
    const worktree = made(await prepare(at));
    await rm(theirs, { recursive: true });
    await rm(worktree.root, { recursive: true });
    await at.again({}).pruneAtStart();
    expect(await git(at.workspace, "worktree", "list")).toContain(theirs);
  });
});

describe("the quota", () => {
  test("a full runner refuses and names what is kept and what to do; a clean one makes room by itself", async () => {
    const at = await box({ quota: { max: 2, maxGb: 20 } });
    const [first, second] = [made(await prepare(at)), made(await prepare(at))];
    for (const { root } of [first, second]) await commit(root, { "a.txt": root });
    await Promise.all([first.release(), second.release()]);
    const refused = await refusal(prepare(at));
    expect(refused.code).toBe("workspace_quota");
    for (const words of [first.root, second.root, "1 commit(s) not pushed", "runner worktrees prune"])
      expect(refused.message).toContain(words);
    await git(first.root, "push", "--quiet", "origin", "HEAD:refs/heads/pushed");
    made(await prepare(at));
    expect(existsSync(first.root)).toBe(false);
    expect(existsSync(second.root)).toBe(true);
  });

  test("what is kept counts by its size", async () => {
    const at = await box({ quota: { max: 20, maxGb: 0.001 } });
    const worktree = made(await prepare(at));
    await writeFile(join(worktree.root, "large.bin"), Buffer.alloc(2 * 1024 * 1024, 1));
    await worktree.release();
    expect((await refusal(prepare(at))).code).toBe("workspace_quota");
  });

  test("many at once never exceed it", async () => {
    const at = await box({ quota: { max: 3, maxGb: 20 } });
    const answers = await Promise.all(Array.from({ length: 8 }, () => prepare(at)));
    const codes = answers.map((answer) => ("refused" in answer ? answer.refused.code : "made"));
    expect(codes.sort()).toEqual([
      ...Array<string>(3).fill("made"),
      ...Array<string>(5).fill("workspace_quota"),
    ]);
  });

  test("a person can throw one away, with what is in it", async () => {
    const at = await box();
    const worktree = made(await prepare(at));
    await commit(worktree.root, { "a.txt": "1" });
    await worktree.release();
    await at.workspaces.force(worktree.attempt);
    await expectNoTrace(at);
    await expect(at.workspaces.force(worktree.attempt)).rejects.toMatchObject({ code: "workspace_unknown" });
  });
});

describe("git beside git", () => {
  test("many worktrees made and released at once in one repository, with a fetch each, all succeed", async () => {
    const at = await box();
    const refs = ["one", "two", "three", "four", "five", "six"];
    await commit(at.elsewhere, { "later.txt": "1" });
    await git(at.elsewhere, "push", "--quiet", "origin", ...refs.map((ref) => `HEAD:${ref}`));
    const worktrees = (await Promise.all(refs.map((ref) => prepare(at, { ref })))).map(made);
    expect(new Set(worktrees.map(({ root }) => root)).size).toBe(refs.length);
    expect(await Promise.all(worktrees.map(({ release }) => release()))).toEqual(refs.map(() => undefined));
    await expectNoTrace(at);
  });

  test("a lock that is let go is waited for", async () => {
    const locked = {
      ok: false,
      stdout: "",
      words: "fatal: Unable to create '/r/.git/index.lock': File exists.",
    };
    const answers = [locked, locked, { ok: true, stdout: "done", words: "" }];
    expect((await pastLocks(() => Promise.resolve(answers.shift() ?? locked))).stdout).toBe("done");
    expect(answers).toEqual([]);
  });

  test("a lock that nobody lets go ends in an error that names its file", async () => {
    const at = await box();
    await git(at.elsewhere, "push", "--quiet", "origin", "HEAD:topic");
    await mkdir(join(at.workspace, ".git/refs/remotes/origin"), { recursive: true });
    const lock = join(at.workspace, ".git/refs/remotes/origin/topic.lock");
    await writeFile(lock, "");
    const refused = await refusal(prepare(at, { ref: "topic" }));
    expect(refused.code).toBe("workspace_ref_unknown");
    expect(refused.message).toContain("topic.lock");
    await rm(lock);
    made(await prepare(at, { ref: "topic" }));
  });

  test("a full disk is told apart by git's words, and a password in a remote's address is not repeated", () => {
    expect(isDiskFull("fatal: sha1 file write error: No space left on device")).toBe(true);
    expect(isDiskFull("fatal: not a git repository")).toBe(false);
    expect(withoutCredentials("unable to access 'https://ada:secret@example.org/r.git/'")).toBe(
      "unable to access 'https://***@example.org/r.git/'",
    );
  });
});
