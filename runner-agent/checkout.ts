/**
 * The flow packages of this box's workspace: what it can run, and whether that is still what was loaded. A package
 * may be edited or pulled at any time, so its digest is looked at again before each run.
 */
import type { FlowStep } from "../contract/flow-manifest.ts";
import type { FlowDigest } from "../contract/runner-link.ts";
import { PackageWatch } from "../catalog/digest.ts";
import { discoverPackages } from "../catalog/discover.ts";
import { describeFault } from "../catalog/fault.ts";
import { loadCatalog, type LoadedPackage } from "../catalog/load.ts";

export class FlowCheckout {
  readonly #workspace: string;
  readonly #watch = new PackageWatch();
  #packages: LoadedPackage[] = [];
  /** Folders and digests of all packages, broken ones too, as they were loaded. */
  #loaded = "";
  /** Faults of broken packages, one line each. */
  faults: string[] = [];

  private constructor(workspace: string) {
    this.#workspace = workspace;
  }

  static async open(workspace: string): Promise<FlowCheckout> {
    const checkout = new FlowCheckout(workspace);
    await checkout.reload();
    return checkout;
  }

  /** Reads the packages again if a file of them has changed. Returns whether the edge should hear of it. */
  async reload(): Promise<boolean> {
    const state = await this.#stateOfFiles();
    if (state === this.#loaded) return false;
    this.#loaded = state;
    const before = JSON.stringify(this.digests());
    const { packages, faults } = await loadCatalog(this.#workspace);
    this.#packages = packages;
    this.faults = faults.map((fault) => describeFault(fault));
    return JSON.stringify(this.digests()) !== before;
  }

  async #stateOfFiles(): Promise<string> {
    const folders = await discoverPackages(this.#workspace);
    const digests = await Promise.all(
      folders.map(({ root }) => this.#watch.digest(root).catch(() => "unreadable")),
    );
    return JSON.stringify(folders.map(({ root }, index) => [root, digests[index]]));
  }

  digests(): FlowDigest[] {
    return this.#packages.map(({ flow }) => ({
      name: flow.name,
      version: flow.version,
      digest: flow.digest,
    }));
  }

  /** As it was loaded; whether that still is what stands on the disk says `find`. */
  step(flow: string, step: string): FlowStep | undefined {
    const known = this.#packages.find((candidate) => candidate.flow.name === flow);
    return known?.flow.steps.find(({ name }) => name === step);
  }

  /** The package of a flow with exactly this digest, as it stands on the disk now; or the digest that is there. */
  async find(wanted: FlowDigest): Promise<{ found: LoadedPackage } | { here: string | undefined }> {
    const known = this.#packages.find(({ flow }) => flow.name === wanted.name);
    if (known === undefined) return { here: undefined };
    const here = await this.#watch.digest(known.root).catch(() => undefined);
    return here === wanted.digest && known.flow.digest === wanted.digest ? { found: known } : { here };
  }
}
