/** What a card shows of a run's output: its last lines, and how far an agent's plan has come. */
import type { AgentItem } from "../../contract/agent-item.ts";
import { beginningOf } from "../../contract/chat/short-text.ts";
import type { FlowEvent } from "../../contract/flow-event.ts";
import { RELAY_FLOW } from "../../contract/relay.ts";
import type { OutputChunkView, RunView } from "../../contract/run-view.ts";
import type { RunGlance } from "./calls.ts";

/** Lines of a glance; a card draws as many of them as fit. */
const GLANCE_LINES = 24;
const LINE_MAX_CHARS = 400;

/** @param newest the end of the run's output, oldest chunk first; it may begin in the middle of a line */
export function glanceAt(run: RunView, event: FlowEvent, newest: OutputChunkView[]): RunGlance {
  const plan = newest.findLast(({ item }) => item?.type === "plan")?.item;
  return {
    run,
    eventType: event.type,
    ...(run.runner === RELAY_FLOW ? sessionOf(event.payload) : {}),
    lines: linesOf(newest.map(({ text }) => text).join("")).slice(-GLANCE_LINES),
    ...(plan === undefined ? {} : planProgress(plan)),
  };
}

/** What the edge itself has written into the event (worker/relay/routes.ts). */
function sessionOf(payload: unknown): Pick<RunGlance, "session"> {
  const { agent, title, workdir } = (payload ?? {}) as Record<string, unknown>;
  return typeof agent === "string" && typeof title === "string" && typeof workdir === "string"
    ? { session: { agent, title, workdir } }
    : {};
}

function linesOf(text: string): string[] {
  return text
    .split("\n")
    .map((line) => beginningOf(line.trimEnd(), LINE_MAX_CHARS))
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
