/** How a worktree that stays is said: to people as a line, to machines in the result's artifacts. Pure. */
import { resultFault, type FlowResult } from "../../contract/flow-result.ts";
import type { KeptWorktree } from "./ownership.ts";

const SHOWN_HASH_CHARS = 12;

/** One line with its newline. */
export function keptLine(kept: KeptWorktree): string {
  const { path, reason, head, base } = kept;
  const at = head === undefined ? "" : ` at ${head.slice(0, SHOWN_HASH_CHARS)}`;
  return `worktree kept: ${path}${at} (made from ${base.slice(0, SHOWN_HASH_CHARS)}): ${reason}\n`;
}

/** The result with `artifacts.workspace`; undefined when it would be larger than a result may be. */
export function resultWithKept(result: FlowResult, kept: KeptWorktree): FlowResult | undefined {
  const whole = { ...result, artifacts: { ...result.artifacts, workspace: kept } };
  return resultFault(whole) === undefined ? whole : undefined;
}
