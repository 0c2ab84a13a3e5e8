/** A box with a workspace, a repository in it and its remote, and worktrees that are made there. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import type { FlowEvent } from "../../contract/flow-event.ts";
import { resolveManifest, type StepWorktree } from "../../contract/flow-manifest.ts";
import { attemptId } from "../../contract/ids.ts";
import { type KeptWorktree } from "../../runner-agent/workspace/ownership.ts";
import {
  Workspaces,
  type PreparedWorkspace,
  type WorkspacesOptions,
} from "../../runner-agent/workspace/workspaces.ts";
import { temporaryFolder } from "./flow-workspace.ts";
import { cloneAt, git, type Repositories } from "./git-repositories.ts";
import { freshRunId } from "../unit/step-harness.ts";

export interface Box extends Repositories {
  /** The runner's workspace, itself a clone, with a flow package in it. */
  workspace: string;
  workspaces: Workspaces;
  /** The same workspace for an agent of another life or with other settings. */
  again(options: Partial<WorkspacesOptions>): Workspaces;
}

export async function box(options: Partial<WorkspacesOptions> = {}): Promise<Box> {
  const workspace = join(await temporaryFolder(), "workspace");
  const repositories = await cloneAt(workspace, { "README.md": "hello\n", "flows/f/flow.toml": "" });
  const again = (other: Partial<WorkspacesOptions>): Workspaces =>
    new Workspaces({
      workspace,
      runnerId: "runner_this",
      repositories: {},
      projects: {},
      quota: { max: 20, maxGb: 20 },
      ...options,
      ...other,
    });
  return { ...repositories, workspace, workspaces: again({}), again };
}

export interface Wanted extends Partial<StepWorktree> {
  cwd?: string;
  project?: string;
  payload?: unknown;
  attempt?: string;
  signal?: AbortSignal;
}

export async function freshAttempt(): Promise<string> {
  return attemptId(await freshRunId(), 1);
}

export async function prepare(at: Box, wanted: Wanted = {}, workspaces = at.workspaces) {
  const { repo, ref, needs, cwd, project, payload = {}, signal } = wanted;
  const workspace = {
    ...(repo === undefined ? {} : { repo }),
    ...(ref === undefined ? {} : { ref }),
    ...(needs === undefined ? {} : { needs }),
  };
  const manifest = { name: "s", runner: "node", script: "s.mjs", workspace } as const;
  const more = {
    ...(cwd === undefined ? {} : { cwd }),
    ...(project === undefined ? {} : { project }),
  };
  const flow = resolveManifest({ name: "f", version: 1, steps: [{ ...manifest, ...more }] }, "digest");
  const [step] = flow.steps;
  if (step === undefined) throw new Error("the manifest has lost its step");
  const event: FlowEvent = { id: "e", type: "t", receivedAt: "2026-01-01T00:00:00Z", payload };
  return workspaces.prepare({
    attempt: wanted.attempt ?? (await freshAttempt()),
    step,
    event,
    flowRoot: join(at.workspace, "flows/f"),
    ...(signal === undefined ? {} : { signal }),
  });
}

export interface Made {
  root: string;
  base: string;
  attempt: string;
  release(): Promise<KeptWorktree | undefined>;
}

export function made(prepared: Awaited<ReturnType<typeof prepare>>): Made {
  if ("refused" in prepared) throw new Error(`${prepared.refused.code}: ${prepared.refused.message}`);
  const worktree: PreparedWorkspace["worktree"] = prepared.worktree;
  if (worktree === undefined) throw new Error("no worktree");
  return {
    ...worktree,
    attempt: worktree.root.split("/").at(-1) ?? "",
    release: () => prepared.release({ processesGone: true }),
  };
}

export async function refusal(
  prepared: ReturnType<typeof prepare>,
): Promise<{ code: string; message: string }> {
  const answer = await prepared;
  if ("refused" in answer) return answer.refused;
  throw new Error("it was not refused");
}

export async function headOf(directory: string): Promise<string> {
  return git(directory, "rev-parse", "HEAD");
}

/** Nothing of a worktree is left: not its files, not its owner, not git's entry, no ref. */
export async function expectNoTrace({ workspace }: Box): Promise<void> {
  const left = await readdir(join(workspace, ".codex/worktrees")).catch(() => []);
  expect(left.filter((name) => name !== ".gitignore")).toEqual([]);
  expect((await git(workspace, "worktree", "list")).split("\n")).toHaveLength(1);
  expect(await git(workspace, "for-each-ref", "refs/codex-flow")).toBe("");
}
