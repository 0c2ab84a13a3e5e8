/**
 * What the runner itself knows of a step's work, beside what the step says in its result. Pure.
 *
 * A result has a bound, and the step's own word comes first: where both do not fit, the runner's is left out.
 */
import { resultFault, type FlowResult } from "../../contract/flow-result.ts";

/**
 * The result with as many of the runner's artifacts as fit, the first ones first; those of the step's own count where both
 * have one.
 */
export function withOwnArtifacts(result: FlowResult, own: Record<string, unknown>): FlowResult {
  const entries = Object.entries(own);
  for (let kept = entries.length; kept > 0; kept -= 1) {
    const artifacts = { ...Object.fromEntries(entries.slice(0, kept)), ...result.artifacts };
    const whole = { ...result, artifacts };
    if (resultFault(whole) === undefined) return whole;
  }
  return result;
}
