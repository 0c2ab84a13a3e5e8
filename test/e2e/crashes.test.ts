/**
 * The story that decides: events flow, an agent and then the whole edge are killed with -9 and started again. What
 * the steps themselves wrote down on disk is held against what the edge says.
 */
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { RunView } from "../../contract/run-view.ts";
import { Edge, startRunner } from "../support/program.ts";
import { storyWorkspace, WORK_LINES, type DiaryEntry } from "../support/story-workspace.ts";
import { temporaryFolder } from "../support/flow-workspace.ts";
import { until } from "../support/until.ts";

const EVENTS = 100;
/** Far longer than the whole test. */
const HIT_PAUSE_MS = 600_000;

test("100 events, one agent killed with -9 and restarted, workerd killed with -9 and restarted: each event ends once, with its whole output, and no step starts twice", async () => {
  const state = await temporaryFolder();
  const workspace = await storyWorkspace();
  const edge = await Edge.start({ state, workspace: workspace.root });
  onTestFinished(() => edge.stop());
  const flags = (name: string) => ({
    name,
    workspace: workspace.root,
    journal: join(state, name),
    capacity: 3,
  });
  const send = async (index: number, pauseMs: number): Promise<string> => {
    const event = { id: `crash:${index}`, type: "story.work", payload: { pauseMs } };
    return (await edge.client().dispatch(event)).runIds[0] ?? "";
  };
  let second = await startRunner(edge, flags("second"));
  onTestFinished(() => second.kill());
  // Whatever the others do by then, the kill of the second agent hits this one.
  const hit = await send(0, HIT_PAUSE_MS);
  await until(async () => (await workspace.diary()).find((entry) => entry.run === hit));
  const first = await startRunner(edge, flags("first"));
  onTestFinished(() => first.kill());

  const others = Array.from({ length: EVENTS - 1 }, (_unused, index) => send(index + 1, 40));
  const runIds = [hit, ...(await Promise.all(others))];
  expect(new Set(runIds).size).toBe(EVENTS);

  await ended(workspace.diary, 20);
  await second.kill();
  second = await startRunner(edge, flags("second"));

  await ended(workspace.diary, 50);
  await edge.kill();
  await edge.restart();

  const runs = await until(async () => {
    const found = await Promise.all(runIds.map(async (id) => await edge.client().getRun(id)));
    return found.every((run) => run.completedAt !== undefined) ? found : undefined;
  });
  const diary = await workspace.diary();
  for (const run of runs) audit(run, diary);
  expect(runs.find(({ id }) => id === hit)?.errorCode).toBe("lost");
  expect(runs.filter((run) => run.status === "completed").length).toBeGreaterThanOrEqual(EVENTS - 3);
});

/** What a run says, against what its step wrote down. */
function audit(run: RunView, diary: DiaryEntry[]): void {
  const starts = diary.filter((entry) => entry.run === run.id && entry.what === "start");
  const attempts = starts.map((entry) => entry.attempt);
  expect(new Set(attempts).size, `${run.id}: a step started twice`).toBe(attempts.length);
  expect(run.attemptCount, `${run.id}: no retry was asked for`).toBe(1);
  const printed = (run.output ?? [])
    .filter((chunk) => chunk.kind === "stdout")
    .map((chunk) => chunk.text)
    .join("");
  const whole = Array.from({ length: WORK_LINES }, (_unused, line) => `line ${line + 1} of ${run.id}\n`).join(
    "",
  );
  if (run.status === "completed") {
    expect(starts.length, `${run.id}: completed without a start`).toBe(1);
    expect(printed).toContain(whole);
    expect(run.result?.status).toBe("completed");
  } else {
    expect(run.errorCode).toBe("lost");
    expect(whole.startsWith(printed), `${run.id}: output of a lost attempt has a hole`).toBe(true);
  }
}

async function ended(diary: () => Promise<DiaryEntry[]>, count: number): Promise<void> {
  await until(async () =>
    (await diary()).filter((entry) => entry.what === "end").length >= count ? true : undefined,
  );
}

test("a lost attempt is tried again when the step says so, and only then", async () => {
  const state = await temporaryFolder();
  const workspace = await storyWorkspace();
  const edge = await Edge.start({ state, workspace: workspace.root });
  onTestFinished(() => edge.stop());
  const flags = { name: "box", workspace: workspace.root, journal: join(state, "box") };
  const runner = await startRunner(edge, flags);
  const sent = await edge
    .client()
    .dispatch({ id: "stubborn:1", type: "story.stubborn", payload: { pauseMs: 1500 } });
  const id = sent.runIds[0] ?? "";
  await until(async () => ((await workspace.diary()).length > 0 ? true : undefined));
  await runner.kill();
  const again = await startRunner(edge, flags);
  onTestFinished(() => again.kill());
  const run = await until(async () => {
    const found = await edge.client().getRun(id);
    return found.completedAt === undefined ? undefined : found;
  });
  expect(run.status).toBe("completed");
  expect(run.attempts.map((attempt) => attempt.status)).toEqual(["lost", "completed"]);
  const starts = (await workspace.diary()).filter((entry) => entry.what === "start");
  expect(starts.map((entry) => entry.attempt)).toEqual([`${id}_a1`, `${id}_a2`]);
});
