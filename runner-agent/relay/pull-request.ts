/**
 * A pull request as a folder: which repository and which ref its address means, a clone of its own for it, and the comment
 * at the end. Nobody is asked for a password; what the box's git may read is what can be reviewed.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { GIT_CHECKOUT_TIMEOUT_MS, gitMust } from "../workspace/git.ts";
import { RelayCommandError } from "./agents/agent.ts";

export interface PullRequest {
  /** Of the repository, for git. */
  repository: string;
  /** Under which the forge keeps the head of the request. */
  ref: string;
  /** owner/name#number, or less where the address says less. */
  name: string;
}

/** GitHub, Gitea, Forgejo (`/pull/7`, `/pulls/7`) and GitLab (`/-/merge_requests/7`). @throws RelayCommandError */
export function pullRequestOf(url: string): PullRequest {
  const match = /^((?:https?|ssh|file):\/\/.+?)\/(?:(pulls?)|-\/merge_requests)\/(\d{1,9})(?:[/?#].*)?$/.exec(
    url,
  );
  const [, base = "", pull, number = ""] = match ?? [];
  if (match === null)
    throw new RelayCommandError(
      `${url} is not the address of a pull request`,
      "write it as https://host/owner/repo/pull/7",
    );
  const path = base.replace(/^[a-z]+:\/\/[^/]*\//, "");
  return {
    repository: base.startsWith("http") ? `${base}.git` : base,
    ref: pull === undefined ? `refs/merge-requests/${number}/head` : `refs/pull/${number}/head`,
    name: `${path.split("/").slice(-2).join("/")}#${number}`,
  };
}

/** A clone with the request's head checked out, in a new folder. `remove` takes it away. */
export async function cloneOf(
  { repository, ref }: PullRequest,
  signal: AbortSignal,
): Promise<{ folder: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "dev-relay-review."));
  const remove = async (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const run = { directory: folder, timeoutMs: GIT_CHECKOUT_TIMEOUT_MS, signal };
    await gitMust(["clone", "--quiet", "--", repository, "."], run);
    await gitMust(["fetch", "--quiet", "origin", ref], run);
    await gitMust(["checkout", "--quiet", "--detach", "FETCH_HEAD"], run);
    return { folder, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** @throws RelayCommandError when there is no `gh`, before anything is done for its sake */
export async function requireGh(): Promise<void> {
  const { exitCode } = await execa("gh", ["--version"], { reject: false });
  if (exitCode !== 0)
    throw new RelayCommandError(
      "-c posts the result with gh, and there is none here",
      "install GitHub's gh and log in with gh auth login, or leave out -c",
    );
}

/** @throws RelayCommandError */
export async function commentOn(url: string, text: string): Promise<void> {
  const { exitCode, stderr } = await execa("gh", ["pr", "comment", url, "--body-file", "-"], {
    input: text,
    reject: false,
  });
  if (exitCode !== 0)
    throw new RelayCommandError(`gh could not post the result: ${stderr.slice(-500)}`, "see gh auth status");
}

export function reviewPrompt({ name }: PullRequest, more: string | undefined): string {
  return [
    `Review the pull request ${name}. Its head is checked out here; compare it with the default branch of origin`,
    "(git diff origin/HEAD...HEAD). Change nothing.",
    "Say first whether it can be merged. Then name what is wrong, most important first: file and line, what happens,",
    "what would be right. Bugs, security, lost data, missing tests; no matters of taste.",
    ...(more === undefined ? [] : ["", more]),
  ].join("\n");
}
