/** The commands that `codex-flow dev` proposes first: each one works in that workspace. */
import { expect, test } from "vitest";
import { firstSteps } from "../../runner-agent/dev/dev.ts";
import { packageFiles, temporaryFolder, workspaceWith } from "../support/flow-workspace.ts";

test("dev proposes to make a flow in a workspace that has none", async () => {
  const folder = await temporaryFolder();
  expect(await firstSteps(folder)).toEqual([`codex-flow flows new my-flow --workspace ${folder}`]);
});

test("dev proposes an event that a step of the workspace waits for", async () => {
  const folder = await workspaceWith(packageFiles("flows/own", "own", { schema: {} }));
  expect(await firstSteps(folder)).toEqual([
    `codex-flow flows list --workspace ${folder}`,
    `codex-flow dispatch --type own.event --payload '{}' --dry-run`,
  ]);
});

test("dev proposes the demo in a workspace that has it", async () => {
  expect((await firstSteps(process.cwd())).join()).toContain("demo.hello");
});
