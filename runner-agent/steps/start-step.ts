/**
 * Starts a step by its runner kind. What a kind needs stands in a file of its own, which exports a `StepStarter`;
 * naming it in `STARTERS` is all that adds one.
 */
import type { RunnerKind } from "../../contract/flow-manifest.ts";
import { startBunStep } from "./bun.ts";
import { DEFAULT_CLOCKS, type StepClocks } from "./clocks.ts";
import { startNodeStep } from "./node.ts";
import { refusedStep } from "./refused-step.ts";
import type { RunningStep, StepEvents, StepRequest, StepStarter } from "./step.ts";

const STARTERS: Partial<Record<RunnerKind, StepStarter>> = { bun: startBunStep, node: startNodeStep };

export function startStep(
  request: StepRequest,
  events: StepEvents,
  clocks: StepClocks = DEFAULT_CLOCKS,
): RunningStep {
  const start = STARTERS[request.step.runner];
  return start === undefined
    ? refusedStep({
        code: "runner_unsupported",
        message:
          `step ${request.flow.name}/${request.step.name} wants the runner ${request.step.runner}; ` +
          `this agent has ${Object.keys(STARTERS).join(", ")}`,
      })
    : start(request, events, clocks);
}
