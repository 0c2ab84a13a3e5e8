/**
 * Of what a worktree is made: which repository of this box, and which commit of it. What a step may see of the box is
 * the box's decision: a repository is below the runner's workspace, is the one that the workspace itself is part of,
 * or is named in runner.toml. Repository and ref may come from an event, so nothing of them is ever read as an option.
 */
import { realpath } from "node:fs/promises";
import { isAbsolute, relative, resolve } from "node:path";
import type { FlowEvent } from "../../contract/flow-event.ts";
import type { StepWorktree } from "../../contract/flow-manifest.ts";
import { renderTemplate } from "../../contract/matching.ts";
import { git, GIT_FETCH_TIMEOUT_MS, gitMust, pastLocks } from "./git.ts";
import { WorkspaceError } from "./workspace-error.ts";

const REMOTE = "origin";

export interface Source {
  /** The repository's common git directory: it stays when a checkout of it goes. */
  repository: string;
  /** As it was asked for. */
  ref: string;
  /** The commit that the ref names. */
  base: string;
}

export interface SourceRequest {
  worktree: StepWorktree;
  event: FlowEvent;
  /** In the repository that counts where the step names none. */
  directory: string;
  /** Names the ref that a fetch may have to write. */
  attempt: string;
  signal?: AbortSignal | undefined;
}

/** What the box allows. */
export interface SourceRules {
  /** The runner's workspace, absolute. */
  workspace: string;
  repositories: Readonly<Record<string, string>>;
}

/** Throws WorkspaceError. */
export async function findSource(request: SourceRequest, rules: SourceRules): Promise<Source> {
  const { worktree, event } = request;
  const repo = worktree.repo === undefined ? undefined : fill("repo", worktree.repo, event);
  const ref = fill("ref", worktree.ref, event);
  const needs = (worktree.needs ?? []).map((need) => fill("needs", need, event));
  const directory = repo === undefined ? request.directory : await allowedDirectory(repo, rules);
  const repository = await repositoryOf(directory, request.signal);
  const base = await commitOf("ref", repository, ref, request);
  // One after the other: all fetches of an attempt write the same ref.
  for (const need of needs) await commitOf("needs", repository, need, request);
  return { repository, ref, base };
}

function fill(key: "repo" | "ref" | "needs", template: string, event: FlowEvent): string {
  const filled = renderTemplate(template, event);
  if ("missing" in filled)
    throw new WorkspaceError(
      "workspace_value_missing",
      `workspace.${key} = "${template}": the event has no ${filled.missing.join(", ")}; send it, or require it in the trigger's schema`,
    );
  if (filled.text.startsWith("-") || /\p{Cc}/u.test(filled.text))
    throw new WorkspaceError(
      "workspace_value_invalid",
      `workspace.${key} is ${JSON.stringify(filled.text)}: it must not begin with - nor hold control characters`,
    );
  return filled.text;
}

async function allowedDirectory(repo: string, { workspace, repositories }: SourceRules): Promise<string> {
  const named = Object.hasOwn(repositories, repo) ? repositories[repo] : undefined;
  const wanted = named ?? resolve(workspace, repo);
  const directory = await realpath(wanted).catch(() => undefined);
  if (directory === undefined)
    throw new WorkspaceError(
      "workspace_not_git",
      `there is no directory ${wanted} for workspace.repo = "${repo}": clone it there, or name it under [repositories] in runner.toml`,
    );
  const allowed = [await realpath(workspace), ...(await existing(Object.values(repositories)))];
  if (!allowed.some((root) => contains(root, directory)))
    throw new WorkspaceError(
      "workspace_outside",
      `${directory}, for workspace.repo = "${repo}", is outside of the runner's workspace ${workspace}: name it under [repositories] in runner.toml if steps may see it`,
    );
  return directory;
}

async function existing(paths: readonly string[]): Promise<string[]> {
  const found = await Promise.all(paths.map((path) => realpath(path).catch(() => undefined)));
  return found.filter((path) => path !== undefined);
}

/** Whether a path is a folder or something in it; both absolute and without links. */
export function contains(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== ".." && !way.startsWith("../") && !isAbsolute(way);
}

async function repositoryOf(directory: string, signal: AbortSignal | undefined): Promise<string> {
  const answer = await git(["rev-parse", "--path-format=absolute", "--git-common-dir"], {
    directory,
    signal,
  });
  if (answer.ok) return answer.stdout.trimEnd();
  // Git's own words matter when there is a repository that it will not touch: another owner, a broken one.
  throw new WorkspaceError(
    "workspace_not_git",
    `${directory} is not in a git repository that can be used: ${answer.words}`,
  );
}

async function commitOf(
  key: "ref" | "needs",
  repository: string,
  ref: string,
  request: SourceRequest,
): Promise<string> {
  const local = await commitHere(repository, ref, request.signal);
  if (local !== undefined) return local;
  const fetched = await fetchRef(repository, ref, request);
  if ("commit" in fetched) return fetched.commit;
  throw new WorkspaceError(
    "workspace_ref_unknown",
    `${repository} has no commit "${ref}" (workspace.${key}), and fetching it from ${REMOTE} gave none: ${fetched.why}; push it, or correct the ref`,
  );
}

async function commitHere(
  repository: string,
  ref: string,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const args = ["rev-parse", "--verify", "--quiet", "--end-of-options", `${ref}^{commit}`];
  const answer = await git(args, { directory: repository, signal });
  return answer.ok ? answer.stdout.trim() : undefined;
}

/** To a ref of the attempt's own, for a moment: FETCH_HEAD is everybody's. */
async function fetchRef(
  repository: string,
  ref: string,
  { attempt, signal }: SourceRequest,
): Promise<{ commit: string } | { why: string }> {
  const where = { directory: repository, signal };
  const source = ref.startsWith(`${REMOTE}/`) ? ref.slice(REMOTE.length + 1) : ref;
  // A colon would make it write whichever ref it likes, and an expression (main~3) has no meaning at the remote.
  if (!(await git(["check-ref-format", "--allow-onelevel", source], where)).ok)
    return { why: "it is not the name of a branch, a tag or a commit" };
  const fetched = `refs/codex-flow/${attempt}`;
  const options = ["--quiet", "--no-tags", "--no-recurse-submodules", "--end-of-options"];
  // Not with the attempt's signal: also one that is given up leaves nothing in the repository.
  const forget = () => gitMust(["update-ref", "-d", fetched], { directory: repository });
  let commit: string | undefined;
  try {
    const answer = await pastLocks(() =>
      git(["fetch", ...options, REMOTE, `+${source}:${fetched}`], {
        ...where,
        timeoutMs: GIT_FETCH_TIMEOUT_MS,
      }),
    );
    if (!answer.ok) return { why: answer.words };
    commit = await commitHere(repository, fetched, signal);
  } catch (error) {
    await forget().catch(() => undefined);
    throw error;
  }
  await forget();
  return commit === undefined ? { why: "it is not a commit" } : { commit };
}
