/**
 * Messages that are new, since somebody has to see them: an approval that is asked for, and how a run ended. Pure. Once
 * answered, an approval's message is rewritten: who has decided, and nothing to press.
 */
import type { ApprovalDecision, ApprovalView } from "../../../contract/approvals.ts";
import type { ChatMessage } from "../../../contract/chat/message.ts";
import type { RunView } from "../../../contract/run-view.ts";
import { FOLLOWED_PER_CHANNEL_MAX } from "./rules.ts";
import { approvalButtons, overButtons } from "./buttons.ts";
import type { RelayedSession } from "../../flow-event/calls.ts";
import {
  aboutLines,
  budgetFields,
  durationOf,
  endLines,
  logLinks,
  nameOf,
  requesterOf,
  shortened,
  standing,
  type CardView,
} from "./cards.ts";
import { workFields } from "./work-summary.ts";

const KINDS: Record<ApprovalView["kind"], string> = {
  command: "run a command",
  file_change: "change files",
  permissions: "have more permissions",
  tool: "use a tool",
};
const DECISIONS: Record<ApprovalDecision, string> = {
  accept: "Approved",
  accept_for_session: "Approved for the session",
  decline: "Denied",
  cancel: "Denied, and its turn stopped",
};

/** An open approval. `mention`: ids of those who are told. */
export function approvalMessage(
  run: RunView,
  approval: ApprovalView,
  view: CardView,
  mention: string[],
): ChatMessage {
  const answers = approvalButtons(approval);
  const { id, detail, dangerous, reason, cwd, expiresAt, requestedAt } = approval;
  const code = view.safe ? undefined : detail;
  return {
    tone: "waiting",
    title: `${run.flowName} asks to ${KINDS[approval.kind]}`,
    lines: [
      ...(dangerous === true ? ["⚠ Dangerous: it leaves the sandbox"] : []),
      shortened(approval.title),
      ...(reason === undefined ? [] : [shortened(`Reason: ${reason}`)]),
      ...(view.safe && detail !== undefined
        ? ["The whole of it is left out in this channel: see Details, or codex-flow approvals list"]
        : []),
      `Denied at ${clock(expiresAt)} when nobody answers`,
      ...(answers.some(({ label }) => label === "Approve")
        ? []
        : [`Answer on a command line: codex-flow approvals accept ${run.id} ${id}`]),
    ],
    fields: [
      { name: "Step", value: run.stepName },
      ...(cwd === undefined ? [] : [{ name: "In", value: cwd }]),
      { name: "Run", value: run.id },
    ],
    ...(code === undefined ? {} : { code: { text: code, language: languageOf(approval) } }),
    since: Date.parse(requestedAt),
    buttons: [answers],
    ...(mention.length === 0 ? {} : { mention }),
  };
}

/** The same message once it is answered. `approval` is undefined for one that the run no longer keeps. */
export function answeredApproval(
  flow: string,
  runId: string,
  approval: ApprovalView | undefined,
  safe: boolean,
): ChatMessage {
  const code = safe ? undefined : approval?.detail;
  return {
    tone: toneOf(approval),
    title: `${flow} asked${approval === undefined ? "" : ` to ${KINDS[approval.kind]}`}`,
    lines: [...(approval === undefined ? [] : [shortened(approval.title)]), answerOf(approval)],
    fields: [{ name: "Run", value: runId }],
    ...(code === undefined || approval === undefined
      ? {}
      : { code: { text: code, language: languageOf(approval) } }),
    ...(approval?.decidedAt === undefined ? {} : { since: Date.parse(approval.decidedAt) }),
  };
}

/** What asked somebody to confirm his answer, once the approval is over. */
export function confirmedMessage(runId: string, approval: ApprovalView | undefined): ChatMessage {
  return {
    tone: toneOf(approval),
    title: answerOf(approval),
    lines: approval === undefined ? [] : [shortened(approval.title)],
    fields: [{ name: "Run", value: runId }],
    silent: true,
  };
}

function answerOf(approval: ApprovalView | undefined): string {
  if (approval === undefined || approval.state === "withdrawn")
    return "Withdrawn: the step no longer waits for an answer";
  if (approval.state === "expired") return "Denied: nobody answered in time";
  const decision = approval.decision === undefined ? "Answered" : DECISIONS[approval.decision];
  return `${decision} by ${shortened(approval.decidedBy ?? "somebody")}`;
}

function toneOf(approval: ApprovalView | undefined): ChatMessage["tone"] {
  if (approval?.state !== "decided") return "neutral";
  return approval.decision === "accept" || approval.decision === "accept_for_session" ? "good" : "stopped";
}

function languageOf({ kind }: ApprovalView): string {
  return kind === "file_change" ? "diff" : kind === "command" ? "sh" : "json";
}

/** `12:30 UTC` */
function clock(iso: string): string {
  return `${iso.slice(11, 16)} UTC`;
}

/** How a run ended. `mention`: who asked for it, where that was. */
export function finalMessage(
  run: RunView,
  view: CardView,
  mention: string[],
  session?: RelayedSession,
): ChatMessage {
  const { tone, words } = standing(run);
  const { completedAt } = run;
  const took = durationOf(run);
  const requester = requesterOf(run);
  const links = logLinks(view);
  const quiet = run.effectiveStatus === "skipped" || run.status === "canceled";
  return {
    tone,
    title: `${nameOf(run, session)} · ${words}`,
    lines: [...aboutLines(session), ...endLines(run)],
    fields: [
      session === undefined ? { name: "Step", value: run.stepName } : { name: "In", value: session.workdir },
      ...(requester === undefined ? [] : [{ name: "Requested by", value: requester }]),
      ...(took === undefined ? [] : [{ name: "Took", value: took }]),
      ...budgetFields(run, view.tokens),
      ...workFields(run, view.summary),
      { name: "Run", value: run.id },
    ],
    ...(completedAt === undefined ? {} : { since: Date.parse(completedAt) }),
    ...(links.length === 0 ? {} : { links }),
    buttons: [overButtons(run)],
    ...(mention.length === 0 ? {} : { mention }),
    ...(quiet && mention.length === 0 ? { silent: true } : {}),
  };
}

/** Said to a channel whose follows match more runs than it can show. */
export function crowdedMessage(): ChatMessage {
  return {
    tone: "attention",
    title: "More runs than this channel can show",
    lines: [
      `${FOLLOWED_PER_CHANNEL_MAX} runs are shown here and not over. Until some of them are, others are not shown; they run all the same.`,
    ],
    silent: true,
  };
}

/** What a thread of a run begins with, where it has to begin with something. */
export function threadOpening(run: RunView, session: RelayedSession | undefined): ChatMessage {
  const requester = requesterOf(run);
  return {
    tone: "neutral",
    title: nameOf(run, session),
    lines: [
      ...aboutLines(session),
      session !== undefined
        ? `A session that is relayed${requester === undefined ? "" : ` by ${requester}`}`
        : requester === undefined
          ? "A run of this flow"
          : `A run that ${requester} asked for`,
    ],
    fields: [
      ...(session === undefined ? [] : [{ name: "In", value: session.workdir }]),
      { name: "Run", value: run.id },
    ],
    silent: true,
  };
}
