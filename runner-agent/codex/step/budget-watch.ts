/**
 * Looks at a codex step's budget while its turns run: at each report of the model's calls, when most of the time of its
 * seconds is over and when all of it is, and when somebody has raised it. Warns once for each unit, anew when that was
 * raised, and says each time that one is used up. It also says at a pace what was used, for the edge to remember. Owns
 * both timers.
 */
import type { Budget, BudgetUse } from "../../../contract/budget.ts";
import { WARN_AT, type BudgetMeter, type BudgetUnit } from "./budget-meter.ts";

/** The longest time that a timer of Node takes. */
const TIMER_MAX_MS = 2 ** 31 - 2;
/** What was used is told at most so often while a turn runs, and at its end. Each telling wakes the edge. */
const TELL_USE_MS = 5_000;
/** How often of a budget of seconds when nothing but time has passed. */
const TELL_TIME_MS = 60_000;

export interface BudgetEvents {
  /** A line for whoever watches: most of it is used. */
  warn(unit: BudgetUnit, text: string): void;
  /** The active turn has to be interrupted. */
  spent(): void;
  /** So much was used by this attempt alone. */
  used(own: BudgetUse): void;
}

export class BudgetWatch {
  readonly #meter: BudgetMeter;
  readonly #events: BudgetEvents;
  #timer: NodeJS.Timeout | undefined;
  readonly #warned = new Set<BudgetUnit>();
  #turning = false;
  #telling: NodeJS.Timeout | undefined;
  /** On the monotonic clock. */
  #toldAt = -TELL_USE_MS;

  constructor(meter: BudgetMeter, events: BudgetEvents) {
    this.#meter = meter;
    this.#events = events;
  }

  turnStarted(): void {
    this.#turning = true;
    this.#meter.turnStarted();
    this.#watchSeconds();
    this.#tellTime();
  }

  /** Idempotent. */
  turnEnded(): void {
    if (!this.#turning) return;
    this.#turning = false;
    this.#meter.turnEnded();
    clearTimeout(this.#timer);
    this.#tell();
  }

  raise(limits: Budget): void {
    this.#meter.raise(limits);
    for (const { unit, share } of this.#meter.state.shares) if (share < WARN_AT) this.#warned.delete(unit);
    this.#watchSeconds();
  }

  /** The meter has a new report. */
  look(): void {
    this.#tellSoon();
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

  #tellSoon(): void {
    const ms = this.#toldAt + TELL_USE_MS - performance.now();
    if (ms <= 0) this.#tell();
    else this.#tellIn(ms);
  }

  #tellTime(): void {
    if (this.#turning && this.#meter.limits.seconds !== undefined) this.#tellIn(TELL_TIME_MS);
  }

  #tellIn(ms: number): void {
    clearTimeout(this.#telling);
    this.#telling = setTimeout(() => {
      this.#tell();
    }, ms);
  }

  #tell(): void {
    clearTimeout(this.#telling);
    if (Object.keys(this.#meter.limits).length === 0) return;
    this.#toldAt = performance.now();
    this.#events.used(this.#meter.own);
    this.#tellTime();
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
