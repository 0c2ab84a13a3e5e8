/** A package on disk as it is loaded: every value, its files, and what a broken one costs. */
import { symlink } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describeFault } from "../../catalog/fault.ts";
import { loadCatalog } from "../../catalog/load.ts";
import { packageFiles, workspaceWith, writeFiles } from "../support/flow-workspace.ts";

const STEP = '[[steps]]\nname = "s"\nrunner = "bun"\nscript = "exec/s.ts"\n';
const HEAD = 'name = "f"\nversion = 1\n';

/** What the ancestor refused, and what it ignored in silence. */
test("a file that a symbolic link brings in from outside, or that the digest leaves out, is refused", async () => {
  const workspace = await workspaceWith({
    "outside.ts": "",
    "flows/f/.hidden/s.ts": "",
    "flows/f/flow.toml": `${HEAD}[[steps]]
name = "a"
runner = "bun"
script = "a.ts"
[[steps]]
name = "b"
runner = "bun"
script = ".hidden/s.ts"
[[steps]]
name = "c"
runner = "bun"
script = "c.ts"
`,
  });
  await symlink(join(workspace, "outside.ts"), join(workspace, "flows/f/a.ts"));
  await symlink(".hidden/s.ts", join(workspace, "flows/f/c.ts"));
  const { faults } = await loadCatalog(workspace);
  expect(faults.map((fault) => describeFault(fault, workspace))).toEqual([
    "flows/f/flow.toml:6:1 steps[0].script leads out of the package through a symbolic link: a.ts",
    "flows/f/flow.toml:10:1 steps[1].script must not lie in .hidden: the digest of a package leaves it out",
    "flows/f/flow.toml:14:1 steps[2].script must not lie in .hidden: the digest of a package leaves it out",
  ]);
});

test("a full manifest is loaded with every value, its defaults and its config as JSON", async () => {
  const workspace = await workspaceWith({
    "flows/f/flow.toml": `name = "f"
version = 1.5
description = "all of it"
[config]
since = 1979-05-27
list = [1, "two", { three = 3 }]
[guidance]
skills = ["release"]
[[steps]]
name = "code"
runner = "code-mode"
script = "exec/s.js"
timeout_ms = 1
silence_ms = 2
queue_ms = 3
cwd = "../.."
project = "{{payload.project?}}"
workdir = "{{payload.workdir?}}"
pool = "builders"
labels = ["linux", "os:debian"]
priority = -1
[steps.trigger]
type = "t"
schema = "schemas/t.json"
[steps.concurrency]
key = "{{payload.repo}}"
[steps.retry]
attempts = 2
on = ["failed"]
backoff_ms = 0
[[steps]]
name = "prompt"
runner = "codex"
script = "exec/prompt.md"
`,
    "flows/f/exec/s.js": "",
    "flows/f/exec/prompt.md": "",
    "flows/f/schemas/t.json": "true",
  });
  const { packages, faults } = await loadCatalog(workspace);
  expect(faults).toEqual([]);
  expect(packages).toMatchObject([
    {
      root: join(workspace, "flows/f"),
      manifestPath: join(workspace, "flows/f/flow.toml"),
      config: { since: "1979-05-27", list: [1, "two", { three: 3 }] },
      schemas: { code: { file: join(workspace, "flows/f/schemas/t.json"), schema: true } },
      flow: {
        name: "f",
        version: 1.5,
        description: "all of it",
        steps: [
          {
            name: "code",
            runner: "code-mode",
            script: "exec/s.js",
            timeoutMs: 1,
            silenceMs: 2,
            queueMs: 3,
            cwd: "../..",
            project: "{{payload.project?}}",
            workdir: "{{payload.workdir?}}",
            pool: "builders",
            labels: ["linux", "os:debian"],
            priority: -1,
            trigger: { type: "t", schema: "schemas/t.json" },
            concurrency: { key: "{{payload.repo}}", limit: 1 },
            retry: { attempts: 2, on: ["failed"], backoffMs: 0 },
          },
          { name: "prompt", runner: "codex", pool: "default", labels: [], retry: { attempts: 1 } },
        ],
      },
    },
  ]);
});

test("a broken package costs itself and no other", async () => {
  const workspace = await workspaceWith({
    "flows/a/flow.toml": "name =",
    "flows/b/flow.toml": `name = "b"\nversion = 1\n${STEP}`,
    "flows/b/exec/s.ts": "",
  });
  await writeFiles(workspace, { "flows/c/flow.toml/not-a-file": "" });
  const { packages, faults } = await loadCatalog(workspace);
  expect(packages.map(({ flow }) => flow.name)).toEqual(["b"]);
  expect(faults.map((fault) => describeFault(fault, workspace))).toEqual([
    "flows/a/flow.toml:1:7 Invalid TOML document: invalid value",
    "flows/c/flow.toml:1:1 must be a regular file",
  ]);
});

test.each([
  ["", undefined],
  ['workspace = "shared"\n', undefined],
  ['workspace = "worktree"\n', { ref: "HEAD" }],
  ["[steps.workspace]\n", { ref: "HEAD" }],
  ['[steps.workspace]\nmode = "worktree"\nref = "v1"\n', { ref: "v1" }],
  [
    '[steps.workspace]\nrepo = "{{payload.repo}}"\nref = "{{payload.sha}}"\n',
    { repo: "{{payload.repo}}", ref: "{{payload.sha}}" },
  ],
])("a step's workspace %j is understood", async (toml, worktree) => {
  const workspace = await workspaceWith({
    "flows/f/flow.toml": `${HEAD}${STEP}${toml}`,
    "flows/f/exec/s.ts": "",
  });
  const { packages, faults } = await loadCatalog(workspace);
  expect(faults).toEqual([]);
  expect(packages[0]?.flow.steps[0]?.worktree).toEqual(worktree);
});

test("two packages of one name in the same root are a fault that names both, and a later root may repeat a name", async () => {
  const workspace = await workspaceWith({
    ...packageFiles("flows/copy", "notes"),
    ...packageFiles("flows/notes", "notes"),
    ...packageFiles("flows/other", "other"),
    ...packageFiles(".codex/flows/other", "other"),
  });
  const { packages, faults, shadowed } = await loadCatalog(workspace);
  expect(packages.map(({ flow }) => flow.name)).toEqual(["other", "notes"]);
  expect(shadowed).toHaveLength(2);
  expect(faults).toMatchObject([
    { file: join(workspace, "flows/notes/flow.toml"), line: 1, column: 1, path: "name" },
  ]);
  expect(faults[0]?.message).toContain(
    `is already the name of the package in ${join(workspace, "flows/copy")}`,
  );
});
