/**
 * Looks at a codex step's budget while its turns run: at each report of the model's calls, when most of the time of its
 * seconds is over and when all of it is, and when somebody has raised it. Warns once for each unit, anew when that was
 * raised, and says each time that one is used up. Owns that timer.
 */
import type { Budget } from "../../../contract/budget.ts";
import { WARN_AT, type BudgetMeter, type BudgetUnit } from "./budget-meter.ts";

/** The longest time that a timer of Node takes. */
const TIMER_MAX_MS = 2 ** 31 - 2;

export interface BudgetEvents {
  /** A line for whoever watches: most of it is used. */
  warn(unit: BudgetUnit, text: string): void;
  /** The active turn has to be interrupted. */
  spent(): void;
}

export class BudgetWatch {
  readonly #meter: BudgetMeter;
  readonly #events: BudgetEvents;
  #timer: NodeJS.Timeout | undefined;
  readonly #warned = new Set<BudgetUnit>();
  #turning = false;

  constructor(meter: BudgetMeter, events: BudgetEvents) {
    this.#meter = meter;
    this.#events = events;
  }

  turnStarted(): void {
    this.#turning = true;
    this.#meter.turnStarted();
    this.#watchSeconds();
  }

  /** Idempotent. */
  turnEnded(): void {
    this.#turning = false;
    this.#meter.turnEnded();
    clearTimeout(this.#timer);
  }

  raise(limits: Budget): void {
    this.#meter.raise(limits);
    for (const { unit, share } of this.#meter.state.shares) if (share < WARN_AT) this.#warned.delete(unit);
    this.#watchSeconds();
  }

  /** The meter has a new report. */
  look(): void {
    const { shares, exceeded } = this.#meter.state;
    if (exceeded !== undefined) {
      this.#events.spent();
      return;
    }
    for (const { unit, share } of shares) {
      if (share < WARN_AT || this.#warned.has(unit)) continue;
      this.#warned.add(unit);
      this.#events.warn(unit, `${Math.floor(share * 100)} % of the budget of ${unit} is used`);
    }
  }

  #watchSeconds(): void {
    clearTimeout(this.#timer);
    const ms = this.#meter.msUntil(this.#warned.has("seconds") ? 1 : WARN_AT);
    if (ms === undefined || !this.#turning) return;
    this.#timer = setTimeout(
      () => {
        this.look();
        if (this.#meter.state.exceeded === undefined) this.#watchSeconds();
      },
      Math.min(ms, TIMER_MAX_MS) + 1,
    );
  }
}
