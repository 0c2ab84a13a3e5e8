/**
 * Whose each worktree is: one small file a worktree, beside it, made before git is asked for anything, so that no
 * crash leaves a worktree that nobody knows of. That the file cannot be made twice is what keeps two attempts out of
 * one worktree.
 *
 *   <workspace>/.codex/worktrees/            for the agent's user alone; git does not see it (a .gitignore of "*")
 *     <attempt id>/                          the worktree
 *     <attempt id>.json                      its owner
 */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseAttemptId } from "../../contract/ids.ts";
import type { AsMade } from "./phantom-changes.ts";
import { WorkspaceError } from "./workspace-error.ts";

const OWNER_ONLY = 0o700;
const SUFFIX = ".json";

/** Why a worktree was kept, and what is in it. Counts only: names of files are the step's affair. */
export interface KeptWorktree {
  path: string;
  kept: true;
  reason: string;
  /** Absent when HEAD names no commit. */
  head?: string | undefined;
  base: string;
  /** Commits of HEAD that the base has not. */
  ahead: number;
  /** Changed, staged and untracked files; a folder that is untracked as a whole counts once. */
  changedFiles: number;
  /** Commits that no remote-tracking branch has. */
  unpushedCommits: number;
}

export interface Ownership {
  attempt: string;
  /** Of the agent that made it. An agent's journal is open only once, so the id tells the living from the dead. */
  runnerId: string;
  pid: number;
  path: string;
  /** Common git directory of its repository. */
  repository: string;
  ref: string;
  base: string;
  /** Stashes that the repository had before: those are shared by all of its worktrees. */
  stashes: string[];
  /** Files that git called changed right after the checkout; absent where an older agent made the worktree. */
  asMade?: AsMade;
  /** Epoch milliseconds. */
  createdAt: number;
  /** `making` until git has made it: no step has seen it yet. */
  state: "making" | "live" | "kept";
  /** When it is kept. */
  keptAs?: KeptWorktree;
  /** On the disk, when it was kept. */
  bytes?: number;
}

export class Owners {
  readonly folder: string;

  /** @param workspace the runner's */
  constructor(workspace: string) {
    this.folder = join(workspace, ".codex", "worktrees");
  }

  path(attempt: string): string {
    return join(this.folder, attempt);
  }

  /** Takes a worktree for an attempt. Throws WorkspaceError when it is taken. */
  async claim(ownership: Ownership): Promise<void> {
    const { attempt, path } = ownership;
    await mkdir(this.folder, { recursive: true, mode: OWNER_ONLY });
    await writeFile(join(this.folder, ".gitignore"), "*\n");
    const taken = new WorkspaceError(
      "workspace_in_use",
      `the worktree ${path} was made before: an attempt never takes up another one's; replay the event for a new one`,
    );
    // Also one whose owner somebody has deleted.
    if (existsSync(path)) throw taken;
    try {
      await writeFile(this.#file(attempt), JSON.stringify(ownership), { flag: "wx" });
    } catch (error) {
      throw error instanceof Error && "code" in error && error.code === "EEXIST" ? taken : error;
    }
  }

  /** Replaces the file as a whole: a crash leaves the old one or the new one. */
  async write(ownership: Ownership): Promise<void> {
    const partial = `${this.#file(ownership.attempt)}.partial`;
    await writeFile(partial, JSON.stringify(ownership));
    await rename(partial, this.#file(ownership.attempt));
  }

  async drop(attempt: string): Promise<void> {
    await rm(this.#file(attempt), { force: true });
  }

  /** Undefined when there is none, or none that can be read: a claim that a crash has cut off before git began. */
  async read(attempt: string): Promise<Ownership | undefined> {
    try {
      return JSON.parse(await readFile(this.#file(attempt), "utf8")) as Ownership;
    } catch (error) {
      if (error instanceof SyntaxError) return undefined;
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      throw error;
    }
  }

  /** All worktrees of the workspace, oldest first. */
  async list(): Promise<Ownership[]> {
    const names = await readdir(this.folder).catch(() => []);
    const attempts = names
      .filter((name) => name.endsWith(SUFFIX))
      .map((name) => name.slice(0, -SUFFIX.length))
      .filter((name) => parseAttemptId(name) !== undefined);
    const found = await Promise.all(attempts.map((attempt) => this.read(attempt)));
    return found
      .filter((ownership) => ownership !== undefined)
      .sort((one, other) => one.createdAt - other.createdAt);
  }

  #file(attempt: string): string {
    return join(this.folder, `${attempt}${SUFFIX}`);
  }
}
