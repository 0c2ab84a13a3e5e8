/** What a card shows of a run's output: its last lines, and how far an agent's plan has come. */
import type { AgentItem } from "../../contract/agent-item.ts";
import type { OutputChunkView, RunView } from "../../contract/run-view.ts";
import type { RunGlance } from "./calls.ts";

/** Lines of a glance; a card draws as many of them as fit. */
const GLANCE_LINES = 24;
const LINE_MAX_CHARS = 400;

/** @param newest the end of the run's output, oldest chunk first; it may begin in the middle of a line */
export function glanceAt(run: RunView, eventType: string, newest: OutputChunkView[]): RunGlance {
  const plan = newest.findLast(({ item }) => item?.type === "plan")?.item;
  return {
    run,
    eventType,
    lines: linesOf(newest.map(({ text }) => text).join("")).slice(-GLANCE_LINES),
    ...(plan === undefined ? {} : planProgress(plan)),
  };
}

function linesOf(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trimEnd().slice(0, LINE_MAX_CHARS))
    .filter((line) => line !== "");
}

function planProgress(item: AgentItem): Pick<RunGlance, "plan"> {
  if (item.type !== "plan" || item.state === "delta" || item.steps.length === 0) return {};
  const current = item.steps.find(({ status }) => status === "running")?.text;
  return {
    plan: {
      done: item.steps.filter(({ status }) => status === "completed").length,
      total: item.steps.length,
      ...(current === undefined ? {} : { current }),
    },
  };
}
