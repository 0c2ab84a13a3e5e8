/** The tutorial's flow does what the tutorial says. */
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { expect, test } from "vitest";
import { loadCatalog } from "../../catalog/load.ts";
import { temporaryFolder } from "../support/flow-workspace.ts";

test("demo.hello is greeted by name, under bun", async () => {
  const workspace = await temporaryFolder();
  await cp(join(import.meta.dirname, "../../flows"), join(workspace, "flows"), { recursive: true });
  const hello = (await loadCatalog(workspace)).packages.find(({ flow }) => flow.name === "hello");
  const [step] = hello?.flow.steps ?? [];
  if (hello === undefined || step === undefined) throw new Error("the flow hello is missing");
  expect(step.trigger?.type).toBe("demo.hello");

  const context = { flow: { event: { id: "hello:1", payload: { name: "Ada" } } } };
  const program = `const step = await import(${JSON.stringify(join(hello.root, step.script))});
    console.log(JSON.stringify(await step.default(${JSON.stringify(context)})));`;
  const { stdout } = await execa("bun", ["-e", program], { preferLocal: true });
  const lines = stdout.split("\n");
  expect(lines.length).toBeGreaterThan(2);
  expect(lines.at(-1)).toBe('{"status":"completed","message":"hello Ada"}');
});
