/**
 * The table `[projects]` of runner.toml: the folders of this box that steps may work in when an event names them. An
 * event names a project, never a path of its own making, so what it can reach is the box owner's decision alone.
 */
import { statSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import Type from "typebox";

/** The entry that stands for an event that names no project. */
export const DEFAULT_PROJECT = "default";
export const PROJECT_NAME_WORDS =
  "a project's name is 1 to 64 of a-z 0-9 - _ . and begins with a letter or digit";
export const PROJECT_PATH_WORDS =
  "a project's folder is an absolute path, one relative to the workspace, ~ or ~/path";
const PROJECTS_MAX = 1_000;

/** Absolute, relative to the runner's workspace, or below the home of the agent's user. */
const ProjectPath = Type.String({
  maxLength: 4096,
  pattern: "^(~(/|$)|[^~\\x00-\\x1f])[^\\x00-\\x1f]*$",
});

export const ProjectsTable = Type.Record(
  Type.String({ pattern: "^[a-z0-9][a-z0-9._-]{0,63}$" }),
  ProjectPath,
  { additionalProperties: false, maxProperties: PROJECTS_MAX },
);

/** Absolute paths by name. Nothing is looked at: a folder may come and go while the agent runs. */
export function projectPaths(
  projects: Readonly<Record<string, string>>,
  { workspace, home }: { workspace: string; home: string },
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(projects).map(([name, path]) => [name, absolutePath(path, workspace, home)]),
  );
}

/** What is wrong with the folders now, a line each. */
export function missingProjects(
  paths: Readonly<Record<string, string>>,
  isThere: (path: string) => boolean = isDirectory,
): string[] {
  return Object.entries(paths)
    .filter(([, path]) => !isThere(path))
    .map(([name, path]) => `project ${name}: there is no directory ${path}`);
}

export function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

function absolutePath(path: string, workspace: string, home: string): string {
  if (path === "~" || path.startsWith("~/")) return join(home, path.slice(1));
  return isAbsolute(path) ? path : resolve(workspace, path);
}
