/** A run in a form that a person can read and type: `x7k2-1`, from `run_0a1b2c3d4e5fx7k2_1`. Not unique; never an address. */
import { parseRunId } from "../ids.ts";

const KEY_CHARS = 4;

export function shortRunId(runId: string): string {
  const parsed = parseRunId(runId);
  return parsed === undefined ? runId : `${parsed.eventKey.slice(-KEY_CHARS)}-${parsed.n}`;
}

/** Whether somebody has typed the short id, however he writes it. */
export function isShortRunId(runId: string, typed: string): boolean {
  return typed.trim().toLowerCase().replaceAll(/[_\s]/g, "-") === shortRunId(runId);
}
