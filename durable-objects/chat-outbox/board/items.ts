/**
 * An agent's work as messages in its run's thread: what it says, what it ran, which files it changed. Pure.
 *
 * Batched: what an agent says begins a message, and the work behind it is gathered below, as one piece of code. Bounded: so
 * many characters and messages a minute; of more it is counted what was left out, and said with the next message (or
 * at the end), since the log has all of it.
 */
import type { AgentItem, ItemOutcome } from "../../../contract/agent-item.ts";
import type { ChatMessage } from "../../../contract/chat/message.ts";
import { endOf } from "../../../contract/chat/short-text.ts";
import { lineCounts } from "../../../contract/item-text.ts";
import type { OutputChunkView } from "../../../contract/run-view.ts";
import type { OutputMode } from "../calls.ts";
import { shortened } from "./cards.ts";
import type { Showing } from "./rows.ts";

/** Of one place and run: characters and messages a minute. */
export const ITEM_CHARS_PER_MINUTE = 8_000;
export const ITEM_POSTS_PER_MINUTE = 8;
const MINUTE_MS = 60_000;
/** One message: what an agent says, and the work gathered below it. */
const SAID_MAX_CHARS = 3_000;
const WORK_MAX_CHARS = 1_400;
/** One command, and the end of what it printed. */
const COMMAND_MAX_CHARS = 300;
const PRINTED_MAX_CHARS = 500;

type Pace = Pick<Showing, "pace" | "leftOut">;

/** @returns messages to post, in order, and the place's account of what it may still post */
export function itemMessages(
  chunks: readonly OutputChunkView[],
  view: { output: OutputMode; safe: boolean },
  before: Pace,
  at: { now: number; over: boolean },
): { messages: ChatMessage[] } & Pace {
  let pace =
    before.pace !== undefined && at.now - before.pace.at < MINUTE_MS
      ? before.pace
      : { at: at.now, chars: 0, posts: 0 };
  let leftOut = before.leftOut ?? { items: 0, chars: 0 };
  const messages: ChatMessage[] = [];
  for (const batch of batches(chunks, view)) {
    const chars = batch.said.length + batch.work.length;
    if (pace.posts >= ITEM_POSTS_PER_MINUTE || pace.chars + chars > ITEM_CHARS_PER_MINUTE) {
      leftOut = { items: leftOut.items + batch.items, chars: leftOut.chars + chars };
      continue;
    }
    pace = { ...pace, chars: pace.chars + chars, posts: pace.posts + 1 };
    messages.push(messageOf(batch, leftOut));
    leftOut = { items: 0, chars: 0 };
  }
  if (at.over && leftOut.items > 0) {
    messages.push({ tone: "neutral", title: "", lines: [leftOutText(leftOut)], silent: true });
    leftOut = { items: 0, chars: 0 };
  }
  return {
    messages,
    ...(pace.posts === 0 ? {} : { pace }),
    ...(leftOut.items === 0 ? {} : { leftOut }),
  };
}

interface Batch {
  title: string;
  tone: ChatMessage["tone"];
  said: string;
  work: string;
  items: number;
}

function batches(chunks: readonly OutputChunkView[], view: { output: OutputMode; safe: boolean }): Batch[] {
  const found: Batch[] = [];
  for (const { item } of chunks) {
    if (item === undefined) continue;
    const said = saidBy(item, view.output);
    if (said !== undefined) {
      found.push({ ...said, work: "", items: 1 });
      continue;
    }
    const work = view.output === "verbose" ? workOf(item, view.safe) : undefined;
    if (work === undefined) continue;
    const last = found.at(-1);
    const joined = last === undefined || last.work === "" ? work : `${last.work}\n${work}`;
    if (last === undefined || joined.length > WORK_MAX_CHARS)
      found.push({ title: "", tone: "neutral", said: "", work, items: 1 });
    else Object.assign(last, { work: joined, items: last.items + 1 });
  }
  return found;
}

/** What is a message by itself: an agent's words, and what went wrong. */
function saidBy(item: AgentItem, output: OutputMode): Pick<Batch, "title" | "tone" | "said"> | undefined {
  if (item.state !== "completed") return undefined;
  if (item.type === "warning") return { title: "Warning", tone: "attention", said: said(item.text) };
  if (item.type === "turn" && item.outcome === "failed")
    return { title: "Its turn failed", tone: "bad", said: said(item.error?.message ?? "") };
  if (item.type !== "message" || item.role !== "agent" || output === "minimal") return undefined;
  return item.text.trim() === "" ? undefined : { title: "", tone: "neutral", said: said(item.text) };
}

/** One piece of work, as lines of code. */
function workOf(item: AgentItem, safe: boolean): string | undefined {
  if (item.state !== "completed") return undefined;
  if (item.type === "command") {
    const end = outcomeText(item.outcome, item.exitCode);
    if (safe) return `ran a command${end}`;
    const printed = endOfPrinted(item.output.trimEnd());
    return `$ ${shortened(item.command, COMMAND_MAX_CHARS)}${end}${printed === "" ? "" : `\n${printed}`}`;
  }
  if (item.type === "file_change") {
    const end = outcomeText(item.outcome);
    if (safe) return `changed ${item.changes.length + (item.omittedChanges ?? 0)} file(s)${end}`;
    const files = item.changes.map((change) =>
      [`${change.kind} ${change.path}`, ...lineCounts(change)].join(" "),
    );
    return shortened(`${files.join("\n")}${end}`, WORK_MAX_CHARS);
  }
  if (item.type !== "tool_call") return undefined;
  const end = outcomeText(item.outcome);
  return safe ? `used a tool${end}` : shortened(`tool ${item.tool}${end}`, COMMAND_MAX_CHARS);
}

function outcomeText(outcome: ItemOutcome, exitCode?: number): string {
  if (outcome === "declined") return "  (declined)";
  if (exitCode !== undefined && exitCode !== 0) return `  (exit code ${exitCode})`;
  return outcome === "failed" ? "  (failed)" : "";
}

function said(text: string): string {
  return shortened(text.trim(), SAID_MAX_CHARS);
}

function endOfPrinted(text: string): string {
  return text.length <= PRINTED_MAX_CHARS ? text : `…${endOf(text, PRINTED_MAX_CHARS)}`;
}

function messageOf(
  { title, tone, said, work }: Batch,
  leftOut: { items: number; chars: number },
): ChatMessage {
  const lines = [
    ...(leftOut.items === 0 ? [] : [leftOutText(leftOut)]),
    ...(said === "" ? [] : said.split("\n")),
  ];
  return {
    tone,
    title,
    ...(lines.length === 0 ? {} : { lines }),
    ...(work === "" ? {} : { code: { text: work } }),
    silent: true,
  };
}

function leftOutText({ items, chars }: { items: number; chars: number }): string {
  return `(${items} ${items === 1 ? "message" : "messages"} left out here, ${chars.toLocaleString("en")} characters: the log has all of it)`;
}
