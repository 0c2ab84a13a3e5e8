/** Small JSON files that several relays may write at once: whole or not at all, and private. */
import { randomUUID } from "node:crypto";
import { lstat, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { hasErrorCode } from "../../catalog/fault.ts";

const PRIVATE_FOLDER = 0o700;
const PRIVATE_FILE = 0o600;

/** Replaces the file; a crash leaves the old one or the new one. */
export async function replaceFile(path: string, value: unknown): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: PRIVATE_FOLDER });
  const temporary = `${path}.${randomUUID()}`;
  try {
    const file = await open(temporary, "wx", PRIVATE_FILE);
    try {
      await file.writeFile(`${JSON.stringify(value)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/**
 * The file's JSON; undefined when there is none, or none that can be read. In a folder that is everybody's, somebody
 * else's file says nothing.
 */
export async function readOwnFile(path: string): Promise<unknown> {
  try {
    const found = await lstat(path);
    const ours = process.getuid === undefined || found.uid === process.getuid();
    if (!found.isFile() || !ours) return undefined;
    return JSON.parse(await readFile(path, "utf8")) as unknown;
  } catch (error) {
    if (hasErrorCode(error, "ENOENT", "ENOTDIR") || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
