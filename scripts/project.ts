/** Where the project lies, and how its builds write: whole files, and only when something changed. */
import { readFile, rename, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** An absolute path below the project's root. */
export function projectPath(relative = "."): string {
  return fileURLToPath(new URL(`../${relative}`, import.meta.url));
}

/** Writes a file whole (by renaming) unless it already has this content. Returns whether it wrote. */
export async function writeIfChanged(path: string, content: string): Promise<boolean> {
  const before = await readFile(path, "utf8").catch(() => undefined);
  if (before === content) return false;
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, content);
  await rename(temporary, path);
  return true;
}
