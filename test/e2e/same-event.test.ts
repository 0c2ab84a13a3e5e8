/** The same event, sent as often as an impatient sender sends it. */
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../support/flow-workspace.ts";
import { Edge, startRunner } from "../support/program.ts";
import { storyWorkspace } from "../support/story-workspace.ts";
import { until } from "../support/until.ts";

const SENDINGS = 50;

test("the same event 50 times at once: one accepted, 49 duplicates, all name the same run, and it starts once", async () => {
  const state = await temporaryFolder();
  const workspace = await storyWorkspace();
  const edge = await Edge.start({ state, workspace: workspace.root });
  onTestFinished(() => edge.stop());
  const runner = await startRunner(edge, {
    name: "box",
    workspace: workspace.root,
    journal: join(state, "box"),
  });
  onTestFinished(() => runner.kill());

  const event = { id: "same:1", type: "story.work", payload: { pauseMs: 5 } };
  const answers = await Promise.all(Array.from({ length: SENDINGS }, () => edge.client().dispatch(event)));
  const of = (status: string): number => answers.filter((answer) => answer.status === status).length;
  expect({ accepted: of("accepted"), duplicate: of("duplicate") }).toEqual({
    accepted: 1,
    duplicate: SENDINGS - 1,
  });
  const [id = ""] = answers[0]?.runIds ?? [];
  for (const { runIds } of answers) expect(runIds).toEqual([id]);
  const run = await until(async () => {
    const found = await edge.client().getRun(id);
    return found.completedAt === undefined ? undefined : found;
  });
  expect(run).toMatchObject({ status: "completed", attemptCount: 1 });
  expect((await edge.client().getEvent(event.id)).runs).toHaveLength(1);
  expect((await workspace.diary()).map(({ what, run: whose }) => [what, whose])).toEqual([
    ["start", id],
    ["end", id],
  ]);
});
