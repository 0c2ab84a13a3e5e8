/** The development set-up and the demo, as a newcomer starts them: through npm. */
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { expect, onTestFinished, test } from "vitest";
import { scaffoldFlow } from "../../catalog/scaffold.ts";
import { temporaryFolder } from "../support/flow-workspace.ts";
import { Edge, type DevAnnouncement } from "../support/program.ts";
import { processesWith } from "../support/run-processes.ts";
import { storyWorkspace } from "../support/story-workspace.ts";
import { until } from "../support/until.ts";

const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

function processesNaming(folder: string): string[] {
  return processesWith("cmdline", folder);
}

test("npm run dev --json prints one line when it is ready; SIGTERM to the npm process ends everything that it started", async () => {
  const state = await temporaryFolder();
  const npm = execa("npm", ["run", "dev", "--", "--json", "--port", "0", "--state", state], {
    cwd: project,
    reject: false,
    buffer: false,
  });
  onTestFinished(() => void npm.kill("SIGKILL"));
  const line = await new Promise<string>((resolve) => {
    createInterface({ input: npm.stdout }).on("line", (text) => {
      if (text.startsWith("{")) resolve(text);
    });
  });
  const announced = JSON.parse(line) as DevAnnouncement;
  expect(Object.keys(announced.tokens)).toEqual(["admin", "read", "write", "runner"]);
  expect(processesNaming(state).length).toBeGreaterThan(2);
  npm.kill("SIGTERM");
  await until(() => (processesNaming(state).length === 0 ? true : undefined));
});

test("after kill -9 of the launcher alone, the same state goes on and the left-over processes are ended", async () => {
  const state = await temporaryFolder();
  const workspace = await storyWorkspace();
  const first = await Edge.start({ state, workspace: workspace.root, runner: true });
  const sent = await first
    .client()
    .dispatch({ id: "dev:1", type: "story.work", payload: { pauseMs: 1 } }, { wait: true });
  await first.killLauncher();
  const leftOver = processesNaming(state);
  expect(leftOver.length).toBeGreaterThan(0);
  await first.restart();
  onTestFinished(() => first.stop());
  const { runs } = await first.client().getEvent("dev:1");
  expect(runs.map((run) => run.id)).toEqual(sent.runIds);
  expect(processesNaming(state).filter((pid) => leftOver.includes(pid))).toEqual([]);
});

test("a flow package that is added while everything runs is deployed and run, without a restart", async () => {
  const state = await temporaryFolder();
  const workspace = await storyWorkspace();
  const edge = await Edge.start({ state, workspace: workspace.root, runner: true });
  onTestFinished(() => edge.stop());
  await scaffoldFlow(workspace.root, "newcomer");
  await until(async () =>
    (await edge.client().listFlows()).some((flow) => flow.name === "newcomer") ? true : undefined,
  );
  const event = { id: "dev:new", type: "newcomer.requested", payload: { name: "world" } };
  const sent = await edge.client().dispatch(event, { wait: true });
  expect(sent.runs).toMatchObject([{ flowName: "newcomer", status: "completed" }]);
});

test("npm run demo: the real Codex CLI writes its bindings, and nothing is left running", async () => {
  const { stdout, exitCode } = await execa("npm", ["run", "demo"], { cwd: project, reject: false });
  expect(stdout).toMatch(/status\s+changed/);
  expect(exitCode).toBe(0);
  const written = readdirSync(join(project, ".codex-flow/demo/workspace/.codex-flow/bindings/bindings"));
  expect(written).toContain("ClientRequest.ts");
  expect(processesNaming(join(project, ".codex-flow/demo"))).toEqual([]);
});
