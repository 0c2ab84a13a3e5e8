/** The flows that are deployed with this Worker, as the build has compiled them. */
import { flows, validators } from "flow-catalog";
import type { FlowCatalog } from "../../contract/matching.ts";
import { faultsOf } from "../../contract/validate.ts";

export const catalog: FlowCatalog = {
  flows,
  checks: Object.fromEntries(
    Object.entries(validators).map(([step, check]) => [
      step,
      (payload: unknown) => faultsOf(check, payload, "/payload"),
    ]),
  ),
};

const DEFAULT_POOL = "default";

/** Every pool that a deployed step may wait in. */
export const poolNames: readonly string[] = [
  ...new Set([DEFAULT_POOL, ...flows.flatMap((flow) => flow.steps.map((step) => step.pool))]),
];
