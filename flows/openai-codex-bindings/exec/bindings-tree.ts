/** The files of a folder, and how to make one folder hold exactly those of another. */
import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, readlink, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

/** By path relative to the folder, with "/": what the file holds, as a hash, or where the link points. */
export type Tree = Map<string, string>;

/** Paths, sorted. */
export interface TreeDifference {
  added: string[];
  changed: string[];
  removed: string[];
}

/** The files below a folder, but for git's own; none when it is not there. */
export async function readTree(folder: string): Promise<Tree> {
  const tree: Tree = new Map();
  await collect(folder, "", tree);
  return tree;
}

/** What has to happen to `present` for it to become `wanted`. */
export function differenceOf(present: Tree, wanted: Tree): TreeDifference {
  const paths = [...wanted.keys()].sort();
  return {
    added: paths.filter((path) => !present.has(path)),
    changed: paths.filter((path) => present.has(path) && present.get(path) !== wanted.get(path)),
    removed: [...present.keys()].filter((path) => !wanted.has(path)).sort(),
  };
}

/** Carries a difference out. What has to go goes first, links too, so that no write follows one to elsewhere. */
export async function applyDifference(difference: TreeDifference, from: string, to: string): Promise<void> {
  for (const path of [...difference.removed, ...difference.changed]) await rm(join(to, path));
  for (const path of difference.removed) await removeEmptyFolders(to, dirname(path));
  for (const path of [...difference.added, ...difference.changed]) {
    await mkdir(dirname(join(to, path)), { recursive: true });
    await copyFile(join(from, path), join(to, path));
  }
}

async function collect(folder: string, prefix: string, tree: Tree): Promise<void> {
  for (const entry of await entriesOf(folder)) {
    if (entry.name === ".git") continue;
    const path = `${prefix}${entry.name}`;
    const absolute = join(folder, entry.name);
    if (entry.isDirectory()) await collect(absolute, `${path}/`, tree);
    else if (entry.isSymbolicLink()) tree.set(path, `link:${await readlink(absolute)}`);
    else
      tree.set(
        path,
        createHash("sha256")
          .update(await readFile(absolute))
          .digest("hex"),
      );
  }
}

async function entriesOf(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}

async function removeEmptyFolders(root: string, path: string): Promise<void> {
  for (let folder = path; folder !== "."; folder = dirname(folder)) {
    if ((await entriesOf(join(root, folder))).length > 0) return;
    await rm(join(root, folder), { recursive: true, force: true });
  }
}
