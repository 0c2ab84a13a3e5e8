/** The folder that `--workspace` names. */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { UsageError } from "./problem.ts";

/** Its absolute path. Throws UsageError when there is none. */
export async function existingFolder(folder: string): Promise<string> {
  const path = resolve(folder);
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (isFolder) return path;
  throw new UsageError(
    `there is no folder ${path}`,
    "pass --workspace <dir>, the folder that holds .codex/flows or flows",
  );
}
