/**
 * Where a step works when its event says so: in what the box shows and nowhere else, whatever the event says and
 * whichever links lie around. What cannot be has a code and says what to do.
 */
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { atEndOfFile, temporaryFolder } from "../support/flow-workspace.ts";
import { projectPaths } from "../../runner-agent/config/projects.ts";
import { projectDirectory, type ProjectRules } from "../../runner-agent/workspace/project-directory.ts";
import { contains } from "../../runner-agent/workspace/source.ts";
import { WorkspaceError } from "../../runner-agent/workspace/workspace-error.ts";

const atEnd = atEndOfFile();

/**
 *   workspace/{tools,.codex/flows,.codex-flow,.codex/worktrees/w/src}
 *   app/{src/deep,.git/hooks,.agents}, app/out -> outside, app/in -> src, app/file, app/gone -> nowhere
 *   link-to-app -> app
 *   outside/secret
 */
let base: string;
let rules: ProjectRules;

beforeAll(async () => {
  base = await temporaryFolder(atEnd);
  const folders = [
    "workspace/tools",
    "workspace/.codex/flows",
    "workspace/.codex/worktrees/w/src",
    "workspace/.codex-flow",
    "app/src/deep",
    "app/.git/hooks",
    "app/.agents",
    "outside/secret",
    "application",
  ];
  for (const folder of folders) await mkdir(join(base, folder), { recursive: true });
  await writeFile(join(base, "app/file"), "");
  await symlink("../outside", join(base, "app/out"));
  await symlink("src", join(base, "app/in"));
  await symlink("nowhere", join(base, "app/gone"));
  await symlink(".git", join(base, "app/git"));
  await symlink("app", join(base, "link-to-app"));
  rules = {
    workspace: join(base, "workspace"),
    projects: {
      app: join(base, "app"),
      linked: join(base, "link-to-app"),
      away: join(base, "away"),
      file: join(base, "app/file"),
      kept: join(base, "workspace/.codex/worktrees/w"),
    },
  };
});

interface Said {
  project?: unknown;
  workdir?: unknown;
}

function found(payload: unknown, at: ProjectRules = rules, step = STEP): string | undefined {
  const event = { id: "e", type: "t", receivedAt: "2026-01-01T00:00:00Z", payload };
  return projectDirectory({ step, event }, at);
}

const STEP: { project?: string; workdir?: string } = {
  project: "{{payload.project?}}",
  workdir: "{{payload.workdir?}}",
};

/** Code and message. */
function refusal(said: unknown, at = rules, step = STEP): [code: string, message: string] {
  try {
    throw new Error(`it is allowed: ${found(said, at, step) ?? "cwd"}`);
  } catch (error) {
    if (error instanceof WorkspaceError) return [error.code, error.message];
    throw error;
  }
}

/** `~` stands for the folder of everything. */
const inBase = (said: Said): Said =>
  JSON.parse(JSON.stringify(said).replaceAll("~", JSON.stringify(base).slice(1, -1))) as Said;

describe("a step works", () => {
  test.each<[said: Said, directory: string | undefined]>([
    [{}, undefined],
    [{ project: "", workdir: "" }, undefined],
    [{ project: null }, undefined],
    [{ project: "app" }, "app"],
    [{ project: "linked" }, "app"],
    [{ project: "kept" }, "workspace/.codex/worktrees/w"],
    [{ project: "app", workdir: "src/deep" }, "app/src/deep"],
    [{ project: "app", workdir: "./src/../src" }, "app/src"],
    [{ project: "app", workdir: "." }, "app"],
    [{ project: "app", workdir: "in" }, "app/src"],
    [{ project: "linked", workdir: "src" }, "app/src"],
    [{ project: "kept", workdir: "src" }, "workspace/.codex/worktrees/w/src"],
    [{ workdir: "tools" }, "workspace/tools"],
    [{ workdir: "." }, "workspace"],
    [{ workdir: "~/workspace/tools" }, "workspace/tools"],
    [{ workdir: "~/app/src/" }, "app/src"],
    [{ workdir: "~/link-to-app/src" }, "app/src"],
    [{ workdir: "~/workspace/.codex/worktrees/w/src" }, "workspace/.codex/worktrees/w/src"],
    [{ project: "app", workdir: "~/workspace" }, "workspace"],
  ])("for %j in %s", (said, directory) => {
    expect(found(inBase(said))).toBe(directory === undefined ? undefined : join(base, directory));
  });

  test("in the project called default where its event names none, and below it", () => {
    const at = { ...rules, projects: { ...rules.projects, default: join(base, "app") } };
    expect(found({}, at)).toBe(join(base, "app"));
    expect(found({ workdir: "src" }, at)).toBe(join(base, "app/src"));
    expect(found({ project: "kept" }, at)).toBe(join(base, "workspace/.codex/worktrees/w"));
  });

  test("as ever when its package says nothing of it, whatever the event and the box say", () => {
    const at = { ...rules, projects: { default: join(base, "app") } };
    expect(found({ project: "nowhere", workdir: "/etc" }, at, {})).toBeUndefined();
  });

  test("below the workspace when its package asks for a folder only", () => {
    const at = { ...rules, projects: { default: join(base, "app") } };
    const step = { workdir: "{{payload.workdir?}}" };
    expect(found({ project: "app", workdir: "tools" }, at, step)).toBe(join(base, "workspace/tools"));
    expect(found({}, at, step)).toBeUndefined();
  });
});

describe("a step does not work", () => {
  test.each<[what: string, said: Said, code: string, words: string]>([
    [
      "in a project that is unknown",
      { project: "ap" },
      "project_unknown",
      "has app, away, file, kept, linked",
    ],
    ["in one that is a path", { project: "~/app" }, "project_unknown", "no project"],
    ["in one that objects inherit", { project: "constructor" }, "project_unknown", "no project"],
    ["in one that is no text", { project: ["app"] }, "project_unknown", "no project"],
    ["in one that is away", { project: "away" }, "cwd_missing", 'away (project "away")'],
    ["in one that is a file", { project: "file" }, "cwd_missing", "app/file"],
    ["in a folder that is not there", { project: "app", workdir: "x" }, "cwd_missing", "app/x"],
    ["in a file", { project: "app", workdir: "file" }, "cwd_missing", "app/file"],
    ["behind a link to nowhere", { project: "app", workdir: "gone" }, "cwd_missing", "app/gone"],
    ["in an absolute one that is not there", { workdir: "~/app/x" }, "cwd_missing", "app/x"],
    ["above its project", { project: "app", workdir: ".." }, "workdir_not_allowed", "leads out"],
    ["beside it", { project: "app", workdir: "../application" }, "workdir_not_allowed", "leads out"],
    ["in another one, from it", { project: "app", workdir: "../workspace" }, "workdir_not_allowed", "out"],
    ["above the workspace", { workdir: "../app" }, "workdir_not_allowed", "leads out"],
    ["behind a link that leads out", { project: "app", workdir: "out" }, "workdir_not_allowed", "out of"],
    ["and below it", { project: "app", workdir: "out/secret" }, "workdir_not_allowed", "leads out"],
    ["also by its whole path", { workdir: "~/app/out/secret" }, "workdir_not_allowed", "neither"],
    ["anywhere else", { workdir: "~/outside" }, "workdir_not_allowed", "[projects]"],
    ["in the root", { workdir: "/" }, "workdir_not_allowed", "neither below"],
    ["in one with the same beginning", { workdir: "~/application" }, "workdir_not_allowed", "neither"],
    ["where nobody may know what is there", { workdir: "~/outside/x" }, "workdir_not_allowed", "neither"],
    ["in git's own folder", { project: "app", workdir: ".git/hooks" }, "workdir_not_allowed", ".git"],
    ["also behind a link", { project: "app", workdir: "git" }, "workdir_not_allowed", ".git"],
    ["in what Codex reads", { project: "app", workdir: ".agents" }, "workdir_not_allowed", ".agents"],
    ["where the runner is configured", { workdir: ".codex" }, "workdir_not_allowed", ".codex"],
    ["where its packages are", { workdir: "~/workspace/.codex/flows" }, "workdir_not_allowed", ".codex"],
    ["in its journal", { workdir: ".codex-flow" }, "workdir_not_allowed", ".codex-flow"],
    ["in a name with a NUL", { workdir: "a\0b" }, "workspace_value_invalid", "control characters"],
    ["in a project with a line end", { project: "a\nb" }, "workspace_value_invalid", "control characters"],
  ])("%s", (_what, said, code, words) => {
    const [is, message] = refusal(inBase(said));
    expect([is, message]).toEqual([code, expect.stringContaining(words)]);
  });

  test("without a value that its package demands", () => {
    const [code, message] = refusal({}, rules, { project: "{{payload.project}}" });
    expect(code).toBe("workspace_value_missing");
    expect(message).toContain("write {{payload.project?}} if it may be absent");
  });

  test("in a project of a box that has none", () => {
    expect(refusal({ project: "app" }, { ...rules, projects: {} })).toEqual([
      "project_unknown",
      expect.stringContaining("it has none; name some under [projects]"),
    ]);
  });

  test("anywhere outside, whatever is asked for", () => {
    const segment = fc.constantFrom(
      "..",
      ".",
      "app",
      "out",
      "in",
      "src",
      "outside",
      "secret",
      "workspace",
      "",
    );
    const roots = [join(base, "workspace"), join(base, "app")];
    fc.assert(
      fc.property(
        fc.constantFrom("", "app", "linked"),
        fc.constantFrom("", base, "/"),
        fc.array(segment, { maxLength: 6 }),
        (project, start, segments) => {
          try {
            const directory = found({ project, workdir: [start, ...segments].join("/") });
            expect(directory === undefined || roots.some((root) => contains(root, directory))).toBe(true);
          } catch (error) {
            if (!(error instanceof WorkspaceError)) throw error;
          }
        },
      ),
    );
  });
});

test("paths in runner.toml are absolute, of the workspace, or of the user's home", () => {
  const projects = { a: "/srv/a", b: "repos/b", c: "../c", d: "~", e: "~/src/e" };
  expect(projectPaths(projects, { workspace: "/box/flows", home: "/home/ada" })).toEqual({
    a: "/srv/a",
    b: "/box/flows/repos/b",
    c: "/box/c",
    d: "/home/ada",
    e: "/home/ada/src/e",
  });
});
