/** Runners, and the runs that wait for one. */
import type { RunnerAction, RunnersAnswer, RunnerView, WaitingRunView } from "../../../client/http.ts";
import { shortRun } from "../short-ids.ts";
import { table } from "./table.ts";
import {
  countText,
  indent,
  indented,
  isNarrow,
  nextSteps,
  paragraphs,
  section,
  argumentWord,
  statusText,
  timeText,
  visible,
  type Style,
} from "./text.ts";

export function renderRunners(style: Style, answer: RunnersAnswer): string {
  return paragraphs([
    answer.runners.length === 0
      ? "no runner is connected; start one with `codex-flow runner start`"
      : runnerTable(style, answer),
    section(style, "waiting runs", waitingText(style, answer.waiting)),
  ]);
}

function runnerTable(style: Style, answer: RunnersAnswer): string {
  return table(
    style,
    ["runner", "id", "pool", "state", "busy", "last seen", "version", "flows", "labels"],
    answer.runners.map((runner) => [
      visible(runner.name),
      visible(runner.id),
      visible(runner.pool),
      stateText(style, runner),
      `${runner.active.length}/${runner.capacity}`,
      timeText(style, runner.lastSeenAt),
      visible(runner.version),
      String(runner.flows.length),
      visible(runner.labels.join(" ")),
    ]),
  );
}

/** The state; one that is away says so, and still that it is paused. */
function stateText(style: Style, { state, paused }: RunnerView): string {
  return `${statusText(style, state)}${paused && state !== "paused" ? ", paused" : ""}`;
}

/** What has become of a pause, resume or drain. */
export function renderSteered(style: Style, runner: RunnerView, action: RunnerAction): string {
  const heading = `${style.colors.bold(visible(runner.name))}  ${stateText(style, runner)}  ${visible(runner.id)}, pool ${visible(runner.pool)}`;
  return paragraphs([
    [heading, steeredSentence(runner, action)].filter((line) => line !== "").join("\n"),
    action === "pause"
      ? nextSteps(style, [[`codex-flow runners resume ${argumentWord(runner.name)}`, "offer it work again"]])
      : "",
  ]);
}

function steeredSentence({ active, state }: RunnerView, action: RunnerAction): string {
  const left = countText(active.length, "run");
  if (action === "resume") return "";
  if (action === "pause") return `it is offered nothing more; ${left} of its own go on`;
  return state === "disconnected"
    ? "it is away: it drains when it comes back, unless it is resumed before"
    : `it takes nothing more, finishes ${left} and ends itself; start it again on its box`;
}

/** Why each run waits; empty when none does. */
export function waitingText(style: Style, waiting: readonly WaitingRunView[]): string {
  if (waiting.length === 0) return "";
  const narrow = isNarrow(style);
  const rows = waiting.map((run) => [
    narrow ? shortRun(run.runId) : visible(run.runId),
    visible(`${run.flow}/${run.step}`),
    ...(narrow ? [] : [String(run.attempt), visible(run.pool)]),
    timeText(style, run.queuedAt),
    visible(run.reason.message),
  ]);
  const head = ["run", "flow/step", ...(narrow ? [] : ["attempt", "pool"]), "waits since", "because"];
  return indent(table(indented(style), head, rows, "wrap"));
}
