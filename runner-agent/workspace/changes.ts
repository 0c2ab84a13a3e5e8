/**
 * What stands in a worktree and not in the commit that it was made of, committed or not, whoever has written it. Reads
 * only. Not counted: files that git ignores.
 */
import { lstat, readFile } from "node:fs/promises";
import { join } from "node:path";
import { gitMust, type GitOptions } from "./git.ts";
import { phantomChanges, statusEntries, type AsMade } from "./phantom-changes.ts";

export interface FileChange {
  path: string;
  kind: "add" | "delete" | "update";
  /** 0 of what is no text. */
  addedLines: number;
  removedLines: number;
}

/** A step's result waits for it; what takes longer is told as Codex has told it. */
const CHANGES_TIMEOUT_MS = 5_000;
/** New files whose lines are counted, and the largest that is read for it. */
const COUNTED_MAX_FILES = 1_000;
const COUNTED_MAX_BYTES = 1024 * 1024;

/** Not into submodules: git would run what their own settings say, which commands in a sandbox may have written. */
const DIFF = [
  ...["diff", "--no-ext-diff", "--no-textconv", "--no-renames", "--no-color", "-z"],
  "--ignore-submodules=dirty",
];
const KINDS: Partial<Record<string, FileChange["kind"]>> = { A: "add", D: "delete" };

/**
 * Paths relative to the worktree's root, in their order. A file that is as the checkout made it is no change, even if git
 * calls it one (`asMade`). @throws WorkspaceError
 */
export async function changesSince(base: string, root: string, asMade: AsMade = {}): Promise<FileChange[]> {
  // Here alone: above a worktree without its .git stands the workspace's own repository.
  const where: GitOptions = { directory: root, here: true, timeoutMs: CHANGES_TIMEOUT_MS };
  const [kinds, counts, untracked, staged, entries] = await Promise.all([
    gitMust([...DIFF, "--name-status", base, "--"], where),
    gitMust([...DIFF, "--numstat", base, "--"], where),
    gitMust(["ls-files", "--others", "--exclude-standard", "-z"], where),
    gitMust([...DIFF, "--cached", "--name-only", base, "--"], where),
    statusEntries(where),
  ]);
  const phantoms = await phantomChanges(entries, root, asMade, where);
  // A file that a commit of the step has changed is a change against the base, whatever filters do to it.
  const committed = new Set(fields(staged));
  const kindOf = new Map<string, FileChange["kind"] | undefined>();
  const letters = fields(kinds);
  for (let at = 0; at + 1 < letters.length; at += 2)
    kindOf.set(letters[at + 1] ?? "", KINDS[letters[at] ?? ""]);
  const tracked = fields(counts).map((line): FileChange => {
    const [added = "", removed = "", ...path] = line.split("\t");
    const name = path.join("\t");
    // Of what is no text, git says "-".
    const lines = (count: string): number => Number.parseInt(count, 10) || 0;
    return {
      path: name,
      kind: kindOf.get(name) ?? "update",
      addedLines: lines(added),
      removedLines: lines(removed),
    };
  });
  const made = await Promise.all(
    fields(untracked).map(async (path, index): Promise<FileChange> => {
      const addedLines = index < COUNTED_MAX_FILES ? await linesIn(join(root, path)) : 0;
      return { path, kind: "add", addedLines, removedLines: 0 };
    }),
  );
  const changed = tracked.filter(({ path }) => committed.has(path) || !phantoms.has(path));
  return [...changed, ...made].sort((a, b) => (a.path < b.path ? -1 : 1));
}

function fields(text: string): string[] {
  return text.split("\0").filter((field) => field !== "");
}

async function linesIn(file: string): Promise<number> {
  try {
    const found = await lstat(file);
    if (!found.isFile() || found.size > COUNTED_MAX_BYTES) return 0;
    const text = await readFile(file, "utf8");
    if (text === "" || text.includes("\0")) return 0;
    return text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
  } catch {
    // It went meanwhile, or nobody may read it.
    return 0;
  }
}
