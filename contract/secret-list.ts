/**
 * Settings that hold secrets are lists, so that a secret can be rotated without downtime: put the new one before the
 * old, move the senders, take the old one out. A value that anybody could guess, or that was split by mistake, opens
 * nothing.
 */

/** The fewest characters of a secret or token; a shorter one can be guessed. Behind `whsec_`, which is public. */
export const SECRET_MIN_CHARS = 16;

/** Begins the secrets of Standard Webhooks; it is the same for all of them. */
export const STANDARD_WEBHOOK_PREFIX = "whsec_";

export interface SecretList {
  secrets: string[];
  /** Values that are not used, by their position in the list from 1, and why. Never the values. */
  unused: { position: number; reason: string }[];
}

/** Reads a list that is separated by commas. White space around a value is none of it. */
export function readSecretList(setting: string | undefined): SecretList {
  const values = (setting ?? "").split(",").map((value) => value.trim());
  const secrets: string[] = [];
  const unused: SecretList["unused"] = [];
  for (const [index, value] of values.entries()) {
    if (value === "") continue;
    const reason = whyUnused(value);
    if (reason === undefined) secrets.push(value);
    else unused.push({ position: index + 1, reason });
  }
  return { secrets, unused };
}

function whyUnused(value: string): string | undefined {
  if (/\s/.test(value)) return "it contains white space; separate the values of a list by commas";
  const own = value.startsWith(STANDARD_WEBHOOK_PREFIX) ? value.slice(STANDARD_WEBHOOK_PREFIX.length) : value;
  if (own.length >= SECRET_MIN_CHARS) return undefined;
  return own === value
    ? `it is shorter than ${SECRET_MIN_CHARS} characters`
    : `it is shorter than ${SECRET_MIN_CHARS} characters behind ${STANDARD_WEBHOOK_PREFIX}`;
}
