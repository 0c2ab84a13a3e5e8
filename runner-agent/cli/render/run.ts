/** Runs as text: the list, one run with everything known about it, and the lines that follow a run's progress. */
import type { DispatchedRun, RunPage, RunSummary, RunView } from "../../../client/http.ts";
import { stoppedByBudget } from "../../../contract/budget.ts";
import type { AttemptView } from "../../../contract/run-view.ts";
import { isOver } from "../run-outcome.ts";
import { shortRun } from "../short-ids.ts";
import { approvalsTable } from "./approvals.ts";
import { budgetText, messagesTable } from "./run-conversation.ts";
import { table } from "./table.ts";
import {
  bytesText,
  countText,
  cutText,
  elapsedText,
  fields,
  indent,
  isNarrow,
  jsonText,
  nextSteps,
  paragraphs,
  section,
  argumentWord,
  optionValue,
  statusText,
  timeText,
  visible,
  visibleLines,
  type Style,
} from "./text.ts";

/** The one sentence that says most about a run: what it waits for, what went wrong, or what it reports. */
export function runSentence(run: DispatchedRun): string {
  const waiting =
    run.status === "queued" && run.waiting !== undefined ? `waits: ${run.waiting.message}` : undefined;
  const asks =
    run.pendingApprovals === undefined
      ? undefined
      : `waits for ${countText(run.pendingApprovals, "approval")}`;
  const away = run.awaySince === undefined ? undefined : `its box is away since ${run.awaySince}`;
  return visible(waiting ?? asks ?? away ?? run.error ?? run.result?.message ?? "");
}

export function runStatus(style: Style, run: DispatchedRun): string {
  // Nothing goes on before somebody has answered.
  return statusText(style, run.effectiveStatus, run.needsAttention || run.pendingApprovals !== undefined);
}

/** Columns of a narrow table that are not the flow's and step's name, at their widest. */
const NARROW_FIXED_CHARS = 60;
const NAME_MIN_CHARS = 12;

export function runTable(style: Style, runs: readonly RunSummary[]): string {
  if (isNarrow(style)) return narrowRunTable(style, runs);
  const head = ["run", "flow/step", "status", "created", "took", "attempts", "message"];
  return table(
    style,
    head,
    runs.map((run) => [
      run.id,
      visible(`${run.flowName}/${run.stepName}`),
      runStatus(style, run),
      timeText(style, run.createdAt),
      elapsedText(style, run.startedAt, run.completedAt),
      String(run.attemptCount),
      runSentence(run),
    ]),
  );
}

/** A line a run at 80 columns; `runs show` takes the short ids, and has what is left out. */
function narrowRunTable(style: Style, runs: readonly RunSummary[]): string {
  const nameColumns = Math.max(NAME_MIN_CHARS, style.width - NARROW_FIXED_CHARS);
  return table(
    style,
    ["run", "flow/step", "status", "created", "message"],
    runs.map((run) => [
      shortRun(run.id),
      cutText(visible(`${run.flowName}/${run.stepName}`), nameColumns),
      runStatus(style, run),
      timeText(style, run.createdAt),
      runSentence(run),
    ]),
  );
}

/** `more` is the command that shows the next page, without its cursor. */
export function renderRunList(style: Style, page: RunPage, more: string): string {
  if (page.runs.length === 0) return "no runs";
  return paragraphs([runTable(style, page.runs), moreText(style, page.nextCursor, more)]);
}

export function moreText(style: Style, cursor: string | undefined, command: string): string {
  return cursor === undefined ? "" : style.colors.dim(`more: ${command} --cursor${optionValue(cursor)}`);
}

/** `continuedBy`: the run that goes on in its thread. */
export function renderRun(style: Style, run: RunView, continuedBy?: string): string {
  return paragraphs([
    `${style.colors.bold(run.id)}  ${runStatus(style, run)}  ${visible(`${run.flowName}/${run.stepName}`)}`,
    fields(style, [...runFacts(style, run), ["continued by", continuedBy ?? ""]]),
    section(style, "approvals", approvalsTable(style, run.approvals ?? [])),
    section(style, "messages", messagesTable(style, run)),
    section(style, "cancel", cancelText(style, run)),
    section(style, "result", resultText(style, run)),
    section(style, "attempts", attemptsText(style, run.attempts)),
    section(style, "chained events", chainedText(style, run)),
    nextSteps(style, runNextSteps(run, continuedBy)),
  ]);
}

function runFacts(style: Style, run: RunView): Array<[string, string]> {
  const origin = run.replayOf === undefined ? run.origin : `${run.origin} of ${run.replayOf}`;
  return [
    ["event", visible(run.eventId)],
    ["flow", `${visible(run.flowName)} version ${run.flowVersion} (${visible(run.flowDigest)})`],
    ["step", `${visible(run.stepName)} (${visible(run.runner)}, pool ${visible(run.pool)})`],
    ["origin", run.depth === 0 ? visible(origin) : `${visible(origin)}, depth ${run.depth}`],
    ["process", run.status],
    ["created", timeText(style, run.createdAt)],
    ["started", timeText(style, run.startedAt)],
    ["took", elapsedText(style, run.startedAt, run.completedAt)],
    ["box last seen", timeText(style, run.awaySince)],
    ["waits", run.waiting === undefined ? "" : visible(`${run.waiting.message} (${run.waiting.code})`)],
    [
      "error",
      run.error === undefined ? "" : style.colors.red(visibleLines(withCode(run.error, run.errorCode))),
    ],
    ["output", outputText(run)],
    ["attention", settledText(style, run)],
    ["budget", budgetText(style, run)],
    ["continues", run.continues ?? ""],
  ];
}

function withCode(message: string, code: string | undefined): string {
  return code === undefined ? message : `${message} (${code})`;
}

function outputText(run: RunView): string {
  if (run.outputBytes === 0 && run.outputDropped === 0) return "";
  const dropped =
    run.outputDropped === 0 ? "" : `, and ${bytesText(run.outputDropped)} over the bound that were not kept`;
  return `${bytesText(run.outputBytes)}${dropped}`;
}

function cancelText(style: Style, run: RunView): string {
  if (run.cancel === undefined) return "";
  const { state, by, requestedAt, signalledAt, survivors } = run.cancel;
  return fields(style, [
    ["state", statusText(style, state)],
    ["asked", `${timeText(style, requestedAt)} by ${visible(by)}`],
    ["signalled", timeText(style, signalledAt)],
    ["survivors", survivorsText(style, survivors)],
  ]);
}

/** Processes that would not go, by pid (invariant 10). */
function survivorsText(style: Style, survivors: readonly number[] = []): string {
  return survivors.length === 0 ? "" : style.colors.red(`pid ${survivors.join(", ")}`);
}

function resultText(style: Style, run: RunView): string {
  if (run.result === undefined) return "";
  const { status, message, artifacts } = run.result;
  return fields(style, [
    ["status", statusText(style, status, run.needsAttention)],
    ["message", message === undefined ? "" : visibleLines(message)],
    [
      "artifacts",
      artifacts === undefined || Object.keys(artifacts).length === 0 ? "" : artifactsText(artifacts),
    ],
  ]);
}

/** Lines of one artifact that a person is shown; --json has all of them. */
const ARTIFACT_LINES_MAX = 24;

function artifactsText(artifacts: Record<string, unknown>): string {
  return Object.entries(artifacts)
    .map(
      ([name, value]) => `${visible(name)}: ${typeof value === "string" ? visible(value) : excerpt(value)}`,
    )
    .join("\n");
}

function excerpt(value: unknown): string {
  const lines = jsonText(value).split("\n");
  if (lines.length <= ARTIFACT_LINES_MAX) return lines.join("\n");
  const left = lines.length - ARTIFACT_LINES_MAX;
  return [...lines.slice(0, ARTIFACT_LINES_MAX), `… and ${left} more lines (--json shows them)`].join("\n");
}

function attemptsText(style: Style, attempts: readonly AttemptView[]): string {
  if (attempts.length === 0) return "";
  const rows = attempts.map((attempt) => [
    String(attempt.attemptNumber),
    statusText(style, attempt.status),
    visible(attempt.runnerName),
    timeText(style, attempt.startedAt),
    elapsedText(style, attempt.startedAt, attempt.completedAt),
    exitText(attempt),
    attemptSentence(style, attempt),
  ]);
  return indent(table(style, ["#", "status", "runner", "started", "took", "exit", "remarks"], rows, "wrap"));
}

function exitText(attempt: AttemptView): string {
  if (attempt.exit === undefined) return "";
  const { code, signal } = attempt.exit;
  return signal === null ? `code ${code ?? "unknown"}` : visible(signal);
}

/** The lease of a runner that is away ends in the future; a moment in the past means that the edge is about to note it. */
function unseenText(style: Style, leaseExpiresAt: number): string {
  const at = timeText(style, new Date(leaseExpiresAt).toISOString());
  return `runner not seen; its lease ${leaseExpiresAt > style.now ? "ends" : "ended"} ${at}`;
}

function attemptSentence(style: Style, attempt: AttemptView): string {
  const parts = [
    attempt.error === undefined ? "" : visible(withCode(attempt.error, attempt.errorCode)),
    attempt.leaseExpiresAt === undefined ? "" : unseenText(style, attempt.leaseExpiresAt),
    attempt.tree === undefined || attempt.tree.empty
      ? ""
      : `still running: ${survivorsText(style, attempt.tree.survivors)}`,
    attempt.late === undefined
      ? ""
      : "what came after the lease was lost is kept as evidence (--json shows it)",
  ];
  return parts.filter((part) => part !== "").join("; ");
}

function chainedText(style: Style, run: RunView): string {
  const rows = (run.chained ?? []).map((event) => [
    String(event.index),
    statusText(style, event.state),
    visible(event.eventId ?? ""),
    visible(event.reason ?? (event.runIds ?? []).join(" ")),
  ]);
  return rows.length === 0
    ? ""
    : indent(table(style, ["#", "state", "event", "runs or reason"], rows, "wrap"));
}

/** Runs that somebody has dealt with. */
export function renderAcknowledged(style: Style, runs: readonly RunView[]): string {
  return runs
    .map((run) => `${style.colors.bold(run.id)}  ${runStatus(style, run)}  ${settledText(style, run)}`)
    .join("\n");
}

/** Why a run that ended badly needs nobody any more. */
function settledText(style: Style, { acknowledged, supersededBy }: RunSummary): string {
  if (acknowledged !== undefined)
    return `acknowledged by ${visible(acknowledged.by)} ${timeText(style, acknowledged.at)}`;
  return supersededBy === undefined ? "" : `superseded by ${supersededBy}, which ended well`;
}

/** How far a request to stop a run has come. */
export function renderCancel(style: Style, run: RunView): string {
  const heading = `${style.colors.bold(run.id)}  ${runStatus(style, run)}`;
  const follow: Array<[string, string]> = isOver(run)
    ? []
    : [[`codex-flow runs show ${run.id}`, "whether its processes are gone"]];
  return paragraphs([
    [heading, cancelText(style, run)].filter((part) => part !== "").join("\n"),
    follow.length === 0 ? "" : nextSteps(style, follow),
  ]);
}

/** How a run that its budget has stopped goes on; nothing for one that already does. */
function budgetStep(run: RunView, continuedBy: string | undefined): Array<[string, string]> {
  const unit = continuedBy === undefined ? stoppedByBudget(run) : undefined;
  return unit === undefined
    ? []
    : [[`codex-flow runs budget ${run.id} --add-${unit} <n>`, "raise its budget, and let it go on"]];
}

function runNextSteps(run: RunView, continuedBy: string | undefined): Array<[string, string]> {
  const over = isOver(run);
  const asked = (run.approvals ?? []).find((approval) => approval.state === "pending");
  return [
    ...(asked === undefined
      ? []
      : ([[`codex-flow approvals accept ${run.id} ${asked.id}`, "or decline, or cancel"]] satisfies Array<
          [string, string]
        >)),
    ...(continuedBy === undefined
      ? []
      : ([[`codex-flow runs show ${continuedBy}`, "the run that goes on"]] satisfies Array<
          [string, string]
        >)),
    ...budgetStep(run, continuedBy),
    [`codex-flow runs logs ${over ? "" : "-f "}${run.id}`, "what it printed"],
    ...(over ? [] : ([[`codex-flow runs cancel ${run.id}`, "stop it"]] satisfies Array<[string, string]>)),
    // Before its end, a second one beside it is hardly what anybody wants.
    ...(over
      ? ([
          [
            `codex-flow events replay --flow ${run.flowName} --step ${run.stepName} ${argumentWord(run.eventId)}`,
            "run it again",
          ],
          ...(run.needsAttention
            ? [[`codex-flow runs ack ${run.id}`, "it needs no attention any more"] as [string, string]]
            : []),
        ] satisfies Array<[string, string]>)
      : []),
    [`codex-flow events show ${argumentWord(run.eventId)}`, "the event that started it"],
  ];
}

/** One line for each change of a run that somebody waits for. */
export function progressLine(style: Style, run: DispatchedRun): string {
  const step = run.flowName === undefined ? "" : ` ${visible(`${run.flowName}/${run.stepName ?? ""}`)}`;
  const name = `${run.id}${step}`;
  const attempt = (run.attemptCount ?? 0) > 1 ? ` (attempt ${run.attemptCount})` : "";
  const sentence = runSentence(run);
  return `${style.colors.dim(name)}  ${runStatus(style, run)}${attempt}${sentence === "" ? "" : `  ${sentence}`}`;
}

/** The last line of a run that was followed to its end. */
export function resultLine(style: Style, run: DispatchedRun): string {
  const took = elapsedText(style, run.startedAt, run.completedAt);
  const sentence = runSentence(run);
  return `${style.colors.bold("result")}  ${run.id}  ${runStatus(style, run)}${took === "" ? "" : `  ${took}`}${sentence === "" ? "" : `  ${sentence}`}`;
}
