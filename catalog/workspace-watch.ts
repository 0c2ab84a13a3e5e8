/**
 * Notices when the flow packages of a workspace have to be loaded again: when a file that belongs to a package has
 * changed, when git tracks other files, or when a package comes or goes.
 *
 * The list of a package's files is that of the last load. A new file alone is no change, since it may be what a step has
 * written into its own package; it is looked at when a file of the list changes.
 */
import { PackageWatch, signFiles } from "./digest.ts";
import { discoverPackages, type PackageFolder } from "./discover.ts";
import { type Catalog, loadCatalog } from "./load.ts";
import { gitIndexState, listAllFiles } from "./package-files.ts";

export class WorkspaceWatch {
  readonly #workspace: string;
  readonly #watch = new PackageWatch();
  /** Files of the packages that were loaded, by root. A package with a fault has none, and all of its files count. */
  #lists = new Map<string, string[]>();
  #state: string | undefined;

  constructor(workspace: string) {
    this.#workspace = workspace;
  }

  /** The packages, loaded again, if something has changed since the last call; undefined if nothing has. */
  async loadIfChanged(): Promise<Catalog | undefined> {
    const folders = await discoverPackages(this.#workspace);
    if (this.#state !== undefined && (await this.#stateOf(folders)) === this.#state) return undefined;
    const before = await allFilesState(folders);
    const catalog = await loadCatalog(this.#workspace);
    this.#lists = new Map(
      catalog.packages.map(({ root, files }) => [root, files.map(({ path }) => path)] as const),
    );
    const state = await this.#stateOf(folders);
    // What was written while the packages were read may be in the digest and not in what was read: load again.
    this.#state = (await allFilesState(folders)) === before ? state : undefined;
    return catalog;
  }

  async #stateOf(folders: PackageFolder[]): Promise<string> {
    const parts = folders.map(async ({ root }) => {
      const digested = Promise.resolve(this.#lists.get(root) ?? listAllFiles(root))
        .then((paths) => this.#watch.digest(root, paths))
        .catch(() => undefined);
      return [root, await gitIndexState(root), (await digested)?.digest ?? "unreadable"];
    });
    return JSON.stringify(await Promise.all(parts));
  }
}

async function allFilesState(folders: PackageFolder[]): Promise<string> {
  const parts = folders.map(async ({ root }) => [
    await gitIndexState(root),
    await listAllFiles(root)
      .then((paths) => signFiles(root, paths))
      .catch(() => "unreadable"),
  ]);
  return JSON.stringify(await Promise.all(parts));
}
