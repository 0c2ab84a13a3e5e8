/** A run that its budget has stopped, raised by more than one person, or more than once: it goes on once. */
import { afterAll, afterEach, expect, test } from "vitest";
import type { RunView } from "../../contract/run-view.ts";
import { call, expectError, expectJson, get, runOf, startRun } from "./support/api.ts";
import { FakeRunner, RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

const spent = (tokens: number) => ({
  status: "needs_intervention" as const,
  artifacts: { threadId: "t1", budget: { exceeded: "tokens", used: { tokens } } },
});

function raise(runId: string, addTokens: number): Promise<Response> {
  return call("POST", `/runs/${runId}/budget`, { body: { addTokens } });
}

async function raised(runId: string, addTokens: number): Promise<RunView> {
  return (await expectJson<{ run: RunView }>(raise(runId, addTokens), 202)).run;
}

async function stopped(): Promise<{ runId: string; eventId: string; runner: FakeRunner }> {
  const { pool, type } = deployStep({ runner: "codex", budget: { tokens: 1000 } });
  const { runId } = await startRun(type);
  const runner = await FakeRunner.connect(pool);
  await (await RunLink.claim(runId, 1, runner.id)).complete(spent(1010));
  return { runId, eventId: (await runOf(runId)).eventId, runner };
}

async function runsOf(eventId: string): Promise<string[]> {
  const { runs } = await get<{ runs: RunView[] }>(`/runs?eventId=${encodeURIComponent(eventId)}`);
  return runs.map(({ id }) => id);
}

test("by two people at once: one run goes on in the thread, with what both have added", async () => {
  const { runId, eventId } = await stopped();
  const [one, two] = await Promise.all([raised(runId, 200), raised(runId, 3000)]);
  expect(two.id).toBe(one.id);
  expect(await runsOf(eventId)).toEqual([one.id, runId]);
  expect((await runOf(one.id)).budget).toEqual({ tokens: 4200 });
});

test("while the run that goes on is at work: that one is told", async () => {
  const { runId, eventId, runner } = await stopped();
  const next = await raised(runId, 500);
  const link = await runner.start(next.id);
  expect(await link.next("budget")).toEqual({ type: "budget", budget: { tokens: 1500 } });
  expect((await raised(runId, 100)).id).toBe(next.id);
  expect(await link.next("budget")).toEqual({ type: "budget", budget: { tokens: 1600 } });
  expect(await runsOf(eventId)).toEqual([next.id, runId]);
});

test("when that one has used it up, too: it goes on from there, not from where the first one was", async () => {
  const { runId, runner } = await stopped();
  const next = await raised(runId, 500);
  await (await runner.start(next.id)).complete(spent(1520));
  const third = await raised(runId, 500);
  expect(third).toMatchObject({ continues: next.id, budget: { tokens: 2000 } });
  const { context } = await runner.start(third.id);
  expect(context.continues).toMatchObject({ runId: next.id, used: { tokens: 1520 } });
});

test("when that one has come to its end: the work is done, and nothing begins anew in its thread", async () => {
  const { runId, eventId, runner } = await stopped();
  const next = await raised(runId, 500);
  await (await runner.start(next.id)).complete();
  const error = await expectError(raise(runId, 500), 409);
  expect(error.code).toBe("run_over");
  expect(error.message).toContain(next.id);
  expect(await runsOf(eventId)).toEqual([next.id, runId]);
});

test("when that one has failed: the thread is still there to go on in", async () => {
  const { runId, runner } = await stopped();
  const next = await raised(runId, 500);
  await (await runner.start(next.id)).complete({ status: "failed" });
  const again = await raised(runId, 700);
  expect(again).toMatchObject({ continues: runId, budget: { tokens: 1700 } });
  expect(again.id).not.toBe(next.id);
});
