/** The git checkout that keeps the bindings. Never touches what somebody else has left in it. */
import { realpath } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { runCommand } from "./run-command.ts";

/** Somebody has to do something before the bindings can be synced. */
export class BlockedError extends Error {}

/** A checkout and its folder of bindings. */
export interface Checkout {
  /** Absolute, without symbolic links. */
  root: string;
  /** Relative to the root, with "/". */
  directory: string;
}

/** Opens the configured checkout. Throws BlockedError when it is no git checkout of its own. */
export async function openCheckout(folder: string, directory: string): Promise<Checkout> {
  const how = `make one (git init ${folder}), or set config.checkout to one`;
  const root = await realpath(folder).catch(() => undefined);
  if (root === undefined) throw new BlockedError(`there is no checkout at ${folder}: ${how}`);
  const top = await git(root, ["rev-parse", "--show-toplevel"]).catch((error: unknown) => {
    throw new BlockedError(`${folder} is no git checkout: ${how}. ${String(error)}`);
  });
  // A plain folder inside another repository answers with that repository.
  if ((await realpath(top.trim())) !== root)
    throw new BlockedError(
      `${folder} is not the top of a git checkout but a folder in ${top.trim()}: ${how}`,
    );
  return { root, directory: await checkDirectory(root, directory) };
}

/** The folder of bindings as git names it. What is not in it is never written to, so it must be what it seems. */
async function checkDirectory(root: string, directory: string): Promise<string> {
  const segments = directory.split("/").filter((segment) => segment !== "" && segment !== ".");
  if (isAbsolute(directory) || segments.length === 0 || segments.includes("..") || segments.includes(".git"))
    throw new Error(`config.directory must name a folder below the checkout, not "${directory}"`);
  for (const [index] of segments.entries()) {
    const path = join(root, ...segments.slice(0, index + 1));
    const real = await realpath(path).catch(() => path);
    if (real !== path)
      throw new Error(`config.directory must not lead through a symbolic link: ${path} is ${real}`);
  }
  return segments.join("/");
}

/** Paths that git reports as changed, added or untracked, relative to the root. */
export async function uncommittedPaths({ root }: Checkout): Promise<string[]> {
  const fields = (await git(root, ["status", "--porcelain", "-z", "--untracked-files=all"])).split("\0");
  const paths: string[] = [];
  for (let at = 0; at < fields.length; at++) {
    const field = fields[at] ?? "";
    if (field === "") continue;
    paths.push(field.slice(3));
    // A rename is followed by a field of its own: the path that it had before.
    if (/[RC]/.test(field.slice(0, 2))) at++;
  }
  return paths;
}

/** Commits the folder of bindings by the identity that git is configured with. Gives the commit's id. */
export async function commitBindings({ root, directory }: Checkout, message: string): Promise<string> {
  await git(root, ["add", "--all", "--", directory]);
  await git(root, ["commit", "--quiet", "--message", message, "--", directory]);
  return (await git(root, ["rev-parse", "HEAD"])).trim();
}

function git(root: string, args: string[]): Promise<string> {
  return runCommand("git", ["-C", root, "-c", "core.quotePath=false", ...args], { cwd: root });
}
