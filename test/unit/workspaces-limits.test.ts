/** Worktrees beside each other: their quota, git's locks, and a full disk. */
import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isDiskFull, pastLocks, withoutCredentials } from "../../runner-agent/workspace/git.ts";
import { commit, git } from "../support/git-repositories.ts";
import { box, expectNoTrace, made, prepare, refusal } from "../support/workspace-box.ts";

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
