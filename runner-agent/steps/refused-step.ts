/** The other side of every start: a step that could not be started, and why. */
import type { AttemptEnd, Reason } from "../../contract/run-record.ts";
import type { RunningStep } from "./step.ts";

export function refusedStep(error: Reason | Promise<Reason>): RunningStep {
  return {
    pid: undefined,
    cancel: () => undefined,
    pause: () => undefined,
    resume: () => undefined,
    ended: Promise.resolve(error).then((reason): AttemptEnd => ({ reason: "refused", error: reason })),
  };
}
