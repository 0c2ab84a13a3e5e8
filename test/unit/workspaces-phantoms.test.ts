/** Worktrees that git calls changed, or refuses to remove, although no work is in them, and their counterparts with work. */
import { readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { changesSince } from "../../runner-agent/workspace/changes.ts";
import { Owners } from "../../runner-agent/workspace/ownership.ts";
import { temporaryFolder, writeFiles } from "../support/flow-workspace.ts";
import { cloneAt, commit, git } from "../support/git-repositories.ts";
import { type Box, box, expectNoTrace, made, prepare } from "../support/workspace-box.ts";

const PROTOCOL = ["-c", "protocol.file.allow=always"];

/** A commit with a file that git calls changed in every fresh checkout. */
async function withLineEnds(at: Box): Promise<void> {
  await commit(at.workspace, { "notes.txt": "a\r\nb\r\n" });
  await writeFiles(at.workspace, { ".gitattributes": "*.txt text\n" });
  // Not `add --all`, which would normalise the other file.
  await git(at.workspace, "add", ".gitattributes");
  await git(at.workspace, "commit", "--quiet", "--message", "attributes");
}

/** A commit with a submodule `vendor`, which has a submodule `inner` itself. */
async function withSubmodules(at: Box): Promise<void> {
  const inner = await cloneAt(join(await temporaryFolder(), "inner"), { "inner.txt": "1" });
  const vendorPath = join(await temporaryFolder(), "vendor");
  const vendor = await cloneAt(vendorPath, { "vendor.txt": "1" });
  await git(vendorPath, ...PROTOCOL, "submodule", "--quiet", "add", inner.remote, "inner");
  await git(vendorPath, "commit", "--quiet", "--message", "inner");
  await git(vendorPath, "push", "--quiet", "origin", "HEAD");
  await git(at.workspace, ...PROTOCOL, "submodule", "--quiet", "add", vendor.remote, "vendor");
  await git(at.workspace, "commit", "--quiet", "--message", "vendor");
}

async function initialise(root: string): Promise<void> {
  await git(root, ...PROTOCOL, "submodule", "--quiet", "update", "--init", "--recursive");
}

/** Makes the owner file look as an agent without a record of the fresh checkout wrote it. */
async function forgetRecord(at: Box, attempt: string): Promise<void> {
  const owners = new Owners(at.workspace);
  const owned = await owners.read(attempt);
  if (owned === undefined) throw new Error("the worktree has no owner");
  const { asMade: _, ...older } = owned;
  await owners.write({ ...older, state: "kept" });
}

describe("changes that only git's filters make", () => {
  test("a worktree whose only change is a line end that git would normalise is removed, and no file counts as changed", async () => {
    const at = await box();
    await withLineEnds(at);
    const worktree = made(await prepare(at));
    // A new time makes git compare the content, as it does in the second in which the checkout was made.
    await utimes(join(worktree.root, "notes.txt"), 1, 1);
    expect(await git(worktree.root, "status", "--porcelain")).toContain("notes.txt");
    expect(await changesSince(worktree.base, worktree.root)).toEqual([]);
    expect(await worktree.release()).toBeUndefined();
    await expectNoTrace(at);
  });

  test("a worktree with phantom changes that an older agent has kept is removed by prune without force", async () => {
    const at = await box();
    await withLineEnds(at);
    const worktree = made(await prepare(at));
    await utimes(join(worktree.root, "notes.txt"), 1, 1);
    await forgetRecord(at, worktree.attempt);
    expect(await at.workspaces.prune()).toEqual({ removed: [worktree.root], kept: [] });
  });

  test("a file that a smudge filter writes differently each time is no change as long as no step touches it", async () => {
    const at = await box();
    await git(at.workspace, "config", "filter.stamp.smudge", "cat; date +%s%N");
    await git(at.workspace, "config", "filter.stamp.clean", "cat");
    await commit(at.workspace, { ".gitattributes": "*.stamp filter=stamp\n", "a.stamp": "1\n" });
    const worktree = made(await prepare(at));
    expect(await worktree.release()).toBeUndefined();
  });

  test.each<[string, (root: string) => Promise<unknown>]>([
    ["other content", (root) => writeFile(join(root, "notes.txt"), "a\r\nb\r\nmine\r\n")],
    ["another mode", (root) => git(root, "update-index", "--chmod=+x", "notes.txt")],
    ["staged content", (root) => git(root, "add", "--renormalize", ".")],
  ])("a phantom file to which a step gives %s keeps the worktree", async (_what, work) => {
    const at = await box();
    await withLineEnds(at);
    const worktree = made(await prepare(at));
    await work(worktree.root);
    expect(await changesSince(worktree.base, worktree.root)).toMatchObject([{ path: "notes.txt" }]);
    expect(await worktree.release()).toMatchObject({ kept: true, changedFiles: 1 });
  });
});

describe("submodules", () => {
  test("a worktree in which a step only initialised submodules is removed", async () => {
    const at = await box();
    await withSubmodules(at);
    const worktree = made(await prepare(at));
    await initialise(worktree.root);
    expect(await readFile(join(worktree.root, "vendor/inner/inner.txt"), "utf8")).toBe("1");
    expect(await worktree.release()).toBeUndefined();
    await expectNoTrace(at);
  });

  test("a worktree with clean submodules that an older agent has kept is removed by prune without force", async () => {
    const at = await box();
    await withSubmodules(at);
    const worktree = made(await prepare(at));
    await initialise(worktree.root);
    await forgetRecord(at, worktree.attempt);
    expect(await at.workspaces.prune()).toEqual({ removed: [worktree.root], kept: [] });
  });

  const commitIn =
    (path: string) =>
    async (root: string): Promise<void> => {
      const folder = join(root, path);
      const before = await git(folder, "rev-parse", "HEAD");
      await commit(folder, { "mine.txt": "1" });
      // The checkout is again as it was recorded: only the commit is left.
      await git(folder, "checkout", "--quiet", "--detach", before);
    };
  test.each<[string, (root: string) => Promise<unknown>, string]>([
    ["a changed file in a submodule", (root) => writeFiles(root, { "vendor/vendor.txt": "2" }), "changed"],
    [
      "a new file in a nested submodule",
      (root) => writeFiles(root, { "vendor/inner/n.txt": "" }),
      "new file",
    ],
    ["a commit in a submodule", commitIn("vendor"), "1 commit(s) of the submodule vendor"],
    ["a commit in a nested submodule", commitIn("vendor/inner"), "1 commit(s) of the submodule inner"],
    [
      "a commit in a submodule whose checkout is gone",
      async (root) => {
        await commitIn("vendor")(root);
        await git(root, "submodule", "--quiet", "deinit", "--force", "vendor");
      },
      "commit(s) of the submodule vendor",
    ],
    [
      "a stash in a submodule",
      async (root) => {
        await writeFiles(root, { "vendor/vendor.txt": "2" });
        await git(join(root, "vendor"), "stash");
      },
      "of the submodule vendor",
    ],
  ])("%s keeps the worktree", async (_what, work, reason) => {
    const at = await box();
    await withSubmodules(at);
    const worktree = made(await prepare(at));
    await initialise(worktree.root);
    await work(worktree.root);
    expect(await worktree.release()).toMatchObject({
      kept: true,
      reason: expect.stringContaining(reason) as string,
    });
    expect(await at.workspaces.prune()).toMatchObject({ removed: [], kept: [{ path: worktree.root }] });
  });

  test("files that a step put in the folder of a submodule without initialising it keep the worktree", async () => {
    const at = await box();
    await withSubmodules(at);
    const worktree = made(await prepare(at));
    await writeFiles(worktree.root, { "vendor/mine.txt": "1" });
    expect(await worktree.release()).toMatchObject({
      reason: expect.stringContaining("files in the folder of the submodule vendor") as string,
    });
  });

  test("a filter that a step defines in a submodule does not run when the worktree is inspected", async () => {
    const at = await box();
    await withSubmodules(at);
    const worktree = made(await prepare(at));
    await initialise(worktree.root);
    const vendor = join(worktree.root, "vendor");
    const ran = join(at.workspace, "ran");
    await git(vendor, "config", "filter.theirs.clean", `sh -c 'touch "${ran}"; cat'`);
    await writeFiles(vendor, { ".gitattributes": "* filter=theirs", "vendor.txt": "2" });
    expect(await worktree.release()).toMatchObject({ kept: true });
    await expect(readFile(ran)).rejects.toMatchObject({ code: "ENOENT" });
  });
});
