/** A runner dies and never comes back: after the lease its attempts are lost, and only what may be tried again goes on. */
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { LOST_AFTER_MS } from "../../contract/limits.ts";
import { temporaryFolder } from "../support/flow-workspace.ts";
import { Edge, startRunner } from "../support/program.ts";
import { storyWorkspace } from "../support/story-workspace.ts";
import { until } from "../support/until.ts";

const STORY_TIMEOUT_MS = 2 * LOST_AFTER_MS + 60_000;

test(
  "of two runners one dies for good: a step that says so is tried again on the other, any other one ends lost",
  async () => {
    const state = await temporaryFolder();
    const workspace = await storyWorkspace();
    const edge = await Edge.start({ state, workspace: workspace.root });
    onTestFinished(() => edge.stop());
    const start = async (name: string) => {
      const runner = await startRunner(edge, { name, workspace: workspace.root, journal: join(state, name) });
      onTestFinished(() => runner.kill());
      return runner;
    };
    const mortal = await start("mortal");
    const send = async (type: string): Promise<string> => {
      const sent = await edge.client().dispatch({ id: `gone:${type}`, type, payload: { pauseMs: 1_000 } });
      return sent.runIds[0] ?? "";
    };
    const stubborn = await send("story.stubborn");
    const work = await send("story.work");
    await until(async () => ((await workspace.diary()).length >= 2 ? true : undefined));
    await start("other");
    await mortal.kill();

    const over = (id: string) =>
      until(async () => {
        const run = await edge.client().getRun(id);
        return run.completedAt === undefined ? undefined : run;
      });
    expect(await over(work)).toMatchObject({
      status: "failed",
      errorCode: "lost",
      attempts: [{ status: "lost", runnerName: "mortal" }],
    });
    expect(await over(stubborn)).toMatchObject({
      status: "completed",
      attempts: [
        { status: "lost", runnerName: "mortal" },
        { status: "completed", runnerName: "other" },
      ],
    });
    const starts = (await workspace.diary()).filter(({ what }) => what === "start");
    expect(starts.map(({ attempt }) => attempt).sort()).toEqual(
      [`${stubborn}_a1`, `${stubborn}_a2`, `${work}_a1`].sort(),
    );
  },
  STORY_TIMEOUT_MS,
);
