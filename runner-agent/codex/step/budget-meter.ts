/**
 * What a codex step has used of its budget, counted from Codex's own reports: each call of the model tells the totals of
 * its thread, which also hold earlier turns and earlier runs; a step's own use is what was added since it began.
 *
 * Cached input costs less and counts whole: tokens are a bound on work, dollars one on money.
 */
import type { TokenCounts } from "../../../contract/agent-item.ts";
import type { ModelPrice } from "../../config/codex-config.ts";
import { BUDGET_UNITS, largest, type Budget, type BudgetUse } from "../../../contract/budget.ts";

/** From here on a warning stands in the run's stream. */
export const WARN_AT = 0.8;

export type BudgetUnit = (typeof BUDGET_UNITS)[number];

export interface BudgetState {
  used: BudgetUse;
  /** How much of each limit, the one that is used most first. */
  shares: Array<{ unit: BudgetUnit; share: number }>;
  exceeded: BudgetUnit | undefined;
}

export class BudgetMeter {
  #before: BudgetUse;
  #price: ModelPrice | undefined;
  readonly #now: () => number;
  #limits: Budget;
  #own: TokenCounts = NOTHING;
  /** Totals of the thread at the last report. */
  #thread: TokenCounts | undefined;
  #secondsDone = 0;
  #turnSince: number | undefined;

  constructor(given: {
    limits: Budget | undefined;
    /** Used by the runs that this one continues. */
    before: BudgetUse | undefined;
    /** Monotonic, ms. */
    now?: () => number;
  }) {
    this.#limits = given.limits ?? {};
    this.#before = given.before ?? {};
    this.#now = given.now ?? (() => performance.now());
  }

  /**
   * So much was used before this attempt, what the runs before have used included, as somebody remembers it: this box, or
   * the edge. Whoever remembers most is right.
   */
  goesOnFrom(used: BudgetUse | undefined): void {
    this.#before = largest(this.#before, used);
  }

  /** What the thread's model costs; undefined: nobody has said. */
  priced(price: ModelPrice | undefined): void {
    this.#price = price;
  }

  raise(limits: Budget): void {
    this.#limits = limits;
  }

  turnStarted(): void {
    this.#turnSince ??= this.#now();
  }

  turnEnded(): void {
    this.#secondsDone = this.#seconds();
    this.#turnSince = undefined;
  }

  /** A report: the last call of the model, and the totals of the thread with it. The same one again adds nothing. */
  reported({ call, thread }: { call: TokenCounts; thread: TokenCounts }): void {
    this.#own = combine(this.#own, combine(thread, this.#thread ?? combine(thread, call, -1), -1), 1);
    this.#thread = thread;
  }

  /** Tokens of this run alone. */
  get tokens(): TokenCounts {
    return this.#own;
  }

  /** How long until that share of the limit of seconds, should the turn go on; undefined without one. */
  msUntil(share: number): number | undefined {
    const { seconds } = this.#limits;
    return seconds === undefined
      ? undefined
      : Math.max(0, share * seconds - (this.#before.seconds ?? 0) - this.#seconds()) * 1000;
  }

  get state(): BudgetState {
    const used = this.#used();
    const shares = BUDGET_UNITS.flatMap((unit) => {
      const limit = this.#limits[unit];
      const value = used[unit];
      return limit === undefined || value === undefined ? [] : [{ unit, share: value / limit }];
    });
    shares.sort((a, b) => b.share - a.share);
    const [highest] = shares;
    return {
      used,
      shares,
      exceeded: highest !== undefined && highest.share >= 1 ? highest.unit : undefined,
    };
  }

  /** Used by this attempt alone. */
  get own(): BudgetUse {
    const { inputTokens, outputTokens } = this.#own;
    return {
      tokens: inputTokens + outputTokens,
      seconds: this.#seconds(),
      ...(this.#price === undefined ? {} : { usd: costOf(this.#own, this.#price) }),
    };
  }

  get limits(): Budget {
    return this.#limits;
  }

  #seconds(): number {
    return this.#secondsDone + (this.#turnSince === undefined ? 0 : (this.#now() - this.#turnSince) / 1000);
  }

  #used(): BudgetUse {
    const { tokens = 0, seconds = 0, usd } = this.own;
    return {
      tokens: (this.#before.tokens ?? 0) + tokens,
      seconds: (this.#before.seconds ?? 0) + seconds,
      ...(usd === undefined ? {} : { usd: (this.#before.usd ?? 0) + usd }),
    };
  }
}

const NOTHING: TokenCounts = {
  totalTokens: 0,
  inputTokens: 0,
  cachedInputTokens: 0,
  outputTokens: 0,
  reasoningOutputTokens: 0,
};

function combine(a: TokenCounts, b: TokenCounts, sign: 1 | -1): TokenCounts {
  return {
    totalTokens: a.totalTokens + sign * b.totalTokens,
    inputTokens: a.inputTokens + sign * b.inputTokens,
    cachedInputTokens: a.cachedInputTokens + sign * b.cachedInputTokens,
    outputTokens: a.outputTokens + sign * b.outputTokens,
    reasoningOutputTokens: a.reasoningOutputTokens + sign * b.reasoningOutputTokens,
  };
}

const PER_MILLION = 1_000_000;

function costOf(tokens: TokenCounts, price: ModelPrice): number {
  const cached = Math.min(tokens.cachedInputTokens, tokens.inputTokens);
  return (
    ((tokens.inputTokens - cached) * price.input +
      cached * (price.cachedInput ?? price.input) +
      tokens.outputTokens * price.output) /
    PER_MILLION
  );
}
