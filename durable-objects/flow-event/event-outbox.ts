/**
 * What an event owes the outside, and the telling of it: to the queue that an attempt waits, to the pool that one is
 * over, to the day's ledger and to chats how things stand. What is owed stands in memory between a commit and its
 * telling; after a crash the alarm reads it again from the records (rules.ts, `effectsOfState`). What was told is noted
 * on the run with its next write (`toldRev`), so that no later life of this object tells it again.
 *
 * What somebody waits for is told at once. What only shows how things stand is gathered for a moment: the claim, the
 * result and the end of a short step are one telling instead of three, and none of them stands in the way of an answer.
 */
import { runSummary } from "../../contract/run-view.ts";
import { waitingAttempt, type RunRecord } from "../../contract/run-record.ts";
import type { Env } from "../../worker/env.ts";
import { outboxNames } from "../chat-outbox/naming.ts";
import { dayOf, ledgerName } from "../day-ledger/naming.ts";
import type { Effect } from "../kit/outbox.ts";
import { ChatWatch } from "./chat-watch.ts";
import { OwedLane } from "./owed-lane.ts";
import { routeOf, type OwedEffect } from "./rules.ts";
import type { EventStorage, StoredEvent } from "./storage.ts";
import { storedSummary } from "./view.ts";

/** Messages in one call to the queue, which takes 100 of them and 256 KB: the route of a run has less than 5 KB. */
const SEND_MAX_MESSAGES = 50;
/** How long what only shows how things stand is gathered. Eyes do not notice it. */
const SHOW_AFTER_MS = 10;

export class EventOutbox {
  readonly #env: Env;
  readonly #storage: EventStorage;
  /** An attempt waits or is over, an event is asked for: somebody waits for that. */
  readonly #work: OwedLane;
  /** How things stand. */
  readonly #shows: OwedLane;
  /** The ledger has been told of the event itself. Undefined: not by this instance, but a run's note may say so. */
  #listed: boolean | undefined;
  readonly #watch = new ChatWatch();
  /** Revisions of runs that this instance has told everybody of. */
  readonly #told = new Map<number, number>();
  /** Revisions of runs that are being shown; that were shown, and may still owe something else. */
  #showing = new Map<number, number>();
  readonly #shown = new Map<number, number>();

  constructor(env: Env, storage: EventStorage, owner: string) {
    this.#env = env;
    this.#storage = storage;
    this.#work = new OwedLane({
      owner,
      gatherMs: () => 0,
      effects: (round) => this.#workEffects(round),
      told: () => {
        this.#noteTold();
      },
    });
    this.#shows = new OwedLane({
      owner,
      // That there is such an event at all is told at once: by the ledger alone it is known to senders of its id whose type
      // nobody waits for.
      gatherMs: () => (this.#listed === true ? SHOW_AFTER_MS : 0),
      effects: (round) => this.#showEffects(round),
      told: () => {
        for (const [n, rev] of this.#showing) this.#shown.set(n, rev);
        this.#noteTold();
      },
    });
  }

  /** Something is owed, or is being told right now. */
  get pending(): boolean {
    return this.#work.pending || this.#shows.pending;
  }

  owe(effects: OwedEffect[]): void {
    this.#shows.owe(effects.filter(({ kind }) => kind === "project"));
    this.#work.owe(effects.filter(({ kind }) => kind !== "project"));
  }

  /** The event is deleted: the same id sent again is a new event, which owes nothing of this one. */
  forget(): void {
    this.#work.forget();
    this.#shows.forget();
    this.#listed = false;
    this.#shown.clear();
    this.#told.clear();
  }

  /** A chat outbox looks at this run: it wants to know what becomes of it. */
  watchedBy(outbox: string, n: number): void {
    this.#watch.looked(outbox, n);
  }

  /** The ledger is told of the event once more, with the next of its runs. */
  listAgain(): void {
    this.#listed = false;
  }

  /** The run with a note of what has been told of it. */
  noted(run: RunRecord): RunRecord {
    const toldRev = this.#told.get(run.n);
    return toldRev === undefined || toldRev === run.toldRev ? run : { ...run, toldRev };
  }

  /** What is shown counts as told when nothing else of it is owed: a note that came too early would hide the rest. */
  #noteTold(): void {
    if (this.#work.owes) return;
    for (const [n, rev] of this.#shown) this.#told.set(n, rev);
    this.#shown.clear();
  }

  /** Tells what is owed. Returns how long to wait (ms) before what failed is tried again, or undefined. */
  async drain(): Promise<number | undefined> {
    const waits = await Promise.all([this.#work.drain(), this.#shows.drain()]);
    const failed = waits.filter((wait) => wait !== undefined);
    return failed.length === 0 ? undefined : Math.min(...failed);
  }

  #workEffects(owed: OwedEffect[]): Effect[] {
    const runs = this.#runs();
    return [
      ...this.#sendEffects(named(owed, "send", runs), named(owed, "chain", runs)),
      ...this.#settleEffects(owed, runs),
    ];
  }

  #showEffects(owed: OwedEffect[]): Effect[] {
    const stored = this.#storage.readEvent();
    if (stored === undefined) return [];
    const runs = this.#runs();
    this.#listed ??= [...runs.values()].some((run) => run.toldRev !== undefined);
    const shown = named(owed, "project", runs);
    this.#showing = new Map(shown.map((run) => [run.n, run.rev]));
    return [...this.#projectEffects(stored, shown), ...this.#chatEffects(stored, shown)];
  }

  #runs(): Map<number, RunRecord> {
    return new Map(this.#storage.readRuns().map((run) => [run.n, run]));
  }

  #sendEffects(waiting: RunRecord[], chaining: RunRecord[]): Effect[] {
    const messages = [
      ...waiting.flatMap((run) => {
        const attempt = waitingAttempt(run);
        return attempt === undefined ? [] : [{ kind: "run" as const, route: routeOf(run, attempt) }];
      }),
      ...chaining.flatMap((run) =>
        (run.chained ?? [])
          .filter((entry) => entry.state === "owed")
          .map((entry) => ({ kind: "chained" as const, runId: run.id, index: entry.index })),
      ),
    ];
    const batches = Math.ceil(messages.length / SEND_MAX_MESSAGES);
    return Array.from({ length: batches }, (_unused, at) => {
      const batch = messages.slice(at * SEND_MAX_MESSAGES, (at + 1) * SEND_MAX_MESSAGES);
      return {
        key: `send ${at}`,
        perform: () => this.#env.RUN_QUEUE.sendBatch(batch.map((body) => ({ body }))),
      };
    });
  }

  #settleEffects(owed: OwedEffect[], runs: Map<number, RunRecord>): Effect[] {
    return owed.flatMap((effect) => {
      const run = effect.kind === "settle" ? runs.get(effect.n) : undefined;
      if (effect.kind !== "settle" || run === undefined) return [];
      const pool = this.#env.POOLS.getByName(run.pool);
      return [{ key: `settle ${run.id}`, perform: async () => pool.settle(run.id, effect.attempt) }];
    });
  }

  /**
   * One call for each day concerned: the event on the day of its receipt, a run on the day of its creation. The event
   * goes with the first call, and with whatever an alarm finds untold.
   */
  #projectEffects(stored: StoredEvent, runs: RunRecord[]): Effect[] {
    if (runs.length === 0) return [];
    const eventDay = dayOf(stored.createdAt);
    const days = new Map<number, RunRecord[]>(this.#listed === true ? [] : [[eventDay, []]]);
    for (const run of runs) days.set(dayOf(run.createdAt), [...(days.get(dayOf(run.createdAt)) ?? []), run]);
    return [...days].map(([day, itsRuns]) => ({
      key: `project ${stored.key}`,
      perform: async () => {
        const event = day === eventDay && this.#listed !== true ? storedSummary(stored) : undefined;
        const ledger = this.#env.LEDGERS.getByName(ledgerName(this.#env, day, stored.key));
        const { conflict } = await ledger.project({
          event,
          runs: itsRuns.map((run) => ({ rev: run.rev, createdMs: run.createdAt, summary: runSummary(run) })),
        });
        if (event !== undefined) this.#listed = true;
        if (conflict) this.#storage.noteConflict(Date.now());
      },
    }));
  }

  /** Whoever shows a run in a chat hears that it has changed, and looks for himself. */
  #chatEffects({ event }: StoredEvent, runs: RunRecord[]): Effect[] {
    return outboxNames(this.#env).flatMap((outbox) =>
      runs
        .filter((run) => this.#watch.wants(outbox, run.n))
        .map((run) => ({
          key: `chat ${run.id}`,
          perform: async () => {
            const answered = this.#watch.telling(outbox, run.n);
            const { shown } = await this.#env.CHAT_OUTBOXES.getByName(outbox).runChanged({
              runId: run.id,
              flow: run.flow.name,
              eventType: event.type,
              ...(run.chat === undefined ? {} : { origin: run.chat }),
            });
            answered(shown);
          },
        })),
    );
  }
}

/** The runs that effects of one kind are about, each once. */
function named(
  owed: OwedEffect[],
  kind: OwedEffect["kind"],
  runs: ReadonlyMap<number, RunRecord>,
): RunRecord[] {
  const ns = new Set(owed.flatMap((effect) => (effect.kind === kind ? [effect.n] : [])));
  return [...ns].flatMap((n) => runs.get(n) ?? []);
}
