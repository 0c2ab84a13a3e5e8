/** Runs as chats look at them, and the rows of a board that shows them. */
import type { AgentItem } from "../../contract/agent-item.ts";
import type { ApprovalView } from "../../contract/approvals.ts";
import type { OutputChunkView, RunView } from "../../contract/run-view.ts";
import type { ChannelFollows } from "../../durable-objects/chat-outbox/calls.ts";
import type { Showing, ShownRun } from "../../durable-objects/chat-outbox/board/rows.ts";
import type { RunGlance } from "../../durable-objects/flow-event/calls.ts";
import { BEGIN_MS, EVENT_KEY } from "./run-fixtures.ts";

export const RUN_ID = `run_${EVENT_KEY}_1`;
export const CHANNEL = "discord:100";

export function glanceOf(run: RunView, more: Partial<RunGlance> = {}): RunGlance {
  return { run, eventType: "upstream.release", lines: [], ...more };
}

/** A run with these approvals, open ones counted. */
export function withApprovals(run: RunView, approvals: ApprovalView[]): RunView {
  const pending = approvals.filter(({ state }) => state === "pending").length;
  return { ...run, approvals, ...(pending === 0 ? {} : { pendingApprovals: pending }) };
}

export function followsOf(change: Partial<ChannelFollows> = {}): ChannelFollows {
  return {
    place: { platform: "discord", channel: "100" },
    flows: ["release"],
    types: [],
    threads: true,
    output: "balanced",
    safe: false,
    ...change,
  };
}

export function shownRun(change: Partial<ShownRun> = {}): ShownRun {
  return {
    runId: RUN_ID,
    flow: "release",
    eventType: "upstream.release",
    seenAt: BEGIN_MS,
    phase: "unseen",
    heard: true,
    changed: true,
    ...change,
  };
}

export function showingOf(change: Partial<Showing> = {}): Showing {
  return {
    runId: RUN_ID,
    place: CHANNEL,
    shownAt: BEGIN_MS,
    via: "follows",
    thread: true,
    opened: false,
    approvals: {},
    final: false,
    ...change,
  };
}

/** Items as the chunks of output that carry them. */
export function itemChunks(items: AgentItem[], from = 1): OutputChunkView[] {
  return items.map((item, index) => ({
    cursor: `1.${from + index}`,
    attempt: 1,
    seq: from + index,
    kind: "agent",
    text: "",
    createdAt: new Date(BEGIN_MS).toISOString(),
    item,
  }));
}

export function saidItem(text: string, id = "m1"): AgentItem {
  return { type: "message", id, state: "completed", role: "agent", text };
}

export function commandItem(command: string, output = "", exitCode = 0): AgentItem {
  return {
    type: "command",
    id: "c1",
    state: "completed",
    command,
    cwd: ".",
    outcome: exitCode === 0 ? "completed" : "failed",
    exitCode,
    output,
  };
}
