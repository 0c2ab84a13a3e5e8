/**
 * An agent's work as messages in its run's thread: what it says, what it ran, which files it changed. Pure.
 *
 * I1. Short messages that an agent writes one after the other become one post, and work is gathered below the words before it.
 * I2. Characters and posts are bounded by the minute. Of words that do not fit, the newest are kept and posted when there is
 *     room; older ones are counted, and the count is posted, since the log has all of them.
 * I3. The last message of a turn is posted whole and at once, whatever the bounds say: it is the agent's answer.
 * I4. When the run ends, the answer belongs to its end message and is not posted by itself.
 */
import type { AgentItem, ItemOutcome } from "../../../contract/agent-item.ts";
import type { ChatMessage, DeliveryClass } from "../../../contract/chat/message.ts";
import { endOf } from "../../../contract/chat/short-text.ts";
import { lineCounts } from "../../../contract/item-text.ts";
import { structuredAnswer } from "../../../contract/item-text.ts";
import { RELAY_QUESTION } from "../../../contract/relay.ts";
import type { OutputChunkView } from "../../../contract/run-view.ts";
import type { OutputMode } from "../calls.ts";
import { fingerprint } from "../hash.ts";
import { shortened } from "./cards.ts";
import type { Showing } from "./rows.ts";

/** Of one place and run: characters and posts a minute, the last messages of turns not counted. */
export const ITEM_CHARS_PER_MINUTE = 8_000;
export const ITEM_POSTS_PER_MINUTE = 8;
const MINUTE_MS = 60_000;
/** Messages are joined up to this length. */
const JOINED_MAX_CHARS = 1_500;
/** Work that is gathered below a message. */
const WORK_MAX_CHARS = 1_400;
/** One command, and the end of what it printed. */
const COMMAND_MAX_CHARS = 300;
const PRINTED_MAX_CHARS = 500;
/** What two texts have in common when they are the same answer: a result may hold only the beginning of it. */
const SAME_ANSWER_CHARS = 1_000;

export interface ItemPost {
  class: DeliveryClass;
  message: ChatMessage;
}

type Account = Pick<Showing, "pace" | "leftOut" | "unsaid" | "answered">;

export interface ItemPosts extends Account {
  /** To post, in order. */
  posts: ItemPost[];
  /** The answer that the run ended with, for its end message. */
  answer?: string;
}

interface View {
  output: OutputMode;
  safe: boolean;
  /** User ids that a question of the program rings. */
  asked?: string[];
}

/** @param at `over`: nothing comes after this; `ends`: an end message is about to be posted in this place; `result`: its message */
export function itemMessages(
  chunks: readonly OutputChunkView[],
  view: View,
  before: Account,
  at: { now: number; over: boolean; ends?: boolean; result?: string | undefined },
): ItemPosts {
  const batches = batchesOf(chunks, view, before.unsaid);
  const newest = batches.findLast(({ words }) => words.length > 0);
  let answer: string | undefined;
  if (at.over && newest !== undefined) {
    if (at.ends === true && isBeginning(at.result, newest.words.at(-1))) {
      answer = newest.words.pop();
      newest.items -= 1;
    } else newest.isAnswer = true;
  }
  let pace =
    before.pace !== undefined && at.now - before.pace.at < MINUTE_MS
      ? before.pace
      : { at: at.now, chars: 0, posts: 0 };
  let leftOut = before.leftOut ?? { items: 0, chars: 0 };
  let unsaid: string | undefined;
  let { answered } = before;
  const posts: ItemPost[] = [];
  for (const batch of batches) {
    const chars = batch.words.join("").length + batch.notice.length + batch.work.length;
    if (chars === 0 || (at.ends === true && batch.isFailure)) continue;
    const isFree = batch.isAnswer || batch.isFailure || batch.asks;
    if (!isFree && (pace.posts >= ITEM_POSTS_PER_MINUTE || pace.chars + chars > ITEM_CHARS_PER_MINUTE)) {
      unsaid = batch === newest ? batch.words.pop() : undefined;
      leftOut = {
        items: leftOut.items + batch.items - (unsaid === undefined ? 0 : 1),
        chars: leftOut.chars + chars - (unsaid?.length ?? 0),
      };
      continue;
    }
    if (!isFree) pace = { ...pace, chars: pace.chars + chars, posts: pace.posts + 1 };
    posts.push({
      class: batch.isAnswer ? "final" : "event",
      message: messageOf(batch, leftOut, view.asked ?? []),
    });
    answered = keyOfAnswer(batch.words.at(-1)) ?? answered;
    leftOut = { items: 0, chars: 0 };
  }
  if (at.over && leftOut.items > 0) {
    posts.push({ class: "event", message: { tone: "neutral", title: leftOutText(leftOut), silent: true } });
    leftOut = { items: 0, chars: 0 };
  }
  return {
    posts,
    ...(answer === undefined ? {} : { answer }),
    ...(pace.posts === 0 ? {} : { pace }),
    ...(leftOut.items === 0 ? {} : { leftOut }),
    ...(unsaid === undefined ? {} : { unsaid }),
    ...(answered === undefined ? {} : { answered }),
  };
}

/** A result's message repeats the agent's last words, or as much of them as it may hold. */
function isBeginning(result: string | undefined, words = ""): boolean {
  const beginning = result?.trim().slice(0, SAME_ANSWER_CHARS).trimEnd();
  return beginning !== undefined && beginning !== "" && words.startsWith(beginning);
}

/** What an answer is known by once it is posted; undefined for none. */
export function keyOfAnswer(text: string | undefined): string | undefined {
  const beginning = text?.trim().slice(0, SAME_ANSWER_CHARS).trimEnd();
  return beginning === undefined || beginning === "" ? undefined : fingerprint(beginning);
}

/** One post to be. */
interface Batch {
  title: string;
  tone: ChatMessage["tone"];
  /** What the agent wrote, a message each. */
  words: string[];
  /** What is said about the agent. */
  notice: string;
  work: string;
  items: number;
  /** Its last words end a turn. */
  isAnswer: boolean;
  /** It says that a turn failed. */
  isFailure: boolean;
  /** A program waits for somebody to type an answer. */
  asks: boolean;
}

const EMPTY: Omit<Batch, "words"> = {
  title: "",
  tone: "neutral",
  notice: "",
  work: "",
  items: 1,
  isAnswer: false,
  isFailure: false,
  asks: false,
};

function batchesOf(chunks: readonly OutputChunkView[], view: View, unsaid: string | undefined): Batch[] {
  const batches: Batch[] = [];
  /** The newest words of the turn. */
  let words: Batch | undefined;
  const say = (text: string): void => {
    const last = batches.at(-1);
    const isOpen = last !== undefined && last === words && last.work === "";
    if (isOpen && last.words.join("\n\n").length + text.length <= JOINED_MAX_CHARS) {
      last.words.push(text);
      last.items += 1;
      return;
    }
    words = { ...EMPTY, words: [text] };
    batches.push(words);
  };
  if (unsaid !== undefined) say(unsaid);
  for (const { item } of chunks) {
    if (item?.state !== "completed") continue;
    if (item.type === "turn") {
      if (words !== undefined) words.isAnswer = true;
      words = undefined;
    }
    const text = view.output === "minimal" ? undefined : wordsOf(item);
    if (text !== undefined) {
      say(text);
      continue;
    }
    const notice = noticeOf(item);
    if (notice !== undefined) {
      // An agent that reports an error as a warning and as the end of its turn is quoted once.
      const same = batches.findIndex((batch) => batch.notice === notice.notice);
      if (same >= 0) batches.splice(same, 1);
      batches.push({ ...EMPTY, words: [], ...notice });
      continue;
    }
    const work = view.output === "verbose" ? workOf(item, view.safe) : undefined;
    if (work === undefined) continue;
    const last = batches.at(-1);
    const joined = last === undefined || last.work === "" ? work : `${last.work}\n${work}`;
    if (last === undefined || joined.length > WORK_MAX_CHARS) batches.push({ ...EMPTY, words: [], work });
    else Object.assign(last, { work: joined, items: last.items + 1 });
  }
  return batches;
}

/** What the agent says. Of an answer in the form of a result, its message: a result's JSON is for programs. */
function wordsOf(item: AgentItem): string | undefined {
  if (item.type !== "message" || item.state !== "completed" || item.role !== "agent") return undefined;
  const text = (structuredAnswer(item.text)?.message ?? item.text).trim();
  return text === "" ? undefined : text;
}

function noticeOf(item: AgentItem): (Partial<Batch> & { notice: string }) | undefined {
  if (item.state !== "completed") return undefined;
  if (item.type === "warning")
    return {
      title: item.code === SILENCE_CODE ? "" : "Warning",
      tone: "attention",
      notice: item.text.trim(),
    };
  if (item.type === "turn" && item.outcome === "failed")
    return {
      title: "The agent stopped with an error",
      tone: "bad",
      notice: item.error?.message.trim() ?? NO_REASON,
      isFailure: true,
    };
  if (item.type === "activity" && item.kind === RELAY_QUESTION)
    return { title: "Waiting for an answer", tone: "waiting", notice: item.text.trim(), asks: true };
  return undefined;
}

const NO_REASON = "It gave no reason.";
/** Code of the relay's own warning that an agent prints nothing. */
const SILENCE_CODE = "hang";

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
    const count = item.changes.length + (item.omittedChanges ?? 0);
    if (safe) return `changed ${count} ${count === 1 ? "file" : "files"}${end}`;
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

function endOfPrinted(text: string): string {
  return text.length <= PRINTED_MAX_CHARS ? text : `…${endOf(text, PRINTED_MAX_CHARS)}`;
}

function messageOf(
  { title, tone, words, notice, work, asks }: Batch,
  leftOut: { items: number; chars: number },
  asked: string[],
): ChatMessage {
  const lines = [
    ...(leftOut.items === 0 ? [] : [leftOutText(leftOut)]),
    ...(notice === "" ? [] : notice.split("\n")),
  ];
  return {
    tone,
    title,
    ...(lines.length === 0 ? {} : { lines }),
    ...(words.length === 0 ? {} : { body: words.join("\n\n") }),
    ...(work === "" ? {} : { code: { text: work } }),
    ...(asks && asked.length > 0 ? { mention: asked } : {}),
    ...(asks ? {} : { silent: true }),
  };
}

function leftOutText({ items }: { items: number }): string {
  return `${items} more ${items === 1 ? "message" : "messages"}: see Logs`;
}
