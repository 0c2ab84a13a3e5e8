/**
 * What an event owes the outside, and the telling of it: to the queue that an attempt waits, to the pool that one is
 * over, to the day's ledger how things stand. What is owed stands in memory between a commit and its telling; after a
 * crash the alarm reads it again from the records (rules.ts, `effectsOfState`). What was told is noted on the run with
 * its next write (`toldRev`), so that no later life of this object tells it again.
 */
import { runSummary } from "../../contract/run-view.ts";
import { waitingAttempt, type RunRecord } from "../../contract/run-record.ts";
import type { Env } from "../../worker/env.ts";
import { outboxNames } from "../chat-outbox/naming.ts";
import { dayOf, ledgerName } from "../day-ledger/naming.ts";
import { Outbox, type Effect } from "../kit/outbox.ts";
import { routeOf, type OwedEffect } from "./rules.ts";
import type { EventStorage, StoredEvent } from "./storage.ts";
import { storedSummary } from "./view.ts";

/** Messages in one call to the queue, which takes 100 of them and 256 KB: the route of a run has less than 5 KB. */
const SEND_MAX_MESSAGES = 50;
export class EventOutbox {
  readonly #env: Env;
  readonly #storage: EventStorage;
  readonly #outbox: Outbox;
  #owed: OwedEffect[] = [];
  #draining = false;
  /** The ledger has been told of the event itself. Undefined: not by this instance, but a run's note may say so. */
  #listed: boolean | undefined;
  /** Chat outboxes that show none of a run's cards, as they said: `<outbox> <n>`. They need not be told again. */
  readonly #unwatched = new Set<string>();
  /** Revisions of runs that this instance has told everybody of. */
  readonly #told = new Map<number, number>();

  constructor(env: Env, storage: EventStorage, owner: string) {
    this.#env = env;
    this.#storage = storage;
    this.#outbox = new Outbox(owner);
  }

  /** Something is owed, or is being told right now. */
  get pending(): boolean {
    return this.#draining || this.#owed.length > 0;
  }

  owe(effects: OwedEffect[]): void {
    this.#owed.push(...effects);
  }

  /** The event is deleted: the same id sent again is a new event, which owes nothing of this one. */
  forget(): void {
    this.#owed = [];
    this.#listed = false;
    this.#told.clear();
  }

  /** A chat outbox looks at this run: it wants to know what becomes of it. */
  watchedBy(outbox: string, n: number): void {
    this.#unwatched.delete(`${outbox} ${n}`);
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

  /**
   * Performs what is owed, one round at a time, until nothing is left or a round failed: then it returns how long to
   * wait. A call during another one returns at once; the one under way takes its effects along.
   */
  async drain(): Promise<number | undefined> {
    if (this.#draining) return undefined;
    this.#draining = true;
    try {
      while (this.#owed.length > 0) {
        const round = this.#owed;
        this.#owed = [];
        const runs = new Map(this.#storage.readRuns().map((run) => [run.n, run]));
        const retryAfterMs = await this.#outbox.drain(this.#effects(round, runs));
        if (retryAfterMs === undefined) {
          for (const { kind, n } of round) if (kind === "project") this.#told.set(n, runs.get(n)?.rev ?? 0);
          continue;
        }
        this.#owed.unshift(...round);
        return retryAfterMs;
      }
      return undefined;
    } finally {
      this.#draining = false;
    }
  }

  #effects(owed: OwedEffect[], runs: Map<number, RunRecord>): Effect[] {
    const stored = this.#storage.readEvent();
    if (stored === undefined) return [];
    this.#listed ??= [...runs.values()].some((run) => run.toldRev !== undefined);
    const of = (kind: OwedEffect["kind"]): RunRecord[] =>
      [...new Set(owed.flatMap((effect) => (effect.kind === kind ? [effect.n] : [])))].flatMap(
        (n) => runs.get(n) ?? [],
      );
    return [
      ...this.#sendEffects(of("send"), of("chain")),
      ...this.#settleEffects(owed, runs),
      ...this.#projectEffects(stored, of("project")),
      ...this.#chatEffects(stored, of("project")),
    ];
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
        .filter((run) => !this.#unwatched.has(`${outbox} ${run.n}`))
        .map((run) => ({
          key: `chat ${run.id}`,
          perform: async () => {
            const { shown } = await this.#env.CHAT_OUTBOXES.getByName(outbox).runChanged({
              runId: run.id,
              flow: run.flow.name,
              eventType: event.type,
              ...(run.chat === undefined ? {} : { origin: run.chat }),
            });
            if (!shown) this.#unwatched.add(`${outbox} ${run.n}`);
          },
        })),
    );
  }
}
