/**
 * Sends what waits: picks what may go now, by lane and class, and writes down what became of it. The only code that
 * talks to a platform. One `drain` at a time; it ends when nothing can go for a while and says when to come back.
 *
 * 1. A row is changed only by an outcome, so a crash at any moment leaves it waiting (jobs.ts says why that doubles nothing).
 * 2. A token goes to the platform's address only, never into a row, a log or an error.
 */
import type { ChatPlace } from "../../../contract/chat/place.ts";
import { channelOf } from "../../../contract/chat/place.ts";
import type { ChatOutboxStatus } from "../calls.ts";
import { newNonce } from "./delivery.ts";
import { Governor } from "./governor.ts";
import {
  afterDeadToken,
  afterDone,
  afterGone,
  aged,
  anchorOf,
  channelIn,
  done,
  dueAt,
  nextFor,
  placeOf,
  placeOfKey,
  priorityOf,
  threadAfter,
  turnOf,
  unchanged,
  withoutStale,
  type Known,
} from "./jobs.ts";
import type { Job, Lane, Outcome, Platform, PlatformAnswer, PlatformRequest } from "./platform.ts";
import type { DeliveryRows, MessageRow, ThreadRow, Waiting } from "./rows.ts";

/** A platform that has not answered by then may have done it all the same. */
const ANSWER_TIMEOUT_MS = 10_000;
/** Shorter waits are slept through; for longer ones the object may go and is woken by its alarm. */
const NAP_MAX_MS = 2_000;
/** One drain, so that no alarm handler runs for ever. */
const DRAIN_MAX_MS = 60_000;
/** A lane that has just been left wants no busy loop. */
const SOON_MS = 5;
/** Ids behind our newest message in a chat that are looked at for one whose creation is in doubt. */
const PROBES_MAX = 5;
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
  now: () => number;
}

export class Sender {
  readonly #rows: DeliveryRows;
  readonly #platform: Platform;
  readonly #governor: Governor;
  readonly #now: () => number;
  readonly #inFlight = new Set<string>();
  readonly #threads = new Map<string, ThreadRow>();
  readonly #forums = new Set<string>();
  readonly #moves = new Map<string, string>();
  readonly #known: Known;
  readonly #hashes = new WeakMap<MessageRow, string>();
  readonly #probed = new Map<string, number>();
  /** Rows that wait for something that is theirs alone, epoch ms. */
  readonly #held = new Map<string, number>();
  #draining: Promise<number | undefined> | undefined;
  #woken: (() => void) | undefined;
  #prunedAt: number;

  constructor({ rows, platform, fingerprint, now }: SenderOptions) {
    this.#rows = rows;
    this.#platform = platform;
    this.#now = now;
    this.#prunedAt = now();
    this.#governor = new Governor(platform.pace, rows, fingerprint, now());
    this.#known = this.#whatIsKnown();
    for (const [scope, value] of rows.barriers()) {
      if (scope.startsWith("forum:")) this.#forums.add(scope.slice("forum:".length));
      if (scope.startsWith("moved:")) this.#moves.set(scope.slice("moved:".length), String(value));
    }
    this.#rest();
  }

  /** Sends what can be sent. Resolves with when to come back (epoch ms), or undefined when nothing waits. */
  drain(): Promise<number | undefined> {
    this.#woken?.();
    this.#draining ??= this.#run().finally(() => {
      this.#draining = undefined;
    });
    return this.#draining;
  }

  /** Something waits to be sent, if only for its time. */
  get pending(): boolean {
    const { pending, threads } = this.#refresh();
    return pending.size > 0 || threads.size > 0;
  }

  status(): Omit<ChatOutboxStatus, "shownRuns" | "polling"> {
    const now = this.#now();
    const { pending } = this.#refresh();
    const waiting = { final: 0, event: 0, state: 0 };
    const byChannel = new Map<string, number>();
    let oldest: number | undefined;
    for (const row of pending.values()) {
      waiting[row.class] += 1;
      oldest = Math.min(oldest ?? row.createdAt, row.createdAt);
      const place = placeOf(row, this.#known);
      const channel = typeof place === "string" ? undefined : channelIn(place);
      if (channel !== undefined) byChannel.set(channel, (byChannel.get(channel) ?? 0) + 1);
    }
    const { limited, halted, parked } = this.#governor.status(now);
    return {
      waiting,
      ...(oldest === undefined ? {} : { oldestMs: Math.max(0, now - oldest) }),
      sent: this.#rows.sentCount(),
      limited,
      ...(halted === undefined ? {} : { halted }),
      parked: [
        ...[...parked].map(([channel, { code, message, at }]) => ({
          place: `${this.#platform.name}:${channel}`,
          code,
          message,
          at,
          waiting: byChannel.get(channel) ?? 0,
        })),
        ...this.#rows.refused().map(({ target, problem }) => ({ place: target, ...problem, waiting: 1 })),
      ],
    };
  }

  /**
   * Asks for something, after everything that waits to be sent: undefined when there is no room for it now, or nothing came
   * back. It counts for all limits.
   */
  async read(job: Extract<Job, { kind: "read" }>): Promise<PlatformAnswer | undefined> {
    const now = this.#now();
    const lane = this.#platform.lane(job);
    const readyAt = Math.max(this.#governor.botReadyAt(now), this.#governor.readyAt(lane, "state", now));
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
    const until = this.#now() + DRAIN_MAX_MS;
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
        this.#prune(now);
        if (due === undefined || wait === undefined) return undefined;
        if (wait > NAP_MAX_MS || now > until) return due;
      }
      await this.#next(underWay, wait);
    }
  }

  /** What waits; and what is remembered of threads is as it is stored. */
  #refresh(): Waiting {
    const waiting = this.#rows.refresh();
    for (const anchor of waiting.changedThreads) this.#threads.delete(anchor);
    return waiting;
  }

  /** Until a request is over, the time has come, or something new is wished for. */
  async #next(underWay: ReadonlySet<Promise<void>>, wait: number | undefined): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const woken = new Promise<void>((resolve) => {
      this.#woken = resolve;
      if (wait !== undefined) timer = setTimeout(resolve, Math.min(wait, NAP_MAX_MS));
    });
    try {
      await Promise.race([...underWay, woken]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** What goes now, best first, and when there is something to look at again. */
  #choose(now: number): { ready: Candidate[]; due: number | undefined } {
    const { pending, threads } = this.#refresh();
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
    const botReadyAt = this.#governor.botReadyAt(now);
    const inOrder = [...best.values()].sort(
      (a, b) => a.priority - b.priority || a.turn[0] - b.turn[0] || a.turn[1] - b.turn[1],
    );
    for (const candidate of inOrder) {
      const laneReadyAt = this.#governor.readyAt(candidate.lane, candidate.row?.class ?? "event", now);
      if (Math.max(laneReadyAt, botReadyAt) > now) later(Math.max(laneReadyAt, botReadyAt));
      else if (this.#governor.freeSlots <= 0) break;
      else if (this.#governor.botReadyAt(now) > now) later(this.#governor.botReadyAt(now));
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
      if (job === "lost")
        this.#log("a message was dropped: its thread is not known", row, { code: "no_thread" });
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
      this.#log("a message was dropped: its channel is gone", row, parked);
      this.#rows.putMessage(done(row));
      return undefined;
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
      if (thread !== undefined) this.#settleThread(thread, job, lane, outcome);
      else this.#settle(key, job, lane, outcome);
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

  #settle(key: string, job: Job, lane: Lane, outcome: Outcome): void {
    // It may have been changed meanwhile, or dropped.
    const row = this.#rows.message(key);
    if (row === undefined) return;
    const now = this.#now();
    const wanted = row.wanted && this.#platform.hashOf(row.wanted);
    switch (outcome.kind) {
      case "done": {
        this.#probed.delete(key);
        const sent = "message" in job ? this.#platform.hashOf(job.message) : "";
        this.#rows.putMessage(afterDone(row, job, outcome, { sent, wanted, now, nonce: newNonce() }));
        this.#noteStarter(row, job, outcome);
        return;
      }
      case "retry":
        return;
      case "limited":
      case "blocked":
      case "halt":
        this.#notTried(row);
        return;
      case "message_gone":
        this.#goneAt(row, job, wanted);
        return;
      case "too_old":
        if (row.class === "state") this.#rows.putMessage(aged(row));
        else this.#held.set(key, now + outcome.ms);
        return;
      case "thread_closed":
        this.#threadIs(row, "closed", job);
        return;
      case "thread_gone":
        this.#threadIs(row, "flat", job);
        return;
      case "forum":
        this.#forums.add(lane.major);
        this.#rows.putBarrier(`forum:${lane.major}`, true);
        return;
      case "token_dead":
        if (!outcome.young) this.#rows.putMessage(afterDeadToken(row));
        return;
      case "moved":
        this.#moved(lane.major, outcome.channel);
        return;
      case "drop":
        this.#dropped(row, job, lane, outcome);
        return;
      case "park":
        this.#notTried(row);
        // An old card that may not be deleted stands where it stands.
        if (job.kind === "delete") this.#rows.putMessage(withoutStale(row, wanted));
        else this.#governor.park(lane.major, outcome, false, now);
        this.#log("a channel takes nothing", row, outcome);
        return;
      case "no_threads":
      case "refused": {
        this.#log("a message was refused: that is a bug", row, outcome);
        const { code, message } = outcome;
        const rest = job.kind === "delete" ? withoutStale(row, wanted) : { ...row, pending: false };
        this.#rows.putMessage(
          job.kind === "delete" ? rest : { ...rest, problem: { code, message, at: now } },
        );
        return;
      }
    }
  }

  /** A creation that was refused for now has certainly not come through. */
  #notTried(row: MessageRow): void {
    if (row.triedAt === undefined) return;
    const { triedAt: _tried, ...rest } = row;
    this.#rows.putMessage(rest);
  }

  #goneAt(row: MessageRow, job: Job, wanted: string | undefined): void {
    if (job.kind === "delete") this.#rows.putMessage(withoutStale(row, wanted));
    else if (job.kind === "probe") {
      const probes = (this.#probed.get(row.key) ?? 0) + 1;
      this.#probed.set(row.key, probes);
      if (probes < PROBES_MAX) return;
      this.#probed.delete(row.key);
      this.#notTried(row);
    } else this.#rows.putMessage(afterGone(row, newNonce()));
  }

  /** Of a thread that hangs on a message: that message is out, the thread can be made. In a forum it is there already. */
  #noteStarter(row: MessageRow, job: Job, { id }: Extract<Outcome, { kind: "done" }>): void {
    const anchor = /^thread:(.*)$/s.exec(row.key)?.[1];
    const thread = anchor === undefined ? undefined : this.#rows.thread(anchor);
    if (thread?.state !== "none" || job.kind !== "create" || id === undefined) return;
    if (!this.#platform.threadsBeginWithMessage) return;
    // Inside of a thread there are no threads.
    const state = job.forum !== undefined ? "open" : "none";
    this.#rows.putThread({ ...thread, id, state, touchedAt: this.#now() });
  }

  #threadIs(row: MessageRow, state: "closed" | "flat", job: Job): void {
    const anchor = anchorOf(row);
    const thread = anchor === undefined ? undefined : this.#rows.thread(anchor);
    if (thread === undefined) {
      this.#log("a message was dropped: its thread is closed or gone", row, { code: job.kind });
      this.#rows.putMessage(done(row));
      return;
    }
    this.#rows.putThread({ ...thread, state, touchedAt: this.#now() });
    if (state === "flat") this.#leaveThread(thread);
  }

  /** Its messages cannot be reached any more: posts that are not out go to the channel, the rest is over. */
  #leaveThread(thread: ThreadRow): void {
    for (const row of [...this.#refresh().pending.values()]) {
      if (anchorOf(row) !== thread.anchor) continue;
      if (row.class === "state" || row.posted !== undefined) this.#rows.putMessage(done(row));
    }
  }

  #settleThread({ anchor }: ThreadRow, job: Job, lane: Lane, outcome: Outcome): void {
    const thread = this.#rows.thread(anchor);
    if (thread === undefined) return;
    if (outcome.kind === "moved") {
      this.#moved(lane.major, outcome.channel);
      return;
    }
    const after = threadAfter(thread, job, outcome, this.#now());
    if (after === undefined) return;
    this.#rows.putThread(after);
    if (after.state === "flat" && job.kind === "reopen_thread") this.#leaveThread(thread);
  }

  #dropped(row: MessageRow, job: Job, lane: Lane, why: { code: string; message: string }): void {
    const anchor = anchorOf(row);
    const thread = anchor === undefined ? undefined : this.#rows.thread(anchor);
    if (thread !== undefined && thread.id === lane.major) {
      this.#threadIs(row, "flat", job);
      return;
    }
    this.#governor.park(lane.major, why, true, this.#now());
    for (const other of [...this.#refresh().pending.values()]) {
      const place = placeOf(other, this.#known);
      if (typeof place === "string" || channelIn(place) !== lane.major || other.reply !== undefined) continue;
      this.#log("a message was dropped: its channel is gone", other, why);
      this.#rows.putMessage(done(other));
    }
  }

  /** A group became a supergroup, and has another id. Its old messages stay with the old one. */
  #moved(from: string, to: string): void {
    this.#moves.set(from, to);
    this.#rows.putBarrier(`moved:${from}`, to);
  }

  #whatIsKnown(): Known {
    return {
      thread: (anchor) => {
        const known = this.#threads.get(anchor);
        if (known !== undefined) return known;
        const thread = this.#rows.thread(anchor);
        if (thread !== undefined) this.#threads.set(anchor, thread);
        return thread;
      },
      forum: (channel) => this.#forums.has(channel),
      movedTo: (channel) => this.#moves.get(channel) ?? channel,
      repostAfterMs: this.#platform.repostAfterMs,
      probeId: (row, place) => this.#probeId(row, place),
    };
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

  #probeId(row: MessageRow, place: ChatPlace): string | undefined {
    if (this.#platform.nonces) return undefined;
    const newest = this.#rows.newestIn(channelIn(place));
    return newest === undefined ? undefined : String(newest + 1 + (this.#probed.get(row.key) ?? 0));
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
    if (now - this.#prunedAt < PRUNE_EVERY_MS) return;
    this.#prunedAt = now;
    this.#rows.prune(now);
    this.#governor.prune(now);
    for (const [key, until] of this.#held) if (until <= now) this.#held.delete(key);
  }

  #log(message: string, { key, class: deliveryClass, target }: MessageRow, { code }: { code: string }): void {
    console.warn(JSON.stringify({ message, key, class: deliveryClass, target, code }));
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
