/** What `codex-flow dev` proposes first: nothing that this workspace cannot do. */
import { expect, test } from "vitest";
import { firstSteps } from "../../runner-agent/dev/dev.ts";
import { packageFiles, temporaryFolder, workspaceWith } from "../support/flow-workspace.ts";

test("an empty workspace: make a flow, where it is; not the demo, which is not there", async () => {
  const folder = await temporaryFolder();
  expect(await firstSteps(folder)).toEqual([`npx codex-flow flows new my-flow --workspace ${folder}`]);
});

test("a workspace without the demo: what it has", async () => {
  const folder = await workspaceWith(packageFiles("flows/own", "own", { schema: {} }));
  expect(await firstSteps(folder)).toEqual([`npx codex-flow flows list --workspace ${folder}`]);
});

test("a workspace with the demo: the demo", async () => {
  expect((await firstSteps(process.cwd())).join()).toContain("demo.hello");
});
