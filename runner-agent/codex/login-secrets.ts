/**
 * The login of Codex as secrets (invariant 15). No sandbox keeps commands from reading it, and the one way out that a
 * sandbox without network leaves them is what they print. Reads files, writes none.
 */
import { readFileSync } from "node:fs";
import type { Secret } from "../config/step-environment.ts";

/** Keys of auth.json whose values let somebody in; the others say who and when. */
const LETS_IN = /token|key|identity/i;

/**
 * Adds to secrets what stands in the files when a step begins. The same array comes back for the same one as long as the
 * login is the same: what is made of them is kept by it.
 * @param files whether or not they are there
 */
export function loginSecrets(files: readonly string[]): (own: readonly Secret[]) => readonly Secret[] {
  let known = "";
  let made = new WeakMap<readonly Secret[], readonly Secret[]>();
  return (own) => {
    const values = [...new Set(files.flatMap((file) => valuesIn(read(file))))];
    if (values.length === 0) return own;
    const now = JSON.stringify(values);
    if (now !== known) made = new WeakMap();
    known = now;
    const before = made.get(own);
    if (before !== undefined) return before;
    const all = [...own, ...values.map((value) => ({ name: "login of Codex", value }))];
    made.set(own, all);
    return all;
  };
}

function valuesIn(value: unknown, letsIn = false): string[] {
  if (typeof value === "string") return letsIn ? [value] : [];
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([key, member]) => valuesIn(member, LETS_IN.test(key)));
}

/** One that is not there or cannot be read lets nobody in. */
function read(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}
