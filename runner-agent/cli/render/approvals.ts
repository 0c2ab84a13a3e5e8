/** Approvals for people: what is asked, until when, and the command that answers it. */
import type { ApprovalView } from "../../../client/http.ts";
import { table } from "./table.ts";
import { nextSteps, paragraphs, statusText, timeText, visible, type Style } from "./text.ts";

export function renderApprovals(style: Style, approvals: readonly ApprovalView[]): string {
  if (approvals.length === 0) return "nothing waits for an approval";
  const rows = approvals.map((approval) => [
    visible(approval.runId),
    visible(approval.id),
    statusText(style, approval.state),
    approval.dangerous === true ? style.colors.red(`${approval.kind}!`) : approval.kind,
    timeText(style, approval.expiresAt),
    visible(approval.title),
  ]);
  const open = approvals.find((approval) => approval.state === "pending");
  return paragraphs([
    table(style, ["run", "id", "state", "kind", "until", "what"], rows, "wrap"),
    open === undefined
      ? ""
      : nextSteps(style, [
          [`codex-flow approvals accept ${open.runId} ${open.id}`, "allow it"],
          [`codex-flow approvals decline ${open.runId} ${open.id}`, "do not"],
        ]),
  ]);
}

export function renderDecided(style: Style, approval: ApprovalView): string {
  return `${statusText(style, approval.decision ?? approval.state)}  ${visible(approval.title)}`;
}
