/**
 * Where a step works whose package lets the event say so (`project`, `workdir` of flow.toml). The event chooses among
 * what the box shows, nothing else: its projects (`[projects]` of runner.toml) and the runner's workspace.
 *
 * D1. A project is a name. One that this box does not have ends the run; nothing is guessed from it.
 * D2. A relative folder stays below its project, or below the workspace where there is none; an absolute one lies below
 *     a project or the workspace. Both by their real paths, so no symbolic link leads out.
 * D3. Where git, Codex and the runner keep their own things is no place to work in: a sandbox leaves the place that a
 *     step works in open, and hooks and configuration that are written there count outside of it.
 */
import { realpathSync } from "node:fs";
import { isAbsolute, relative, resolve, sep } from "node:path";
import type { FlowEvent } from "../../contract/flow-event.ts";
import type { FlowStep } from "../../contract/flow-manifest.ts";
import { renderTemplate } from "../../contract/matching.ts";
import { DEFAULT_PROJECT, isDirectory } from "../config/projects.ts";
import { contains } from "./source.ts";
import { WorkspaceError } from "./workspace-error.ts";

const WITHHELD = [".git", ".codex", ".codex-flow", ".agents"];
const WITHHELD_WORDS = `no step works inside of ${WITHHELD.join(", ")}`;
/** Projects that a refusal names. */
const NAMED_MAX = 20;

/** What the box shows. */
export interface ProjectRules {
  /** The runner's workspace, absolute. */
  workspace: string;
  /** Absolute paths by name; they need not exist. */
  projects: Readonly<Record<string, string>>;
}

export interface PlaceRequest {
  step: Pick<FlowStep, "project" | "workdir">;
  event: FlowEvent;
}

/** Real path of the directory, or undefined: the step's own `cwd` counts. @throws WorkspaceError */
export function projectDirectory(request: PlaceRequest, rules: ProjectRules): string | undefined {
  const project = filled("project", request);
  const workdir = filled("workdir", request);
  const chosen = request.step.project === undefined ? undefined : projectPath(project, rules);
  if (workdir === "") return chosen === undefined ? undefined : existing(chosen, "project", project);
  if (isAbsolute(workdir)) return allowedAnywhere(workdir, rules);
  return allowedBelow(chosen === undefined ? rules.workspace : existing(chosen, "project", project), workdir);
}

/** Empty where the key is not there. */
function filled(key: "project" | "workdir", { step, event }: PlaceRequest): string {
  const template = step[key];
  if (template === undefined) return "";
  const rendered = renderTemplate(template, event);
  if ("missing" in rendered) {
    const [first] = rendered.missing;
    throw new WorkspaceError(
      "workspace_value_missing",
      `${key} = "${template}": the event has no ${rendered.missing.join(", ")}; send it, or write {{${first}?}} if it may be absent`,
    );
  }
  if (/\p{Cc}/u.test(rendered.text))
    throw new WorkspaceError(
      "workspace_value_invalid",
      `${key} is ${JSON.stringify(rendered.text)}: it must not hold control characters`,
    );
  return rendered.text;
}

function projectPath(name: string, { projects }: ProjectRules): string | undefined {
  const wanted = name === "" ? DEFAULT_PROJECT : name;
  if (Object.hasOwn(projects, wanted)) return projects[wanted];
  if (name === "") return undefined;
  throw new WorkspaceError(
    "project_unknown",
    `this runner has no project ${JSON.stringify(name)}: ${known(projects)}`,
  );
}

function known(projects: Readonly<Record<string, string>>): string {
  const names = Object.keys(projects).sort();
  if (names.length === 0) return "it has none; name some under [projects] in its runner.toml";
  const more = names.length > NAMED_MAX ? ` and ${names.length - NAMED_MAX} more` : "";
  return `it has ${names.slice(0, NAMED_MAX).join(", ")}${more}`;
}

function existing(path: string, key: "project" | "workdir", value: string): string {
  const found = realPath(path);
  if (found !== undefined && isDirectory(found)) return found;
  const named = value === "" ? `${key} ${DEFAULT_PROJECT}` : `${key} ${JSON.stringify(value)}`;
  throw new WorkspaceError("cwd_missing", `there is no directory ${path} (${named})`);
}

function allowedBelow(base: string, workdir: string): string {
  const path = resolve(base, workdir);
  const root = realPath(base) ?? base;
  // Before it is looked at: whether something is there, outside, is nobody's business.
  if (!contains(base, path)) throw notAllowed(workdir, `it leads out of ${base}`);
  const directory = existing(path, "workdir", workdir);
  if (!contains(root, directory)) throw notAllowed(workdir, `it leads out of ${base}`);
  if (isWithheld(root, directory)) throw notAllowed(workdir, WITHHELD_WORDS);
  return directory;
}

function allowedAnywhere(workdir: string, rules: ProjectRules): string {
  const path = resolve(workdir);
  const real = realPath(path) ?? path;
  const shown = roots(rules).filter((root) => contains(root, real));
  if (shown.length === 0)
    throw notAllowed(workdir, "it is neither below a project nor below the runner's workspace");
  if (shown.every((root) => isWithheld(root, real))) throw notAllowed(workdir, WITHHELD_WORDS);
  return existing(path, "workdir", workdir);
}

/** `directory` lies in a folder, below `root`, that is no place to work in (D3). */
function isWithheld(root: string, directory: string): boolean {
  return relative(root, directory)
    .split(sep)
    .some((segment) => WITHHELD.includes(segment.toLowerCase()));
}

function roots({ workspace, projects }: ProjectRules): string[] {
  return [workspace, ...Object.values(projects)].flatMap((path) => realPath(path) ?? []);
}

function notAllowed(workdir: string, why: string): WorkspaceError {
  return new WorkspaceError(
    "workdir_not_allowed",
    `workdir ${JSON.stringify(workdir)} is not allowed on this runner: ${why}; name the folder under [projects] in runner.toml if steps may work there`,
  );
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}
