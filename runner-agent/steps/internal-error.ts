/** What nobody has foreseen, as the reason of an attempt's end: it ends that attempt, never the agent. */
import type { Reason } from "../../contract/run-record.ts";

export function internalError(what: string): Reason {
  return { code: "internal_error", message: `the runner agent failed: ${what}` };
}
