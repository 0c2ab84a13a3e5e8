/**
 * How much a step may use, and how a run that its budget has stopped goes on. Pure functions and their schemas.
 *
 * A budget is only ever raised. What a run that it has stopped may use in addition is given to a new run, which
 * continues the same thread and counts on from what the first one used (invariant 5: the first stays as it ended).
 *
 * What an attempt uses it tells while it runs, since it may be lost without an end. Each tells its own use alone, so that
 * the sum of all is what the run has used, whichever of them is heard of late; and what one has told never shrinks.
 */
import Type, { type Static } from "typebox";
import { BUDGET_SECONDS_MAX, BUDGET_TOKENS_MAX, BUDGET_USD_MAX } from "./limits.ts";
import { withAttempt, type RunRecord } from "./run-record.ts";

/** Tokens: input and output of all turns, cached input included. Seconds: of turns that ran. */
export const Budget = Type.Object(
  {
    tokens: Type.Optional(Type.Integer({ minimum: 1, maximum: BUDGET_TOKENS_MAX })),
    seconds: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: BUDGET_SECONDS_MAX })),
    usd: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: BUDGET_USD_MAX })),
  },
  { additionalProperties: false },
);
export type Budget = Static<typeof Budget>;
export const BUDGET_UNITS = ["tokens", "seconds", "usd"] as const;

const Used = Type.Number({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
/** What was used of each; a unit that cannot be counted (no price is known) is absent. */
export const BudgetUse = Type.Object(
  { tokens: Type.Optional(Used), seconds: Type.Optional(Used), usd: Type.Optional(Used) },
  { additionalProperties: false },
);
export type BudgetUse = Static<typeof BudgetUse>;

export const BudgetRequest = Type.Object(
  {
    addTokens: Type.Optional(Type.Integer({ minimum: 1, maximum: BUDGET_TOKENS_MAX })),
    addSeconds: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: BUDGET_SECONDS_MAX })),
    addUsd: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: BUDGET_USD_MAX })),
    by: Type.Optional(
      Type.String({ minLength: 1, maxLength: 128, description: "Who raises it, for the record" }),
    ),
  },
  { additionalProperties: false, minProperties: 1, $id: "BudgetRequest" },
);
export type BudgetRequest = Static<typeof BudgetRequest>;

export function additionOf({ addTokens, addSeconds, addUsd }: BudgetRequest): BudgetUse {
  return {
    ...(addTokens === undefined ? {} : { tokens: addTokens }),
    ...(addSeconds === undefined ? {} : { seconds: addSeconds }),
    ...(addUsd === undefined ? {} : { usd: addUsd }),
  };
}

/** As people read it. Of less than one, as of cents, what it is worth stands behind more noughts than two. */
export function budgetAmount(value: number): string {
  return value.toLocaleString(
    "en",
    value < 1 ? { maximumSignificantDigits: 3 } : { maximumFractionDigits: 2 },
  );
}

export function sum(a: BudgetUse | undefined, b: BudgetUse): BudgetUse {
  return Object.fromEntries(
    BUDGET_UNITS.flatMap((unit) => {
      const total = (a?.[unit] ?? 0) + (b[unit] ?? 0);
      return total === 0 ? [] : [[unit, total]];
    }),
  );
}

/** Of each unit the larger one. */
export function largest(a: BudgetUse | undefined, b: BudgetUse | undefined): BudgetUse {
  return Object.fromEntries(
    BUDGET_UNITS.flatMap((unit) => {
      const most = Math.max(a?.[unit] ?? -1, b?.[unit] ?? -1);
      return most < 0 ? [] : [[unit, most]];
    }),
  );
}

/**
 * What these attempts of a run have used, as far as each has told, and the runs that it continues: with the attempts before
 * one, what that one begins with.
 */
export function usedBy({ continues, attempts }: Pick<RunRecord, "continues" | "attempts">): BudgetUse {
  return attempts.map(({ used }) => used ?? {}).reduce(sum, continues?.used ?? {});
}

/** An attempt has told what it has used by itself. Of one that is lost that counts as well: it is spent. */
export function noteUse(run: RunRecord, number: number, used: BudgetUse | undefined): RunRecord {
  const attempt = run.attempts[number - 1];
  if (attempt === undefined || used === undefined) return run;
  const most = largest(attempt.used, used);
  const same = BUDGET_UNITS.every((unit) => most[unit] === attempt.used?.[unit]);
  return same ? run : { ...run, attempts: withAttempt(run, { ...attempt, used: most }) };
}

/** Limits of the step with what was added. What the step does not limit stays without a limit. */
export function raised(limits: Budget | undefined, addition: BudgetUse): Budget | undefined {
  if (limits === undefined) return undefined;
  return Object.fromEntries(
    BUDGET_UNITS.flatMap((unit) => {
      const limit = limits[unit];
      return limit === undefined ? [] : [[unit, limit + (addition[unit] ?? 0)]];
    }),
  );
}

/** Units of an addition that the budget does not limit: adding to them would do nothing. */
export function unlimitedUnits(limits: Budget | undefined, addition: BudgetUse): string[] {
  return BUDGET_UNITS.filter((unit) => addition[unit] !== undefined && limits?.[unit] === undefined);
}

/**
 * What a run that its budget has stopped leaves to the one that continues it, read from the result's artifacts:
 * `threadId`, and `budget: {exceeded, used}`. Undefined for a run that nothing can continue.
 */
export function continuationOf(run: RunRecord): Continuation | undefined {
  const attempt = run.attempts.at(-1);
  const artifacts = run.result?.artifacts;
  const threadId = artifacts?.["threadId"];
  const budget = artifacts?.["budget"];
  if (run.result?.status !== "needs_intervention" || attempt === undefined) return undefined;
  if (typeof threadId !== "string" || budget === null || typeof budget !== "object") return undefined;
  if (!("exceeded" in budget) || !("used" in budget)) return undefined;
  return {
    runId: run.id,
    threadId,
    runnerId: attempt.runnerId,
    runnerName: attempt.runnerName,
    used: budget.used as BudgetUse,
  };
}

/** The unit of its budget that has stopped a run, which may go on in its thread with more of it. */
export function stoppedByBudget({ resultStatus, result }: StoppedRun): BudgetUnit | undefined {
  const told = result?.artifacts?.["budget"];
  if (resultStatus !== "needs_intervention" || typeof result?.artifacts?.["threadId"] !== "string")
    return undefined;
  if (told === null || typeof told !== "object" || !("exceeded" in told)) return undefined;
  return BUDGET_UNITS.find((unit) => unit === told.exceeded);
}

type BudgetUnit = (typeof BUDGET_UNITS)[number];
interface StoppedRun {
  resultStatus?: string | undefined;
  result?: { artifacts?: Record<string, unknown> } | undefined;
}

/** The thread that a run goes on with. It lives on one box, so only that runner can take the run. */
export interface Continuation {
  runId: string;
  threadId: string;
  runnerId: string;
  runnerName: string;
  /** What the runs before have used of the budget. */
  used: BudgetUse;
}
