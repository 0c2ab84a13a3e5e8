/**
 * What is owed of one kind, told in rounds, one at a time: what comes meanwhile goes with the next round. It stands in
 * memory only; after a crash the alarm reads it again from the records (rules.ts, `effectsOfState`).
 */
import { Outbox, type Effect } from "../kit/outbox.ts";
import type { OwedEffect } from "./rules.ts";

export interface OwedLaneOptions {
  /** Names the object in the log. */
  owner: string;
  /** A round begins this long (ms) after its first effect was owed; what follows within that goes with it. */
  gatherMs(): number;
  effects(round: OwedEffect[]): Effect[];
  /** A round was told as a whole. */
  told(): void;
}

export class OwedLane {
  readonly #options: OwedLaneOptions;
  readonly #outbox: Outbox;
  #owed: OwedEffect[] = [];
  #round: OwedEffect[] = [];
  #draining = false;

  constructor(options: OwedLaneOptions) {
    this.#options = options;
    this.#outbox = new Outbox(options.owner);
  }

  /** Something is owed, or is being told right now. */
  get pending(): boolean {
    return this.#draining || this.#owed.length > 0;
  }

  /** Something is not told yet. */
  get owes(): boolean {
    return this.#owed.length + this.#round.length > 0;
  }

  owe(effects: OwedEffect[]): void {
    this.#owed.push(...effects);
  }

  forget(): void {
    this.#owed = [];
  }

  /**
   * Performs what is owed until nothing is left or a round failed: then it returns how long to wait. A call during
   * another one returns at once; the one under way takes its effects along.
   */
  async drain(): Promise<number | undefined> {
    if (this.#draining) return undefined;
    this.#draining = true;
    try {
      while (this.#owed.length > 0) {
        await this.#gather();
        this.#round = this.#owed;
        this.#owed = [];
        const retryAfterMs = await this.#outbox.drain(this.#options.effects(this.#round));
        if (retryAfterMs !== undefined) {
          this.#owed.unshift(...this.#round);
          return retryAfterMs;
        }
        this.#round = [];
        this.#options.told();
      }
      return undefined;
    } finally {
      this.#round = [];
      this.#draining = false;
    }
  }

  async #gather(): Promise<void> {
    const gatherMs = this.#options.gatherMs();
    if (gatherMs > 0) await scheduler.wait(gatherMs);
  }
}
