/**
 * The flow packages of this machine's workspace: what it can run, and whether that is still what was loaded. A package
 * may be edited or pulled at any time, so its digest is looked at again before each run.
 *
 * A package that has every file of the deployed list, unchanged, is the deployed one, whatever else lies in its folder:
 * steps may write into it. Every other package is offered with the digest of its own files, for runs of an
 * earlier deploy and for edges that send no lists.
 */
import type { FlowStep } from "../contract/flow-manifest.ts";
import type { DeployedFiles, FlowDigest } from "../contract/runner-link.ts";
import { PackageWatch } from "../catalog/digest.ts";
import { MANIFEST_NAME } from "../catalog/discover.ts";
import { describeFault } from "../catalog/fault.ts";
import type { LoadedPackage } from "../catalog/load.ts";
import { WorkspaceWatch } from "../catalog/workspace-watch.ts";

export class FlowCheckout {
  readonly #watch: WorkspaceWatch;
  /** Of the files that belong to a package by the rule of this machine. */
  readonly #own = new PackageWatch();
  /** Of the files of the deployed lists. */
  readonly #listed = new PackageWatch();
  /** By the name of the flow. */
  readonly #deployed = new Map<string, DeployedFiles>();
  #packages: LoadedPackage[] = [];
  #digests: FlowDigest[] = [];
  /** Faults of broken packages, one line each. */
  faults: string[] = [];

  private constructor(workspace: string) {
    this.#watch = new WorkspaceWatch(workspace);
  }

  static async open(workspace: string): Promise<FlowCheckout> {
    const checkout = new FlowCheckout(workspace);
    await checkout.reload();
    return checkout;
  }

  /** Takes the list of a deployed flow; `reload` and `find` go by it. */
  setDeployed(deployed: DeployedFiles): void {
    this.#deployed.set(deployed.flow.name, deployed);
  }

  /** Forgets the lists of an edge that may have been deployed again since. */
  forgetDeployed(): void {
    this.#deployed.clear();
  }

  /** Reads the packages again if a file of them has changed. Returns whether the edge should hear of it. */
  async reload(): Promise<boolean> {
    const catalog = await this.#watch.loadIfChanged();
    if (catalog !== undefined) {
      this.#packages = catalog.packages;
      this.faults = catalog.faults.map((fault) => describeFault(fault));
    }
    const before = JSON.stringify(this.#digests);
    this.#digests = await Promise.all(
      this.#packages.map(async (loaded) => ({
        name: loaded.flow.name,
        version: loaded.flow.version,
        digest: (await this.#deployedDigest(loaded)) ?? loaded.flow.digest,
      })),
    );
    return JSON.stringify(this.#digests) !== before;
  }

  /** What this machine can run, as the edge gets it. */
  digests(): FlowDigest[] {
    return this.#digests;
  }

  /** A step as it was loaded; `find` tells whether the disk still has it. */
  step(flow: string, step: string): FlowStep | undefined {
    const known = this.#packages.find((candidate) => candidate.flow.name === flow);
    return known?.flow.steps.find(({ name }) => name === step);
  }

  /** The package of a flow with exactly this digest, as it stands on the disk now; or the digest that is there. */
  async find(wanted: FlowDigest): Promise<{ found: LoadedPackage } | { here: string | undefined }> {
    const known = this.#packages.find(({ flow }) => flow.name === wanted.name);
    if (known === undefined) return { here: undefined };
    if ((await this.#deployedDigest(known)) === wanted.digest)
      return { found: { ...known, flow: { ...known.flow, digest: wanted.digest } } };
    const paths = known.files.map(({ path }) => path);
    const here = await this.#own.digest(known.root, paths).catch(() => undefined);
    return here?.digest === wanted.digest && known.flow.digest === wanted.digest
      ? { found: known }
      : { here: here?.digest };
  }

  /** The deployed digest, when the package has the deployed files; undefined otherwise. */
  async #deployedDigest({ root, flow, files }: LoadedPackage): Promise<string | undefined> {
    const deployed = this.#deployed.get(flow.name);
    if (deployed === undefined) return undefined;
    // What was loaded must come from the deployed manifest; the disk may have got that one since.
    const loaded = files.find(({ path }) => path === MANIFEST_NAME);
    const listed = deployed.files.find(({ path }) => path === MANIFEST_NAME);
    if (listed === undefined || loaded?.hash !== listed.hash) return undefined;
    const paths = deployed.files.map(({ path }) => path);
    const here = await this.#listed.digest(root, paths).catch(() => undefined);
    return here?.digest === deployed.flow.digest ? here.digest : undefined;
  }
}
