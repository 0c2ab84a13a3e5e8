/** A run that its budget has stopped goes on: a new run of its step, as it is deployed now, in the same thread. */
import type { BudgetUse } from "../contract/budget.ts";
import { ConflictError, NotFoundError } from "../contract/errors.ts";
import { RUNS_PER_EVENT_MAX } from "../contract/limits.ts";
import type { RunView } from "../contract/run-view.ts";
import type { AskedBy } from "../durable-objects/flow-event/calls.ts";
import type { FlowEventObject } from "../durable-objects/flow-event/object.ts";
import type { Remote } from "../durable-objects/kit/remote.ts";
import { deployedStep } from "./dispatch.ts";

/** @param asked the same request makes one run. Throws ConflictError when the step is gone or its event is full, NotFoundError when the run is. */
export async function continueRun(
  { object, n, id }: { object: Remote<FlowEventObject>; n: number; id: string },
  { flow, step }: { flow: string; step: string },
  addition: BudgetUse,
  asked?: AskedBy,
): Promise<RunView> {
  const match = deployedStep(flow, step);
  if (match === undefined)
    throw new ConflictError("step_not_deployed", `step ${flow}/${step} is not deployed any more`);
  const answer = await object.continueRun(n, match, addition, asked);
  const run = answer.kind === "runs" ? answer.runs[0] : undefined;
  if (run !== undefined) return run;
  if (answer.kind === "unknown")
    throw new NotFoundError("run_not_found", `run not found: ${id}`, [
      { path: "{id}", message: "is no run that is stored" },
    ]);
  throw new ConflictError(
    "too_many_runs",
    `its event already has as many runs as an event may have (${RUNS_PER_EVENT_MAX})`,
  );
}
