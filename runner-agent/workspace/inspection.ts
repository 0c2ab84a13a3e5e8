/**
 * What is in a worktree that its step has left, and whether it may go: only when nothing in it would be lost. What
 * cannot be looked at is kept.
 *
 * Not counted: files that git ignores, and commits that the step itself has thrown away (amend, rebase, reset).
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { git, gitMust, type GitOptions } from "./git.ts";
import type { KeptWorktree, Ownership } from "./ownership.ts";
import { phantomChanges, statusEntries } from "./phantom-changes.ts";
import { submoduleContent } from "./submodules.ts";

/** What git leaves in its folder while an operation waits for somebody, and what it is called. */
const OPERATIONS: Record<string, string> = {
  "rebase-merge": "rebase",
  "rebase-apply": "rebase or am",
  MERGE_HEAD: "merge",
  CHERRY_PICK_HEAD: "cherry-pick",
  REVERT_HEAD: "revert",
  sequencer: "cherry-pick or revert",
  BISECT_LOG: "bisect",
};

export interface WorktreeContent {
  head: string | undefined;
  ahead: number;
  changedFiles: number;
  unpushedCommits: number;
  /** Stashes that were not there when it was made. */
  newStashes: number;
  /** A merge, rebase, … that is not finished. */
  operation: string | undefined;
  /** Why its submodules must stay. */
  submodules: string[];
  /** Git refuses to remove it without --force, although nothing in it would be lost. */
  needsForce: boolean;
}

/** Reads the content of a worktree. Throws WorkspaceError when git cannot. */
export async function inspect({ path, base, stashes, asMade = {} }: Ownership): Promise<WorktreeContent> {
  // Here alone: above a worktree without its .git stands the workspace's own repository.
  const where: GitOptions = { directory: path, here: true };
  const entries = await statusEntries(where);
  const phantoms = await phantomChanges(entries, path, asMade, where);
  const gitDirectory = (await gitMust(["rev-parse", "--absolute-git-dir"], where)).trimEnd();
  const submodules = await submoduleContent(path, gitDirectory);
  const head = await git(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], where);
  const tips = [...new Set([...(head.ok ? [head.stdout.trim()] : []), ...(await leftBehind(where))])];
  const count = async (...revisions: string[]): Promise<number> =>
    Number(await gitMust(["rev-list", "--count", ...revisions], where));
  return {
    head: head.ok ? head.stdout.trim() : undefined,
    ahead: head.ok ? await count("HEAD", `^${base}`) : 0,
    changedFiles: entries.filter((entry) => !phantoms.has(entry.path)).length,
    unpushedCommits: tips.length === 0 ? 0 : await count(...tips, "--not", base, "--remotes"),
    newStashes: (await stashesOf(where)).filter((stash) => !stashes.includes(stash)).length,
    operation: operationIn(gitDirectory),
    submodules: submodules.reasons,
    needsForce: phantoms.size > 0 || submodules.exist,
  };
}

/** Why it must stay; undefined when it may go. Pure. */
export function reasonToKeep(content: WorktreeContent): string | undefined {
  const { head, changedFiles, unpushedCommits, newStashes, operation, submodules } = content;
  const reasons = [
    operation === undefined ? "" : `a ${operation} is not finished`,
    changedFiles === 0 ? "" : `${changedFiles} changed or new file(s)`,
    unpushedCommits === 0 ? "" : `${unpushedCommits} commit(s) not pushed`,
    newStashes === 0 ? "" : `${newStashes} stash(es) made meanwhile in its repository`,
    ...submodules,
    head === undefined ? "its HEAD names no commit" : "",
  ].filter((reason) => reason !== "");
  return reasons.length === 0 ? undefined : reasons.join(", ");
}

/** As data for the result's artifacts. `content` is absent when it could not be looked at. */
export function keptWorktree(
  { path, base }: Ownership,
  reason: string,
  content: WorktreeContent | undefined,
): KeptWorktree {
  const { head, ahead = 0, changedFiles = 0, unpushedCommits = 0 } = content ?? {};
  return { path, kept: true, reason, head, base, ahead, changedFiles, unpushedCommits };
}

/** Ids of the repository's stashes. */
export async function stashesOf(where: GitOptions): Promise<string[]> {
  const { ok, stdout } = await git(["log", "-g", "--format=%H", "refs/stash", "--"], where);
  return ok ? stdout.split("\n").filter((line) => line !== "") : [];
}

/** Commits on which HEAD stood when another one was checked out: nothing else may know of them any more. */
async function leftBehind(where: GitOptions): Promise<string[]> {
  const log = await git(["log", "-g", "--format=%H %gs", "HEAD", "--"], where);
  if (!log.ok) return [];
  const entries = log.stdout.split("\n").filter((line) => line !== "");
  return entries.flatMap((entry, index) => {
    const before = entries[index + 1];
    return before !== undefined && / checkout: /.test(entry) ? [before.split(" ", 1)[0] ?? ""] : [];
  });
}

function operationIn(folder: string): string | undefined {
  const found = Object.entries(OPERATIONS).find(([name]) => existsSync(join(folder, name)));
  return found?.[1];
}
