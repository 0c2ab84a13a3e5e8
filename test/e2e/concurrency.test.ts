/** Concurrency keys, over real agents. */
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../support/flow-workspace.ts";
import { Edge, startRunner } from "../support/program.ts";
import { storyWorkspace } from "../support/story-workspace.ts";
import { until } from "../support/until.ts";

const EVENTS = 20;

test("20 events with one key and a limit of 1 over two runners never overlap", async () => {
  const state = await temporaryFolder();
  const workspace = await storyWorkspace();
  const edge = await Edge.start({ state, workspace: workspace.root });
  onTestFinished(() => edge.stop());
  for (const name of ["first", "second"]) {
    const runner = await startRunner(edge, { name, workspace: workspace.root, journal: join(state, name) });
    onTestFinished(() => runner.kill());
  }
  await Promise.all(
    Array.from({ length: EVENTS }, (_unused, index) =>
      edge
        .client()
        .dispatch({ id: `keyed:${index}`, type: "story.keyed", payload: { repo: "openai/codex" } }),
    ),
  );
  const runs = await until(async () => {
    const { runs: found } = await edge.client().listRuns({ flow: "keyed", status: "changed" });
    return found.length === EVENTS ? found : undefined;
  });
  expect(runs.every((run) => run.resultStatus === "changed")).toBe(true);

  const diary = (await workspace.diary()).sort((a, b) => a.at - b.at || (a.what === "end" ? -1 : 1));
  let running = 0;
  for (const { what } of diary) {
    running += what === "start" ? 1 : -1;
    expect(running).toBeLessThanOrEqual(1);
  }
  expect(diary.length).toBe(2 * EVENTS);
});
