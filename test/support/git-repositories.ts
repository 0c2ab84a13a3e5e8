/** Real git repositories for tests: a bare remote and a clone of it, as a box has them. */
import { join } from "node:path";
import { execa } from "execa";
import { temporaryFolder, writeFiles, type AtEnd } from "./flow-workspace.ts";

const IDENTITY = {
  GIT_AUTHOR_NAME: "Ada",
  GIT_AUTHOR_EMAIL: "ada@example.org",
  GIT_COMMITTER_NAME: "Ada",
  GIT_COMMITTER_EMAIL: "ada@example.org",
  GIT_CONFIG_GLOBAL: "/dev/null",
};

/** Runs git as a person would; throws when it fails. Returns what it prints. */
export async function git(directory: string, ...args: string[]): Promise<string> {
  const { stdout } = await execa("git", args, { cwd: directory, env: IDENTITY, stdin: "ignore" });
  return stdout.trim();
}

/** Writes files, and commits all there is. Returns the commit. */
export async function commit(directory: string, files: Record<string, string>): Promise<string> {
  await writeFiles(directory, files);
  await git(directory, "add", "--all");
  await git(directory, "commit", "--quiet", "--message", Object.keys(files).join(" "));
  return git(directory, "rev-parse", "HEAD");
}

export interface Repositories {
  /** Bare. */
  remote: string;
  /** Somebody else's clone, to push from. */
  elsewhere: string;
}

/** A bare remote whose `main` has one commit, and a clone of it at `clone` with an identity of its own. */
export async function cloneAt(
  clone: string,
  files: Record<string, string> = { "README.md": "hello\n" },
  atEnd?: AtEnd,
): Promise<Repositories> {
  const folder = await temporaryFolder(atEnd);
  const remote = join(folder, "remote.git");
  const elsewhere = join(folder, "elsewhere");
  await git(folder, "init", "--quiet", "--bare", "--initial-branch=main", remote);
  await git(folder, "clone", "--quiet", remote, elsewhere);
  await git(elsewhere, "checkout", "--quiet", "-b", "main");
  await commit(elsewhere, files);
  await git(elsewhere, "push", "--quiet", "origin", "main");
  await git(folder, "clone", "--quiet", remote, clone);
  await git(clone, "config", "user.name", "Ada");
  await git(clone, "config", "user.email", "ada@example.org");
  return { remote, elsewhere };
}
