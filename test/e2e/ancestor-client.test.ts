/**
 * Products of the ancestor against this edge: through the client that stands in for theirs, and by a re-statement of
 * how theirs reads an answer, which knows nothing of this project. What a step said must show in both.
 */
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { createFlowBackendHttpClient, createFlowClient, type FlowClient } from "../../client/index.ts";
import { atEndOfFile, temporaryFolder } from "../support/flow-workspace.ts";
import { Edge, startRunner } from "../support/program.ts";
import { processesOfRun } from "../support/run-processes.ts";
import { storyWorkspace } from "../support/story-workspace.ts";
import { until } from "../support/until.ts";

const atEnd = atEndOfFile();

let edge: Edge;
let client: FlowClient;

beforeAll(async () => {
  const state = await temporaryFolder(atEnd);
  const { root: workspace } = await storyWorkspace(atEnd);
  edge = await Edge.start({ state, workspace });
  atEnd(() => edge.stop());
  const runner = await startRunner(edge, { name: "box", workspace, journal: join(state, "box") });
  atEnd(() => runner.kill());
  client = createFlowClient({
    mode: "http",
    baseUrl: edge.info.url,
    bearerToken: edge.info.tokens.admin,
  });
});

const work = (id: string) => ({ id, type: "story.work", source: "test", payload: { pauseMs: 5 } });

describe("with a bearer token", () => {
  test("dispatch, duplicate, get, list, replay", async () => {
    const sent = await client.dispatchEvent(work("ancestor:1"), { wait: true });
    expect(sent).toMatchObject({
      status: "accepted",
      eventId: "ancestor:1",
      matched: 1,
      idempotent: false,
      runs: [{ flowName: "work", stepName: "work", processStatus: "completed", status: "completed" }],
    });
    const again = await client.dispatchEvent(work("ancestor:1"));
    expect(again).toMatchObject({ status: "duplicate", matched: 0, idempotent: true, runIds: sent.runIds });

    const [id = ""] = sent.runIds;
    const run = await client.getRun(id);
    expect(run).toMatchObject({
      id,
      eventId: "ancestor:1",
      flowVersion: 1,
      runner: "node",
      backend: "edge",
      resultPayload: { status: "completed", message: "done" },
      attemptCount: 1,
      attempts: [{ attemptNumber: 1, status: "completed" }],
    });
    expect(run.output.map((piece) => piece.text).join("")).toContain(`line 1 of ${id}`);
    expect(run.latestOutput).toEqual(run.output.at(-1));
    for (const date of [run.createdAt, run.startedAt, run.completedAt, run.updatedAt])
      expect(new Date(date ?? "").toISOString()).toBe(date);

    const replayed = await client.replayEvent("ancestor:1", { wait: true });
    expect(replayed).toMatchObject({ status: "accepted", matched: 1, runs: [{ status: "completed" }] });
    expect(replayed.runIds).not.toEqual(sent.runIds);

    const event = await client.getEvent("ancestor:1");
    expect(event).toMatchObject({
      id: "ancestor:1",
      type: "story.work",
      source: "test",
      payload: { pauseMs: 5 },
    });
    expect(event.runIds.toSorted()).toEqual([...sent.runIds, ...replayed.runIds].toSorted());
    const ofEvent = await client.listRuns({ eventId: "ancestor:1" });
    expect(ofEvent.eventId).toBe("ancestor:1");
    expect(ofEvent.runs.map((listed) => listed.id).toSorted()).toEqual(event.runIds.toSorted());
    await until(async () => {
      const { events } = await client.listEvents({ type: "story.work", limit: 5 });
      return events.some((listed) => listed.id === "ancestor:1") ? true : undefined;
    });
  });

  test("cancel ends the run, and it shows as canceled", async () => {
    const { runIds } = await client.dispatchEvent({ id: "ancestor:cancel", type: "story.deaf" });
    const [id = ""] = runIds;
    await until(async () => ((await client.getRun(id)).processStatus === "running" ? true : undefined));
    const { run } = await client.cancelRun(id);
    expect(run.id).toBe(id);
    const over = await until(async () => {
      const seen = await client.getRun(id);
      return seen.completedAt === undefined ? undefined : seen;
    });
    expect(over).toMatchObject({ processStatus: "canceled", status: "canceled", needsAttention: false });
    expect(processesOfRun(id)).toEqual([]);
  });

  test("as an API key it is as good", async () => {
    const keyed = createFlowBackendHttpClient({ baseUrl: edge.info.url, apiKey: edge.info.tokens.read });
    expect((await keyed.listRuns({ limit: 1 })).runs).toHaveLength(1);
  });
});

describe("with an HMAC secret", () => {
  test("dispatch needs no token", async () => {
    const signing = createFlowBackendHttpClient({
      baseUrl: edge.info.url,
      hmacSecret: edge.info.eventSecret,
    });
    expect(await signing.dispatchEvent(work("ancestor:signed"))).toMatchObject({
      status: "accepted",
      matched: 1,
    });
  });

  test("and a token, both are checked, and every call goes through", async () => {
    const both = createFlowClient({
      mode: "http",
      baseUrl: edge.info.url,
      bearerToken: edge.info.tokens.write,
      hmacSecret: edge.info.eventSecret,
    });
    const { runIds } = await both.dispatchEvent(work("ancestor:both"), { wait: true });
    expect(await both.replayEvent("ancestor:both", { wait: false })).toMatchObject({ matched: 1 });
    // The edge has read the signed request: it says that this run is over.
    await expect(both.cancelRun(runIds[0] ?? "")).rejects.toMatchObject({ status: 409, code: "run_over" });
  });

  test("a wrong secret, and no credentials at all, are refused in the ancestor's words", async () => {
    const wrong = createFlowBackendHttpClient({ baseUrl: edge.info.url, hmacSecret: "wrong" });
    await expect(wrong.dispatchEvent(work("ancestor:wrong"))).rejects.toThrow(
      "Flow backend POST /events failed with 401",
    );
    await expect(wrong.getRun("run_x")).rejects.toThrow("Flow backend GET /runs/run_x failed with 401");
    await expect(client.getEvent("ancestor:wrong")).rejects.toThrow(
      "Flow backend GET /events/ancestor%3Awrong failed with 404",
    );
  });
});

describe("a step that is blocked", () => {
  test("shows as blocked and needs attention, in every answer", async () => {
    const event = { id: "ancestor:blocked", type: "story.blocked", payload: {} };
    const blocked = {
      processStatus: "completed",
      resultStatus: "blocked",
      effectiveStatus: "blocked",
      status: "blocked",
      needsAttention: true,
    };
    const sent = await client.dispatchEvent(event, { wait: true });
    expect(sent.runs).toMatchObject([blocked]);
    const [id = ""] = sent.runIds;
    expect(await client.getRun(id)).toMatchObject({
      ...blocked,
      resultPayload: { message: "waits for a decision" },
    });
    expect((await client.getEvent(event.id)).runs).toMatchObject([blocked]);
    const listed = await until(async () => {
      const { runs } = await client.listRuns({ status: "blocked" });
      return runs.length === 0 ? undefined : runs;
    });
    expect(listed).toMatchObject([{ id, ...blocked }]);
  });

  test("the ancestor's own client, unchanged, reads it from the bare JSON", async () => {
    const event = { id: "ancestor:raw", type: "story.blocked", payload: {} };
    const headers = { authorization: `Bearer ${edge.info.tokens.admin}`, "content-type": "application/json" };
    const ask = async (path: string, body?: unknown): Promise<unknown> => {
      const post = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
      const response = await fetch(`${edge.info.url}${path}`, { headers, ...post });
      expect(response.ok).toBe(true);
      return response.json();
    };
    const sent = (await ask("/events?wait=true", event)) as { runIds: string[]; runs: unknown[] };
    const detail = (await ask("/events/ancestor%3Araw")) as { runs: unknown[] };
    const got = (await ask(`/runs/${sent.runIds[0] ?? ""}`)) as { run: unknown };
    const listed = (await ask("/runs?eventId=ancestor%3Araw")) as { runs: unknown[] };
    for (const run of [sent.runs[0], detail.runs[0], got.run, listed.runs[0]])
      expect(asTheAncestorReads(run)).toEqual({ status: "blocked", needsAttention: true });
  });
});

/**
 * How the ancestor's client decides, told anew from its description: the result is `result`, else `resultJson` (maybe
 * a string of JSON); its `status` counts if it is one of six, else the run's own.
 */
function asTheAncestorReads(answer: unknown): { status: string; needsAttention: boolean } {
  const run = answer as { status?: string; result?: unknown; resultJson?: unknown };
  const kept = typeof run.resultJson === "string" ? (JSON.parse(run.resultJson) as unknown) : run.resultJson;
  const result = ("result" in run ? run.result : kept) as { status?: unknown } | null | undefined;
  const six = ["skipped", "completed", "changed", "needs_intervention", "blocked", "failed"];
  const said = [result?.status, run.status].find((status) => six.includes(String(status)));
  const status = typeof said === "string" ? said : (run.status ?? "unknown");
  return { status, needsAttention: status === "blocked" || status === "needs_intervention" };
}
