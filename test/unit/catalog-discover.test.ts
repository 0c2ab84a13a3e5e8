/** Which folders are flow packages, in which order, and which of two with one name is used. */
import { symlink } from "node:fs/promises";
import { join, relative } from "node:path";
import { expect, test } from "vitest";
import { discoverPackages } from "../../catalog/discover.ts";
import { loadCatalog } from "../../catalog/load.ts";
import { packageFiles, temporaryFolder, workspaceWith } from "../support/flow-workspace.ts";

async function rootsIn(workspace: string): Promise<string[]> {
  return (await discoverPackages(workspace)).map(({ root }) => relative(workspace, root));
}

test("a workspace without roots has no packages, and a file in the place of a root is none", async () => {
  expect(await rootsIn(await temporaryFolder())).toEqual([]);
  expect(await rootsIn(await workspaceWith({ flows: "" }))).toEqual([]);
});

test(".codex/flows comes before flows, each sorted; children without flow.toml and files are left out", async () => {
  const workspace = await workspaceWith({
    "flows/b/flow.toml": "",
    "flows/a/flow.toml": "",
    "flows/Z/flow.toml": "",
    "flows/notes/README.md": "",
    "flows/flow.toml": "",
    "flows/deep/er/flow.toml": "",
    ".codex/flows/m/flow.toml": "",
    "elsewhere/flow.toml": "",
  });
  await symlink(join(workspace, "elsewhere"), join(workspace, "flows/linked"));
  expect(await rootsIn(workspace)).toEqual([".codex/flows/m", "flows/Z", "flows/a", "flows/b"]);
});

test("the first of a name is used; the others are shadowed, which is no fault", async () => {
  const workspace = await workspaceWith({
    ...packageFiles(".codex/flows/installed", "same"),
    ...packageFiles("flows/source", "same"),
    ...packageFiles("flows/other", "other"),
  });
  const { packages, faults, shadowed } = await loadCatalog(workspace);
  expect(packages.map(({ root }) => relative(workspace, root))).toEqual([
    ".codex/flows/installed",
    "flows/other",
  ]);
  expect(faults).toEqual([]);
  expect(shadowed).toEqual([
    {
      name: "same",
      root: join(workspace, "flows/source"),
      manifestPath: join(workspace, "flows/source/flow.toml"),
      by: join(workspace, ".codex/flows/installed"),
    },
  ]);
});

test("a first one that is broken is not replaced by what it shadows", async () => {
  const workspace = await workspaceWith({
    ".codex/flows/installed/flow.toml": 'name = "same"\n',
    ...packageFiles("flows/source", "same"),
  });
  const { packages, faults, shadowed } = await loadCatalog(workspace);
  expect(packages).toEqual([]);
  expect(faults.map(({ path }) => path)).toEqual(["version", "steps"]);
  expect(shadowed.map(({ root }) => relative(workspace, root))).toEqual(["flows/source"]);
});

test("a broken package that is shadowed is nobody's fault", async () => {
  const workspace = await workspaceWith({
    ...packageFiles(".codex/flows/installed", "same"),
    "flows/source/flow.toml": 'name = "same"\n',
  });
  const { packages, faults } = await loadCatalog(workspace);
  expect(packages).toHaveLength(1);
  expect(faults).toEqual([]);
});
