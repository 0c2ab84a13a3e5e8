/** What becomes of a worktree when its step is over, and at the next start: nothing that holds work is removed. */
import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { changesSince } from "../../runner-agent/workspace/changes.ts";
import { Owners, type KeptWorktree } from "../../runner-agent/workspace/ownership.ts";
import { temporaryFolder, writeFiles } from "../support/flow-workspace.ts";
import { cloneAt, commit, git } from "../support/git-repositories.ts";
import { type Box, box, expectNoTrace, headOf, made, prepare } from "../support/workspace-box.ts";

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

  test("what commands have put where the commit has a submodule is not run when git looks at it", async () => {
    const at = await box();
    await git(at.workspace, "update-index", "--add", "--cacheinfo", `160000,${"1".repeat(40)},sub`);
    await git(at.workspace, "commit", "--quiet", "--message", "a submodule of nobody's");
    const worktree = made(await prepare(at));
    // A sandbox keeps only the .git at the top of the place where the step works.
    const sub = join(worktree.root, "sub");
    await git(worktree.root, "init", "--quiet", "sub");
    await commit(sub, { "file.txt": "1" });
    const ran = join(at.workspace, "ran");
    await git(sub, "config", "filter.theirs.clean", `sh -c 'touch "${ran}"; cat'`);
    await writeFiles(sub, { ".gitattributes": "* filter=theirs", "file.txt": "2" });
    expect(await changesSince(worktree.base, worktree.root)).toMatchObject([{ path: "sub", kind: "update" }]);
    expect(await worktree.release()).toMatchObject({ kept: true, changedFiles: 1 });
    await at.workspaces.prune();
    await at.workspaces.force(worktree.attempt);
    expect(existsSync(ran)).toBe(false);
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
