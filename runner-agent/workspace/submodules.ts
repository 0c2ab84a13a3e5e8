/**
 * Finds work in the submodules of a worktree, recursively, without running anything that their settings name: commands
 * of a step may have written those settings. Git therefore never reads a submodule's own folder. It reads a copy of the
 * references, reflogs and index with settings of ours, and the objects of the submodule as alternates.
 */
import { existsSync } from "node:fs";
import { cp, lstat, mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, sep } from "node:path";
import { phantomChanges, statusEntries } from "./phantom-changes.ts";
import { git, gitMust, type GitOptions } from "./git.ts";

/** Length of a SHA-256 object id in hexadecimal characters. */
const SHA256_CHARS = 64;
/** Submodules inside submodules that are looked into; a worktree with deeper ones is kept. */
const DEPTH_MAX = 8;
/** What a copy takes over. `config`, `info` and `hooks` are left out, since they can name commands and filters. */
const COPIED = ["HEAD", "refs", "packed-refs", "logs", "index", "shallow"];

interface Gitlink {
  path: string;
  commit: string;
}

export interface SubmoduleContent {
  /** Whether any submodule has a folder of its own in the worktree's git directory: git then removes only by force. */
  exist: boolean;
  /** Why they must stay, one sentence fragment for each. */
  reasons: string[];
}

/**
 * @param root the worktree's root
 * @param gitDirectory the worktree's own git directory, absolute
 */
export async function submoduleContent(root: string, gitDirectory: string): Promise<SubmoduleContent> {
  const repositories = await moduleRepositories(gitDirectory);
  const links = await gitlinks({ directory: root, here: true });
  const reasons = await reasonsIn(root, gitDirectory, links, 1);
  return { exist: links.length > 0 || repositories.length > 0, reasons };
}

async function reasonsIn(
  root: string,
  gitDirectory: string,
  links: readonly Gitlink[],
  depth: number,
): Promise<string[]> {
  if (depth > DEPTH_MAX) return [`submodules are nested more than ${DEPTH_MAX} deep in ${root}`];
  const reasons: string[] = [];
  const checkouts = new Map<string, Gitlink>();
  for (const link of links) {
    const folder = join(root, link.path);
    const found = await repositoryOf(folder);
    if (found === "empty") continue;
    const ours = await realpath(join(gitDirectory, "modules")).catch(() => undefined);
    if (found === "files") reasons.push(`files in the folder of the submodule ${link.path}`);
    else if (found === "own" || ours === undefined || !found.startsWith(`${ours}${sep}`))
      reasons.push(`the submodule ${link.path} is a repository of its own`);
    else checkouts.set(found, link);
  }
  // Also those whose checkout is gone (git submodule deinit): their commits would go with the worktree.
  for (const repository of await moduleRepositories(gitDirectory)) {
    const link = checkouts.get(repository);
    const name = `the submodule ${link?.path ?? repository.slice(gitDirectory.length + "/modules/".length)}`;
    const folder = link === undefined ? undefined : join(root, link.path);
    reasons.push(...(await reasonsOf({ name, repository, folder, link }, depth)));
  }
  return reasons;
}

interface Submodule {
  name: string;
  repository: string;
  folder: string | undefined;
  link: Gitlink | undefined;
}

async function reasonsOf(submodule: Submodule, depth: number): Promise<string[]> {
  const { name, repository, folder, link } = submodule;
  const copy = await mkdtemp(join(tmpdir(), "codex-flow-submodule-"));
  try {
    await copyRepository(repository, copy);
    const where: GitOptions = { directory: folder ?? copy };
    const base = [`--git-dir=${copy}`, `--work-tree=${folder ?? copy}`];
    const recorded = link === undefined ? [] : [link.commit];
    const own = await gitMust(
      [...base, "rev-list", "--count", "--all", "--reflog", "--not", "--remotes", ...recorded],
      where,
    );
    const reasons = Number(own) === 0 ? [] : [`${Number(own)} commit(s) of ${name} not pushed`];
    if (folder === undefined) {
      const nested = await moduleRepositories(repository);
      for (const inner of nested)
        reasons.push(
          ...(await reasonsOf(
            { name: `${name} (nested)`, repository: inner, folder: undefined, link: undefined },
            depth + 1,
          )),
        );
      return reasons;
    }
    const entries = await statusEntries(where, base);
    const phantoms = await phantomChanges(entries, folder, {}, where, base);
    const changed = entries.filter(({ path }) => !phantoms.has(path)).length;
    if (changed > 0) reasons.push(`${changed} changed or new file(s) in ${name}`);
    return [...reasons, ...(await reasonsIn(folder, repository, await gitlinks(where, base), depth + 1))];
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

async function copyRepository(repository: string, copy: string): Promise<void> {
  for (const name of COPIED)
    if (existsSync(join(repository, name)))
      await cp(join(repository, name), join(copy, name), { recursive: true, preserveTimestamps: true });
  await mkdir(join(copy, "objects", "info"), { recursive: true });
  await mkdir(join(copy, "refs"), { recursive: true });
  await writeFile(join(copy, "objects", "info", "alternates"), `${join(repository, "objects")}\n`);
  const head = (await readFile(join(copy, "HEAD"), "utf8")).trim();
  const format =
    head.length === SHA256_CHARS
      ? "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectFormat = sha256\n"
      : "[core]\n\trepositoryformatversion = 0\n";
  await writeFile(join(copy, "config"), format);
}

/** The git directories directly below `modules`; the name of a submodule may have slashes. */
async function moduleRepositories(gitDirectory: string): Promise<string[]> {
  const modules = await realpath(join(gitDirectory, "modules")).catch(() => undefined);
  if (modules === undefined) return [];
  const found: string[] = [];
  const visit = async (folder: string): Promise<void> => {
    if (existsSync(join(folder, "HEAD"))) {
      found.push(folder);
      return;
    }
    for (const entry of await readdir(folder, { withFileTypes: true }))
      if (entry.isDirectory()) await visit(join(folder, entry.name));
  };
  await visit(modules);
  return found;
}

async function gitlinks(where: GitOptions, base: readonly string[] = []): Promise<Gitlink[]> {
  const listed = await git([...base, "ls-files", "--stage", "-z"], where);
  if (!listed.ok) throw new Error(`git ls-files in ${where.directory} failed: ${listed.words}`);
  return listed.stdout.split("\0").flatMap((line) => {
    const found = /^160000 ([0-9a-f]+) \d\t(.*)$/s.exec(line);
    return found === null ? [] : [{ commit: found[1] ?? "", path: found[2] ?? "" }];
  });
}

/** The git directory that a submodule's `.git` file names, or what is there in its place. */
async function repositoryOf(folder: string): Promise<string> {
  const dotGit = join(folder, ".git");
  const stat = await lstat(dotGit).catch(() => undefined);
  if (stat === undefined) {
    const entries = await readdir(folder).catch(() => []);
    return entries.length === 0 ? "empty" : "files";
  }
  if (!stat.isFile()) return "own";
  const named = /^gitdir: (.*?)\n?$/.exec(await readFile(dotGit, "utf8"))?.[1];
  if (named === undefined) return "own";
  return realpath(named.startsWith("/") ? named : join(folder, named)).catch(() => "own");
}
