/**
 * Which of an agent's items are shown, and how much of them: CODEFLOW_OUTPUT_MODE, CODEFLOW_SAFE_MODE, --skip-reads.
 * Pure. What is left out of the chat may still stand in the stream log of the relay's own box.
 */
import type { AgentItem } from "../../contract/agent-item.ts";
import { RELAY_SUMMARY } from "../../contract/relay.ts";
import { READ } from "./agents/claude-code.ts";

/**
 * `minimal`: what went wrong, and how it ended. `balanced`: all but what is only for eyes that look now. `verbose`:
 * everything.
 */
export const OUTPUT_MODES = ["minimal", "balanced", "verbose"] as const;
export type OutputMode = (typeof OUTPUT_MODES)[number];

export interface OutputPolicy {
  mode: OutputMode;
  /** Bodies of commands and files are left out. */
  safe: boolean;
  skipReads: boolean;
}

/** The item as it is shown; undefined when it is not. */
export function shown(item: AgentItem, policy: OutputPolicy): AgentItem | undefined {
  if (policy.skipReads && item.type === "activity" && item.kind === READ) return undefined;
  if (!isOfMode(item, policy.mode)) return undefined;
  return policy.safe ? withoutBodies(item) : item;
}

function isOfMode(item: AgentItem, mode: OutputMode): boolean {
  if (mode === "verbose") return true;
  if (item.state === "delta") return false;
  if (mode === "balanced") return true;
  switch (item.type) {
    case "warning":
    case "turn":
    case "usage":
      return true;
    case "command":
    case "file_change":
    case "tool_call":
      return item.outcome === "failed" || item.outcome === "declined";
    case "activity":
      return item.kind === RELAY_SUMMARY;
    case "message":
    case "reasoning":
    case "plan":
      return false;
  }
}

/** Names, counts and codes stay; what was printed, written or passed does not. */
export function withoutBodies(item: AgentItem): AgentItem {
  if (item.state === "delta") return item.type === "command" ? { ...item, text: "" } : item;
  if (item.type === "command") return { ...item, output: "", ...omitting(item, item.output.length) };
  if (item.type === "tool_call") {
    const { error, ...rest } = item;
    return {
      ...rest,
      arguments: "{}",
      ...(error === undefined ? {} : { error: "left out" }),
      ...omitting(item, item.arguments.length),
    };
  }
  return item;
}

function omitting(item: { omittedChars?: number }, chars: number): { omittedChars?: number } {
  const omitted = (item.omittedChars ?? 0) + chars;
  return omitted === 0 ? {} : { omittedChars: omitted };
}
