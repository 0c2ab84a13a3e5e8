/**
 * The Codex of one version: the one that is installed where the step runs, or one that npm puts into a cache. Never
 * another version than the one that was asked for.
 */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { runCommand } from "./run-command.ts";

const PACKAGE = "@openai/codex";
const COMPLETE = "complete";

/** Folder of an installed `@openai/codex` of this version. Throws with npm's words when there is none to be had. */
export async function obtainCodex(version: string, from: string): Promise<string> {
  for (const folder of foldersUpwards(from)) {
    const candidate = join(folder, "node_modules", PACKAGE);
    if ((await installedVersion(candidate)) !== version) continue;
    console.log(`Codex ${version} is installed in ${candidate}`);
    return candidate;
  }
  return installInCache(version);
}

/** Writes the bindings of an installed Codex into a folder. Codex sees no configuration and no login of this user. */
export async function generateBindings(codexPackage: string, out: string): Promise<void> {
  const home = await mkdtemp(join(tmpdir(), "codex-home-"));
  try {
    const cli = join(codexPackage, "bin", "codex.js");
    const env = {
      PATH: process.env["PATH"] ?? "",
      LANG: process.env["LANG"] ?? "C.UTF-8",
      HOME: home,
      CODEX_HOME: home,
    };
    await runCommand("node", [cli, "app-server", "generate-ts", "--out", out], { cwd: home, env });
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

function foldersUpwards(from: string): string[] {
  const parent = dirname(from);
  return parent === from ? [from] : [from, ...foldersUpwards(parent)];
}

async function installInCache(version: string): Promise<string> {
  const cache = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "codex-flow", "codex");
  const prefix = join(cache, version);
  const installed = join(prefix, "node_modules", PACKAGE);
  if (isComplete(prefix) && (await installedVersion(installed)) === version) {
    console.log(`Codex ${version} is in the cache ${prefix}`);
    return installed;
  }
  console.log(`installing ${PACKAGE}@${version} into ${prefix}`);
  await mkdir(prefix, { recursive: true });
  const options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const args = ["install", "--prefix", prefix, ...options, `${PACKAGE}@${version}`];
  try {
    await runCommand("npm", args, { cwd: prefix });
  } catch (error) {
    await rm(prefix, { recursive: true, force: true });
    throw error;
  }
  await writeFile(join(prefix, COMPLETE), "");
  await removeOtherVersions(cache, version);
  return installed;
}

/** An interrupted installation leaves a package that looks whole; a complete one bears this file. */
function isComplete(prefix: string): boolean {
  return existsSync(join(prefix, COMPLETE));
}

/** A version is some hundred megabytes, and the next release makes it useless. */
async function removeOtherVersions(cache: string, version: string): Promise<void> {
  for (const other of await readdir(cache))
    if (other !== version && isComplete(join(cache, other)))
      await rm(join(cache, other), { recursive: true });
}

async function installedVersion(folder: string): Promise<string | undefined> {
  try {
    const manifest: unknown = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    return typeof manifest === "object" && manifest !== null && "version" in manifest
      ? String(manifest.version)
      : undefined;
  } catch {
    return undefined;
  }
}
