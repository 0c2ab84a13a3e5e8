/**
 * Keeps the flows that a development edge serves equal to those in the workspace, and survives every mistake in them.
 *
 * CW1. The edge serves the last catalog that compiled. A broken package replaces nothing: it is named, with file, line and
 *      fault, and the edge goes on.
 * CW2. At the start there is no earlier catalog to go on with, so packages with a fault are left out until they are fixed.
 * CW3. Each set of faults is reported once, not at each look.
 *
 * wrangler's own `[build]` does the same for `wrangler dev`, but it stops serving when a build fails.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { writeCatalog } from "../../catalog/compile.ts";
import { BrokenPackagesError, describeFault, type PackageFault } from "../../catalog/fault.ts";
import { WorkspaceWatch } from "../../catalog/workspace-watch.ts";

/** How long an edit can take to reach the edge. */
const LOOK_INTERVAL_MS = 300;

export interface CatalogWatchOptions {
  /** Folder whose flow packages are compiled. */
  workspace: string;
  /** The module to write (writeCatalog); wrangler bundles it and reloads the edge when it changes. */
  outFile: string;
  /** Gets one line for each fault, and one when all faults are gone. */
  say(text: string): void;
}

export class CatalogWatch {
  readonly #options: CatalogWatchOptions;
  readonly #watch: WorkspaceWatch;
  readonly #stopping = new AbortController();
  #faults = "";
  #watching: Promise<void> = Promise.resolve();

  private constructor(options: CatalogWatchOptions) {
    this.#options = options;
    this.#watch = new WorkspaceWatch(options.workspace);
  }

  /** Compiles the catalog once, then again whenever a package changes, until `stop`. */
  static async start(options: CatalogWatchOptions): Promise<CatalogWatch> {
    const watch = new CatalogWatch(options);
    const catalog = await watch.#watch.loadIfChanged();
    if (catalog !== undefined) {
      await writeCatalog(catalog, options.workspace, options.outFile, { leaveOutBroken: true });
      watch.#report(catalog.faults, "the edge starts without this flow package");
    }
    watch.#watching = watch.#keepWatching();
    return watch;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#watching;
  }

  async #keepWatching(): Promise<void> {
    const { signal } = this.#stopping;
    for (;;) {
      const isOver = await sleep(LOOK_INTERVAL_MS, false, { signal }).catch(() => true);
      if (isOver) return;
      await this.#look().catch((error: unknown) => {
        this.#options.say(`the flow packages could not be compiled: ${String(error)}`);
      });
    }
  }

  async #look(): Promise<void> {
    const { workspace, outFile } = this.#options;
    const catalog = await this.#watch.loadIfChanged();
    if (catalog === undefined) return;
    try {
      await writeCatalog(catalog, workspace, outFile);
      this.#report([], "");
    } catch (error) {
      if (!(error instanceof BrokenPackagesError)) throw error;
      this.#report(error.faults, "the edge goes on with the flows from before");
    }
  }

  #report(faults: readonly PackageFault[], consequence: string): void {
    const { workspace, say } = this.#options;
    const lines = faults.map((fault) => describeFault(fault, workspace));
    const now = lines.join("\n");
    if (now === this.#faults) return;
    for (const line of lines) say(`${line}; ${consequence}`);
    if (lines.length === 0) say("all flow packages are valid again");
    this.#faults = now;
  }
}
