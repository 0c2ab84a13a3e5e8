/** A step that writes into its own package, over the real edge and the real agent. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { packageFiles, temporaryFolder, workspaceWith } from "../support/flow-workspace.ts";
import { Edge, startRunner, type Daemon } from "../support/program.ts";

const FILES = packageFiles("flows/report", "report", {
  schema: true,
  script: `
import { writeFileSync } from "node:fs";
writeFileSync(new URL("../report.txt", import.meta.url), String(Math.random()));
console.log('FLOW_RESULT {"status":"completed","message":"written"}');
`,
});

test("a flow whose step writes into its own package runs again, also after a restart of the agent", async () => {
  const state = await temporaryFolder();
  const workspace = await workspaceWith(FILES);
  const edge = await Edge.start({ state, workspace: await workspaceWith(FILES) });
  onTestFinished(() => edge.stop());
  const startAgent = async (): Promise<Daemon> => {
    const agent = await startRunner(edge, { name: "machine", workspace, journal: join(state, "agent") });
    onTestFinished(() => agent.kill());
    return agent;
  };
  const send = async (id: string): Promise<void> => {
    const sent = await edge.client().dispatch({ id, type: "report.event", payload: {} }, { wait: true });
    expect(sent.runs).toMatchObject([{ status: "completed" }]);
  };
  const agent = await startAgent();
  await send("report:1");
  expect(existsSync(join(workspace, "flows/report/report.txt"))).toBe(true);
  await send("report:2");
  await agent.kill();
  await startAgent();
  await send("report:3");
});
