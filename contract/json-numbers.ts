/**
 * Numbers in JSON that this product would change on their way. Every part of it reads JSON into doubles and writes it
 * again, so a number that a double cannot hold would arrive as another one: 9007199254740993 as 9007199254740992, 1e400
 * as null. Such a number is refused with its path. Pure.
 */
import type { ErrorDetail } from "./errors.ts";
import { FAULTS_MAX_ITEMS } from "./limits.ts";

/**
 * What a text must contain to be worth a closer look: an integer that a double cannot hold has at least 16 digits, and a
 * number without that many digits needs an exponent of three digits to be greater than the largest double.
 */
const SUSPICIOUS = /\d{16}|[eE]\+?0*[1-9]\d{2}/;
const INTEGER = /^-?\d+$/;

/**
 * The numbers of a JSON text that would not arrive as they were sent, as JSON pointers: an integer that JSON.stringify
 * would write as a different one, and a number that is greater than the largest double. A fraction rounds to the nearest
 * double, as RFC 8259 says of all readers, and -0 counts as 0. Costs one scan of the text when there is nothing to find.
 * @param text JSON that JSON.parse accepts
 */
export function changedNumbers(text: string): ErrorDetail[] {
  if (!SUSPICIOUS.test(text)) return [];
  try {
    return findChanged(text);
  } catch (error) {
    // The reviver recurses: a text that is nested that deep is refused for its depth.
    if (error instanceof RangeError) return [];
    throw error;
  }
}

/** A reviver sees a member before the object that contains it, so paths grow from their end to their beginning. */
function findChanged(text: string): ErrorDetail[] {
  const below = new Map<unknown, ErrorDetail[]>();
  let found: ErrorDetail[] = [];
  JSON.parse(text, function (this: unknown, key: string, value: unknown, context?: { source?: string }) {
    found = typeof value === "number" ? faultOf(value, context?.source ?? "") : (below.get(value) ?? []);
    if (found.length > 0) {
      const token = `/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
      const named = found.map(({ path, message }) => ({ path: `${token}${path}`, message }));
      below.set(this, [...(below.get(this) ?? []), ...named].slice(0, FAULTS_MAX_ITEMS));
    }
    return value;
  });
  return found;
}

function faultOf(value: number, source: string): ErrorDetail[] {
  if (!Number.isFinite(value))
    return [{ path: "", message: "is greater than the largest number of JSON readers" }];
  if (!INTEGER.test(source) || BigInt(source) === BigInt(decimalDigits(value))) return [];
  const message = `is an integer that would arrive as ${decimalDigits(value)}: send it as a string`;
  return [{ path: "", message }];
}

/** An integer as JSON.stringify writes it, without an exponent: "1e+21" has 22 digits. */
function decimalDigits(value: number): string {
  const [digits = "", exponent] = String(value).split("e");
  const [whole = "", fraction = ""] = digits.split(".");
  return exponent === undefined ? digits : whole + fraction.padEnd(Number(exponent), "0");
}
