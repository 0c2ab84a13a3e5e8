/**
 * The worktrees of a runner's workspace: makes one for an attempt, and deals with it when the attempt is over. Owns
 * what lies below `.codex/worktrees`.
 *
 * W1. A worktree belongs to one attempt, from before git is asked for it (ownership.ts).
 * W2. It is removed only when nothing in it would be lost (inspection.ts), whoever asks; only a person can force it.
 * W3. An agent touches a worktree that is in use only when it is its own of a previous life: its journal is open only
 *     once, so nobody else can have it.
 */
import { existsSync, realpathSync } from "node:fs";
import { realpath, rm } from "node:fs/promises";
import { resolve } from "node:path";
import { execa } from "execa";
import type { FlowEvent } from "../../contract/flow-event.ts";
import type { FlowStep } from "../../contract/flow-manifest.ts";
import type { Reason } from "../../contract/run-record.ts";
import { unlessStopped } from "../unless-stopped.ts";
import { attemptProcesses } from "../steps/process-tree.ts";
import type { StepRoot } from "../steps/step.ts";
import { git, GIT_CHECKOUT_TIMEOUT_MS, gitMust, pastLocks } from "./git.ts";
import { inspect, keptWorktree, reasonToKeep, stashesOf, type WorktreeContent } from "./inspection.ts";
import { Owners, type KeptWorktree, type Ownership } from "./ownership.ts";
import { recordAsMade, type AsMade } from "./phantom-changes.ts";
import { projectDirectory } from "./project-directory.ts";
import { contains, findSource } from "./source.ts";
import { WorkspaceError } from "./workspace-error.ts";

const KIB = 1024;
const GIB = KIB * KIB * KIB;
/** Kept worktrees that a refusal names. */
const NAMED_MAX = 5;

export interface WorkspacesOptions {
  /** The runner's workspace, absolute; it exists. */
  workspace: string;
  runnerId: string;
  repositories: Readonly<Record<string, string>>;
  /** Absolute paths by name. */
  projects: Readonly<Record<string, string>>;
  quota: { max: number; maxGb: number };
}

export interface WorkspaceRequest {
  attempt: string;
  step: Pick<FlowStep, "cwd" | "worktree" | "project" | "workdir">;
  event: FlowEvent;
  /** The flow package's folder. */
  flowRoot: string;
  /** Gives up what is being made. */
  signal?: AbortSignal;
}

/** Where an attempt's step runs. */
export interface PreparedWorkspace {
  /** Absent when the step works in the shared checkout. */
  worktree?: StepRoot;
  /** Where the event and the box let it work; absent: the step's `cwd` says. Never together with a worktree. */
  directory?: string;
  /** One line for the run's output, with its newline. */
  describe?: string;
  /**
   * To be called once, when the step is over. Never rejects. Resolves to what stays, if anything does.
   * `processesGone`: the step's processes are proven gone.
   */
  release(outcome: { processesGone: boolean }): Promise<KeptWorktree | undefined>;
}

export interface Pruned {
  /** Paths. */
  removed: string[];
  kept: KeptWorktree[];
}

const SHARED: PreparedWorkspace = { release: () => Promise.resolve(undefined) };

export class Workspaces {
  readonly #options: WorkspacesOptions;
  readonly #owners: Owners;
  /** Claims go one after the other, so that the quota holds. */
  #claims: Promise<unknown> = Promise.resolve();

  constructor(options: WorkspacesOptions) {
    // Git answers with paths without links; ours are compared with them.
    const workspace = realpathSync(options.workspace);
    this.#options = { ...options, workspace };
    this.#owners = new Owners(workspace);
  }

  /** Makes the step's workspace, or says why it cannot. Never rejects for a reason that this folder knows. */
  async prepare(request: WorkspaceRequest): Promise<PreparedWorkspace | { refused: Reason }> {
    try {
      const directory = projectDirectory(request, this.#options);
      const { worktree } = request.step;
      if (worktree === undefined) return directory === undefined ? SHARED : { ...SHARED, directory };
      return await this.#make(request, worktree, directory ?? request.flowRoot);
    } catch (error) {
      return { refused: reasonOf(error) };
    }
  }

  async #make(
    request: WorkspaceRequest,
    worktree: NonNullable<FlowStep["worktree"]>,
    directory: string,
  ): Promise<PreparedWorkspace> {
    const { attempt, step, signal } = request;
    const { repository, ref, base } = await findSource({ ...request, worktree, directory }, this.#options);
    const path = this.#owners.path(attempt);
    const cwd = resolve(path, step.cwd ?? ".");
    const outside = new WorkspaceError(
      "workspace_outside",
      `cwd = "${step.cwd ?? ""}" leads out of the worktree: with workspace = "worktree" it is relative to the worktree's root`,
    );
    if (!contains(path, cwd)) throw outside;
    const ownership: Ownership = {
      ...{ attempt, runnerId: this.#options.runnerId, pid: process.pid },
      ...{ path, repository, ref, base },
      stashes: await stashesOf({ directory: repository, signal }),
      createdAt: Date.now(),
      state: "making",
    };
    const claimed = this.#claims.then(() => this.#claim(ownership));
    this.#claims = claimed.catch(() => undefined);
    try {
      // Others before it may have git look at what was kept, which may take long.
      await unlessStopped(claimed, signal);
    } catch (error) {
      if (signal?.aborted !== true) throw error;
      claimed.then(() => this.#discard(ownership)).catch(() => undefined);
      throw new WorkspaceError("workspace_canceled", `the wait for a place for ${path} was canceled`);
    }
    let asMade: AsMade;
    try {
      const add = ["worktree", "add", "--quiet", "--detach", "--", path, base];
      await gitMust(add, { directory: repository, timeoutMs: GIT_CHECKOUT_TIMEOUT_MS, signal });
      // The commit may have a link there. One that leads nowhere is no directory, which the step says.
      if (!contains(path, await realpath(cwd).catch(() => path))) throw outside;
      asMade = await recordAsMade(path, { directory: path, here: true, signal });
    } catch (error) {
      await this.#discard(ownership);
      throw error;
    }
    const live: Ownership = { ...ownership, asMade, state: "live" };
    await this.#owners.write(live);
    return {
      worktree: { root: path, base, ref, repository, asMade },
      describe: `worktree ${path} of ${repository} at ${base} (${ref})\n`,
      release: ({ processesGone }) => this.#release(live, processesGone),
    };
  }

  /** Takes a place, if there is one. Kept worktrees that have become clean meanwhile make room first. */
  async #claim(ownership: Ownership): Promise<void> {
    if (this.#isFull(await this.list())) await this.prune();
    const owned = await this.list();
    if (this.#isFull(owned)) throw this.#quotaError(owned);
    await this.#owners.claim(ownership);
  }

  #isFull(owned: readonly Ownership[]): boolean {
    const { max, maxGb } = this.#options.quota;
    return owned.length >= max || bytesOf(owned) >= maxGb * GIB;
  }

  #quotaError(owned: readonly Ownership[]): WorkspaceError {
    const { workspace, quota } = this.#options;
    const kept = owned.filter(({ state }) => state === "kept");
    const named = kept.slice(0, NAMED_MAX).map(({ path, keptAs }) => `${path} (${keptAs?.reason ?? ""})`);
    const more = kept.length > NAMED_MAX ? ` and ${kept.length - NAMED_MAX} more` : "";
    return new WorkspaceError(
      "workspace_quota",
      `${workspace} has ${owned.length} worktree(s) with ${(bytesOf(owned) / GIB).toFixed(2)} GiB kept, and [workspaces] in runner.toml allows max = ${quota.max}, max_gb = ${quota.maxGb}; ` +
        (kept.length === 0 ? "all are in use" : `kept: ${named.join(", ")}${more}`) +
        `; push what is in them and run codex-flow runner worktrees prune, or throw one away with --force <id>`,
    );
  }

  async #release(live: Ownership, processesGone: boolean): Promise<KeptWorktree | undefined> {
    try {
      return await this.#settle(live, processesGone ? undefined : "processes of its step are still there");
    } catch (error) {
      return keptWorktree(live, `it could not be dealt with: ${reasonOf(error).message}`, undefined);
    }
  }

  /** The worktree of an attempt that a previous life of this agent left: the same as after its step. */
  async releaseLeft(attempt: string): Promise<KeptWorktree | undefined> {
    const left = await this.#owners.read(attempt);
    return left === undefined ? undefined : this.#releaseLater(left);
  }

  async #releaseLater(left: Ownership): Promise<KeptWorktree | undefined> {
    return this.#release(left, (await attemptProcesses(left.attempt)).length === 0);
  }

  /** At an agent's start, when no step of it runs: what a previous life left (W3), and what was kept. */
  async pruneAtStart(): Promise<Pruned> {
    const { runnerId } = this.#options;
    return this.#releaseEach((owned) => owned.state === "kept" || owned.runnerId === runnerId);
  }

  /** Looks again at what was kept, for what is clean and pushed by now. Touches nothing that is in use. */
  async prune(): Promise<Pruned> {
    return this.#releaseEach((owned) => owned.state === "kept");
  }

  async #releaseEach(chosen: (owned: Ownership) => boolean): Promise<Pruned> {
    const pruned: Pruned = { removed: [], kept: [] };
    // One after the other: each git looks at every file of a checkout.
    for (const owned of (await this.list()).filter(chosen)) {
      const kept = await this.#releaseLater(owned);
      if (kept === undefined) pruned.removed.push(owned.path);
      else pruned.kept.push(kept);
    }
    return pruned;
  }

  /** All worktrees, oldest first. */
  async list(): Promise<Ownership[]> {
    return this.#owners.list();
  }

  /** Throws a worktree away with all that is in it. Throws WorkspaceError when there is none, or an agent uses it. */
  async force(attempt: string): Promise<Ownership> {
    const found = (await this.list()).find((ownership) => ownership.attempt === attempt);
    if (found === undefined)
      throw new WorkspaceError("workspace_unknown", `there is no worktree ${this.#owners.path(attempt)}`);
    if (isInUse(found))
      throw new WorkspaceError(
        "workspace_in_use",
        `the agent with pid ${found.pid} uses ${found.path}: cancel its run first`,
      );
    await this.#discard(found);
    return found;
  }

  /** Decides about a worktree that nobody uses (W2). `stays` keeps it whatever is in it. */
  async #settle(ownership: Ownership, stays: string | undefined): Promise<KeptWorktree | undefined> {
    const { path, repository } = ownership;
    // Nothing was ever done in it, or a person has removed it already.
    if (ownership.state === "making" || !existsSync(path)) return this.#discard(ownership);
    let content: WorktreeContent | undefined;
    let reason: string | undefined;
    try {
      content = await inspect(ownership);
      reason = stays ?? reasonToKeep(content);
    } catch (error) {
      reason = `it could not be looked at: ${reasonOf(error).message}`;
    }
    if (reason === undefined) {
      // Without --force git looks once more for itself. It refuses every worktree with a submodule or a phantom change.
      const force = content?.needsForce === true ? ["--force"] : [];
      const removed = await pastLocks(() =>
        git(["worktree", "remove", ...force, "--", path], {
          directory: repository,
          timeoutMs: GIT_CHECKOUT_TIMEOUT_MS,
        }),
      );
      if (removed.ok) {
        await this.#owners.drop(ownership.attempt);
        return undefined;
      }
      reason = `git does not remove it: ${removed.words}`;
    }
    const keptAs = keptWorktree(ownership, reason, content);
    await this.#owners.write({ ...ownership, state: "kept", keptAs, bytes: await sizeOf(path) });
    return keptAs;
  }

  /** Removes a worktree whatever is in it, and git's entry of it; the entries of others stay. */
  async #discard({ attempt, path, repository }: Ownership): Promise<undefined> {
    if (existsSync(repository))
      await pastLocks(() =>
        git(["worktree", "remove", "--force", "--force", "--", path], {
          directory: repository,
          timeoutMs: GIT_CHECKOUT_TIMEOUT_MS,
        }),
      );
    await rm(path, { recursive: true, force: true });
    await this.#owners.drop(attempt);
  }
}

/** Whether the agent that made it seems to be there. */
export function isInUse({ state, pid }: Ownership): boolean {
  if (state === "kept") return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

function bytesOf(owned: readonly Ownership[]): number {
  return owned.reduce((sum, { bytes = 0 }) => sum + bytes, 0);
}

/** On the disk; unknown counts as nothing. */
async function sizeOf(path: string): Promise<number> {
  const { stdout } = await execa("du", ["-sk", "--", path], {
    reject: false,
    stdin: "ignore",
    timeout: GIT_CHECKOUT_TIMEOUT_MS,
  });
  return (Number.parseInt(stdout, 10) || 0) * KIB;
}

function reasonOf(error: unknown): Reason {
  if (error instanceof WorkspaceError) return { code: error.code, message: error.message };
  const message = error instanceof Error ? error.message : String(error);
  const full = error instanceof Error && "code" in error && error.code === "ENOSPC";
  return full
    ? { code: "workspace_disk_full", message: `${message}; make room on the box's disk` }
    : { code: "workspace_failed", message };
}
