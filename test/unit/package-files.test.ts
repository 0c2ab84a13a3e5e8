/** Which files belong to a package, and when a package counts as changed. */
import { execFileSync } from "node:child_process";
import { rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { compileCatalog } from "../../catalog/compile.ts";
import { digestFiles } from "../../catalog/digest.ts";
import { loadCatalog } from "../../catalog/load.ts";
import { globPattern, listPackageFiles } from "../../catalog/package-files.ts";
import { WorkspaceWatch } from "../../catalog/workspace-watch.ts";
import type { DeployedFiles } from "../../contract/runner-link.ts";
import { FlowCheckout } from "../../runner-agent/checkout.ts";
import { packageFiles, workspaceWith, writeFiles } from "../support/flow-workspace.ts";

const FLOW = { name: "report", folder: "flows/report" };

function git(folder: string, ...args: string[]): void {
  execFileSync("git", ["-C", folder, ...args], { stdio: "pipe" });
}

async function pathsOf(workspace: string): Promise<string[]> {
  const { packages, faults } = await loadCatalog(workspace);
  expect(faults).toEqual([]);
  return packages.flatMap(({ files }) => files.map(({ path }) => path));
}

/** The list of the flow, as an edge that was deployed from this workspace sends it. */
async function deployedFrom(workspace: string): Promise<DeployedFiles> {
  const [deployed] = (await loadCatalog(workspace)).packages;
  if (deployed === undefined) throw new Error("the workspace has no package");
  const { name, version, digest } = deployed.flow;
  return { type: "files", flow: { name, version, digest }, files: deployed.files };
}

test("a package outside git has all of its files but those that tools write", async () => {
  const workspace = await workspaceWith({
    ...packageFiles(FLOW.folder, FLOW.name),
    "flows/report/lib/helper.ts": "1",
    "flows/report/run.log": "ran",
  });
  expect(await pathsOf(workspace)).toEqual(["exec/run.ts", "flow.toml", "lib/helper.ts"]);
});

test("a package that git tracks has the tracked files, and those that flow.toml names even before git add", async () => {
  const workspace = await workspaceWith({
    ...packageFiles(FLOW.folder, FLOW.name, { schema: { $ref: "part.json" } }),
    "flows/report/part.json": "{}",
    "flows/report/lib/helper.ts": "1",
  });
  git(workspace, "init", "--quiet");
  git(workspace, "add", "flows/report/flow.toml", "flows/report/lib");
  await writeFiles(workspace, { "flows/report/report.txt": "written by a step" });
  expect(await pathsOf(workspace)).toEqual([
    "exec/run.ts",
    "flow.toml",
    "lib/helper.ts",
    "part.json",
    "schema.json",
  ]);
});

test("a package whose flow.toml git does not track has all of its files", async () => {
  const workspace = await workspaceWith({
    ...packageFiles(FLOW.folder, FLOW.name),
    "flows/report/notes.txt": "1",
  });
  git(workspace, "init", "--quiet");
  git(workspace, "add", "flows/report/notes.txt");
  expect(await pathsOf(workspace)).toEqual(["exec/run.ts", "flow.toml", "notes.txt"]);
});

test("files of flow.toml decides which files belong to the package, also inside git", async () => {
  const files = packageFiles(FLOW.folder, FLOW.name);
  const workspace = await workspaceWith({
    ...files,
    "flows/report/flow.toml": `files = ["lib", "*.md"]\n${files["flows/report/flow.toml"]}`,
    "flows/report/lib/deep/helper.ts": "1",
    "flows/report/README.md": "1",
    "flows/report/data/big.csv": "1",
  });
  git(workspace, "init", "--quiet");
  git(workspace, "add", ".");
  expect(await pathsOf(workspace)).toEqual(["README.md", "exec/run.ts", "flow.toml", "lib/deep/helper.ts"]);
});

test("** of a glob matches any folders, * and ? stay within one name, and a plain path matches what lies below it", () => {
  const matches = (glob: string, ...paths: string[]): string[] =>
    paths.filter((path) => globPattern(glob).test(path));
  expect(matches("**/*.ts", "a.ts", "b/c/a.ts", "a.tsx")).toEqual(["a.ts", "b/c/a.ts"]);
  expect(matches("exec/*.ts", "exec/a.ts", "exec/b/a.ts", "x/exec/a.ts")).toEqual(["exec/a.ts"]);
  expect(matches("./exec/", "exec", "exec/a", "exec/b/a", "execute")).toEqual(["exec", "exec/a", "exec/b/a"]);
  expect(matches("a?.(x)", "ab.(x)", "a/.(x)", "abc.(x)")).toEqual(["ab.(x)"]);
});

test("a listed file behind a link that leads out of the package counts as missing", async () => {
  const outside = await workspaceWith({ "run.ts": "1" });
  const root = await workspaceWith({ "flow.toml": "x", "exec/run.ts": "1" });
  const list = await listPackageFiles(root);
  await rm(join(root, "exec"), { recursive: true });
  await symlink(outside, join(root, "exec"));
  expect((await digestFiles(root, list)).files.map(({ path }) => path)).toEqual(["flow.toml"]);
  expect((await digestFiles(root, ["../flow.toml", "/etc/hosts"])).files).toEqual([]);
});

test("what a step writes into its package changes nothing at a runner that has the deployed list, also after a restart", async () => {
  const workspace = await workspaceWith(packageFiles(FLOW.folder, FLOW.name));
  const deployed = await deployedFrom(workspace);
  const checkout = await FlowCheckout.open(workspace);
  await writeFiles(workspace, { "flows/report/report.txt": "first run" });
  expect(await checkout.find(deployed.flow)).toHaveProperty("found");

  const restarted = await FlowCheckout.open(workspace);
  expect(restarted.digests()).not.toEqual([deployed.flow]);
  restarted.setDeployed(deployed);
  expect(await restarted.reload()).toBe(true);
  expect(restarted.digests()).toEqual([deployed.flow]);
  await writeFiles(workspace, { "flows/report/report.txt": "second run" });
  expect(await restarted.reload()).toBe(false);
  expect(await restarted.find(deployed.flow)).toMatchObject({
    found: { flow: { digest: deployed.flow.digest } },
  });
});

test("a deployed file that is missing or other makes another package, and its old runs still find the old files", async () => {
  const workspace = await workspaceWith({
    ...packageFiles(FLOW.folder, FLOW.name),
    "flows/report/helper.ts": "1",
  });
  const old = await deployedFrom(workspace);
  const checkout = await FlowCheckout.open(workspace);
  const helper = join(workspace, "flows/report/helper.ts");
  await writeFile(helper, "2");
  const deployed = await deployedFrom(workspace);
  await writeFile(helper, "1");
  checkout.setDeployed(deployed);
  await checkout.reload();
  expect(checkout.digests()).toEqual([old.flow]);
  expect(await checkout.find(deployed.flow)).toEqual({ here: old.flow.digest });
  expect(await checkout.find(old.flow)).toHaveProperty("found");
  await rm(helper);
  expect(await checkout.find(deployed.flow)).toHaveProperty("here");
  await writeFile(helper, "2");
  await checkout.reload();
  expect(checkout.digests()).toEqual([deployed.flow]);
  checkout.forgetDeployed();
  await checkout.reload();
  expect(checkout.digests()).toEqual([deployed.flow]);
});

test("a new file of a package is no change until a file that belongs to it changes", async () => {
  const workspace = await workspaceWith(packageFiles(FLOW.folder, FLOW.name));
  const watch = new WorkspaceWatch(workspace);
  expect(await watch.loadIfChanged()).toBeDefined();
  await writeFiles(workspace, { "flows/report/helper.ts": "1" });
  expect(await watch.loadIfChanged()).toBeUndefined();
  await writeFiles(workspace, { "flows/report/exec/run.ts": "import '../helper.ts';" });
  expect((await watch.loadIfChanged())?.packages[0]?.files.map(({ path }) => path)).toContain("helper.ts");
  expect(await watch.loadIfChanged()).toBeUndefined();
});

test("git add of a new file is a change of the package", async () => {
  const workspace = await workspaceWith(packageFiles(FLOW.folder, FLOW.name));
  git(workspace, "init", "--quiet");
  git(workspace, "add", ".");
  const watch = new WorkspaceWatch(workspace);
  await watch.loadIfChanged();
  await writeFiles(workspace, { "flows/report/helper.ts": "1" });
  expect(await watch.loadIfChanged()).toBeUndefined();
  git(workspace, "add", ".");
  expect((await watch.loadIfChanged())?.packages[0]?.files).toHaveLength(3);
});

test("a compiled catalog has the files of each package by the name of its flow", async () => {
  const workspace = await workspaceWith(packageFiles("flows/folder", "report"));
  const outFile = join(workspace, "catalog.mjs");
  await compileCatalog(workspace, outFile);
  const compiled = (await import(outFile)) as { packageFiles: unknown };
  expect(compiled.packageFiles).toEqual({ report: (await deployedFrom(workspace)).files });
});
