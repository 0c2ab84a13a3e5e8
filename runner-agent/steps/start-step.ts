/**
 * Starts a step by its runner kind. What a kind needs stands in a file of its own, which exports a `StepStarter`; naming
 * it among the starters is all that adds one.
 */
import type { StepKind } from "../../contract/flow-manifest.ts";
import { startBunStep } from "./bun.ts";
import { DEFAULT_CLOCKS, type StepClocks } from "./clocks.ts";
import { startNodeStep } from "./node.ts";
import { refusedStep } from "./refused-step.ts";
import type { RunningStep, StepEvents, StepRequest, StepStarter } from "./step.ts";

export type StepStarters = Partial<Record<StepKind, StepStarter>>;

/** Kinds that need nothing of the box but a program. */
const SCRIPTS: StepStarters = { bun: startBunStep, node: startNodeStep };

export type StartStep = (request: StepRequest, events: StepEvents, clocks?: StepClocks) => RunningStep;

/** Starts scripts, and what else this box can run. */
export function stepStarter(more: StepStarters = {}): StartStep {
  const starters = { ...SCRIPTS, ...more };
  return (request, events, clocks = DEFAULT_CLOCKS) => {
    const start = starters[request.step.runner];
    return start === undefined
      ? refusedStep({
          code: "runner_unsupported",
          message:
            `step ${request.flow.name}/${request.step.name} wants the runner ${request.step.runner}; ` +
            `this agent has ${Object.keys(starters).join(", ")}`,
        })
      : start(request, events, clocks);
  };
}

/** Of scripts only. */
export const startStep = stepStarter();
