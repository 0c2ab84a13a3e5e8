/** How an agent ends: told to, told twice, and for good without a word. */
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { RunView } from "../../contract/run-view.ts";
import { temporaryFolder } from "../support/flow-workspace.ts";
import { codexFlow, Edge, startRunner, type Daemon } from "../support/program.ts";
import { processesOfRun } from "../support/run-processes.ts";
import { storyWorkspace, WORK_LINES, type StoryWorkspace } from "../support/story-workspace.ts";
import { until } from "../support/until.ts";

interface Story {
  edge: Edge;
  workspace: StoryWorkspace;
  start(name: string): Promise<Daemon>;
}

async function story(): Promise<Story> {
  const state = await temporaryFolder();
  const workspace = await storyWorkspace();
  const edge = await Edge.start({ state, workspace: workspace.root });
  onTestFinished(() => edge.stop());
  const start = async (name: string): Promise<Daemon> => {
    const runner = await startRunner(edge, { name, workspace: workspace.root, journal: join(state, name) });
    onTestFinished(() => runner.kill());
    return runner;
  };
  return { edge, workspace, start };
}

async function runOver(edge: Edge, id: string): Promise<RunView> {
  return until(async () => {
    const run = await edge.client().getRun(id);
    return run.completedAt === undefined ? undefined : run;
  });
}

test("SIGTERM drains: what runs is finished and handed over whole, nothing new is taken, and the agent ends with 0", async () => {
  const { edge, workspace, start } = await story();
  const runner = await start("box");
  const sent = await edge.client().dispatch({ id: "drain:1", type: "story.work", payload: { pauseMs: 300 } });
  const id = sent.runIds[0] ?? "";
  await until(async () => ((await workspace.diary()).length > 0 ? true : undefined));
  runner.signal("SIGTERM");
  await runner.line(/draining/);
  const later = await edge.client().dispatch({ id: "drain:2", type: "story.work", payload: { pauseMs: 1 } });
  expect(await runner.over()).toBe(0);

  const run = await edge.client().getRun(id);
  expect(run.status).toBe("completed");
  expect((run.output ?? []).map((chunk) => chunk.text).join("")).toContain(`line ${WORK_LINES} of ${id}`);
  const waiting = await edge.client().getRun(later.runIds[0] ?? "");
  expect(waiting).toMatchObject({ status: "queued", waiting: { code: "no_runner" } });
  await start("other");
  expect((await runOver(edge, waiting.id)).status).toBe("completed");
});

test("a second SIGTERM stops now: the step's tree is ended and proven gone, the attempt is lost and not left running", async () => {
  const { edge, start } = await story();
  const runner = await start("box");
  const { runIds } = await edge.client().dispatch({ id: "forced:1", type: "story.deaf" });
  const id = runIds[0] ?? "";
  await until(async () => ((await edge.client().getOutput(id)).output.length > 0 ? true : undefined));
  runner.signal("SIGTERM");
  await runner.line(/draining/);
  runner.signal("SIGTERM");
  await runner.over();
  expect(processesOfRun(id)).toEqual([]);
  expect(await runOver(edge, id)).toMatchObject({
    status: "failed",
    errorCode: "lost",
    attempts: [{ status: "lost", tree: { empty: true } }],
  });
});

test("an agent killed with -9 leaves its step behind; started again, it ends that step before it takes anything new", async () => {
  const { edge, start } = await story();
  const runner = await start("box");
  const { runIds } = await edge.client().dispatch({ id: "orphan:1", type: "story.deaf" });
  const id = runIds[0] ?? "";
  await until(async () => ((await edge.client().getOutput(id)).output.length > 0 ? true : undefined));
  await runner.kill();
  expect(processesOfRun(id).length).toBeGreaterThan(0);
  await start("box");
  expect(processesOfRun(id)).toEqual([]);
  expect(await runOver(edge, id)).toMatchObject({
    status: "failed",
    errorCode: "lost",
    attempts: [{ tree: { empty: true } }],
  });
});

test("inngest#3822, inngest-js#1370: a drain from the edge, and the edge killed in mid-drain: the agent comes back, hands its run over whole, says goodbye and ends with 0", async () => {
  const { edge, workspace, start } = await story();
  const runner = await start("box");
  const payload = { pauseMs: 1500 };
  const { runIds } = await edge.client().dispatch({ id: "edge-drain:1", type: "story.work", payload });
  const id = runIds[0] ?? "";
  await until(async () => ((await workspace.diary()).length > 0 ? true : undefined));
  const asked = await codexFlow(edge, "runners", "drain", "box", "--json");
  expect(asked.code, asked.stderr).toBe(0);
  expect(JSON.parse(asked.stdout)).toMatchObject({ runner: { name: "box", state: "draining" } });
  await runner.line(/draining, as the edge asks/);
  await edge.kill();
  await edge.restart();
  expect(await runner.over()).toBe(0);

  const run = await edge.client().getRun(id);
  expect(run).toMatchObject({ status: "completed", attemptCount: 1 });
  expect((run.output ?? []).map((chunk) => chunk.text).join("")).toContain(`line ${WORK_LINES} of ${id}`);
  expect((await edge.client().listRunners()).runners).toEqual([]);
});

test("a paused runner takes nothing, also when its agent is started again, until it is resumed", async () => {
  const { edge, start } = await story();
  const first = await start("box");
  expect((await codexFlow(edge, "runners", "pause", "box")).stdout).toContain("paused");
  const { runIds } = await edge.client().dispatch({ id: "paused:1", type: "story.work" });
  const id = runIds[0] ?? "";
  await until(async () => ((await edge.client().getRun(id)).waiting?.code === "paused" ? true : undefined));
  first.signal("SIGTERM");
  expect(await first.over()).toBe(0);
  await start("box");
  expect((await edge.client().getRun(id)).waiting).toMatchObject({ code: "paused" });
  expect((await codexFlow(edge, "runners", "resume", "box")).code).toBe(0);
  expect((await runOver(edge, id)).status).toBe("completed");
});

test("two agents, one journal: the second is refused with what to do", async () => {
  const { edge, start } = await story();
  await start("box");
  await expect(start("box")).rejects.toThrow(/in use by another runner agent/);
  expect((await edge.client().listRunners()).runners).toHaveLength(1);
});
