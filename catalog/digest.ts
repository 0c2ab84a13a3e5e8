/**
 * What a package's files are, as one short text: edge and runner compare it before a run, so that a step is never
 * run from other files than those that were deployed.
 *
 * A digest covers a list of files (package-files.ts). Symbolic links count by where they point and are never followed,
 * so that nothing outside the package gets in.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat, readlink } from "node:fs/promises";
import { join, sep } from "node:path";
import type { PackageFile } from "../contract/flow-manifest.ts";
import { type FileRule, findPackageFile, listPackageFiles } from "./package-files.ts";

const DIGEST_HEX_CHARS = 32;
/** Enough to tell whether a file is the deployed one; the digest covers the whole hashes. */
const FILE_HASH_HEX_CHARS = 16;

export interface DigestedFiles {
  /** `sha256:` and 32 hexadecimal digits. The same files give the same one on any machine. */
  digest: string;
  /** Those of the list that are there. */
  files: PackageFile[];
}

/** Digest of a package, over the files that belong to it. */
export async function digestPackage(root: string, rule?: FileRule): Promise<string> {
  return (await digestFiles(root, await listPackageFiles(root, rule))).digest;
}

/** Digest over a list of files. A file that is missing is left out, which gives another digest than any file. */
export async function digestFiles(root: string, paths: readonly string[]): Promise<DigestedFiles> {
  const hash = createHash("sha256");
  const files: PackageFile[] = [];
  for (const path of [...paths].sort()) {
    const entry = await findPackageFile(root, path);
    if (entry === undefined) continue;
    const content = entry.isLink
      ? `link:${(await readlink(entry.absolute)).split(sep).join("/")}`
      : await hashFile(entry.absolute);
    hash.update(`${path}\0${content}\0`);
    const short = entry.isLink ? createHash("sha256").update(content).digest("hex") : content;
    files.push({ path, hash: short.slice(0, FILE_HASH_HEX_CHARS) });
  }
  return { digest: `sha256:${hash.digest("hex").slice(0, DIGEST_HEX_CHARS)}`, files };
}

/**
 * Digests of lists of files that are asked for again and again: the files are read again only when the list, or size
 * or a time stamp of one of them differs from the last time. Remembers one list of each package.
 */
export class PackageWatch {
  readonly #known = new Map<string, { signature: string; digested: DigestedFiles }>();

  /** The files as they are now. Throws when the folder of the package is gone. */
  async digest(root: string, paths: readonly string[]): Promise<DigestedFiles> {
    const signature = await signFiles(root, paths);
    const known = this.#known.get(root);
    if (known?.signature === signature) return known.digested;
    const digested = await digestFiles(root, paths);
    // Files that were written while they were hashed leave nothing to trust the next time.
    if ((await signFiles(root, paths)) === signature) this.#known.set(root, { signature, digested });
    else this.#known.delete(root);
    return digested;
  }
}

/** Changes whenever one of the files may have changed. */
export async function signFiles(root: string, paths: readonly string[]): Promise<string> {
  await lstat(root);
  const lines = paths.map(async (path) => {
    const found = await lstat(join(root, path), { bigint: true }).catch(() => undefined);
    if (found === undefined) return path;
    return [path, found.size, found.mtimeNs, found.ctimeNs, found.ino].join("\0");
  });
  return (await Promise.all(lines)).join("\n");
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
