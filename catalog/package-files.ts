/**
 * Which files of a folder belong to the flow package: those that are deployed, and that edge and runner compare.
 *
 * 1. `files` of flow.toml, when it is declared: the files that one of its globs matches.
 * 2. Else, in a git work tree that tracks flow.toml: the files that git tracks.
 * 3. Else every file.
 *
 * Names that begin with a dot and what tools write never belong to a package. flow.toml and the files that it names always
 * do, so that a script which git does not track yet is deployed, too. What a step writes into its own package is
 * therefore no part of it, unless the package has neither `files` nor git.
 */
import { execFile } from "node:child_process";
import { lstat, readdir, readFile, realpath, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { MANIFEST_NAME } from "./discover.ts";
import { hasErrorCode } from "./fault.ts";

/** Folders that tools write while a step runs. */
const TOOL_FOLDERS = new Set(["node_modules", "__pycache__", "coverage"]);
/** Files that tools write while a step runs. */
const TOOL_FILE = /\.(?:pyc|pyo|log|tsbuildinfo)$/;
/** How long `git ls-files` may take before the package is read without git. */
const GIT_TIMEOUT_MS = 10_000;
const GIT_OUTPUT_MAX_BYTES = 16 * 1024 * 1024;

const run = promisify(execFile);

/** What decides which files belong to a package, besides the disk. */
export interface FileRule {
  /** `files` of flow.toml. */
  globs?: readonly string[] | undefined;
  /** Files that flow.toml names: paths relative to the package. */
  named?: readonly string[];
}

export interface PackageEntry {
  absolute: string;
  isLink: boolean;
}

/** Whether a file or folder of this name never belongs to a package. */
export function isOutsideDigest(name: string): boolean {
  return name.startsWith(".") || TOOL_FOLDERS.has(name) || TOOL_FILE.test(name);
}

/** Paths of the files that belong to a package, relative to it and with "/" on every machine, sorted. */
export async function listPackageFiles(
  root: string,
  { globs, named = [] }: FileRule = {},
): Promise<string[]> {
  const always = new Set([MANIFEST_NAME, ...named]);
  const tracked = globs === undefined ? await trackedFiles(root) : undefined;
  const patterns = globs?.map(globPattern);
  return (await listAllFiles(root)).filter(
    (path) =>
      always.has(path) ||
      (patterns !== undefined
        ? patterns.some((pattern) => pattern.test(path))
        : tracked === undefined || tracked.has(path)),
  );
}

/** Paths of every file below a package that may belong to it, sorted. */
export async function listAllFiles(root: string): Promise<string[]> {
  return (await collect(root, "")).sort();
}

/** Symbolic links are files here: they are never followed, so that nothing outside of the package gets in. */
async function collect(folder: string, prefix: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const found = await Promise.all(
    entries.map(async (entry) => {
      if (isOutsideDigest(entry.name)) return [];
      const path = `${prefix}${entry.name}`;
      if (entry.isDirectory()) return await collect(join(folder, entry.name), `${path}/`);
      return entry.isSymbolicLink() || entry.isFile() ? [path] : [];
    }),
  );
  return found.flat();
}

/** The file of a path of a list, or undefined when the package has no such file inside itself. */
export async function findPackageFile(root: string, path: string): Promise<PackageEntry | undefined> {
  const absolute = join(root, path);
  try {
    // A folder of the path may have become a link that leads elsewhere.
    if ((await realpath(dirname(absolute))) !== join(await realpath(root), dirname(path))) return undefined;
    const found = await lstat(absolute);
    if (!found.isFile() && !found.isSymbolicLink()) return undefined;
    return { absolute, isLink: found.isSymbolicLink() };
  } catch (error) {
    if (hasErrorCode(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

/**
 * What git tracks of a package, or undefined when git does not track its flow.toml. A git that cannot be asked (not
 * installed, a repository of another user) counts as none: the list of the deployed files does not depend on it.
 */
async function trackedFiles(root: string): Promise<Set<string> | undefined> {
  if ((await findGitIndex(root)) === undefined) return undefined;
  try {
    const { stdout } = await run("git", ["-C", root, "ls-files", "-z", "--cached"], {
      timeout: GIT_TIMEOUT_MS,
      maxBuffer: GIT_OUTPUT_MAX_BYTES,
    });
    const paths = new Set(stdout.split("\0"));
    return paths.has(MANIFEST_NAME) ? paths : undefined;
  } catch {
    return undefined;
  }
}

/** Changes whenever git may track other files of a package than before. */
export async function gitIndexState(root: string): Promise<string> {
  const index = await findGitIndex(root);
  const found = index === undefined ? undefined : await lstat(index, { bigint: true }).catch(() => undefined);
  return found === undefined ? "" : [index, found.mtimeNs, found.size, found.ino].join("\0");
}

/** The index of the work tree that a folder lies in. */
async function findGitIndex(folder: string): Promise<string | undefined> {
  for (let parent = resolve(folder); ; parent = dirname(parent)) {
    const git = join(parent, ".git");
    const found = await stat(git).catch(() => undefined);
    if (found?.isDirectory() === true) return join(git, "index");
    // A linked work tree or a submodule: a file that names the folder.
    if (found?.isFile() === true) {
      const named = /^gitdir: (.+)$/m.exec(await readFile(git, "utf8").catch(() => ""))?.[1];
      return named === undefined ? undefined : join(resolve(parent, named), "index");
    }
    if (dirname(parent) === parent) return undefined;
  }
}

/** `**` matches any folders, `*` and `?` within one name; a path without them matches also everything below it. */
export function globPattern(glob: string): RegExp {
  const parts = glob
    .replace(/^\.\//, "")
    .replace(/\/+$/, "")
    .split(/(\*\*\/|\*\*|\*|\?)/)
    .map((part) => {
      if (part === "**/") return "(?:[^/]+/)*";
      if (part === "**") return ".*";
      if (part === "*") return "[^/]*";
      return part === "?" ? "[^/]" : part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
    });
  return new RegExp(`^${parts.join("")}${/[*?]/.test(glob) ? "" : "(?:/.*)?"}$`, "s");
}
