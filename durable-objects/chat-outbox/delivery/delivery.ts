/**
 * What the outbox is told to say: the way in of the delivery, for the board and for everybody else inside of the object.
 * All methods but the last two only write rows, synchronously, so that a caller can have them in one
 * `transactionSync` with rows of its own; the object then drains (sender.ts). What is sent when, and what an answer means, is decided
 * elsewhere (jobs.ts, governor.ts, and each platform's answers.ts).
 *
 * 1. A key is posted once, an anchor has one card: said again after a crash, nothing is doubled.
 * 2. Posts of a channel come in the order in which they were wished for, pages of one message behind each other.
 * 3. A card shows the newest of its snapshots; those in between may never be seen.
 * 4. Nothing here talks to anybody.
 *
 *   card(anchor, target, message, { urgent? })     a snapshot (class state), made, edited or made anew as needed
 *   post(key, target, class, message)              a new message; long lines become several messages
 *   rewrite(key, message)                          what a post shows from now on, whether or not it is out yet
 *   rewriteAll(prefix, message)                    the same for all posts whose keys begin so
 *   thread(anchor, place, name, firstMessage?)     a thread, forum post or topic; `{ thread: anchor }` is a target from then on
 *   closeThread(anchor)                            archived when all that waits for it is out; a later post opens it again
 *   reply(lateReply)                               an answer to an interaction
 *   placeOf(anchor), anchorOf(place)               where a thread is, once it is known
 *   keyOf(channel, message)                        which message of ours that is
 */
import type { ChatMessage, DeliveryClass } from "../../../contract/chat/message.ts";
import { channelOf, parsePlaceKey, placeKey, type ChatPlace } from "../../../contract/chat/place.ts";
import type { LateReply } from "../calls.ts";
import type { Platform } from "./platform.ts";
import type { MessageRow } from "./records.ts";
import type { DeliveryRows } from "./rows.ts";

/** A place, or the thread of an anchor, wherever that will be. */
export type Target = ChatPlace | { thread: string };

/** What is needed of a platform to know what will be said. */
type Speech = Pick<Platform, "hashOf" | "pages" | "threadName" | "threadsBeginWithMessage" | "interactions">;

/** Discord takes 25 characters. */
const NONCE_CHARS = 25;

export class Delivery {
  readonly #rows: DeliveryRows;
  readonly #platform: Speech;
  readonly #now: () => number;

  constructor(rows: DeliveryRows, platform: Speech, now: () => number = Date.now) {
    this.#rows = rows;
    this.#platform = platform;
    this.#now = now;
  }

  /**
   * @param options `urgent`: the state has changed, and the pace of edits does not hold it up. `onlyEdit`: change the card
   * if it is out or on its way, and send none otherwise
   */
  card(
    anchor: string,
    target: Target,
    message: ChatMessage,
    { urgent = false, onlyEdit = false }: { urgent?: boolean; onlyEdit?: boolean } = {},
  ): void {
    const key = `card:${anchor}`;
    const known = this.#rows.message(key);
    if (known === undefined) {
      if (onlyEdit) return;
      this.#rows.putMessage({ ...this.#newRow(key, target, "state", message), urgent });
      return;
    }
    const same = known.wanted !== undefined && JSON.stringify(known.wanted) === JSON.stringify(message);
    if (same && (known.urgent || !urgent) && !onlyEdit) return;
    // What is out already, and with nothing else on its way, need not be stored either.
    if (!known.pending && known.shown === this.#platform.hashOf(message)) return;
    const { problem: _problem, onlyEdit: _onlyEdit, ...row } = known;
    this.#rows.putMessage({
      ...row,
      target: known.posted === undefined ? targetKey(target) : known.target,
      wanted: message,
      urgent: known.urgent || urgent,
      pending: true,
      ...(onlyEdit ? { onlyEdit } : {}),
    });
  }

  /** False: this key was posted before, and nothing was written. */
  post(key: string, target: Target, deliveryClass: DeliveryClass, message: ChatMessage): boolean {
    if (this.#rows.message(postKey(key)) !== undefined) return false;
    this.#platform.pages(message).forEach((page, index) => {
      this.#rows.putMessage(this.#newRow(postKey(key, index), target, deliveryClass, page));
    });
    return true;
  }

  /** False: no post of this key is known (any more). */
  rewrite(key: string, message: ChatMessage): boolean {
    if (this.#rows.message(postKey(key)) === undefined) return false;
    const pages = this.#platform.pages(message);
    for (let index = 0; ; index += 1) {
      const row = this.#rows.message(postKey(key, index));
      if (row === undefined) return true;
      const last = this.#rows.message(postKey(key, index + 1)) === undefined;
      // Of more pages than were posted, the last one shows what it can; pages too many say that they are over.
      const page = last && pages.length > index + 1 ? message : (pages[index] ?? SUPERSEDED);
      if (row.pending || row.shown !== this.#platform.hashOf(page)) {
        const { problem: _problem, ...rest } = row;
        this.#rows.putMessage({ ...rest, wanted: page, pending: true });
      }
    }
  }

  /** All posts whose keys begin with this. */
  rewriteAll(prefix: string, message: ChatMessage): void {
    const start = postKey("");
    for (const key of this.#rows.keysUnder(start + prefix)) this.rewrite(key.slice(start.length), message);
  }

  thread(anchor: string, place: ChatPlace, name: string, firstMessage?: ChatMessage): void {
    if (this.#rows.thread(anchor) !== undefined) return;
    const parent = placeKey(channelOf(place));
    const shown = this.#platform.threadName(name);
    this.#rows.putThread({
      anchor,
      parent,
      name: shown,
      state: "none",
      wanted: "open",
      touchedAt: this.#now(),
    });
    const starter = firstMessage ?? { tone: "neutral", title: name, silent: true };
    if (this.#platform.threadsBeginWithMessage)
      this.#rows.putMessage(this.#newRow(starterKey(anchor), channelOf(place), "event", starter));
    else if (firstMessage !== undefined)
      this.#rows.putMessage(this.#newRow(starterKey(anchor), { thread: anchor }, "event", firstMessage));
  }

  closeThread(anchor: string): void {
    const thread = this.#rows.thread(anchor);
    if (thread === undefined || thread.wanted === "closed") return;
    this.#rows.putThread({ ...thread, wanted: "closed", touchedAt: this.#now() });
  }

  /** False: this key was answered before. */
  reply({ key, applicationId, interactionToken, at, message, place }: LateReply): boolean {
    const rowKey = `reply:${key}`;
    if (this.#rows.message(rowKey) !== undefined) return false;
    const row = this.#newRow(rowKey, place ?? { thread: "" }, "event", message);
    if (!this.#platform.interactions) {
      if (place !== undefined) this.#rows.putMessage(row);
      return place !== undefined;
    }
    this.#rows.putMessage({
      ...row,
      reply: {
        applicationId,
        token: interactionToken,
        at,
        ...(place === undefined ? {} : { place: placeKey(place) }),
      },
    });
    return true;
  }

  /** Where the anchor's messages go: its thread, or its channel when no thread could be made. Undefined until it is known. */
  placeOf(anchor: string): ChatPlace | undefined {
    const thread = this.#rows.thread(anchor);
    const parent = thread && parsePlaceKey(thread.parent);
    if (thread === undefined || parent === undefined || thread.state === "none") return undefined;
    return thread.state === "flat" || thread.id === undefined ? parent : { ...parent, thread: thread.id };
  }

  /** Key of one of the bot's own messages. */
  keyOf(channel: string, messageId: string): string | undefined {
    return this.#rows.keyOfPosted(channel, messageId);
  }

  /** Whose thread this is. */
  anchorOf(place: ChatPlace): string | undefined {
    if (place.thread === undefined) return undefined;
    return this.#rows.threadById(place.thread, placeKey(channelOf(place)))?.anchor;
  }

  #newRow(key: string, target: Target, deliveryClass: DeliveryClass, wanted: ChatMessage): MessageRow {
    return {
      key,
      seq: this.#rows.nextSeq(),
      class: deliveryClass,
      target: targetKey(target),
      pending: true,
      wanted,
      urgent: false,
      nonce: newNonce(),
      createdAt: this.#now(),
    };
  }
}

/** A page of a message that has fewer pages now. */
const SUPERSEDED: ChatMessage = { tone: "neutral", title: "…" };

/** Key of the row that holds a post, or a later page of it. */
export function postKey(key: string, page = 0): string {
  return page === 0 ? `post:${key}` : `page ${page + 1}:${key}`;
}

/** Key of the row of a thread's first message. */
export function starterKey(anchor: string): string {
  return `thread:${anchor}`;
}

export function targetKey(target: Target): string {
  return "platform" in target ? placeKey(target) : `@${target.thread}`;
}

export function newNonce(): string {
  return crypto.randomUUID().replaceAll("-", "").slice(0, NONCE_CHARS);
}
