/** Approvals as text: those that wait, with the command that decides each, and what became of the others. */
import type { ApprovalView } from "../../../client/http.ts";
import { table } from "./table.ts";
import {
  fields,
  indent,
  nextSteps,
  paragraphs,
  timeText,
  visible,
  visibleLines,
  type Style,
} from "./text.ts";

/** Lines of a command or a diff that a person is shown; --json has all of them. */
const DETAIL_LINES_MAX = 12;

export function renderApprovals(style: Style, approvals: readonly ApprovalView[]): string {
  const [first] = approvals;
  if (first === undefined) return "nothing waits for an approval";
  return paragraphs([
    table(
      style,
      ["run", "id", "kind", "", "asked", "expires", "what"],
      approvals.map((approval) => [
        approval.runId,
        approval.id,
        approval.kind,
        dangerMark(style, approval),
        timeText(style, approval.requestedAt),
        timeText(style, approval.expiresAt),
        visible(approval.title),
      ]),
    ),
    nextSteps(style, decideCommands(first)),
  ]);
}

/** All that a run has asked for, oldest first. */
export function approvalsTable(style: Style, approvals: readonly ApprovalView[]): string {
  if (approvals.length === 0) return "";
  const rows = approvals.map((approval) => [
    approval.id,
    approval.kind,
    dangerMark(style, approval),
    timeText(style, approval.requestedAt),
    approval.state === "pending"
      ? style.colors.bold(style.colors.yellow(`pending, expires ${timeText(style, approval.expiresAt)}`))
      : answerText(approval),
    visible(approval.title),
  ]);
  return indent(table(style, ["id", "kind", "", "asked", "answer", "what"], rows, "wrap"));
}

const DECIDED: Partial<Record<string, string>> = {
  accept: "accepted",
  accept_for_session: "accepted for the session",
  decline: "declined",
  cancel: "canceled",
};

/** How one ended, in words. */
export function answerText({ state, decision, decidedBy }: ApprovalView): string {
  if (state === "withdrawn") return "withdrawn: the step no longer waits for it";
  if (state === "expired") return "declined: nobody answered in time";
  const word = decision === undefined ? state : (DECIDED[decision] ?? decision);
  return `${word} by ${visible(decidedBy ?? "an unknown user")}`;
}

export function renderDecided(style: Style, approval: ApprovalView): string {
  const { colors } = style;
  const paint = approval.decision?.startsWith("accept") === true ? colors.green : colors.yellow;
  return `${colors.bold(approval.id)}  ${paint(answerText(approval))}  ${visible(approval.title)}`;
}

/** One that a run waits for, for whoever follows it: what, why, and the exact command to decide it. */
export function pendingText(style: Style, approval: ApprovalView): string {
  const { colors } = style;
  const { runId, id, kind, title, detail, cwd, reason, decisions, expiresAt } = approval;
  const danger = dangerMark(style, approval);
  const heading = colors.bold(colors.yellow(`waits for approval ${id} (${kind}): ${visible(title)}`));
  const others = decisions
    .filter((decision) => decision === "decline" || decision === "cancel")
    .map((decision) => decision);
  return [
    `${heading}${danger === "" ? "" : `  ${danger}`}`,
    fields(style, [
      ["detail", detail === undefined || detail === title ? "" : beginning(detail)],
      ["in", visible(cwd ?? "")],
      ["because", visible(reason ?? "")],
      ["expires", timeText(style, expiresAt)],
      ["decide", colors.bold(`${style.launcher ?? ""}codex-flow approvals accept ${runId} ${id}`)],
      ["", others.length === 0 ? "" : colors.dim(`or with ${others.join(" or ")} in place of accept`)],
    ]),
  ].join("\n");
}

function decideCommands({ runId, id, decisions }: ApprovalView): Array<[string, string]> {
  const command = (verb: string) => `codex-flow approvals ${verb} ${runId} ${id}`;
  const purposes = [
    ["accept", "allow it"],
    ["decline", "the step goes on without it"],
    ["cancel", "interrupt the turn"],
  ] as const;
  return purposes.flatMap(([verb, purpose]): Array<[string, string]> =>
    decisions.includes(verb) ? [[command(verb), purpose]] : [],
  );
}

function dangerMark({ colors }: Style, { dangerous }: ApprovalView): string {
  return dangerous === true ? colors.bold(colors.red("! leaves the sandbox")) : "";
}

function beginning(text: string): string {
  const lines = visibleLines(text).split("\n");
  const left = lines.length - DETAIL_LINES_MAX;
  return left <= 0
    ? lines.join("\n")
    : [...lines.slice(0, DETAIL_LINES_MAX), `… and ${left} more lines`].join("\n");
}
