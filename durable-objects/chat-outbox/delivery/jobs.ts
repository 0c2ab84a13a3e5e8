/**
 * What is to be done for a row, and what a row becomes by what was done. Functions of data; the clock is passed in.
 *
 * 1. A creation that may have come through is never simply repeated: it has a nonce, or is looked for first.
 * 2. What changed while a request was under way is still to be done: the row that an outcome meets is read anew, and
 *    compared with what was sent.
 */
import type { ChatMessage } from "../../../contract/chat/message.ts";
import { channelOf, parsePlaceKey, placeKey, type ChatPlace } from "../../../contract/chat/place.ts";
import { cardPaceMs } from "./pace.ts";
import type { Job, Outcome } from "./platform.ts";
import type { MessageRow, Posted, ThreadRow } from "./records.ts";

/** What a row's job depends on besides itself. */
export interface Known {
  thread(anchor: string): ThreadRow | undefined;
  forum(channel: string): boolean;
  /** A group of Telegram's gets another id when it grows; all others stay what they are. */
  movedTo(channel: string): string;
  /** Cards are made anew at this age. */
  repostAfterMs: number | undefined;
  /** Where people open a message of a place, if that is known. */
  linkTo(place: ChatPlace, at: Pick<Posted, "channel" | "id">): string | undefined;
  /** How to look for a creation that may have come through; undefined: it has not, or there is no way (any more). */
  inDoubt(row: MessageRow, place: ChatPlace, now: number): Job | undefined;
}

/** `waits`: for its thread; `lost`: its thread is not known any more; `nothing`: it is as it should be. */
export type Next = Job | "waits" | "lost" | "nothing";

/** The anchor of a row's thread, if that is its target. */
export function anchorOf({ target }: Pick<MessageRow, "target">): string | undefined {
  return target.startsWith("@") ? target.slice(1) : undefined;
}

/** Where a row goes. */
export function placeOf(
  row: MessageRow,
  known: Pick<Known, "thread" | "movedTo">,
): ChatPlace | "waits" | "lost" {
  const anchor = anchorOf(row);
  if (anchor === undefined) return placeOfKey(row.target, known) ?? "lost";
  const thread = known.thread(anchor);
  const parent = thread && placeOfKey(thread.parent, known);
  if (thread === undefined || parent === undefined) return "lost";
  if (thread.state === "flat") return parent;
  return thread.state === "open" && thread.id !== undefined ? { ...parent, thread: thread.id } : "waits";
}

/** The place of a key, wherever that has moved. */
export function placeOfKey(key: string, known: Pick<Known, "movedTo">): ChatPlace | undefined {
  const place = parsePlaceKey(key);
  return place && { ...place, channel: known.movedTo(place.channel) };
}

/** The channel that a message of this place is in: a thread of Discord's is a channel itself. */
export function channelIn({ platform, channel, thread }: ChatPlace): string {
  return platform === "discord" ? (thread ?? channel) : channel;
}

export function nextFor(row: MessageRow, known: Known, now: number): Next {
  const { wanted, posted, reply, stale } = row;
  if (wanted !== undefined && reply !== undefined)
    return { kind: "answer", key: row.key, reply, message: wanted };
  if (wanted === undefined) return "nothing";
  // A creation that may have come through (`triedAt`) is looked for: that message must not stay as it is.
  if (row.onlyEdit === true && posted === undefined && row.triedAt === undefined) return "nothing";
  const place = placeOf(row, known);
  if (place === "waits" || place === "lost") return place;
  // What it replaced goes first, and it has no buttons until then: only one of them is ever pressed.
  if (posted !== undefined && stale !== undefined)
    return { kind: "retire", at: stale, message: pointerTo(wanted, known.linkTo(place, posted)) };
  if (posted !== undefined && !mustRepost(row, known, now))
    return { kind: "edit", at: posted, message: wanted };
  const message = posted === undefined ? wanted : withoutButtons(wanted);
  const doubt = known.inDoubt({ ...row, wanted: message }, place, now);
  if (doubt !== undefined) return doubt;
  return {
    kind: "create",
    place,
    message,
    nonce: row.nonce,
    ...(place.thread === undefined && known.forum(place.channel)
      ? { forum: { name: forumName(row, known) } }
      : {}),
  };
}

function withoutButtons({ buttons: _buttons, ...message }: ChatMessage): ChatMessage {
  return message;
}

/** What a card is once there is a newer one: people may have linked to it, or replied. */
function pointerTo({ fields = [] }: ChatMessage, url: string | undefined): ChatMessage {
  return {
    tone: "neutral",
    title: "This card goes on in a newer message",
    ...(url === undefined ? { lines: ["It is further down."] } : { links: [{ label: "The card", url }] }),
    fields: fields.filter(({ name }) => name === "Run"),
    silent: true,
  };
}

function mustRepost({ class: deliveryClass, posted }: MessageRow, known: Known, now: number): boolean {
  const { repostAfterMs } = known;
  if (deliveryClass !== "state" || repostAfterMs === undefined || posted === undefined) return false;
  return now - posted.at >= repostAfterMs;
}

function forumName(row: MessageRow, known: Known): string {
  const anchor = /^thread:(.*)$/s.exec(row.key)?.[1];
  return (anchor === undefined ? undefined : known.thread(anchor)?.name) ?? row.wanted?.title ?? "";
}

/** When the pace of its own card lets a job go, epoch ms. */
export function dueAt(row: MessageRow, job: Job): number {
  if (job.kind !== "edit" || row.class !== "state" || row.urgent || row.posted === undefined) return 0;
  const touched = row.touchedAt ?? 0;
  return touched + cardPaceMs(touched - row.posted.at);
}

/** Whose turn it is in a lane, lowest first: posts in their order, then what they show, then cards. */
export function turnOf(row: MessageRow, job: Job): [rank: number, order: number] {
  if (row.class === "state") {
    if (row.urgent || job.kind === "retire") return [2, row.seq];
    // The one that was shown longest ago.
    return job.kind === "create" && row.posted === undefined ? [3, row.seq] : [4, row.touchedAt ?? 0];
  }
  return [job.kind === "edit" ? 1 : 0, row.seq];
}

/** Which lane goes first when not all can: above all somebody who looks at a message that says nothing yet. */
export function priorityOf(row: MessageRow, job: Job): number {
  if (job.kind === "answer") return -1;
  if (row.class === "state") return row.urgent || job.kind === "retire" ? 2 : 3;
  return row.class === "final" ? 0 : 1;
}

/** What was sent: the hash of its body, and the hash of what the row wants by now. */
export interface Sent {
  sent: string;
  wanted: string | undefined;
  now: number;
  /** For a creation after this one. */
  nonce: string;
}

/** The row after a job went well. */
export function afterDone(
  row: MessageRow,
  job: Job,
  done: Extract<Outcome, { kind: "done" }>,
  { sent, wanted, now, nonce }: Sent,
): MessageRow {
  switch (job.kind) {
    case "create":
    case "find":
    case "probe": {
      const channel = done.channel ?? (job.kind === "probe" ? job.at.channel : channelIn(job.place));
      const at = { channel, id: done.id ?? "", at: now };
      const { triedAt: _tried, posted, ...rest } = row;
      const stale = posted ?? row.stale;
      return settled(
        {
          ...rest,
          posted: at,
          shown: sent,
          touchedAt: now,
          nonce,
          ...(stale === undefined ? {} : { stale: { channel: stale.channel, id: stale.id } }),
        },
        wanted,
      );
    }
    case "edit":
      return settled({ ...row, shown: sent, touchedAt: now }, wanted);
    case "answer": {
      const { reply: _reply, wanted: _wanted, ...rest } = row;
      return { ...rest, pending: false, touchedAt: now };
    }
    case "retire":
      return withoutStale(row, wanted);
    case "open_thread":
    case "close_thread":
    case "reopen_thread":
    case "read":
      return row;
  }
}

/** The row without its predecessor, which points to it or is not there. It gets its buttons at once. */
export function withoutStale({ stale: _stale, ...row }: MessageRow, wanted: string | undefined): MessageRow {
  return settled({ ...row, urgent: true }, wanted);
}

/** What is left to do: what it shows is not what it wants, or an old one still stands. */
function settled(row: MessageRow, wantedHash: string | undefined): MessageRow {
  const open = wantedHash !== undefined && wantedHash !== row.shown;
  if (open) return { ...row, pending: true };
  const shown = { ...row, urgent: false, pending: row.stale !== undefined };
  if (row.class === "state" && row.stale === undefined) return shown;
  // Of what is out, only a card is ever asked for again as it was.
  const { wanted: _wanted, ...rest } = shown;
  return row.class === "state" ? shown : rest;
}

/** The row that shows already what it wants. */
export function unchanged(row: MessageRow): MessageRow {
  return settled(row, row.shown);
}

/** The row whose message is not there any more: a card is made anew, a post that was deleted stays so. */
export function afterGone(row: MessageRow, nonce: string): MessageRow {
  const { posted: _posted, shown: _shown, ...rest } = row;
  return row.class === "state" ? { ...rest, nonce, pending: true } : done(row);
}

/**
 * The row whose thread takes nothing, and is nobody's but people's: what nobody has seen yet goes to the channel, all else
 * is over. Undefined: it is in no thread.
 */
export function afterLostThread(row: MessageRow): MessageRow | undefined {
  const place = parsePlaceKey(row.target);
  if (place?.thread === undefined) return undefined;
  if (row.class === "state" || row.posted !== undefined) return done(row);
  const { triedAt: _tried, ...rest } = row;
  return { ...rest, target: placeKey(channelOf(place)) };
}

/** Nothing more is done for it. */
export function done({
  wanted: _wanted,
  reply: _reply,
  stale: _stale,
  triedAt: _tried,
  ...row
}: MessageRow): MessageRow {
  return { ...row, pending: false, urgent: false };
}

/** A card that is too old to be edited is made anew at once. */
export function aged(row: MessageRow): MessageRow {
  return row.posted === undefined ? row : { ...row, posted: { ...row.posted, at: 0 } };
}

/** The interaction is over: the answer becomes a message, or nothing. */
export function afterDeadToken(row: MessageRow): MessageRow {
  const { reply, ...rest } = row;
  return reply?.place === undefined ? done(row) : { ...rest, target: reply.place };
}

/** A thread after a job of its own; undefined: as before. */
export function threadAfter(
  thread: ThreadRow,
  job: Job,
  outcome: Outcome,
  now: number,
): ThreadRow | undefined {
  const as = (state: ThreadRow["state"], id = thread.id): ThreadRow => ({
    ...thread,
    state,
    ...(id === undefined ? {} : { id }),
    touchedAt: now,
  });
  switch (outcome.kind) {
    case "done":
      if (job.kind === "open_thread") return as("open", outcome.id);
      return as(job.kind === "close_thread" ? "closed" : "open");
    case "limited":
    case "blocked":
    case "retry":
    case "halt":
    case "moved":
      return undefined;
    case "message_gone":
    case "candidate":
    case "too_old":
    case "thread_closed":
    case "thread_gone":
    case "no_threads":
    case "forum":
    case "token_dead":
    case "park":
    case "drop":
    case "refused":
      // Whatever else: closing it is not worth a second try, and without a thread the channel itself takes the messages.
      return as(job.kind === "close_thread" ? "closed" : "flat");
  }
}
