/**
 * Messages that are new, since somebody has to see them: an approval that is asked for, and how a run ended. Pure. Once
 * answered, an approval's message is rewritten: who has decided, and nothing to press.
 */
import type { ApprovalDecision, ApprovalView } from "../../../contract/approvals.ts";
import type { ChatMessage } from "../../../contract/chat/message.ts";
import type { RunView } from "../../../contract/run-view.ts";
import { FOLLOWED_PER_CHANNEL_MAX } from "./rules.ts";
import { approvalButtons, overButtons } from "./buttons.ts";
import type { RelayedSession, RunGlance } from "../../flow-event/calls.ts";
import {
  aboutLines,
  askedLines,
  budgetFields,
  cancelLines,
  clock,
  durationOf,
  logLinks,
  lossLines,
  nameIn,
  nameOf,
  outputOf,
  reasonOf,
  requesterOf,
  shortened,
  standing,
  type CardView,
} from "./cards.ts";
import { workFacts, workFields } from "./work-summary.ts";

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
  return approval.decidedBy === undefined
    ? decision
    : `${decision} by ${shortened(nameIn(approval.decidedBy))}`;
}

function toneOf(approval: ApprovalView | undefined): ChatMessage["tone"] {
  if (approval?.state !== "decided") return "neutral";
  return approval.decision === "accept" || approval.decision === "accept_for_session" ? "good" : "stopped";
}

function languageOf({ kind }: ApprovalView): string {
  return kind === "file_change" ? "diff" : kind === "command" ? "sh" : "json";
}

/** What an end message says besides the run itself. */
export interface EndView extends CardView {
  /** The agent's last words in full: a result may hold only the beginning of them. */
  answer?: string | undefined;
  /** They were posted already, above this message. */
  isAnswered?: boolean;
  /** The last lines of the run's output, for a failure that has no other explanation. */
  lines?: readonly string[];
}

/** An answer that is longer is cut here; the log has all of it. */
const ANSWER_MAX_CHARS = 20_000;
/** Message of a relayed session whose program left no answer; the title says as much. */
const ONLY_DURATION = /^Finished in [^\n]*$/;
/** A reason that is longer than this stands below the title, not in it. */
const REASON_IN_TITLE_CHARS = 120;

/** How a run ended. `mention`: who asked for it, where that was. */
export function finalMessage(
  run: RunView,
  view: EndView,
  mention: string[],
  session?: RelayedSession,
): ChatMessage {
  const { completedAt } = run;
  const links = logLinks(view);
  const quiet = run.effectiveStatus === "skipped" || run.status === "canceled";
  const { title, lines } = session === undefined ? endOfRun(run, view) : endOfSession(run, view, session);
  const answer = view.isAnswered === true ? undefined : (view.answer ?? run.result?.message);
  const isRepeated =
    answer === undefined ||
    answer === "" ||
    title.endsWith(answer) ||
    lines.includes(answer) ||
    (session !== undefined && ONLY_DURATION.test(answer));
  // A plain program says nothing as an agent does: the end of what it printed is all that there is to read.
  const isUnexplained =
    isRepeated && view.isAnswered !== true && view.failure === undefined && run.status !== "canceled";
  return {
    tone: standing(run, session).tone,
    title,
    lines: [...lines, ...lossLines(run)],
    ...(isRepeated ? {} : { body: shortened(answer, ANSWER_MAX_CHARS) }),
    fields: session === undefined ? endFields(run, view) : sessionFields(run, view),
    ...(isUnexplained && session !== undefined ? outputOf(view.lines ?? [], view) : {}),
    ...(completedAt === undefined ? {} : { since: Date.parse(completedAt) }),
    ...(links.length === 0 ? {} : { links }),
    buttons: [overButtons(run)],
    ...(mention.length === 0 ? {} : { mention }),
    ...(quiet && mention.length === 0 ? { silent: true } : {}),
  };
}

function endOfRun(run: RunView, view: EndView): { title: string; lines: string[] } {
  const reason = reasonOf(run, view.failure);
  const isSaid = reason === undefined || reason === run.result?.message;
  return {
    title: `${run.flowName} · ${standing(run).words}`,
    lines: [...cancelLines(run), ...(isSaid ? [] : [shortened(reason)])],
  };
}

function endFields(run: RunView, view: EndView): NonNullable<ChatMessage["fields"]> {
  const took = durationOf(run);
  const requester = requesterOf(run);
  return [
    { name: "Step", value: run.stepName },
    ...(requester === undefined ? [] : [{ name: "Requested by", value: requester }]),
    ...(took === undefined ? [] : [{ name: "Took", value: took }]),
    ...budgetFields(run, view.tokens),
    ...workFields(run, view.summary),
    { name: "Run", value: run.id },
  ];
}

/** One that was ended before it had a result has at least summed itself up. */
function sessionFields(run: RunView, view: EndView): NonNullable<ChatMessage["fields"]> {
  return [...(run.result === undefined ? workFields(run, view.summary) : []), { name: "Run", value: run.id }];
}

/** `Codex finished in 2 min · 3 files · 2 commands (1 failed) · $0.01` */
function endOfSession(
  run: RunView,
  view: EndView,
  { agent }: RelayedSession,
): { title: string; lines: string[] } {
  const took = durationOf(run);
  const facts = workFacts(run);
  if (run.status === "canceled") return { title: `${agent} was stopped`, lines: cancelLines(run) };
  if (run.effectiveStatus !== "failed")
    return {
      title: [took === undefined ? `${agent} finished` : `${agent} finished in ${took}`, ...facts].join(
        " · ",
      ),
      lines: [],
    };
  const [, exitCode] = /exited with code (\d+)$/.exec(run.error ?? "") ?? [];
  const reason = view.failure ?? (run.result?.message === "" ? undefined : run.result?.message);
  const failed = exitCode === undefined ? `${agent} failed` : `${agent} failed (exit code ${exitCode})`;
  const why = reason ?? (exitCode === undefined ? run.error : undefined);
  if (why === undefined) return { title: [failed, ...facts].join(" · "), lines: [] };
  const isShort = why.length <= REASON_IN_TITLE_CHARS && !why.includes("\n");
  return isShort ? { title: `${failed}: ${why}`, lines: [] } : { title: failed, lines: [shortened(why)] };
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
export function threadOpening(
  { run, session, asked }: Pick<RunGlance, "run" | "session" | "asked">,
  view: Pick<CardView, "safe">,
): ChatMessage {
  const requester = requesterOf(run);
  const started = requester === undefined ? "" : startedBy(requester, session !== undefined);
  return {
    tone: "neutral",
    title: nameOf(run, session),
    lines: [...aboutLines(session), ...askedLines(asked, view), ...(started === "" ? [] : [started])],
    fields: [
      ...(session === undefined ? [] : [{ name: "In", value: session.workdir }]),
      { name: "Run", value: run.id },
    ],
    silent: true,
  };
}

/** A relay names its user and its machine: `root@vm`. */
function startedBy(requester: string, isRelayed: boolean): string {
  const [, user, machine] = (isRelayed ? /^([^@\s]+)@([^@\s]+)$/.exec(requester) : null) ?? [];
  return machine === undefined ? `Started by ${requester}` : `Started by ${user} on ${machine}`;
}
