/**
 * Which run of an event a raise of the budget is for. A run that its budget has stopped goes on in a new one, which
 * may be stopped and go on as well: they are one piece of work, in one thread, which has one writer. So the run that is
 * named stands for the newest of them, and two who raise it at once do not begin two.
 */
import { continuationOf } from "../../contract/budget.ts";
import { isTerminal, type RunRecord } from "../../contract/run-record.ts";

/** @param runs of the event, oldest first */
export function runToRaise(n: number, runs: RunRecord[]): RunRecord | undefined {
  const run = runs.find((known) => known.n === n);
  const next = run && runs.findLast(({ continues }) => continues?.runId === run.id);
  return next === undefined || cameToNothing(next) ? run : runToRaise(next.n, runs);
}

/** It ended without having done the work, nor can it be continued: the one before it still can. */
function cameToNothing(run: RunRecord): boolean {
  if (!isTerminal(run.status) || continuationOf(run) !== undefined) return false;
  const status = run.result?.status;
  return (
    run.status !== "completed" || !(status === "completed" || status === "changed" || status === "skipped")
  );
}

/**
 * The run that this very request is for, should it come twice: the one that it has raised, or of one that it has made the
 * one that that continues.
 */
export function raisedBy(request: string | undefined, runs: RunRecord[]): RunRecord | undefined {
  if (request === undefined) return undefined;
  const made = runs.find((run) => run.request === request);
  return runs.find(
    (run) => run.id === made?.continues?.runId || run.budgetRaises?.includes(request) === true,
  );
}
