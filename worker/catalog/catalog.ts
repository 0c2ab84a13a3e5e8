/** The flows that are deployed with this Worker, as the build has compiled them. */
import { flows, validators, type PayloadValidator } from "flow-catalog";
import type { ErrorDetail } from "../../contract/errors.ts";
import type { FlowCatalog } from "../../contract/matching.ts";
import { faultsOf } from "../../contract/validate.ts";

/** Of a larger payload only the first fault is named: a fault for each item of a long list would not fit in here. */
const THOROUGH_MAX_CHARS = 64 * 1024;

function payloadFaults(check: PayloadValidator, payload: unknown): ErrorDetail[] {
  const first = faultsOf(check, payload, "/payload");
  if (
    check.thorough === undefined ||
    first.length === 0 ||
    JSON.stringify(payload).length > THOROUGH_MAX_CHARS
  )
    return first;
  try {
    return faultsOf(check.thorough, payload, "/payload");
  } catch {
    // Naming every fault may cost more than a check is allowed; the first one is known.
    return first;
  }
}

export const catalog: FlowCatalog = {
  flows,
  checks: Object.fromEntries(
    Object.entries(validators).map(([step, check]) => [step, (payload) => payloadFaults(check, payload)]),
  ),
};

const DEFAULT_POOL = "default";

/** Every pool that a deployed step may wait in. */
export const poolNames: readonly string[] = [
  ...new Set([DEFAULT_POOL, ...flows.flatMap((flow) => flow.steps.map((step) => step.pool))]),
];
