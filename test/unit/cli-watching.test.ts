/** What is shown around a wait for runs. */
import { expect, test } from "vitest";
import { goesOnText, waitText } from "../../runner-agent/cli/watching.ts";
import { endedRun, queuedRun, runningRun } from "../support/run-fixtures.ts";

test("a wait for one run shows its status and the elapsed time", () => {
  expect(waitText([runningRun()], 12_300)).toBe("running, 12.3 s (Ctrl-C ends the wait, not the run)");
});

test("a wait for several runs shows how many are over", () => {
  const runs = [runningRun(), queuedRun(2), endedRun("completed")];
  expect(waitText(runs, 61_000)).toBe("1 of 3 runs over, 1 min 1 s (Ctrl-C ends the wait, not the runs)");
});

test("an interrupted wait for many runs prints a bounded number of commands", () => {
  expect(goesOnText(["run_1", "run_2", "run_3", "run_4"]).split("\n")).toEqual([
    "4 runs go on; this command only watched. To stop them:",
    "  codex-flow runs cancel run_1",
    "  codex-flow runs cancel run_2",
    "  codex-flow runs cancel run_3",
    "  … and 1 more",
  ]);
});
