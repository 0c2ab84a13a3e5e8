/**
 * A run's status card: how things stand, from a glance at the run and what its channel wants to see. Pure. It says no time
 * that passes (`since` counts by itself in the reader's client), so that a card changes only when the run does.
 *
 * All texts are plain; whoever draws the message escapes them. `safe` leaves out bodies of commands, files and output.
 */
import type { ApprovalView } from "../../../contract/approvals.ts";
import { BUDGET_UNITS, budgetAmount, type Budget, type BudgetUse } from "../../../contract/budget.ts";
import type { ChatMessage, ChatTone } from "../../../contract/chat/message.ts";
import { endOf, shortened as cutTo } from "../../../contract/chat/short-text.ts";
import type { RunView } from "../../../contract/run-view.ts";
import type { RelayedSession, RunGlance } from "../../flow-event/calls.ts";
import type { OutputMode } from "../calls.ts";
import { runButtons } from "./buttons.ts";
import { workFields } from "./work-summary.ts";

/** How a place wants to see a run, and what is known besides the run itself. */
export interface CardView {
  output: OutputMode;
  safe: boolean;
  /** Of its log, as a page for people. */
  logUrl?: string | undefined;
  /** Tokens that the agent's thread has used. */
  tokens?: number | undefined;
  /** What a relayed session said it had come to, for one that left no result. */
  summary?: string | undefined;
  /** Why the agent's last turn failed, in the agent's own words. */
  failure?: string | undefined;
  /** An end message says how the run ended, so the card does not. */
  endIsBelow?: boolean | undefined;
}

/** Lines of output on a card, and characters of them in all. */
const CARD_LINES = 8;
const CARD_OUTPUT_MAX_CHARS = 1_500;
/** Any other text on a card. */
const TEXT_MAX_CHARS = 600;
/** What was asked for: enough to know it again, on a phone. */
const ASKED_MAX_CHARS = 300;
const STEP_MAX_CHARS = 120;
const PIDS_SHOWN = 8;
const MS_PER_SECOND = 1_000;

export function runCard(glance: RunGlance, view: CardView): ChatMessage {
  const { run, eventType, session, lines, plan, asked } = glance;
  const { tone, words } = standing(run, session);
  const since = sinceOf(run);
  const links = logLinks(view);
  return {
    tone,
    title: `${nameOf(run, session)} · ${words}`,
    lines: [
      ...aboutLines(session),
      ...askedLines(asked, view),
      ...waitingLines(run),
      ...awayLines(run),
      ...attemptLines(run),
      ...cancelLines(run),
      ...approvalLines(run),
      ...(view.endIsBelow === true ? [] : endLines(run, view)),
    ],
    fields: [
      ...(session === undefined ? [{ name: "Step", value: stepOf(run, plan) }] : planField(run, plan)),
      ...field("In", session?.workdir),
      ...field("Requested by", requesterOf(run)),
      ...field("Event", run.requestedBy === undefined ? eventType : undefined),
      ...field("Runner", run.attempts.at(-1)?.runnerName),
      ...field("Attempt", run.attempts.length > 1 ? String(run.attempts.length) : undefined),
      ...budgetFields(run, view.tokens),
      ...field("Took", durationOf(run)),
      ...workFields(run, view.summary),
      { name: "Run", value: run.id },
    ],
    ...(view.endIsBelow === true ? {} : outputOf(lines, view)),
    ...(since === undefined ? {} : { since }),
    ...(links.length === 0 ? {} : { links }),
    buttons: runButtons(run),
    silent: true,
  };
}

/** The card of a run whose event was deleted at its retention. */
export function goneCard(flow: string, runId: string): ChatMessage {
  return {
    tone: "neutral",
    title: `${flow} · no longer stored`,
    lines: ["The event of this run has reached its retention age; nothing can be done with it any more."],
    fields: [{ name: "Run", value: runId }],
    silent: true,
  };
}

export interface Standing {
  tone: ChatTone;
  words: string;
}

/** What is at work: a flow, or the agent of a relayed session, of which all flows have the same name. */
export function nameOf(run: RunView, session: RelayedSession | undefined): string {
  return session?.agent ?? run.flowName;
}

/** What a relayed session is about, where its agent and its folder do not say it already. */
export function aboutLines(session: RelayedSession | undefined): string[] {
  if (session === undefined || session.title === `${session.agent} in ${session.workdir}`) return [];
  return [shortened(session.title)];
}

/** The beginning of what was asked for, as a quotation. */
export function askedLines(asked: string | undefined, { safe }: Pick<CardView, "safe">): string[] {
  return asked === undefined || safe ? [] : [`“${shortened(asked, ASKED_MAX_CHARS)}”`];
}

/** How a run stands, as a colour and in words. */
export function standing(run: RunView, session?: RelayedSession): Standing {
  if (run.status === "queued")
    return { tone: "queued", words: session === undefined ? "waiting for a runner" : "starting…" };
  if (run.status === "running") {
    if (run.cancel !== undefined) return { tone: "stopped", words: "stopping…" };
    if (run.awaySince !== undefined) return { tone: "waiting", words: "machine offline" };
    return pendingOf(run).length > 0
      ? { tone: "waiting", words: "waiting for approval" }
      : { tone: "running", words: "running" };
  }
  switch (run.effectiveStatus) {
    case "completed":
      return { tone: "good", words: "done" };
    case "changed":
      return { tone: "good", words: "done, with changes" };
    case "skipped":
      return { tone: "neutral", words: "skipped" };
    case "needs_intervention":
      return { tone: "attention", words: "needs intervention" };
    case "blocked":
      return { tone: "attention", words: "blocked" };
    case "canceled":
      return { tone: "stopped", words: "canceled" };
    default:
      return { tone: "bad", words: run.errorCode === "lost" ? "lost" : "failed" };
  }
}

export function pendingOf(run: RunView): ApprovalView[] {
  return (run.approvals ?? []).filter(({ state }) => state === "pending");
}

/** Who asked for it, by name. */
export function requesterOf({ requestedBy }: RunView): string | undefined {
  return requestedBy === undefined ? undefined : nameIn(requestedBy);
}

/** Somebody's name: `ada`, of `discord:123 (ada)`. */
export function nameIn(label: string): string {
  return /^(?:discord|telegram):-?\d+ \((.+)\)$/s.exec(label)?.[1] ?? label;
}

export function shortened(text: string, most = TEXT_MAX_CHARS): string {
  return cutTo(text, most);
}

/** Whoever reads the card reads the log: so there is none where bodies are left out. */
export function logLinks({ logUrl, safe }: CardView): { label: string; url: string }[] {
  return logUrl === undefined || safe ? [] : [{ label: "Log", url: logUrl }];
}

/** How long it ran, from its first start to its end. */
export function durationOf({ startedAt, completedAt }: RunView): string | undefined {
  if (startedAt === undefined || completedAt === undefined) return undefined;
  const seconds = Math.max(0, Math.round((Date.parse(completedAt) - Date.parse(startedAt)) / MS_PER_SECOND));
  if (seconds === 0) return "less than 1 s";
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

/**
 * What the run has used of its budget: `1,200 of 5,000 tokens, 12 of 60 seconds`. Without a budget, the tokens it has used
 * so far, until its result has them.
 */
export function budgetFields(run: RunView, tokens: number | undefined): { name: string; value: string }[] {
  const stated = run.result?.artifacts?.["budget"] as { used?: BudgetUse; limits?: Budget } | undefined;
  const used: BudgetUse = {
    ...(tokens === undefined ? {} : { tokens }),
    ...run.budgetUsed,
    ...stated?.used,
  };
  const limits = run.budget ?? stated?.limits ?? {};
  const parts = BUDGET_UNITS.flatMap((unit) => {
    const [limit, spent] = [limits[unit], used[unit]];
    if (typeof limit !== "number") return [];
    return `${typeof spent === "number" ? `${budgetAmount(spent)} of ` : ""}${budgetAmount(limit)} ${unit}`;
  });
  if (parts.length > 0) return [{ name: "Budget", value: parts.join(", ") }];
  return tokens === undefined || run.result !== undefined
    ? []
    : [{ name: "Tokens", value: budgetAmount(tokens) }];
}

function field(name: string, value: string | undefined): { name: string; value: string }[] {
  return value === undefined || value === "" ? [] : [{ name, value }];
}

function sinceOf({ status, createdAt, startedAt, awaySince, completedAt }: RunView): number | undefined {
  const from =
    status === "queued" ? createdAt : status === "running" ? (awaySince ?? startedAt) : completedAt;
  return from === undefined ? undefined : Date.parse(from);
}

function stepOf(run: RunView, plan: RunGlance["plan"]): string {
  if (plan === undefined) return run.stepName;
  const at = plan.current === undefined ? plan.done : plan.done + 1;
  const current = plan.current === undefined ? "" : `: ${plan.current}`;
  return shortened(`${run.stepName}, ${Math.min(at, plan.total)} of ${plan.total}${current}`, STEP_MAX_CHARS);
}

function planField(run: RunView, plan: RunGlance["plan"]): { name: string; value: string }[] {
  return plan === undefined
    ? []
    : [{ name: "Plan", value: stepOf(run, plan).slice(run.stepName.length + 2) }];
}

function waitingLines({ status, waiting }: RunView): string[] {
  return status === "queued" && waiting !== undefined ? [shortened(waiting.message)] : [];
}

function awayLines({ awaySince, attempts }: RunView): string[] {
  if (awaySince === undefined) return [];
  const machine = attempts.at(-1)?.runnerName ?? "The machine";
  return [`${machine} is offline since ${clock(awaySince)}; the agent may still be working`];
}

/** `12:30 UTC` */
export function clock(iso: string): string {
  return `${iso.slice(11, 16)} UTC`;
}

const ENDED: Record<string, string> = { lost: "was lost", timeout: "ran out of time", failed: "failed" };

/** What became of the attempt before the one that counts. */
function attemptLines({ attempts, status }: RunView): string[] {
  const before = status === "queued" ? attempts.at(-1) : attempts.at(-2);
  if (before === undefined) return [];
  const again = status === "queued" ? "is tried again" : "tried again";
  const what =
    before.status === "lost"
      ? `runner ${before.runnerName} lost`
      : `attempt ${before.attemptNumber} on ${before.runnerName} ${ENDED[before.status] ?? before.status}`;
  return [shortened(`${what}, ${again} as attempt ${before.attemptNumber + 1}`)];
}

export function cancelLines(run: RunView): string[] {
  const { cancel } = run;
  if (cancel === undefined) return [];
  const tree = run.attempts.at(-1)?.tree;
  const by = shortened(nameIn(cancel.by));
  if (run.status === "running") {
    if (cancel.state !== "signalled")
      return [`${by} asked to stop it; the runner has not confirmed that yet`];
    return [`${by} asked to stop it; ${survivorText(cancel.survivors ?? [])}`];
  }
  if (run.status === "canceled") {
    if (run.attempts.length === 0) return [`Stopped by ${by} before it started`];
    if (tree === undefined) return [`Stopped by ${by}`];
    return [`Stopped by ${by}; ${tree.empty ? "nothing is left running" : survivorText(tree.survivors)}`];
  }
  return tree?.empty === false && tree.survivors.length > 0 ? [survivorText(tree.survivors)] : [];
}

function survivorText(pids: number[]): string {
  if (pids.length === 0) return "no process is left";
  const more = pids.length > PIDS_SHOWN ? ` and ${pids.length - PIDS_SHOWN} more` : "";
  return `still running: ${pids.length === 1 ? "pid" : "pids"} ${pids.slice(0, PIDS_SHOWN).join(", ")}${more}`;
}

function approvalLines(run: RunView): string[] {
  const [first, ...more] = pendingOf(run);
  if (first === undefined) return [];
  return [
    shortened(`Asks: ${first.title}`),
    ...(more.length === 0 ? [] : [`and ${more.length} more, each in a message of its own`]),
  ];
}

/** How a run ended, in the words of its step: the message of its result, what went wrong, what was left out. */
export function endLines(run: RunView, { failure }: Pick<CardView, "failure">): string[] {
  const message = run.result?.message;
  const reason = reasonOf(run, failure);
  return [
    ...(message === undefined || message === "" ? [] : [shortened(message)]),
    ...(reason === undefined || reason === message ? [] : [shortened(reason)]),
    ...lossLines(run),
  ];
}

/** Why a run failed: what its agent said of it, since an exit code alone explains nothing. */
export function reasonOf(
  { effectiveStatus, error }: RunView,
  failure: string | undefined,
): string | undefined {
  return effectiveStatus === "failed" ? (failure ?? error) : error;
}

/** What of a run was refused or not kept. */
export function lossLines(run: RunView): string[] {
  const chained = run.chained?.filter(({ state }) => state === "refused").length ?? 0;
  return [
    ...(chained === 0 ? [] : [`${chained} of the events that it started were refused`]),
    ...(run.outputDropped === 0
      ? []
      : [`${run.outputDropped} bytes of output are not kept: it printed more than a run may`]),
  ];
}

export function outputOf(lines: readonly string[], { safe, output }: CardView): Pick<ChatMessage, "code"> {
  if (safe || output === "minimal") return {};
  let text = lines.slice(-CARD_LINES).join("\n");
  if (text.length > CARD_OUTPUT_MAX_CHARS) text = `…${endOf(text, CARD_OUTPUT_MAX_CHARS)}`;
  return text === "" ? {} : { code: { text } };
}
