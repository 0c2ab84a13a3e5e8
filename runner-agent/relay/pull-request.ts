/**
 * A pull request as a folder: which repository and which ref its address means, a clone of its own for it, and the comment
 * at the end. Git asks nobody for a password, so the repositories that this machine's git can read can be reviewed.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { GIT_CHECKOUT_TIMEOUT_MS, gitMust } from "../workspace/git.ts";
import { WorkspaceError } from "../workspace/workspace-error.ts";
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

/** Git could not get the pull request; nothing was started. */
export class CloneError extends Error {
  override readonly name = "CloneError";
  readonly fix: string;

  constructor({ name, repository, ref }: PullRequest, why: string) {
    super(`${name} could not be cloned from ${repository}: ${why}`);
    this.fix = `check the address, and that git can read it here: git ls-remote ${repository} ${ref}`;
  }
}

/** A clone with the request's head checked out, in a new folder. `remove` takes it away. @throws CloneError */
export async function cloneOf(
  request: PullRequest,
  signal: AbortSignal,
): Promise<{ folder: string; remove: () => Promise<void> }> {
  const { repository, ref } = request;
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
    throw error instanceof WorkspaceError ? new CloneError(request, gitWords(error.message)) : error;
  }
}

/** What git said last, which is why it failed. */
function gitWords(message: string): string {
  const lines = message.split("\n").map((line) => line.trim());
  return (
    lines
      .filter((line) => line.startsWith("fatal:"))
      .at(-1)
      ?.replace("fatal: ", "") ?? lines.join(" ")
  );
}

/** @throws RelayCommandError when there is no `gh`, before anything is done for its sake */
export async function requireGh(): Promise<void> {
  const { exitCode } = await execa("gh", ["--version"], { reject: false });
  if (exitCode !== 0)
    throw new RelayCommandError(
      "-c posts the result with gh, which is not installed here",
      "install gh (https://cli.github.com) and run gh auth login, or leave out -c",
    );
}

/** @throws RelayCommandError */
export async function commentOn(url: string, text: string): Promise<void> {
  const { exitCode, stderr } = await execa("gh", ["pr", "comment", url, "--body-file", "-"], {
    input: text,
    reject: false,
  });
  if (exitCode !== 0)
    throw new RelayCommandError(
      `gh could not post the result: ${stderr.slice(-500)}`,
      "run gh auth status to see why",
    );
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
