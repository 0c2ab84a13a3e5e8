/**
 * How long a regular expression may take on the worst text of its length. JavaScript's engine backtracks, so that a
 * pattern such as ^(a+)+$ occupies the edge for minutes with a text of forty characters.
 */
import { createRequire } from "node:module";
import type { checkSync as CheckSync, Diagnostics } from "recheck";

/** Degree of the polynomial: 1 is linear. "exponential": no bound on the text would be of use. */
export type PatternCost = number | "exponential";

/** Patterns that the exact checker does not understand (lookaround, back references) count as cubic at least. */
const UNPROVEN_DEGREE = 3;
const CHECK_TIMEOUT_MS = 1000;
const QUANTIFIER = /[*+]|\{\d+,\d*\}/g;
/** Anchored and without groups: one repetition in it is tried from one place only. */
const FLAT = /^\^[^()|]*$/;
/** A bounded repetition multiplies when it is nested, so it is examined as an unbounded one. */
const COUNTED = /\{(\d+),\d+\}/g;

const known = new Map<string, PatternCost>();

/** Cost of a pattern of a JSON Schema; it must be one that JavaScript takes. */
export function patternCost(source: string): PatternCost {
  let cost = known.get(source);
  if (cost === undefined) known.set(source, (cost = examine(source)));
  return cost;
}

function examine(source: string): PatternCost {
  const quantifiers = source.match(QUANTIFIER)?.length ?? 0;
  if (quantifiers === 0 || (quantifiers === 1 && FLAT.test(source))) return 1;
  const unbounded = source.replace(COUNTED, "{$1,}");
  return worse(diagnose(source), unbounded === source ? 1 : diagnose(unbounded));
}

function worse(a: PatternCost, b: PatternCost): PatternCost {
  return a === "exponential" || b === "exponential" ? "exponential" : Math.max(a, b);
}

let checkSync: typeof CheckSync | undefined;

function diagnose(source: string): PatternCost {
  // The build for browsers is pure JavaScript and needs no second process; it takes long to load and is seldom needed.
  checkSync ??= (createRequire(import.meta.url)("recheck/lib/browser.js") as { checkSync: typeof CheckSync })
    .checkSync;
  const options = { timeout: CHECK_TIMEOUT_MS, randomSeed: 1 } as const;
  const exact = checkSync(source, "u", { ...options, checker: "automaton" });
  if (exact.status !== "unknown") return costOf(exact);
  const tried = checkSync(source, "u", { ...options, checker: "fuzz" });
  return worse(UNPROVEN_DEGREE, tried.status === "vulnerable" ? costOf(tried) : 1);
}

function costOf(diagnostics: Diagnostics): PatternCost {
  if (diagnostics.status === "unknown") return UNPROVEN_DEGREE;
  const { complexity } = diagnostics;
  if (complexity.type === "exponential") return "exponential";
  return complexity.type === "polynomial" ? complexity.degree : 1;
}
