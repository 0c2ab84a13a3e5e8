/** The end of a step on a box on which nobody can look for a while: no more files may be opened. */
import { setTimeout } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { openNothing } from "../support/no-more-files.ts";
import { processesOfRun } from "../support/run-processes.ts";
import { launch, removePackages, SHORT } from "./step-harness.ts";

afterAll(removePackages);

const CHILD = `import { spawn } from "node:child_process";
  spawn("sleep", ["300"], { detached: true, stdio: "ignore" }).unref();
  console.log("up");
  setInterval(() => undefined, 1000);`;

test("a step that is canceled then ends, with the proof, as soon as somebody can look again", async () => {
  const { step, says, request } = await launch(CHILD, { clocks: { ...SHORT, killProofMs: 10_000 } });
  await says("stdout", "up");
  const openAgain = openNothing();
  step.cancel("canceled");
  await setTimeout(300);
  await openAgain();
  expect(await step.ended).toMatchObject({ reason: "canceled", tree: { empty: true, survivors: [] } });
  expect(processesOfRun(request.runId)).toEqual([]);
});

test("a step ends without a proof where nobody ever can", async () => {
  const { step, says, request } = await launch(CHILD, { clocks: { ...SHORT, killProofMs: 300 } });
  await says("stdout", "up");
  const openAgain = openNothing();
  step.cancel("canceled");
  const end = await step.ended;
  await openAgain();
  expect(end).toMatchObject({ reason: "canceled", tree: { empty: false } });
  for (const pid of processesOfRun(request.runId)) process.kill(Number(pid), "SIGKILL");
});
