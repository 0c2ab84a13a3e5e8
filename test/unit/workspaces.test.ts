/**
 * Worktrees for attempts, with real git repositories: a worktree is made of what was asked for and of nothing that
 * the box does not show, it never takes work with it when it goes, and whatever cannot be done has a code.
 */
import { existsSync } from "node:fs";
import { readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { FlowEvent } from "../../contract/flow-event.ts";
import { resolveManifest } from "../../contract/flow-manifest.ts";
import { temporaryFolder, writeFiles } from "../support/flow-workspace.ts";
import { cloneAt, commit, git } from "../support/git-repositories.ts";
import {
  box,
  expectNoTrace,
  freshAttempt,
  headOf,
  made,
  prepare,
  refusal,
  type Wanted,
} from "../support/workspace-box.ts";

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

test("a cwd that the commit makes a link to another folder of its own is one", async () => {
  const at = await box();
  await symlink("packages/docs", join(at.elsewhere, "docs"));
  await commit(at.elsewhere, { "packages/docs/a.txt": "1" });
  await git(at.elsewhere, "push", "--quiet", "origin", "HEAD:theirs");
  expect(
    existsSync(join(made(await prepare(at, { ref: "origin/theirs", cwd: "docs" })).root, "docs/a.txt")),
  ).toBe(true);
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

  test.each(["/", "../../.."])("a cwd that the commit makes a link to %s", async (target) => {
    const at = await box();
    await symlink(target, join(at.elsewhere, "docs"));
    await commit(at.elsewhere, { "a.txt": "1" });
    await git(at.elsewhere, "push", "--quiet", "origin", "HEAD:theirs");
    const refused = await refusal(prepare(at, { ref: "origin/theirs", cwd: "docs" }));
    expect(refused).toMatchObject({ code: "workspace_outside" });
    expect(refused.message).toContain("cwd");
    await expectNoTrace(at);
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
