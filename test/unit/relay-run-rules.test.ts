/** A relayed session's run owes nothing to any pool, and its object does not wake to send it to one. */
import { expect, test } from "vitest";
import { nextDue } from "../../contract/run-clocks.ts";
import { endAttempt } from "../../contract/run-lifecycle.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import { effectsOfChange, effectsOfState } from "../../durable-objects/flow-event/rules.ts";
import { at, BEGIN_MS, claimed, EXITED, waitingRun } from "../support/run-life.ts";

const QUEUE_MS = 120_000;

function relayed(): RunRecord {
  const run = waitingRun({ queueMs: QUEUE_MS });
  return { ...run, step: { ...run.step, runner: "relay" } };
}

test("from its begin to its end it is listed, and neither sent nor settled", () => {
  const waiting = relayed();
  const running = claimed(waiting);
  const over = endAttempt(running, 1, 1, EXITED, at(BEGIN_MS + 1));
  const kinds = (before: RunRecord | undefined, after: RunRecord): string[] =>
    effectsOfChange(before, after, BEGIN_MS).map(({ kind }) => kind);
  expect([kinds(undefined, waiting), kinds(waiting, running), kinds(running, over)]).toEqual([
    ["project"],
    ["project"],
    ["project"],
  ]);
});

test("what a crash has cut off is listed again, and sent to nobody", () => {
  const late = BEGIN_MS + QUEUE_MS;
  const over = endAttempt(claimed(relayed()), 1, 1, EXITED, at(late));
  for (const run of [relayed(), over])
    expect(effectsOfState(run, late).map(({ kind }) => kind)).toEqual(["project"]);
});

test("while it waits for its relay, time changes it once: at the end of that wait", () => {
  expect(nextDue(relayed(), undefined, BEGIN_MS)).toBe(BEGIN_MS + QUEUE_MS);
});
