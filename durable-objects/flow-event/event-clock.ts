/**
 * When an event object wakes by itself, and what it does then: the clocks of its runs, what it still owes the outside,
 * and its own end. It owns the object's one alarm: armed by every commit, again at the end of every alarm, and looked at
 * whenever the object is constructed.
 */
import { nextDue, resent, tick } from "../../contract/run-clocks.ts";
import { isTerminal, liveAttempt, type RunRecord } from "../../contract/run-record.ts";
import { AlarmSchedule } from "../kit/alarm.ts";
import { CLOSE, closeSocket } from "../kit/sockets.ts";
import type { EventOutbox } from "./event-outbox.ts";
import { effectsOfState, endOptions, isTold, retentionDue } from "./rules.ts";
import type { RunSockets } from "./run-sockets.ts";
import type { EventStorage, StoredEvent } from "./storage.ts";

/** How long after a commit the alarm tells again what may still be owed, should a crash cut the telling off. */
const TELL_AGAIN_MS = 60_000;
/** Who waits for a change has its answer before the telling of it takes the processor. */
const ANSWER_FIRST_MS = 5;

export interface RunChange {
  run: RunRecord;
  /** Undefined: the run is new. */
  before: RunRecord | undefined;
}

export interface EventClockOptions {
  ctx: DurableObjectState;
  storage: EventStorage;
  outbox: EventOutbox;
  runSockets: RunSockets;
  retentionMs: number;
  commit(changes: RunChange[]): Promise<void>;
}

export class EventClock {
  readonly #given: EventClockOptions;
  readonly #alarm: AlarmSchedule;

  constructor(given: EventClockOptions) {
    this.#given = given;
    this.#alarm = new AlarmSchedule(given.ctx.storage);
  }

  /** A platform that lost the alarm would let the event sleep for ever: looked at in every construction. */
  constructed(): void {
    if (this.#given.storage.readEvent() === undefined) {
      this.#alarm.unused();
      return;
    }
    void this.#given.ctx.blockConcurrencyWhile(async () => {
      if ((await this.#alarm.load()) === null) await this.#alarm.wakeBy(this.#nextDue(Date.now()));
    });
  }

  /**
   * Something was written in this very turn: the alarm commits with it, and what is owed is told.
   * @param awaited somebody has waited for it
   */
  async committed(now: number, awaited: boolean): Promise<void> {
    await this.#alarm.wakeBy(this.#nextDue(now));
    if (this.#given.outbox.pending) this.#given.ctx.waitUntil(this.#tell(awaited ? ANSWER_FIRST_MS : 0));
  }

  async alarm(): Promise<void> {
    const now = Date.now();
    this.#alarm.fired();
    const stored = this.#given.storage.readEvent();
    if (stored === undefined) return;
    try {
      if (this.#expired(stored, now)) {
        await this.#delete();
        return;
      }
      await this.#tickRuns(now);
    } finally {
      // Re-armed whatever happened above; after a deletion there is no event and nothing is due.
      await this.#alarm.wakeBy(this.#nextDue(Date.now()));
    }
  }

  async #tickRuns(now: number): Promise<void> {
    const { storage, outbox, runSockets, commit } = this.#given;
    const changes = storage.readRuns().map((before) => {
      const run = tick(before, runSockets.lastSeen(before), endOptions(now));
      const effects = effectsOfState(outbox.noted(run), now);
      if (effects.some((effect) => effect.kind === "project")) outbox.listAgain();
      const sends = effects.some((effect) => effect.kind === "send" || effect.kind === "chain");
      outbox.owe(effects);
      return { before, run: sends ? resent(run, now) : run };
    });
    for (const { before, run } of changes)
      if (liveAttempt(before) && !liveAttempt(run)) runSockets.leaseLost(run, before);
    await commit(changes.filter(({ before, run }) => run !== before));
  }

  /** How the last run ended is told first: the list outlives the event. */
  #expired(stored: StoredEvent, now: number): boolean {
    const { storage, outbox, retentionMs } = this.#given;
    if (outbox.pending) return false;
    const over = storage.readRuns().every((run) => isTerminal(run.status));
    return retentionDue(stored.createdAt, retentionMs, now, over) <= now;
  }

  async #delete(): Promise<void> {
    const { ctx, outbox } = this.#given;
    for (const socket of ctx.getWebSockets())
      closeSocket(socket, CLOSE.over, "the event has reached its retention");
    // The id may be sent again: that is a new event, which owes nothing of this one and is not listed yet.
    outbox.forget();
    // The alarm goes with it.
    await ctx.storage.deleteAll();
  }

  /** When time alone changes something here, or something is owed again. */
  #nextDue(now: number): number | undefined {
    const { storage, outbox, runSockets, retentionMs } = this.#given;
    const stored = storage.readEvent();
    if (stored === undefined) return undefined;
    const runs = storage.readRuns();
    const over = runs.every((run) => isTerminal(run.status));
    const dues = runs.flatMap((run) => nextDue(run, runSockets.lastSeen(run), now) ?? []);
    dues.push(outbox.pending ? now + TELL_AGAIN_MS : retentionDue(stored.createdAt, retentionMs, now, over));
    return Math.min(...dues);
  }

  /** Tells everybody what is owed; what could not be told wakes this object again. */
  async #tell(afterMs: number): Promise<void> {
    const { outbox } = this.#given;
    if (afterMs > 0) await scheduler.wait(afterMs);
    const retryAfterMs = await outbox.drain();
    if (retryAfterMs !== undefined) await this.#alarm.wakeBy(Date.now() + retryAfterMs);
    else if (!outbox.pending) await this.#rest();
  }

  /** While a run lives, the alarm goes on; those that are over need be told once, not at each of its looks. */
  #noteTold(runs: RunRecord[]): void {
    for (const run of runs) {
      const noted = this.#given.outbox.noted(run);
      if (isTerminal(run.status) && noted !== run && isTold(noted)) this.#given.storage.writeRun(noted);
    }
  }

  /** All is told and nothing runs: the next thing that happens here by itself is the deletion. */
  async #rest(): Promise<void> {
    const { storage, retentionMs } = this.#given;
    const stored = storage.readEvent();
    if (stored === undefined) return;
    const runs = storage.readRuns();
    if (!runs.every((run) => isTerminal(run.status))) this.#noteTold(runs);
    const due = this.#nextDue(Date.now());
    if (due !== undefined && due === stored.createdAt + retentionMs) await this.#alarm.moveTo(due);
  }
}
