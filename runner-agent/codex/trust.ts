/**
 * Whether Codex trusts what lies in a checkout: it does not, unless the box's owner does. Codex itself trusts each directory
 * that it may write to, writes so into its config.toml, and from then on takes configuration, hooks and servers from
 * the checkout's own `.codex/`. What a thread's own configuration says of the directory comes before that, and nothing
 * is written: so every thread is told, also one of an app-server that is not the agent's. Reads the disk, writes nothing.
 */
import { existsSync, realpathSync } from "node:fs";
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";

/** The table `projects` of a config.toml. */
export type Projects = Record<string, { trust_level: "trusted" | "untrusted" }>;

/**
 * What a thread in that directory is told of it, and of the repository that it is part of.
 * @param trusted directories that the box's owner trusts, and all below them
 */
export function projectsOf(directory: string, trusted: readonly string[]): Projects {
  const path = realpathOr(directory);
  const roots = trusted.map(realpathOr);
  // Each is judged by itself: a trusted directory does not make the repository around it trusted.
  return Object.fromEntries(
    [repositoryOf(path) ?? path, path].map((place) => [
      place,
      { trust_level: roots.some((root) => isBelow(root, place)) ? "trusted" : "untrusted" },
    ]),
  );
}

/** The nearest directory above that is a Git checkout. */
function repositoryOf(path: string): string | undefined {
  if (existsSync(join(path, ".git"))) return path;
  return dirname(path) === path ? undefined : repositoryOf(dirname(path));
}

/** Both without links. */
export function isBelow(root: string, path: string): boolean {
  const way = relative(root, path);
  return way === "" || (!isAbsolute(way) && way.split("/")[0] !== "..");
}

/** Of what is not there, the part that is. */
export function realpathOr(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const whole = resolve(path);
    return dirname(whole) === whole ? whole : join(realpathOr(dirname(whole)), basename(whole));
  }
}
