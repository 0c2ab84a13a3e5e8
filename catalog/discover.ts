/**
 * Where flow packages stand on a disk: which folders hold one, in which order. Reads no manifest, so a broken
 * package is found like any other.
 */
import { lstat, readdir } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { hasErrorCode } from "./fault.ts";

/** Relative to the workspace; a package of an earlier root shadows those of its name in later ones. */
export const FLOW_ROOTS = [join(".codex", "flows"), "flows"] as const;
export const MANIFEST_NAME = "flow.toml";

/** A folder with a flow.toml, both as absolute paths (when the workspace is one). */
export interface PackageFolder {
  root: string;
  manifestPath: string;
}

/**
 * The packages of a workspace: direct child folders of each root that hold a flow.toml, sorted by name within the
 * root. Symbolic links to folders are left out; a missing root is empty. `roots` are relative to the workspace, or
 * absolute.
 */
export async function discoverPackages(
  workspace: string,
  roots: readonly string[] = FLOW_ROOTS,
): Promise<PackageFolder[]> {
  const folders: PackageFolder[] = [];
  for (const flowRoot of roots) {
    const parent = isAbsolute(flowRoot) ? flowRoot : join(workspace, flowRoot);
    for (const name of await childFolders(parent)) {
      const root = join(parent, name);
      const manifestPath = join(root, MANIFEST_NAME);
      if (await isPresent(manifestPath)) folders.push({ root, manifestPath });
    }
  }
  return folders;
}

async function childFolders(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    // The default order of sort() is that of code units: the same on every machine, whatever its language.
    return entries
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .sort();
  } catch (error) {
    if (hasErrorCode(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}

/** A manifest that is there and cannot be looked at is present: reading it gives the fault with its reason. */
async function isPresent(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    return !hasErrorCode(error, "ENOENT");
  }
}
