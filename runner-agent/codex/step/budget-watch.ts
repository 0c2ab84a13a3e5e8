/**
 * Looks at a codex step's budget while its turns run: at each report of the model's calls, when the time of its seconds
 * is over, and when somebody has raised it. Warns once, and says each time that it is used up. Owns that timer.
 */
import type { Budget } from "../../../contract/budget.ts";
import { WARN_AT, type BudgetMeter } from "./budget-meter.ts";

/** The longest time that a timer of Node takes. */
const TIMER_MAX_MS = 2 ** 31 - 2;

export interface BudgetEvents {
  /** A line for whoever watches: most of it is used. */
  warn(text: string): void;
  /** The active turn has to be interrupted. */
  spent(): void;
}

export class BudgetWatch {
  readonly #meter: BudgetMeter;
  readonly #events: BudgetEvents;
  #timer: NodeJS.Timeout | undefined;
  #warned = false;
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
    this.#watchSeconds();
  }

  /** The meter has a new report. */
  look(): void {
    const { highest, exceeded } = this.#meter.state;
    if (exceeded !== undefined) this.#events.spent();
    else if (highest !== undefined && highest.share >= WARN_AT && !this.#warned) {
      this.#warned = true;
      this.#events.warn(`${Math.floor(highest.share * 100)} % of the budget of ${highest.unit} is used`);
    }
  }

  #watchSeconds(): void {
    clearTimeout(this.#timer);
    const { msLeft } = this.#meter;
    if (msLeft === undefined || !this.#turning) return;
    this.#timer = setTimeout(
      () => {
        this.look();
      },
      Math.min(msLeft, TIMER_MAX_MS) + 1,
    );
  }
}
