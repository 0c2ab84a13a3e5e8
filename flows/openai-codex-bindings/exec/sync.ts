/**
 * Syncs the TypeScript bindings of a Codex release into a git checkout.
 *
 * The configuration says where; the event says only which release. So a forged event can at worst bring the bindings
 * of another release, never write anywhere else.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { applyDifference, differenceOf, readTree, type TreeDifference } from "./bindings-tree.ts";
import { BlockedError, type Checkout, commitBindings, openCheckout, uncommittedPaths } from "./checkout.ts";
import { generateBindings, obtainCodex } from "./codex-package.ts";
import { versionOfTag } from "./release-version.ts";

const PATHS_SHOWN_MAX = 10;
/** Of each kind, so that a result stays far below the largest that is accepted; the counts are always exact. */
const FILES_LISTED_MAX = 1000;

interface StepContext {
  flow: {
    config?: { checkout?: unknown; directory?: unknown; commit?: unknown };
    event: { payload: { tag?: unknown } };
  };
}

interface StepResult {
  status: "changed" | "skipped" | "blocked" | "failed";
  message: string;
  artifacts?: Record<string, unknown>;
}

/** The run's result; never throws. */
export default async function sync({ flow }: StepContext): Promise<StepResult> {
  try {
    const version = versionOfTag(text(flow.event.payload.tag, "payload.tag"));
    if (version === undefined)
      return { status: "failed", message: "payload.tag is no tag of a Codex release" };
    const checkout = await openCheckout(
      resolve(text(flow.config?.checkout, "config.checkout")),
      text(flow.config?.directory, "config.directory"),
    );
    return await syncVersion(version, checkout, flow.config?.commit === true);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { status: error instanceof BlockedError ? "blocked" : "failed", message };
  }
}

async function syncVersion(version: string, checkout: Checkout, commit: boolean): Promise<StepResult> {
  const uncommitted = await uncommittedPaths(checkout);
  // Bindings that an earlier run has synced and nobody has committed yet are no obstacle, unless they differ.
  const foreign = uncommitted.filter((path) => !path.startsWith(`${checkout.directory}/`));
  if (foreign.length > 0) throw dirty(checkout, foreign);

  const generated = await mkdtemp(join(tmpdir(), "codex-bindings-"));
  try {
    await generateBindings(await obtainCodex(version, process.cwd()), generated);
    const wanted = await readTree(generated);
    if (wanted.size === 0) throw new Error(`Codex ${version} generated no bindings`);
    console.log(`Codex ${version} generated ${wanted.size} files`);

    const directory = join(checkout.root, checkout.directory);
    const difference = differenceOf(await readTree(directory), wanted);
    const differs = Object.values(difference).some((paths: string[]) => paths.length > 0);
    if (!differs && !(commit && uncommitted.length > 0))
      return { status: "skipped", message: `the bindings are those of Codex ${version} already` };
    if (differs && uncommitted.length > 0) throw dirty(checkout, uncommitted);

    await applyDifference(difference, generated, directory);
    console.log(`synced into ${directory}: ${summary(difference)}`);
    const id = commit
      ? await commitBindings(checkout, `Sync app-server bindings with Codex ${version}`)
      : undefined;
    if (id !== undefined) console.log(`committed ${id}`);
    return changed(version, checkout, difference, id);
  } finally {
    await rm(generated, { recursive: true, force: true });
  }
}

function changed(
  version: string,
  checkout: Checkout,
  { added, changed, removed }: TreeDifference,
  commit: string | undefined,
): StepResult {
  const listed = (paths: string[]) => paths.slice(0, FILES_LISTED_MAX);
  return {
    status: "changed",
    message: `bindings of Codex ${version}: ${summary({ added, changed, removed })}`,
    artifacts: {
      version,
      directory: checkout.directory,
      counts: { added: added.length, changed: changed.length, removed: removed.length },
      files: { added: listed(added), changed: listed(changed), removed: listed(removed) },
      ...(commit === undefined ? {} : { commit }),
    },
  };
}

function summary({ added, changed, removed }: TreeDifference): string {
  return `${added.length} added, ${changed.length} changed, ${removed.length} removed`;
}

function dirty({ root }: Checkout, paths: string[]): BlockedError {
  const more = paths.length > PATHS_SHOWN_MAX ? ` and ${paths.length - PATHS_SHOWN_MAX} more` : "";
  const shown = paths.slice(0, PATHS_SHOWN_MAX).join(", ");
  return new BlockedError(`${root} has uncommitted changes: ${shown}${more}. Commit or discard them`);
}

function text(value: unknown, name: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw new Error(`${name} must be a text that is not empty`);
}
