/**
 * What a package's files are, as one short text: edge and runner compare it before a run, so that a step is never
 * run from other files than those that were deployed.
 *
 * Covers every regular file of the package. Symbolic links count by where they point and are never followed, so
 * that nothing outside the package gets in. Left out: names that begin with a dot, and what tools write
 * (node_modules, __pycache__, coverage, *.pyc, *.log, *.tsbuildinfo).
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat, readdir, readlink } from "node:fs/promises";
import { join, sep } from "node:path";

const DIGEST_HEX_CHARS = 32;

export interface PackageEntry {
  /** Relative to the package, with "/" on every machine. */
  path: string;
  absolute: string;
  isLink: boolean;
}

/** Folders that tools write while a step runs. */
const TOOL_FOLDERS = new Set(["node_modules", "__pycache__", "coverage"]);
/** Files that tools write while a step runs. */
const TOOL_FILE = /\.(?:pyc|pyo|log|tsbuildinfo)$/;

/**
 * Whether the digest leaves out a file or folder of this name: what tools leave in a package while its step runs does
 * not change what the package is.
 */
export function isOutsideDigest(name: string): boolean {
  return name.startsWith(".") || TOOL_FOLDERS.has(name) || TOOL_FILE.test(name);
}

/** Digest of a package: `sha256:` and 32 hexadecimal digits. The same files give the same one on any machine. */
export async function digestPackage(root: string): Promise<string> {
  const hash = createHash("sha256");
  for (const entry of await listEntries(root)) {
    const content = entry.isLink
      ? `link:${(await readlink(entry.absolute)).split(sep).join("/")}`
      : await hashFile(entry.absolute);
    hash.update(`${entry.path}\0${content}\0`);
  }
  return `sha256:${hash.digest("hex").slice(0, DIGEST_HEX_CHARS)}`;
}

/**
 * Digests of packages that are asked for again and again: the files are read again only when path, size or a time
 * stamp of one of them differs from the last time.
 */
export class PackageWatch {
  readonly #known = new Map<string, { signature: string; digest: string }>();

  /** Digest of the package as it stands now; compare it with `flow.digest` of the loaded one. */
  async digest(root: string): Promise<string> {
    const signature = await signPackage(root);
    const known = this.#known.get(root);
    if (known?.signature === signature) return known.digest;
    const digest = await digestPackage(root);
    // Files that were written while they were hashed leave nothing to trust the next time.
    if ((await signPackage(root)) === signature) this.#known.set(root, { signature, digest });
    else this.#known.delete(root);
    return digest;
  }
}

async function signPackage(root: string): Promise<string> {
  const lines = (await listEntries(root)).map(async ({ path, absolute }) => {
    const { size, mtimeNs, ctimeNs, ino } = await lstat(absolute, { bigint: true });
    return [path, size, mtimeNs, ctimeNs, ino].join("\0");
  });
  return (await Promise.all(lines)).join("\n");
}

/** Every entry that the digest of a package covers, sorted by path. */
export async function listEntries(root: string): Promise<PackageEntry[]> {
  const found = await collect(root, "");
  return found.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

async function collect(folder: string, prefix: string): Promise<PackageEntry[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const found = await Promise.all(
    entries.map(async (entry): Promise<PackageEntry[]> => {
      if (isOutsideDigest(entry.name)) return [];
      const path = `${prefix}${entry.name}`;
      const absolute = join(folder, entry.name);
      if (entry.isDirectory()) return await collect(absolute, `${path}/`);
      const isLink = entry.isSymbolicLink();
      return isLink || entry.isFile() ? [{ path, absolute, isLink }] : [];
    }),
  );
  return found.flat();
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
