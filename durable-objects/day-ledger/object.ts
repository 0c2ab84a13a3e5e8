/**
 * DayLedger: one per UTC day and hash shard. It lists that day's events and runs as the event objects tell it, and is
 * never asked for their truth; and it is the whole home of that day's events that matched nothing, for which an object
 * of their own would cost ten times as much.
 *
 * An unmatched event is known by its id within the day of its receipt: sent again on another day, it is a row there
 * too. When its retention ends the whole day goes at once.
 */
import { DurableObject } from "cloudflare:workers";
import type { EventView, RunSummary } from "../../contract/run-view.ts";
import type { Env } from "../../worker/env.ts";
import { listedEvent, type EventSummary } from "../flow-event/view.ts";
import { AlarmSchedule } from "../kit/alarm.ts";
import { dayOfLedger, ledgerExpiry } from "./naming.ts";
import {
  LedgerStorage,
  type EventFilter,
  type ListPosition,
  type ListRow,
  type ProjectedRun,
  type RunFilter,
  type UnmatchedEvent,
} from "./storage.ts";

export interface Projection {
  event?: EventSummary | undefined;
  runs: ProjectedRun[];
}

export class DayLedger extends DurableObject<Env> {
  readonly #storage: LedgerStorage;
  readonly #alarm: AlarmSchedule;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#storage = new LedgerStorage(ctx.storage);
    this.#alarm = new AlarmSchedule(ctx.storage);
  }

  /**
   * Takes over what an event object shows of itself. The same call again changes nothing (invariant 6). `conflict`:
   * another event with this id had matched nothing earlier that day, and the object has not known of it.
   */
  async project({ event, runs }: Projection): Promise<{ conflict: boolean }> {
    const conflict = this.ctx.storage.transactionSync(() => {
      for (const run of runs) this.#storage.putRun(run);
      return event !== undefined && this.#storage.putEvent(event);
    });
    await this.#armExpiry();
    return { conflict };
  }

  /**
   * Keeps an event that matched nothing; committed when this returns (invariant 1). `owned`: an event with this id has
   * matched today and has its own object, which is to answer; nothing was kept.
   */
  async recordUnmatched(
    given: Omit<UnmatchedEvent, "createdMs">,
  ): Promise<{ status: "accepted" | "duplicate" | "owned"; conflict: boolean }> {
    const { key, event, identity, lineage } = given;
    if (this.#storage.owned(key)) return { status: "owned", conflict: false };
    const known = this.#storage.unmatched(key);
    if (known !== undefined) return { status: "duplicate", conflict: known.identity !== identity };
    const createdMs = Date.now();
    const view = listedEvent({ event, createdAt: createdMs, matched: 0, lineage });
    this.ctx.storage.transactionSync(() => {
      this.#storage.putUnmatched({ ...given, createdMs }, view);
    });
    await this.#armExpiry();
    return { status: "accepted", conflict: false };
  }

  unmatched(key: string): UnmatchedEvent | undefined {
    return this.#storage.unmatched(key);
  }

  listEvents(filter: EventFilter, before: ListPosition | undefined, limit: number): ListRow<EventView>[] {
    return this.#storage.listEvents(filter, before, limit);
  }

  listRuns(filter: RunFilter, before: ListPosition | undefined, limit: number): ListRow<RunSummary>[] {
    return this.#storage.listRuns(filter, before, limit);
  }

  override async alarm(): Promise<void> {
    this.#alarm.fired();
    if (this.#expiry() > Date.now()) {
      await this.#armExpiry();
      return;
    }
    await this.ctx.storage.deleteAlarm();
    await this.#storage.deleteAll();
  }

  async #armExpiry(): Promise<void> {
    await this.#alarm.wakeBy(this.#expiry());
  }

  #expiry(): number {
    return ledgerExpiry(this.env, dayOfLedger(this.ctx.id.name ?? ""));
  }
}
