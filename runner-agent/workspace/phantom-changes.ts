/**
 * Tells the changes of a step from those that git reports of an untouched checkout: a file that was committed with CRLF
 * and that .gitattributes calls text, or one that a filter (LFS, ident, clean and smudge) would write otherwise.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat, mkdtemp, readlink, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { git, gitMust, type GitOptions } from "./git.ts";

/** Changed files that are compared with a fresh checkout; in a worktree with more, all count as changed. */
const COMPARED_MAX_FILES = 5_000;
/** Paths in one git command. */
const PATHS_PER_COMMAND = 200;
const EXECUTABLE = 0o100;

export interface StatusEntry {
  /** Two letters: the index against HEAD, and the worktree against the index. */
  state: string;
  path: string;
}

/** What git says of each file right after the checkout was made: path to digest of type, mode and content. */
export type AsMade = Readonly<Record<string, string>>;

/** `base`: options of git that come before the command. @throws WorkspaceError */
export async function statusEntries(where: GitOptions, base: readonly string[] = []): Promise<StatusEntry[]> {
  // Not into submodules: git would run what their settings say, and commands of the step may have written those.
  const status = ["status", "--porcelain", "-z", "--no-renames", "--untracked-files=normal"];
  const text = await gitMust([...base, ...status, "--ignore-submodules=dirty"], where);
  return text
    .split("\0")
    .filter((entry) => entry !== "")
    .map((entry) => ({ state: entry.slice(0, 2), path: entry.slice(3) }));
}

/** Records the files that git calls changed although no step has run yet. @throws WorkspaceError */
export async function recordAsMade(root: string, where: GitOptions): Promise<AsMade> {
  const candidates = candidatesOf(await statusEntries(where));
  const digests: Record<string, string> = {};
  for (const path of candidates) {
    const digest = await digestOf(join(root, path));
    if (digest !== undefined) digests[path] = digest;
  }
  return digests;
}

/**
 * The paths among `entries` that are as a checkout makes them. Two proofs count: the file is still as it was recorded
 * when the checkout was made, or git would write the same file again. Worktrees of older agents have no record.
 */
export async function phantomChanges(
  entries: readonly StatusEntry[],
  root: string,
  asMade: AsMade,
  where: GitOptions,
  base: readonly string[] = [],
): Promise<ReadonlySet<string>> {
  const phantoms = new Set<string>();
  const open: { path: string; digest: string }[] = [];
  for (const path of candidatesOf(entries)) {
    const digest = await digestOf(join(root, path));
    if (digest === undefined) continue;
    if (Object.hasOwn(asMade, path) && asMade[path] === digest) phantoms.add(path);
    else open.push({ path, digest });
  }
  if (open.length === 0) return phantoms;
  const fresh = await mkdtemp(join(tmpdir(), "codex-flow-checkout-"));
  try {
    for (let at = 0; at < open.length; at += PATHS_PER_COMMAND) {
      const part = open.slice(at, at + PATHS_PER_COMMAND);
      const write = ["checkout-index", "--quiet", "--force", `--prefix=${fresh}/`, "--"];
      // A filter that fails proves nothing: what git did not write counts as changed.
      await git([...base, ...write, ...part.map(({ path }) => path)], where).catch(() => undefined);
      for (const { path, digest } of part)
        if ((await digestOf(join(fresh, path))) === digest) phantoms.add(path);
    }
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  return phantoms;
}

/** Files whose index entry is that of HEAD: what is staged, deleted or new is never an effect of a filter. */
function candidatesOf(entries: readonly StatusEntry[]): string[] {
  const candidates = entries.filter(({ state }) => state === " M").map(({ path }) => path);
  return candidates.length > COMPARED_MAX_FILES ? [] : candidates;
}

async function digestOf(file: string): Promise<string | undefined> {
  try {
    const found = await lstat(file);
    if (found.isSymbolicLink()) return `link ${await readlink(file)}`;
    if (!found.isFile()) return undefined;
    const hash = createHash("sha256");
    await pipeline(createReadStream(file), hash);
    return `${(found.mode & EXECUTABLE) === 0 ? "file" : "executable"} ${hash.digest("hex")}`;
  } catch {
    // The file is gone or unreadable, so nothing can be proven of it.
    return undefined;
  }
}
