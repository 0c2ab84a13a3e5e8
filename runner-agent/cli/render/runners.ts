/** Runners, and the runs that wait for one. */
import type { RunnersAnswer, WaitingRunView } from "../../../client/http.ts";
import { table } from "./table.ts";
import { indent, paragraphs, section, statusText, timeText, visible, type Style } from "./text.ts";

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
      statusText(style, runner.state),
      `${runner.active.length}/${runner.capacity}`,
      timeText(style, runner.lastSeenAt),
      visible(runner.version),
      String(runner.flows.length),
      visible(runner.labels.join(" ")),
    ]),
  );
}

/** Why each run waits; empty when none does. */
export function waitingText(style: Style, waiting: readonly WaitingRunView[]): string {
  if (waiting.length === 0) return "";
  const rows = waiting.map((run) => [
    visible(run.runId),
    visible(`${run.flow}/${run.step}`),
    String(run.attempt),
    visible(run.pool),
    timeText(style, run.queuedAt),
    visible(run.reason.message),
  ]);
  return indent(
    table(style, ["run", "flow/step", "attempt", "pool", "waits since", "because"], rows, "wrap"),
  );
}
