/** The road of one event over the real parts: `wrangler dev`, a runner agent, steps, the command line, every route. */
import { createHmac } from "node:crypto";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import type { RunView } from "../../contract/run-view.ts";
import type { TailDown } from "../../contract/runner-link.ts";
import { atEndOfFile, temporaryFolder } from "../support/flow-workspace.ts";
import { codexFlow, Edge, startRunner, type Daemon } from "../support/program.ts";
import { processesOfRun } from "../support/run-processes.ts";
import { storyWorkspace, WORK_LINES, type StoryWorkspace } from "../support/story-workspace.ts";
import { until } from "../support/until.ts";

const atEnd = atEndOfFile();

let edge: Edge;
let runner: Daemon;
let workspace: StoryWorkspace;

beforeAll(async () => {
  const state = await temporaryFolder(atEnd);
  workspace = await storyWorkspace(atEnd);
  edge = await Edge.start({ state, workspace: workspace.root });
  atEnd(() => edge.stop());
  runner = await startRunner(edge, {
    name: "box",
    workspace: workspace.root,
    journal: join(state, "box"),
    labels: ["linux"],
  });
  atEnd(() => runner.kill());
});

async function runOver(id: string): Promise<RunView> {
  return until(async () => {
    const run = await edge.client().getRun(id);
    return run.completedAt === undefined ? undefined : run;
  });
}

describe("the routes, through wrangler dev", () => {
  test("POST /events with wait answers the completed run; the same id again is a duplicate with its run ids", async () => {
    const event = { id: "road:1", type: "story.work", payload: { pauseMs: 5 } };
    const sent = await edge.client().dispatch(event, { wait: true });
    expect(sent).toMatchObject({
      status: "accepted",
      matched: 1,
      runs: [{ status: "completed", effectiveStatus: "completed" }],
    });
    const again = await edge.client().dispatch(event);
    expect(again).toMatchObject({ status: "duplicate", matched: 0, runIds: sent.runIds, idempotent: true });
    const differing = await edge.client().dispatch({ ...event, payload: { pauseMs: 6 } });
    expect(differing).toMatchObject({ status: "duplicate", conflict: true, runIds: sent.runIds });
  });

  test("a signed event needs no token; a wrong signature is refused", async () => {
    const body = JSON.stringify({ id: "road:signed", type: "story.nothing" });
    const post = (signature: string) =>
      fetch(`${edge.info.url}/flow-events`, {
        method: "POST",
        body,
        headers: { "x-flow-signature-256": signature },
      });
    const right = createHmac("sha256", edge.info.eventSecret).update(body).digest("hex");
    expect((await post(`sha256=${right}`)).status).toBe(202);
    expect((await post(`sha256=${right.toUpperCase()}`)).status).toBe(401);
  });

  test("dry run, lists, the event, the run, its output, the flows, the runners, the document", async () => {
    const client = edge.client();
    expect(await client.dryRun({ id: "road:dry", type: "story.work" })).toMatchObject({
      matches: [{ flow: "work", step: "work" }],
    });
    await expect(client.getEvent("road:dry")).rejects.toMatchObject({ status: 404 });
    await client.dispatch({ id: "road:2", type: "story.work", payload: { pauseMs: 5 } }, { wait: true });
    const { events } = await client.listEvents({ type: "story.work", limit: 1 });
    expect(events).toMatchObject([{ id: "road:2", payload: { pauseMs: 5 } }]);
    const { runs } = await client.getEvent("road:2");
    const id = runs[0]?.id ?? "";
    const page = await client.getOutput(id, { stream: "stdout" });
    expect(page.complete).toBe(true);
    expect(page.output.map((chunk) => chunk.text).join("")).toContain(`line ${WORK_LINES} of ${id}`);
    // Lists follow in a moment: they are told how things stand.
    await until(async () => {
      const listed = await client.listRuns({ status: "completed", flow: "work" });
      return listed.runs.some((run) => run.id === id) ? true : undefined;
    });
    expect((await client.listFlows()).map((flow) => flow.name)).toEqual([
      "blocked",
      "deaf",
      "keyed",
      "stubborn",
      "work",
    ]);
    expect((await client.listRunners()).runners).toMatchObject([
      { name: "box", state: "connected", labels: ["linux"] },
    ]);
    expect(await client.openApi()).toMatchObject({ openapi: "3.1.0" });
  });

  test("an event that matches nothing is kept, listed, shown, and can be replayed", async () => {
    const client = edge.client();
    expect(
      await client.dispatch({ id: "road:nothing", type: "nobody.waits", payload: [1, "two"] }),
    ).toMatchObject({ status: "accepted", runIds: [], matched: 0 });
    expect((await client.getEvent("road:nothing")).event).toMatchObject({ payload: [1, "two"], matched: 0 });
    expect(await client.replay("road:nothing")).toMatchObject({ status: "accepted", runIds: [] });
  });

  test("a replay makes a new run that names the one it repeats", async () => {
    const first = await edge
      .client()
      .dispatch({ id: "road:3", type: "story.work", payload: { pauseMs: 5 } }, { wait: true });
    const replayed = await edge.client().replay("road:3", { wait: true });
    expect(replayed.runs).toMatchObject([
      { replayOf: first.runIds[0], origin: "replay", status: "completed" },
    ]);
    expect(replayed.runIds).not.toEqual(first.runIds);
  });

  test("the tail shows a run live and ends with it", async () => {
    const { runIds } = await edge
      .client()
      .dispatch({ id: "road:tail", type: "story.work", payload: { pauseMs: 60 } });
    const id = runIds[0] ?? "";
    const frames: TailDown[] = [];
    const socket = new WebSocket(`${edge.info.url.replace("http", "ws")}/runs/${id}/tail`, {
      headers: { authorization: `Bearer ${edge.info.tokens.read}` },
    });
    // Not the close, which a local workerd holds back for seconds.
    await new Promise<void>((resolve) => {
      socket.on("message", (data: Buffer) => {
        const frame = JSON.parse(data.toString()) as TailDown;
        frames.push(frame);
        if (frame.type === "end") resolve();
      });
    });
    socket.terminate();
    const text = frames
      .flatMap((frame) => (frame.type === "output" ? frame.chunks.map((chunk) => chunk.text) : []))
      .join("");
    for (let line = 1; line <= WORK_LINES; line += 1) expect(text).toContain(`line ${line} of ${id}\n`);
    expect(frames.at(-2)).toMatchObject({ type: "run", run: { status: "completed" } });
  });

  test("the next events of a result are sent with their lineage", async () => {
    const next = [
      { id: "road:child", type: "story.work", payload: { pauseMs: 5 } },
      { id: "", type: "bad" },
    ];
    const { runIds } = await edge
      .client()
      .dispatch({ id: "road:parent", type: "story.work", payload: { pauseMs: 5, next } }, { wait: true });
    const parent = await until(async () => {
      const run = await edge.client().getRun(runIds[0] ?? "");
      return run.chained?.[0]?.state === "sent" ? run : undefined;
    });
    expect(parent.chained).toMatchObject([{ eventId: "road:child", state: "sent" }, { state: "refused" }]);
    const child = await edge.client().getEvent("road:child");
    expect(child.event).toMatchObject({ rootId: "road:parent", parentRunId: runIds[0], depth: 1 });
    expect((await runOver(child.runs[0]?.id ?? "")).status).toBe("completed");
  });
});

describe("cancel", () => {
  test("invariant 10: a step that ignores SIGTERM and has a child in its own session is ended, and nothing bears the run id any more", async () => {
    const { runIds } = await edge.client().dispatch({ id: "road:deaf", type: "story.deaf" });
    const id = runIds[0] ?? "";
    await until(async () => ((await edge.client().getOutput(id)).output.length > 0 ? true : undefined));
    expect(processesOfRun(id).length).toBeGreaterThanOrEqual(2);
    // The answer waits for the proof for up to two seconds, and the step is killed about then.
    expect((await edge.client().cancel(id, { by: "ada" })).cancel).toMatchObject({
      state: expect.stringMatching(/^(signalled|canceled)$/) as string,
      by: "api: ada",
    });
    const run = await runOver(id);
    expect(run).toMatchObject({
      status: "canceled",
      cancel: { state: "canceled", survivors: [] },
      attempts: [{ status: "canceled", tree: { empty: true, survivors: [] } }],
    });
    expect(processesOfRun(id)).toEqual([]);
    await expect(edge.client().cancel("run_0000000000000000_1")).rejects.toMatchObject({ status: 404 });
  });

  test("a run that waits is canceled at once", async () => {
    runner.signal("SIGSTOP");
    try {
      const sent = await edge.client().dispatch({ id: "road:waits", type: "story.work" });
      const canceled = await edge.client().cancel(sent.runIds[0] ?? "");
      expect(canceled.status).toBe("canceled");
    } finally {
      runner.signal("SIGCONT");
    }
  });
});

describe("the command line", () => {
  test("dispatch --wait, runs show, runs logs, runners, status, each as JSON too", async () => {
    const dispatched = await codexFlow(
      edge,
      "dispatch",
      "--type",
      "story.work",
      "--payload",
      '{"pauseMs":5}',
      "--wait",
      "--json",
    );
    expect(dispatched).toMatchObject({ code: 0 });
    const { runIds } = JSON.parse(dispatched.stdout) as { runIds: string[] };
    const id = runIds[0] ?? "";
    const logs = await codexFlow(edge, "runs", "logs", "-f", id);
    expect(logs.stdout).toContain(`line ${WORK_LINES} of ${id}`);
    const shown = await codexFlow(edge, "runs", "show", id, "--json");
    expect(JSON.parse(shown.stdout)).toMatchObject({ run: { id, effectiveStatus: "completed" } });
    expect((await codexFlow(edge, "runners")).stdout).toContain("box");
    expect((await codexFlow(edge, "status")).code).toBe(0);
    expect((await codexFlow(edge, "runs", "show", "run_0000000000000000_1")).code).toBe(5);
  });
});
