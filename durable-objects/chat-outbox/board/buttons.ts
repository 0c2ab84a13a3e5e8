/** Which buttons a run has in which state. A text that does not fit into a button leaves it out: the command line says it. */
import type { ApprovalView } from "../../../contract/approvals.ts";
import { stoppedByBudget } from "../../../contract/budget.ts";
import { encodeAction, type ChatAction } from "../../../contract/chat/action.ts";
import type { ChatButton } from "../../../contract/chat/message.ts";
import { isTerminal } from "../../../contract/run-record.ts";
import type { RunView } from "../../../contract/run-view.ts";
import { changesOf } from "./changes.ts";

/** Rows without an empty one. */
export function runButtons(run: RunView): ChatButton[][] {
  const open = (run.approvals ?? []).find(({ state }) => state === "pending");
  const rows = isTerminal(run.status)
    ? [overButtons(run)]
    : [open === undefined ? [] : approvalButtons(open), activeButtons(run)];
  return rows.filter((row) => row.length > 0);
}

function activeButtons({ id, cancel, listens }: RunView): ChatButton[] {
  return [
    ...(cancel === undefined ? button("Cancel", "danger", { act: "cancel", runId: id }) : []),
    ...(listens === true ? button("Reply", "primary", { act: "reply", runId: id }) : []),
    ...button("Follow", "secondary", { act: "follow", runId: id }),
    ...button("Logs", "secondary", { act: "logs", runId: id }),
  ];
}

export function overButtons(run: RunView): ChatButton[] {
  const { id } = run;
  return [
    ...(stoppedByBudget(run) === undefined
      ? []
      : button("+ budget", "primary", { act: "budget", runId: id })),
    ...(isRepeatable(run) ? button("Replay", "secondary", { act: "replay", runId: id }) : []),
    ...button("Logs", "secondary", { act: "logs", runId: id }),
    ...(changesOf(run) === undefined ? [] : button("Diff", "secondary", { act: "diff", runId: id })),
  ];
}

/** Of an open approval, as far as the step offers the answers. */
export function approvalButtons({ id, runId, decisions, dangerous }: ApprovalView): ChatButton[] {
  const yes = dangerous === true ? "danger" : "success";
  return [
    ...(decisions.includes("accept") ? button("Approve", yes, { act: "approve", runId, more: id }) : []),
    ...(decisions.includes("accept_for_session")
      ? button("Approve for session", "secondary", { act: "approve_session", runId, more: id })
      : []),
    ...(decisions.includes("decline") || decisions.includes("cancel")
      ? button("Deny", dangerous === true ? "secondary" : "danger", { act: "deny", runId, more: id })
      : []),
    ...button("Details", "secondary", { act: "details", runId, more: id }),
  ];
}

/** Only the relay that began a session has its agent: here, nothing could start it again. */
function isRepeatable({ runner }: RunView): boolean {
  return runner !== "relay";
}

function button(label: string, style: ChatButton["style"], action: ChatAction): ChatButton[] {
  const text = encodeAction(action);
  return text === undefined ? [] : [{ label, style, action: text }];
}
