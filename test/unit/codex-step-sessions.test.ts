/** Where a codex step works, over the real Codex and a fake model: in which thread, and in which checkout. */
import { existsSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { StepRoot } from "../../runner-agent/steps/step.ts";
import { folder } from "../support/codex.ts";
import { codexBox, runCodexStep, type CodexBox } from "../support/codex-step-life.ts";
import { command, patch, structured } from "../support/fake-model/answers.ts";
import { cloneAt, git } from "../support/git-repositories.ts";

const DONE = structured({ status: "completed", message: "done" });
const PROMPT = "---\napproval_policy: never\n---\nDo it.";

describe("a session", () => {
  const AUTO = "---\nsession: auto\napproval_policy: never\nsandbox: read-only\n---\nDo it.";

  test("is gone on with in the same directory, with its sandbox again (trap 1)", async () => {
    const at = await codexBox([{ answers: [DONE, command("touch x"), DONE, DONE] }]);
    const first = await runCodexStep(at, { template: AUTO });
    const second = await runCodexStep(at, { template: AUTO });
    expect(second.results[0]?.artifacts?.["threadId"]).toBe(first.results[0]?.artifacts?.["threadId"]);
    expect(second.watchers.leased).toEqual([first.results[0]?.artifacts?.["threadId"]]);
    expect(() => readFileSync(join(at.cwd, "x"))).toThrow();
  });

  test("that another run writes to is not written to: the step is blocked, and says by whom", async () => {
    const at = await codexBox([{ answers: [DONE, DONE] }]);
    await runCodexStep(at, { template: AUTO });
    const second = await runCodexStep(at, {
      template: AUTO,
      watchers: (watchers) => {
        watchers.lease = { granted: false, heldBy: "run_other_1" };
      },
    });
    expect(second.results).toMatchObject([{ status: "blocked", artifacts: { heldBy: "run_other_1" } }]);
    expect(at.model.requests).toHaveLength(1);
  });

  test("that another run writes to is forked where the step says so", async () => {
    const at = await codexBox([{ answers: [DONE, DONE] }]);
    const first = await runCodexStep(at, { template: AUTO });
    const second = await runCodexStep(at, {
      template: AUTO.replace("session: auto", "session: auto\non_conflict: fork"),
      watchers: (watchers) => {
        watchers.lease = { granted: false, heldBy: "run_other_1" };
      },
    });
    expect(second.results).toMatchObject([{ status: "completed" }]);
    expect(second.results[0]?.artifacts?.["threadId"]).not.toBe(first.results[0]?.artifacts?.["threadId"]);
  });

  test("that is not there: reuse says so, auto begins anew", async () => {
    const at = await codexBox([{ answers: [DONE] }]);
    const reuse = await runCodexStep(at, { template: AUTO.replace("auto", "reuse") });
    expect(reuse.end).toMatchObject({ reason: "refused", error: { code: "thread_not_resumable" } });
    const auto = await runCodexStep(at, { template: AUTO });
    expect(auto.results).toHaveLength(1);
  });

  test("that Codex has forgotten is its own error for a run that must go on in it", async () => {
    const at = await codexBox([{ answers: [DONE] }]);
    const continues = { runId: "run_x_1", threadId: "01a20b0c-c571-7df1-bbd6-d6b5c427e3ca", used: {} };
    const life = await runCodexStep(at, { template: PROMPT, request: { continues } });
    expect(life.end).toMatchObject({ reason: "refused", error: { code: "thread_not_resumable" } });
  });
});

describe("in a worktree", () => {
  const AUTO = "---\nsession: auto\napproval_policy: never\n---\n";

  /** Two worktrees of one repository, as two attempts have them. */
  async function worktrees(at: CodexBox): Promise<[StepRoot, StepRoot]> {
    const repository = join(folder("repository"), "clone");
    await cloneAt(repository, { "kept.txt": "1\n2\n", "gone.txt": "1\n", ".gitignore": "*.log\n" });
    const base = await git(repository, "rev-parse", "HEAD");
    const made = async (name: string): Promise<StepRoot> => {
      const root = join(at.cwd, name);
      await git(repository, "worktree", "add", "--quiet", "--detach", root, base);
      return { root, base, ref: "main", repository: join(repository, ".git") };
    };
    return [await made("one"), await made("other")];
  }

  test("all that has changed is told, whoever has changed it: patch, command or commit", async () => {
    const script =
      "git rm -q gone.txt; git -c user.name=a -c user.email=a@b commit -qm x; printf '1\\n2\\n3' > 'new file'";
    const at = await codexBox(
      [
        {
          answers: [
            patch("*** Update File: kept.txt", "@@", "-1", "+one", " 2"),
            command(`${script}; touch x.log`),
            DONE,
          ],
        },
      ],
      { allowDangerFullAccess: true },
    );
    const [worktree] = await worktrees(at);
    const { results } = await runCodexStep(at, {
      template: AUTO.replace("never", "never\nsandbox: danger-full-access") + "Do it.",
      request: { worktree },
    });
    expect(results[0]?.artifacts).toMatchObject({
      changedFiles: [
        { path: "gone.txt", kind: "delete", addedLines: 0, removedLines: 1 },
        { path: "kept.txt", kind: "update", addedLines: 1, removedLines: 1 },
        { path: "new file", kind: "add", addedLines: 3, removedLines: 0 },
      ],
      diff: { files: 3, addedLines: 4, removedLines: 2 },
    });
  });

  test.each(["in the same server", "in a new one"])(
    "the next attempt's goes on in the thread of one that is gone, %s, and works in its own",
    async (_where) => {
      const at = await codexBox([
        { answers: [command("touch first"), DONE] },
        { prompt: "again", answers: [command("touch second; pwd"), DONE] },
      ]);
      const [one, other] = await worktrees(at);
      const first = await runCodexStep(at, { template: `${AUTO}Do it.`, request: { worktree: one } });
      await rm(one.root, { recursive: true });
      if (_where === "in a new one") await at.box.stop();
      const second = await runCodexStep(at, {
        template: `${AUTO}Do it again.`,
        request: { worktree: other },
      });
      expect(second.results).toMatchObject([
        { status: "completed", artifacts: { threadId: first.results[0]?.artifacts?.["threadId"] } },
      ]);
      expect(existsSync(join(other.root, "second"))).toBe(true);
      const elsewhere = await runCodexStep(at, {
        template: `${AUTO}Do it again.`,
        request: { worktree: { ...other, ref: "release" } },
      });
      expect(elsewhere.results[0]?.artifacts?.["threadId"]).not.toBe(
        first.results[0]?.artifacts?.["threadId"],
      );
    },
  );
});
