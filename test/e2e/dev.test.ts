/** The development set-up and the demo, as a newcomer starts them: through npm. */
import { readdirSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { expect, onTestFinished, test } from "vitest";
import { scaffoldFlow } from "../../catalog/scaffold.ts";
import { temporaryFolder } from "../support/flow-workspace.ts";
import { Edge, runProgram, type DevAnnouncement } from "../support/program.ts";
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

test("a flow package that breaks while everything runs takes nothing away and is named with file, line and fault", async () => {
  const state = await temporaryFolder();
  const workspace = await storyWorkspace();
  await scaffoldFlow(workspace.root, "fragile");
  const edge = await Edge.start({ state, workspace: workspace.root, runner: true });
  onTestFinished(() => edge.stop());
  const manifest = join(workspace.root, "flows/fragile/flow.toml");
  const valid = await readFile(manifest, "utf8");
  await writeFile(manifest, valid.replace(/^runner = .*/m, 'runner = "nonsense"'));
  const line = await edge.line(/flows\/fragile\/flow\.toml:\d+:\d+ .*runner/);
  expect(line).toContain("the edge goes on with the flows from before");
  // Both the healthy flow and the last good version of the broken one are still served.
  const work = { id: "dev:healthy", type: "story.work", payload: { pauseMs: 1 } };
  expect((await edge.client().dispatch(work, { wait: true })).runs).toMatchObject([{ status: "completed" }]);
  expect((await edge.client().listFlows()).map((flow) => flow.name)).toContain("fragile");
  await writeFile(manifest, valid.replace(/^version = .*/m, "version = 2"));
  await edge.line(/all flow packages are valid again/);
  await until(async () =>
    (await edge.client().listFlows()).some((flow) => flow.name === "fragile" && flow.version === 2)
      ? true
      : undefined,
  );
});

test("a flow package that is broken at the start is left out and named, and the others are served", async () => {
  const state = await temporaryFolder();
  const workspace = await storyWorkspace();
  await scaffoldFlow(workspace.root, "broken");
  await writeFile(join(workspace.root, "flows/broken/flow.toml"), 'name = "broken"\nversion = "one"\n');
  const edge = await Edge.start({ state, workspace: workspace.root });
  onTestFinished(() => edge.stop());
  await edge.line(/flows\/broken\/flow\.toml:2:\d+ version .*the edge starts without this flow package/);
  const names = (await edge.client().listFlows()).map((flow) => flow.name);
  expect(names).toContain("work");
  expect(names).not.toContain("broken");
});

test("a second dev on the same state says that the first one runs, stops with exit code 2 and harms nothing", async () => {
  const workspace = await storyWorkspace();
  // Without --state: the state belongs to the workspace.
  const edge = await Edge.start({ workspace: workspace.root });
  onTestFinished(() => edge.stop());
  const second = await runProgram(["dev", "--port", "0", "--workspace", workspace.root], workspace.root);
  expect(second.exitCode).toBe(2);
  expect(second.output).toContain("codex-flow dev runs already");
  expect(second.output).toContain(`workspace ${workspace.root}`);
  await edge.client().health();
  const other = await storyWorkspace();
  const sibling = await Edge.start({ workspace: other.root });
  onTestFinished(() => sibling.stop());
  await edge.client().health();
});

test("a dev on a port that something else listens on says so and does not take the other one for its edge", async () => {
  const workspace = await storyWorkspace();
  const edge = await Edge.start({ workspace: workspace.root });
  onTestFinished(() => edge.stop());
  const other = await storyWorkspace();
  const port = new URL(edge.info.url).port;
  const second = await runProgram(["dev", "--port", port, "--workspace", other.root], other.root);
  expect(second).toMatchObject({ exitCode: 2 });
  expect(second.output).toContain(`cannot listen on 127.0.0.1:${port}`);
});

test("dev runs from any folder while the node on the PATH is one that cannot run the program", async () => {
  const workspace = await storyWorkspace();
  const tools = await temporaryFolder();
  await writeFile(join(tools, "node"), "#!/bin/sh\nexit 99\n", { mode: 0o755 });
  const edge = await Edge.start({
    workspace: workspace.root,
    runner: true,
    env: { PATH: `${tools}:${process.env["PATH"] ?? ""}` },
  });
  onTestFinished(() => edge.stop());
  const event = { id: "dev:path", type: "story.work", payload: { pauseMs: 1 } };
  const { runs } = await edge.client().dispatch(event, { wait: true });
  expect(runs).toMatchObject([{ status: "completed" }]);
});

test("npm run demo: the real Codex CLI writes its bindings, and nothing is left running", async () => {
  const { stdout, exitCode } = await execa("npm", ["run", "demo"], { cwd: project, reject: false });
  expect(stdout).toMatch(/status\s+changed/);
  expect(exitCode).toBe(0);
  const written = readdirSync(join(project, ".codex-flow/demo/workspace/.codex-flow/bindings/bindings"));
  expect(written).toContain("ClientRequest.ts");
  expect(processesNaming(join(project, ".codex-flow/demo"))).toEqual([]);
});
