/** A scaffolded flow works at once, and nothing that is there is ever overwritten. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { describe, expect, test } from "vitest";
import { loadCatalog } from "../../catalog/load.ts";
import { compileCatalog } from "../../catalog/compile.ts";
import { ScaffoldError, scaffoldFlow } from "../../catalog/scaffold.ts";
import { matchEvent } from "../../contract/matching.ts";
import { normalizeEvent } from "../../contract/flow-event.ts";
import { packageFiles, temporaryFolder, workspaceWith } from "../support/flow-workspace.ts";

test("it passes the check, matches its example event, and runs under bun", async () => {
  const workspace = await temporaryFolder();
  const { root, files, event } = await scaffoldFlow(workspace, "my-flow");
  expect(files).toEqual([
    "flows/my-flow/flow.toml",
    "flows/my-flow/schemas/my-flow-requested.schema.json",
    "flows/my-flow/exec/run.ts",
  ]);
  const { packages, faults } = await loadCatalog(workspace);
  expect(faults).toEqual([]);
  await compileCatalog(workspace, join(workspace, "catalog.js"));

  const sent = normalizeEvent(event, "2026-01-01T00:00:00Z");
  const { matches } = matchEvent(sent, { flows: packages.map(({ flow }) => flow), checks: {} });
  expect(matches.map(({ step }) => step.script)).toEqual(["exec/run.ts"]);

  const context = { flow: { config: packages[0]?.config, event: sent } };
  const program = `const step = await import(${JSON.stringify(join(root, "exec/run.ts"))});
    console.log(JSON.stringify(await step.default(${JSON.stringify(context)})));`;
  const { stdout } = await execa("bun", ["-e", program], { preferLocal: true });
  expect(stdout.split("\n")).toEqual(["hello world", '{"status":"completed","message":"hello world"}']);
});

describe("it refuses", () => {
  test.each(["", "My Flow", "../up", "-x", "a/b", "a".repeat(65)])("%j as a name", async (name) => {
    const workspace = await temporaryFolder();
    await expect(scaffoldFlow(workspace, name)).rejects.toThrow(ScaffoldError);
    await expect(scaffoldFlow(workspace, name)).rejects.toThrow("cannot be the name of a flow");
  });

  test("a folder that is there, even an empty one, and leaves it as it was", async () => {
    const workspace = await workspaceWith({ "flows/mine/notes.txt": "mine" });
    await expect(scaffoldFlow(workspace, "mine")).rejects.toThrow("already there: flows/mine");
    expect(await readFile(join(workspace, "flows/mine/notes.txt"), "utf8")).toBe("mine");
  });

  test("a name that a flow in another folder has, which would shadow the new one", async () => {
    const workspace = await workspaceWith(packageFiles(".codex/flows/installed", "mine"));
    await expect(scaffoldFlow(workspace, "mine")).rejects.toThrow("already there: .codex/flows/installed");
  });
});
