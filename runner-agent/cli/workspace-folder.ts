/** A folder that an option names: the workspace of a command, the working directory of a relay. */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { UsageError } from "./problem.ts";

/** Its absolute path. Throws UsageError with this fix when there is none. */
export async function existingFolder(
  folder: string,
  fix = "pass --workspace <dir>, the folder that holds .codex/flows or flows",
): Promise<string> {
  const path = resolve(folder);
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (isFolder) return path;
  throw new UsageError(`there is no folder ${path}`, fix);
}
