/** What a card shows of a run's output: its last lines, and how far an agent's plan has come. */
import type { AgentItem } from "../../contract/agent-item.ts";
import { beginningOf, shortened } from "../../contract/chat/short-text.ts";
import type { FlowEvent } from "../../contract/flow-event.ts";
import { RELAY_FLOW } from "../../contract/relay.ts";
import type { OutputChunkView, RunView } from "../../contract/run-view.ts";
import type { RunGlance } from "./calls.ts";

/** Lines of a glance; a card draws as many of them as fit. */
const GLANCE_LINES = 24;
const LINE_MAX_CHARS = 400;

/** @param newest the end of the run's output, oldest chunk first; it may begin in the middle of a line */
export function glanceAt(run: RunView, event: FlowEvent, newest: OutputChunkView[]): RunGlance {
  const words = wordsOf(event.payload);
  const asked = words === undefined ? "" : oneLine(words);
  const plan = newest.findLast(({ item }) => item?.type === "plan")?.item;
  return {
    run,
    eventType: event.type,
    ...(run.runner === RELAY_FLOW ? sessionOf(event.payload) : asked === "" ? {} : { asked }),
    lines: linesOf(newest.map((chunk) => textOf(chunk, words)).join("")).slice(-GLANCE_LINES),
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

/** Members of a payload in which people say what they want, the most telling one first. */
const ASKING_MEMBERS = ["prompt", "text", "title"] as const;
/** More of it helps nobody on a card. */
const ASKED_MAX_CHARS = 1_000;

function wordsOf(payload: unknown): string | undefined {
  if (typeof payload !== "object" || payload === null) return undefined;
  const known: Record<string, unknown> = { ...payload };
  return ASKING_MEMBERS.map((name) => known[name]).find(
    (value): value is string => typeof value === "string" && value.trim() !== "",
  );
}

function oneLine(text: string): string {
  return shortened(text.replaceAll(/\s+/g, " ").trim(), ASKED_MAX_CHARS);
}

/**
 * A message to the agent that carries the words of the event has the flow's instructions around them. Those are the same in
 * every run and hide its output on a phone, so that only the event's words are shown. The log has the whole message.
 */
function textOf({ item, text }: OutputChunkView, words: string | undefined): string {
  const isPrompt =
    words !== undefined &&
    item?.type === "message" &&
    item.state === "completed" &&
    item.role === "user" &&
    item.text.includes(words.trim());
  return isPrompt && text !== "" ? `> ${oneLine(words)}\n` : text;
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
