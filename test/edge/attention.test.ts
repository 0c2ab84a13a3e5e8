/** Runs that need attention: until a replay ends well, or somebody acknowledges them. */
import { afterAll, afterEach, expect, test } from "vitest";
import type { RunSummary, RunView } from "../../contract/run-view.ts";
import { call, expectError, expectJson, get, replay, runOf, startRun, TOKENS, until } from "./support/api.ts";
import { FakeRunner } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

async function ack(runId: string, body: object = {}): Promise<RunView> {
  return (await expectJson<{ run: RunView }>(call("POST", `/runs/${runId}/ack`, { body }), 200)).run;
}

/** The runs of a pool that wait for a person, as their list shows them. */
async function attentionIn(pool: string): Promise<string[]> {
  const { runs } = await get<{ runs: RunSummary[] }>(`/runs?attention=1&pool=${pool}`);
  return runs.map(({ id }) => id);
}

async function failedRun() {
  const { type, pool } = deployStep();
  const runner = await FakeRunner.connect(pool);
  const begun = await startRun(type);
  await runner.complete(begun.runId, { status: "failed", message: "no" });
  await until(async () => {
    expect(await attentionIn(pool)).toEqual([begun.runId]);
  });
  return { ...begun, pool, runner };
}

test("a failed run no longer needs attention once a replay of its step has ended well", async () => {
  const { eventId, runId, pool, runner } = await failedRun();
  const { runIds } = await replay(eventId);
  const [again = ""] = runIds;
  await runner.complete(again, { status: "completed" });
  await until(async () => {
    expect(await attentionIn(pool)).toEqual([]);
  });
  expect(await runOf(runId)).toMatchObject({
    effectiveStatus: "failed",
    needsAttention: false,
    supersededBy: again,
  });
});

test("a failed run still needs attention when its replay fails as well", async () => {
  const { eventId, runId, pool, runner } = await failedRun();
  const { runIds } = await replay(eventId);
  const [again = ""] = runIds;
  await runner.complete(again, { status: "blocked" });
  await until(async () => {
    expect(await attentionIn(pool)).toEqual([again, runId]);
  });
});

test("an acknowledged run leaves the list, with who and when; the first acknowledgement stays", async () => {
  const { runId, pool } = await failedRun();
  expect(await ack(runId, { by: "ada" })).toMatchObject({
    effectiveStatus: "failed",
    needsAttention: false,
    acknowledged: { by: "api: ada", at: expect.stringMatching(/^\d{4}-/) as string },
  });
  expect((await ack(runId, { by: "bob" })).acknowledged?.by).toBe("api: ada");
  await until(async () => {
    expect(await attentionIn(pool)).toEqual([]);
  });
});

test("a run that has not ended badly cannot be acknowledged", async () => {
  const { type, pool } = deployStep();
  const runner = await FakeRunner.connect(pool);
  const { runId } = await startRun(type);
  expect((await expectError(call("POST", `/runs/${runId}/ack`), 409)).code).toBe("no_attention_needed");
  await runner.complete(runId, { status: "completed" });
  expect((await expectError(call("POST", `/runs/${runId}/ack`), 409)).code).toBe("no_attention_needed");
  await expectError(call("POST", "/runs/run_0000000000000000_1/ack"), 404);
  await expectError(call("POST", `/runs/${runId}/ack`, { token: TOKENS.read }), 403);
});

test("runs are listed by pool, by their newest attempt's runner, and from a moment on", async () => {
  const { type, pool } = deployStep();
  const runner = await FakeRunner.connect(pool);
  const { runId, eventId } = await startRun(type);
  await runner.complete(runId, { status: "completed" });
  const { attempts, createdAt } = await runOf(runId);
  const { workerId = "", runnerName = "" } = attempts[0] ?? {};
  const ids = async (query: string): Promise<string[]> =>
    (await get<{ runs: RunSummary[] }>(`/runs?pool=${pool}&${query}`)).runs.map(({ id }) => id);
  await until(async () => {
    expect(await ids(`runner=${workerId}`)).toEqual([runId]);
  });
  expect(await ids(`runner=${encodeURIComponent(runnerName)}`)).toEqual([runId]);
  expect(await ids("runner=nobody")).toEqual([]);
  const after = new Date(Date.parse(createdAt) + 1).toISOString();
  for (const among of ["", `eventId=${encodeURIComponent(eventId)}&`]) {
    expect(await ids(`${among}since=${createdAt}`)).toEqual([runId]);
    expect(await ids(`${among}since=${after}`)).toEqual([]);
  }
  const events = await get<{ events: unknown[] }>(`/events?type=${type}&since=${after}`);
  expect(events.events).toEqual([]);
});

test.each(["yesterday", "1", "2026-13-01"])("a list refuses since=%s, which is no date", async (since) => {
  for (const list of ["runs", "events"])
    expect((await expectError(call("GET", `/${list}?since=${since}`), 400)).code).toBe("invalid_since");
});

test("a list refuses an attention flag that is neither yes nor no", async () => {
  expect((await expectError(call("GET", "/runs?attention=maybe"), 400)).code).toBe("invalid_flag");
});
