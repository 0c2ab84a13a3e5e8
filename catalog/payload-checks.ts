/**
 * What compiled trigger schemas call when they check a payload: comparison of values, patterns, formats, and a budget.
 *
 * Runs inside the Worker and in local mode, on payloads that anybody with an event token may send. Nothing here may
 * throw on a JSON value or take more than linear time, except that a check whose budget is used up throws.
 */
import { fullFormats } from "ajv-formats/dist/formats.js";
import { PAYLOAD_CHECK_MAX_STEPS } from "../contract/limits.ts";
import type { CompiledCheck } from "../contract/validate.ts";

/** A payload that costs too much to check: the schema branches, or a pattern backtracks, more often than allowed. */
export class PayloadCheckCostError extends Error {
  override readonly name = "PayloadCheckCostError";
}

let stepsLeft = Infinity;

/** Counts work of the check that runs now. @throws PayloadCheckCostError */
export function spend(steps: number): void {
  stepsLeft -= steps;
  if (stepsLeft < 0)
    throw new PayloadCheckCostError(`the check takes more than ${PAYLOAD_CHECK_MAX_STEPS} steps`);
}

/** A compiled check that gets the whole budget for each payload. */
export function withBudget(check: CompiledCheck): CompiledCheck {
  const bounded: CompiledCheck = (payload) => {
    stepsLeft = PAYLOAD_CHECK_MAX_STEPS;
    try {
      const valid = check(payload);
      bounded.errors = check.errors ?? null;
      return valid;
    } finally {
      stepsLeft = Infinity;
    }
  };
  return bounded;
}

/** One step of the budget pays for so many characters of a text that is read once. */
const CHARS_PER_STEP = 8;

function spendOnText(text: string, degree: number): void {
  spend(1 + Math.ceil(text.length ** degree / CHARS_PER_STEP));
}

/** Length of a text in Unicode code points. */
export function charactersOf(text: string): number {
  spendOnText(text, 1);
  let characters = 0;
  for (let at = 0; at < text.length; at++, characters++) if ((text.codePointAt(at) ?? 0) > 0xffff) at++;
  return characters;
}

/**
 * Returns the function that makes a pattern's matcher.
 * @param degrees of the patterns whose worst case is not linear: 2 for a quadratic one
 */
export function patternsOf(
  degrees: Record<string, number>,
): (source: string) => { test: (text: string) => boolean } {
  const known = new Map(Object.entries(degrees));
  return (source) => {
    const pattern = regExpOf(source);
    const degree = known.get(source) ?? 1;
    return {
      test: (text) => {
        spendOnText(text, degree);
        return pattern.test(text);
      },
    };
  };
}

/** Unicode mode as the drafts demand, unless only the older mode takes the pattern. @throws SyntaxError */
export function regExpOf(source: string): RegExp {
  try {
    return new RegExp(source, "u");
  } catch {
    return new RegExp(source);
  }
}

type Format = (typeof fullFormats)[keyof typeof fullFormats];

/** Formats whose worst case is a polynomial of this degree; the others are linear. */
const FORMAT_DEGREES: Readonly<Record<string, number>> = { url: 2 };

/** Formats of texts that are checked, by name. Every other format is an annotation. */
export const formats: Record<string, (text: string) => boolean> = Object.fromEntries(
  Object.entries(fullFormats).flatMap(([name, format]) => {
    const test = textTest(format);
    return test === undefined
      ? []
      : [
          [
            name,
            (text: string): boolean => {
              spendOnText(text, FORMAT_DEGREES[name] ?? 1);
              return test(text);
            },
          ],
        ];
  }),
);

function textTest(format: Format): ((text: string) => boolean) | undefined {
  if (format instanceof RegExp) return (text) => format.test(text);
  if (typeof format === "function") return format;
  if (typeof format !== "object") return undefined;
  // Formats of numbers say what a generator's type can hold, which is no part of JSON Schema.
  if ("type" in format && (format as { type?: string }).type === "number") return undefined;
  return textTest((format as { validate: Format }).validate);
}

export interface MembershipTest {
  (value: unknown): boolean;
  allowed: unknown[];
}

/** A test whether a JSON value equals one of these. @param json an array of values */
export function memberOf(json: string): MembershipTest {
  const allowed = JSON.parse(json) as unknown[];
  const primitives = new Set(allowed.filter((one) => !isCompound(one)));
  const others = allowed.filter(isCompound);
  const test = (value: unknown): boolean =>
    isCompound(value) ? others.some((other) => equalJson(other, value)) : primitives.has(value);
  return Object.assign(test, { allowed });
}

function isCompound(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** Whether two JSON values are equal. Calls no method of theirs: a payload may have a key "toString". */
export function equalJson(a: unknown, b: unknown): boolean {
  spend(1);
  if (!isCompound(a) || !isCompound(b)) return a === b;
  if (Array.isArray(a) || Array.isArray(b))
    return (
      Array.isArray(a) &&
      Array.isArray(b) &&
      a.length === b.length &&
      a.every((item, index) => equalJson(item, b[index]))
    );
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every(
      (key) =>
        Object.hasOwn(b, key) &&
        equalJson((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]),
    )
  );
}

/** Equal values of one payload have equal numbers, so that nested arrays are read once and not once per level. */
interface Numbering {
  byForm: Map<string, number>;
  byValue: Map<object, number>;
}
const numberings = new WeakMap<object, Numbering>();

/**
 * The first two equal items of an array, in linear time; undefined when all differ.
 * @param root the whole payload, which must not change while it is checked
 */
export function duplicateItems(items: unknown[], root: object): { i: number; j: number } | undefined {
  let numbering = numberings.get(root);
  if (numbering === undefined) numberings.set(root, (numbering = { byForm: new Map(), byValue: new Map() }));
  const seen = new Map<number, number>();
  for (const [index, item] of items.entries()) {
    const number = numberOf(item, numbering);
    const earlier = seen.get(number);
    if (earlier !== undefined) return { i: index, j: earlier };
    seen.set(number, index);
  }
  return undefined;
}

function numberOf(value: unknown, numbering: Numbering): number {
  if (isCompound(value)) {
    const known = numbering.byValue.get(value);
    if (known !== undefined) return known;
  }
  const form = formOf(value, numbering);
  spendOnText(form, 1);
  const number = numbering.byForm.get(form) ?? numbering.byForm.size;
  numbering.byForm.set(form, number);
  if (isCompound(value)) numbering.byValue.set(value, number);
  return number;
}

function formOf(value: unknown, numbering: Numbering): string {
  // A text begins with a quote, so it never looks like one of the others.
  if (typeof value === "string") return JSON.stringify(value);
  // -0 equals 0.
  if (!isCompound(value)) return String(value);
  if (Array.isArray(value)) return `[${value.map((item) => numberOf(item, numbering)).join()}]`;
  const members = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${numberOf((value as Record<string, unknown>)[key], numbering)}`);
  return `{${members.join()}}`;
}
