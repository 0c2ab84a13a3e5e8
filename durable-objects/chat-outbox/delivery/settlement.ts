/**
 * What becomes of rows by what was answered: an outcome is written down, and with it what follows for the rows of the
 * same thread or channel. Whether and when something is sent again is read from the rows (jobs.ts), not decided here.
 */
import { parsePlaceKey } from "../../../contract/chat/place.ts";
import type { Governor } from "./governor.ts";
import type { Doubts } from "./doubts.ts";
import { newNonce } from "./delivery.ts";
import {
  afterDeadToken,
  afterDone,
  afterGone,
  afterLostThread,
  aged,
  anchorOf,
  channelIn,
  done,
  placeOf,
  threadAfter,
  withoutStale,
} from "./jobs.ts";
import type { Job, Lane, Outcome, Platform } from "./platform.ts";
import type { MessageRow, ThreadRow } from "./records.ts";
import type { DeliveryRows } from "./rows.ts";
import type { Whereabouts } from "./whereabouts.ts";

export interface SettlementOptions {
  rows: DeliveryRows;
  platform: Platform;
  governor: Governor;
  whereabouts: Whereabouts;
  doubts: Doubts;
  /** The row waits until then (epoch ms), whatever else could be sent in its lane. */
  hold: (key: string, until: number) => void;
}

export class Settlement {
  readonly #given: SettlementOptions;

  constructor(options: SettlementOptions) {
    this.#given = options;
  }

  /** @param key of the row that the job was for: it may have been changed meanwhile, or dropped */
  message(key: string, job: Job, lane: Lane, outcome: Outcome, now: number): void {
    const { rows, platform, governor, whereabouts, doubts, hold } = this.#given;
    const row = rows.message(key);
    if (row === undefined) return;
    const wanted = row.wanted && platform.hashOf(row.wanted);
    switch (outcome.kind) {
      case "done": {
        const sent = "message" in job ? platform.hashOf(job.message) : "";
        const after = afterDone(row, job, outcome, { sent, wanted, now, nonce: newNonce() });
        rows.putMessage(after);
        if (outcome.guild !== undefined) whereabouts.noteGuild(lane.major, outcome.guild);
        if (isCreation(job)) doubts.settle(key, lane.major);
        this.#noteStarter(after, job, now);
        return;
      }
      case "retry":
        if (job.kind === "create") doubts.doubt(key, now);
        return;
      case "limited":
      case "blocked":
      case "halt":
        this.#notTried(row, job);
        return;
      case "message_gone":
        this.#goneAt(row, job, wanted);
        return;
      case "candidate":
        doubts.candidate(key, outcome.id);
        return;
      case "too_old":
        // Of the one that it replaced, that says nothing of this one.
        if (row.class === "state" && job.kind !== "retire") rows.putMessage(aged(row));
        else hold(key, now + outcome.ms);
        return;
      case "thread_closed":
        this.#threadIs(row, "closed", now);
        return;
      case "thread_gone":
        this.#threadIs(row, "flat", now);
        return;
      case "forum":
        whereabouts.noteForum(lane.major);
        return;
      case "token_dead":
        if (!outcome.young) rows.putMessage(afterDeadToken(row));
        return;
      case "moved":
        whereabouts.noteMoved(lane.major, outcome.channel);
        return;
      case "drop":
        this.#dropped(row, lane, outcome, now);
        return;
      case "park":
        this.#notTried(row, job);
        // An old card that may not be changed stands as it stands.
        if (job.kind === "retire") rows.putMessage(withoutStale(row, wanted));
        else governor.park(lane.major, outcome, false, now);
        logAbout("a channel takes nothing", row, outcome.code);
        return;
      case "no_threads":
      case "refused":
        this.#refused(row, job, wanted, { ...outcome, at: now });
        return;
    }
  }

  thread({ anchor }: ThreadRow, job: Job, lane: Lane, outcome: Outcome, now: number): void {
    const { rows, whereabouts } = this.#given;
    const thread = rows.thread(anchor);
    if (thread === undefined) return;
    if (outcome.kind === "moved") whereabouts.noteMoved(lane.major, outcome.channel);
    if (outcome.kind === "done" && outcome.guild !== undefined)
      whereabouts.noteGuild(lane.major, outcome.guild);
    const after = threadAfter(thread, job, outcome, now);
    if (after === undefined) return;
    rows.putThread(after);
    if (after.state === "flat" && job.kind === "reopen_thread") this.#leaveThread(thread);
  }

  /** A creation that was refused for now has certainly not come through; one that was looked for is as it was. */
  #notTried(row: MessageRow, job: Job): void {
    if (job.kind !== "create" || row.triedAt === undefined) return;
    const { triedAt: _tried, ...rest } = row;
    this.#given.rows.putMessage(rest);
  }

  #goneAt(row: MessageRow, job: Job, wanted: string | undefined): void {
    const { rows, doubts } = this.#given;
    if (job.kind === "retire") rows.putMessage(withoutStale(row, wanted));
    else if (job.kind !== "probe" && job.kind !== "find") rows.putMessage(afterGone(row, newNonce()));
    else if (doubts.notFound(row.key)) {
      const { triedAt: _tried, ...rest } = row;
      if (row.triedAt !== undefined) rows.putMessage(rest);
    }
  }

  #refused(
    row: MessageRow,
    job: Job,
    wanted: string | undefined,
    { code, message, at }: { code: string; message: string; at: number },
  ): void {
    const { rows } = this.#given;
    logAbout("a message was refused: that is a bug", row, code);
    // What cannot point to its successor stays; all else is kept with its body, for whoever mends the bug.
    if (job.kind === "retire") rows.putMessage(withoutStale(row, wanted));
    else rows.putMessage({ ...row, pending: false, problem: { code, message, at } });
  }

  /** Of a thread that hangs on a message: that message is out, the thread can be made. In a forum it is there already. */
  #noteStarter({ key, posted }: MessageRow, job: Job, now: number): void {
    const { rows, platform } = this.#given;
    const anchor = /^thread:(.*)$/s.exec(key)?.[1];
    const thread = anchor === undefined ? undefined : rows.thread(anchor);
    if (thread?.state !== "none" || !isCreation(job) || posted === undefined) return;
    if (!platform.threadsBeginWithMessage) return;
    // A forum's post is a thread from its beginning, and has the id of its first message.
    const state = posted.channel === posted.id ? "open" : "none";
    rows.putThread({ ...thread, id: posted.id, state, touchedAt: now });
  }

  #threadIs(row: MessageRow, state: "closed" | "flat", now: number): void {
    const { rows } = this.#given;
    const anchor = anchorOf(row);
    const thread = anchor === undefined ? undefined : rows.thread(anchor);
    if (thread === undefined) {
      this.#leavePlace(row, {
        code: `thread_${state === "flat" ? "gone" : "closed"}`,
        message: CLOSED,
        at: now,
      });
      return;
    }
    rows.putThread({ ...thread, state, touchedAt: now });
    if (state === "flat") this.#leaveThread(thread);
  }

  /** Of a thread that people have made. Where there is no channel above it, the message stays behind with the reason. */
  #leavePlace(row: MessageRow, problem: NonNullable<MessageRow["problem"]>): void {
    const { rows } = this.#given;
    const after = afterLostThread(row) ?? (row.class === "state" ? done(row) : undefined);
    logAbout(
      after?.pending === true
        ? "a message goes to the channel: its thread is closed or gone"
        : "a message was dropped: its thread is closed or gone",
      row,
      problem.code,
    );
    rows.putMessage(after ?? { ...row, pending: false, problem });
  }

  /** Its messages cannot be reached any more: posts that are not out go to the channel, the rest is over. */
  #leaveThread(thread: ThreadRow): void {
    const { rows, whereabouts } = this.#given;
    for (const row of [...whereabouts.refresh().pending.values()]) {
      if (anchorOf(row) !== thread.anchor) continue;
      if (row.class === "state" || row.posted !== undefined) rows.putMessage(done(row));
    }
  }

  #dropped(row: MessageRow, lane: Lane, why: { code: string; message: string }, now: number): void {
    const { rows, governor, whereabouts } = this.#given;
    const anchor = anchorOf(row);
    const thread = anchor === undefined ? undefined : rows.thread(anchor);
    if (thread !== undefined && thread.id === lane.major) {
      this.#threadIs(row, "flat", now);
      return;
    }
    governor.park(lane.major, why, true, now);
    for (const other of [...whereabouts.refresh().pending.values()]) {
      const place = placeOf(other, whereabouts);
      if (typeof place === "string" || channelIn(place) !== lane.major || other.reply !== undefined) continue;
      rows.putMessage(afterLostChannel(other, lane.major, why.code));
    }
  }
}

/** The row whose channel does not exist: a thread of people may have one above it. */
export function afterLostChannel(row: MessageRow, channel: string, code: string): MessageRow {
  const thread = parsePlaceKey(row.target)?.thread;
  const after = (thread === channel ? afterLostThread(row) : undefined) ?? done(row);
  logAbout(
    after.pending
      ? "a message goes to the channel: its thread is gone"
      : "a message was dropped: its channel is gone",
    row,
    code,
  );
  return after;
}

const CLOSED = "its thread takes no messages, and there is no channel above it";

/** What was said of a message goes to the log without its text. */
export function logAbout(
  message: string,
  { key, class: deliveryClass, target }: MessageRow,
  code: string,
): void {
  console.warn(JSON.stringify({ message, key, class: deliveryClass, target, code }));
}

function isCreation(job: Job): boolean {
  return job.kind === "create" || job.kind === "find" || job.kind === "probe";
}
