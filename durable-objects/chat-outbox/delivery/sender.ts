/**
 * Sends what waits: picks what may go now, by lane and class, and writes down what became of it. The only code that
 * talks to a platform. One `drain` at a time; it ends when nothing can go for a while and says when to come back.
 *
 * 1. A row is changed only by an outcome, so a crash at any moment leaves it waiting (jobs.ts says why that doubles nothing).
 * 2. A token goes to the platform's address only, never into a row, a log or an error.
 */
import { channelOf } from "../../../contract/chat/place.ts";
import { Errand } from "../../kit/errand.ts";
import { Doubts } from "./doubts.ts";
import { Governor, PARK_RETRY_MS } from "./governor.ts";
import {
  anchorOf,
  done,
  dueAt,
  nextFor,
  placeOfKey,
  priorityOf,
  turnOf,
  unchanged,
  type Known,
} from "./jobs.ts";
import type { Job, Lane, Outcome, Platform, PlatformAnswer, PlatformRequest } from "./platform.ts";
import type { MessageRow, ThreadRow } from "./records.ts";
import type { DeliveryRows } from "./rows.ts";
import { afterLostChannel, logAbout, Settlement } from "./settlement.ts";
import { deliveryStatus, type DeliveryStatus } from "./status.ts";
import { Tally } from "./tally.ts";
import { Whereabouts } from "./whereabouts.ts";

/** A platform that has not answered by then may have done it all the same. */
const ANSWER_TIMEOUT_MS = 10_000;
/** Shorter waits are slept through; for longer ones the object may go and is woken by its alarm. */
const NAP_MAX_MS = 2_000;
/** A lane that has just been left wants no busy loop. */
const SOON_MS = 5;
/** Requests that reading leaves to sending. */
const READ_SPARES_SLOTS = 3;
const ANSWER_MAX_CHARS = 256 * 1024;
const PRUNE_EVERY_MS = 3_600_000;

/** A message's job, or one of a thread itself. */
interface Candidate {
  row?: MessageRow;
  thread?: ThreadRow;
  key: string;
  job: Job;
  lane: Lane;
  turn: [number, number];
  priority: number;
  readyAt: number;
}

export interface SenderOptions {
  rows: DeliveryRows;
  platform: Platform;
  /** Of the bot's token. */
  fingerprint: string;
  /** The setting without which nothing can be sent: nothing is tried. */
  lacks?: string;
  now: () => number;
  /** Whether somebody will come back to what this key was posted or drawn by. Absent: nobody. */
  isNeeded?: (key: string) => boolean;
}

export class Sender {
  readonly #rows: DeliveryRows;
  readonly #platform: Platform;
  readonly #governor: Governor;
  readonly #now: () => number;
  readonly #lacks: string | undefined;
  readonly #inFlight = new Set<string>();
  readonly #whereabouts: Whereabouts;
  readonly #settlement: Settlement;
  readonly #known: Known;
  readonly #tally: Tally;
  readonly #hashes = new WeakMap<MessageRow, string>();
  /** Rows that wait for something that is theirs alone, epoch ms. */
  readonly #held = new Map<string, number>();
  readonly #draining = new Errand(() => this.#run());
  readonly #isNeeded: (key: string) => boolean;

  constructor({ rows, platform, fingerprint, lacks, now, isNeeded = () => false }: SenderOptions) {
    this.#rows = rows;
    this.#platform = platform;
    this.#now = now;
    this.#lacks = lacks;
    this.#isNeeded = isNeeded;
    this.#governor = new Governor(platform.pace, rows, fingerprint, now());
    this.#whereabouts = new Whereabouts(rows);
    this.#tally = new Tally(rows);
    const whereabouts = this.#whereabouts;
    const doubts = new Doubts(rows, platform, whereabouts, now());
    this.#known = {
      thread: (anchor) => whereabouts.thread(anchor),
      forum: (channel) => whereabouts.forum(channel),
      movedTo: (channel) => whereabouts.movedTo(channel),
      repostAfterMs: platform.repostAfterMs,
      linkTo: (place, at) => platform.linkTo(whereabouts.guildOf(place.channel), at),
      inDoubt: (row, place, at) => doubts.next(row, place, at),
    };
    this.#settlement = new Settlement({
      rows,
      platform,
      governor: this.#governor,
      whereabouts,
      doubts,
      hold: (key, until) => this.#held.set(key, until),
    });
    this.#rest();
  }

  /** Sends what can be sent. Resolves with when to come back (epoch ms), or undefined when nothing waits. */
  drain(): Promise<number | undefined> {
    return this.#draining.call();
  }

  /** Something waits to be sent, if only for its time. */
  get pending(): boolean {
    const { pending, threads } = this.#whereabouts.refresh();
    return pending.size > 0 || threads.size > 0;
  }

  /** Messages that wait to be sent. */
  get waiting(): number {
    return this.#whereabouts.refresh().pending.size;
  }

  status(): DeliveryStatus {
    return deliveryStatus({
      rows: this.#rows,
      governor: this.#governor,
      whereabouts: this.#whereabouts,
      tally: this.#tally,
      platform: this.#platform.name,
      lacks: this.#lacks,
      now: this.#now(),
    });
  }

  /**
   * Asks for something, after everything that waits to be sent: undefined when there is no room for it now, or nothing came
   * back. It counts for all limits.
   */
  async read(job: Extract<Job, { kind: "read" }>): Promise<PlatformAnswer | undefined> {
    if (this.#lacks !== undefined) return undefined;
    const now = this.#now();
    const lane = this.#platform.lane(job);
    const readyAt = Math.max(
      this.#governor.botReadyAt(now, lane),
      this.#governor.readyAt(lane, "state", now),
    );
    if (readyAt > now || this.#governor.busy(lane) || this.#governor.freeSlots <= READ_SPARES_SLOTS)
      return undefined;
    this.#governor.begin(lane, now);
    const answer = await this.#fetch(this.#platform.request(job));
    const outcome: Outcome =
      answer === undefined
        ? { kind: "retry", code: "no_answer" }
        : this.#platform.outcome(job, answer, this.#now());
    this.#governor.end(lane, answer, outcome, this.#now());
    return answer;
  }

  async #run(): Promise<number | undefined> {
    if (this.#lacks !== undefined) return this.pending ? this.#now() + PARK_RETRY_MS : undefined;
    const underWay = new Set<Promise<void>>();
    for (;;) {
      const now = this.#now();
      const { ready, due } = this.#choose(now);
      for (const candidate of ready) {
        const sending = this.#send(candidate).finally(() => underWay.delete(sending));
        underWay.add(sending);
      }
      const wait = due === undefined ? undefined : Math.max(due - this.#now(), SOON_MS);
      if (underWay.size === 0) {
        this.#tally.store();
        this.#prune(now);
        if (due === undefined || wait === undefined) return undefined;
        if (wait > NAP_MAX_MS) return due;
      }
      // Until a request is over, the time has come, or something new is wished for.
      await this.#draining.rest(underWay, wait === undefined ? undefined : Math.min(wait, NAP_MAX_MS));
    }
  }

  /** What goes now, best first, and when there is something to look at again. */
  #choose(now: number): { ready: Candidate[]; due: number | undefined } {
    const { pending, threads } = this.#whereabouts.refresh();
    const best = new Map<string, Candidate>();
    let due: number | undefined;
    const later = (at: number): void => {
      due = Math.min(due ?? at, at);
    };
    const consider = (candidate: Candidate | undefined): void => {
      if (candidate === undefined || this.#inFlight.has(candidate.key)) return;
      if (this.#governor.busy(candidate.lane)) return;
      const readyAt = Math.max(candidate.readyAt, this.#held.get(candidate.key) ?? 0);
      if (readyAt > now) {
        later(readyAt);
        return;
      }
      const other = best.get(candidate.lane.name);
      if (other === undefined || comesBefore(candidate, other)) best.set(candidate.lane.name, candidate);
    };
    const needed = new Map<string, ThreadRow>(threads);
    const busy = new Set<string>();
    for (const row of [...pending.values()]) {
      const anchor = anchorOf(row);
      if (anchor !== undefined && row.reply === undefined) {
        busy.add(anchor);
        const thread = this.#known.thread(anchor);
        if (thread?.state === "closed") needed.set(anchor, thread);
      }
      consider(this.#candidateOf(row, now));
    }
    for (const thread of needed.values()) consider(this.#threadCandidate(thread, busy.has(thread.anchor)));

    const ready: Candidate[] = [];
    const inOrder = [...best.values()].sort(
      (a, b) => a.priority - b.priority || a.turn[0] - b.turn[0] || a.turn[1] - b.turn[1],
    );
    for (const candidate of inOrder) {
      const laneReadyAt = this.#governor.readyAt(candidate.lane, candidate.row?.class ?? "event", now);
      const readyAt = Math.max(laneReadyAt, this.#governor.botReadyAt(now, candidate.lane));
      if (readyAt > now) later(readyAt);
      else if (this.#governor.freeSlots <= 0) break;
      else {
        this.#governor.begin(candidate.lane, now);
        this.#inFlight.add(candidate.key);
        ready.push(candidate);
      }
    }
    return { ready, due };
  }

  #candidateOf(row: MessageRow, now: number): Candidate | undefined {
    if (this.#inFlight.has(row.key)) return undefined;
    const job = nextFor(row, this.#known, now);
    if (job === "waits") return undefined;
    if (job === "nothing" || job === "lost") {
      if (job === "lost") logAbout("a message was dropped: its thread is not known", row, "no_thread");
      this.#rows.putMessage(done(row));
      return undefined;
    }
    if (job.kind === "edit" && this.#hashOf(row) === row.shown) {
      this.#rows.putMessage(unchanged(row));
      return undefined;
    }
    const lane = this.#platform.lane(job);
    const parked = this.#governor.parked(lane.major);
    if (parked?.gone === true && parked.until > now) {
      const after = afterLostChannel(row, lane.major, parked.code);
      this.#rows.putMessage(after);
      return after.pending ? this.#candidateOf(after, now) : undefined;
    }
    return {
      row,
      key: row.key,
      job,
      lane,
      turn: turnOf(row, job),
      priority: priorityOf(row, job),
      readyAt: dueAt(row, job),
    };
  }

  /** What a thread needs: to be made, opened again for what waits, closed when nothing does. */
  #threadCandidate(thread: ThreadRow, busy: boolean): Candidate | undefined {
    const parent = placeOfKey(thread.parent, this.#known);
    if (parent === undefined) return undefined;
    const { id, anchor } = thread;
    let job: Job | undefined;
    if (thread.state === "none") {
      // Where a thread hangs on its first message, that one's id is noted when it is out.
      if (!this.#platform.threadsBeginWithMessage) job = { kind: "open_thread", thread, parent };
      else if (id !== undefined) job = { kind: "open_thread", thread, parent, starter: id };
    } else if (id !== undefined && thread.state === "closed" && busy)
      job = { kind: "reopen_thread", parent, id };
    else if (id !== undefined && thread.state === "open" && thread.wanted === "closed" && !busy)
      job = { kind: "close_thread", parent, id };
    if (job === undefined) return undefined;
    const lane = this.#platform.lane(job);
    const turn: [number, number] = job.kind === "close_thread" ? [6, 0] : [0, 0];
    return {
      thread,
      key: `@${anchor}`,
      job,
      lane,
      turn,
      priority: job.kind === "close_thread" ? 4 : 1,
      readyAt: 0,
    };
  }

  /** Never rejects: what could not even be written down is still in its row, and is tried again. */
  async #send({ row, thread, key, job, lane }: Candidate): Promise<void> {
    let answer: PlatformAnswer | undefined;
    let outcome: Outcome = { kind: "retry", code: "internal" };
    try {
      if (row !== undefined && job.kind === "create" && !this.#idempotent(job))
        this.#rows.putMessage({ ...row, triedAt: this.#now() });
      answer = await this.#fetch(this.#platform.request(job));
      if (answer !== undefined) outcome = this.#platform.outcome(job, answer, this.#now());
    } catch (error) {
      this.#logFailure(key, error);
    }
    this.#inFlight.delete(key);
    try {
      this.#governor.end(lane, answer, outcome, this.#now());
      this.#tally.count(job, outcome);
      if (thread !== undefined) this.#settlement.thread(thread, job, lane, outcome, this.#now());
      else this.#settlement.message(key, job, lane, outcome, this.#now());
    } catch (error) {
      this.#held.set(key, this.#now() + NAP_MAX_MS);
      this.#logFailure(key, error);
    }
  }

  /** A bug of ours. Its text may quote an address, and Telegram's holds the token. */
  #logFailure(key: string, error: unknown): void {
    const name = error instanceof Error ? error.name : "unknown";
    console.error(JSON.stringify({ message: "a message was not dealt with", key, error: name }));
  }

  #idempotent(job: Extract<Job, { kind: "create" }>): boolean {
    return this.#platform.nonces && job.forum === undefined;
  }

  /** Undefined when nothing came back, or not all of it. */
  async #fetch(request: PlatformRequest): Promise<PlatformAnswer | undefined> {
    try {
      const response = await fetch(this.#platform.url(request), {
        method: request.method,
        headers: this.#platform.headers(request),
        // A redirect would carry the token to another host.
        redirect: "manual",
        signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
        ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      });
      const text = (await response.text()).slice(0, ANSWER_MAX_CHARS);
      return { status: response.status, headers: response.headers, body: jsonOr(text) };
    } catch {
      return undefined;
    }
  }

  /** Of what the row wants; drawn once for each version of it. */
  #hashOf(row: MessageRow): string | undefined {
    if (row.wanted === undefined) return undefined;
    const known = this.#hashes.get(row);
    if (known !== undefined) return known;
    const hash = this.#platform.hashOf(row.wanted);
    this.#hashes.set(row, hash);
    return hash;
  }

  /** Short waits are not stored: a lane that was touched a moment ago rests (governor.ts, 2). */
  #rest(): void {
    const now = this.#now();
    const recent = now - REST_LOOK_BACK_MS;
    for (const { channel, at, edited } of this.#rows.lastTouched(recent)) {
      const place = channelOf({ platform: this.#platform.name, channel });
      const message = { tone: "neutral" as const, title: "" };
      const job: Job = edited
        ? { kind: "edit", at: { channel, id: "" }, message }
        : { kind: "create", place, message, nonce: "" };
      this.#governor.rest(this.#platform.lane(job), at);
    }
  }

  #prune(now: number): void {
    if (now - this.#rows.prunedAt < PRUNE_EVERY_MS) return;
    this.#rows.prune(now, this.#isNeeded);
    this.#governor.prune(now);
    for (const [key, until] of this.#held) if (until <= now) this.#held.delete(key);
  }
}

const REST_LOOK_BACK_MS = 15_000;

function comesBefore(a: Candidate, b: Candidate): boolean {
  return a.turn[0] < b.turn[0] || (a.turn[0] === b.turn[0] && a.turn[1] < b.turn[1]);
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
