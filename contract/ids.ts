/**
 * Ids that route themselves (invariant 3): a run id names the object that owns it, so no call needs a look-up.
 *
 *   event.id ──sha256, first 80 bits──▶ eventKey ──▶ run_<eventKey>_<n> ──▶ run_<eventKey>_<n>_a<k>
 */

/** Crockford's base32: no I, L, O, U, so that an id survives being read aloud or typed on a phone. */
const CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz";
const EVENT_KEY_BYTES = 10;
const RUN_ID = /^run_([0-9a-hjkmnp-tv-z]{16})_([1-9][0-9]{0,5})$/;
const ATTEMPT_ID = /^(run_[0-9a-hjkmnp-tv-z]{16}_[1-9][0-9]{0,5})_a([1-9][0-9]{0,5})$/;

/** Name of the object that owns an event: 16 Crockford characters (80 bits) of sha256(event.id). */
export async function eventKey(eventId: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(eventId));
  return crockford(new Uint8Array(digest, 0, EVENT_KEY_BYTES));
}

export function runId(key: string, n: number): string {
  return `run_${key}_${n}`;
}

export function attemptId(run: string, attempt: number): string {
  return `${run}_a${attempt}`;
}

/** The parts of a run id, or undefined for anything that is not one. */
export function parseRunId(text: string): { eventKey: string; n: number } | undefined {
  const match = RUN_ID.exec(text);
  return match?.[1] === undefined ? undefined : { eventKey: match[1], n: Number(match[2]) };
}

export function parseAttemptId(text: string): { runId: string; attempt: number } | undefined {
  const match = ATTEMPT_ID.exec(text);
  return match?.[1] === undefined ? undefined : { runId: match[1], attempt: Number(match[2]) };
}

/** Lease token of an attempt: 128 random bits. Whoever holds it may write to the attempt (invariant 4). */
export function newLease(): string {
  return `lease_${crockford(crypto.getRandomValues(new Uint8Array(16)))}`;
}

function crockford(bytes: Uint8Array): string {
  let text = "";
  let buffer = 0;
  let bits = 0;
  for (const byte of bytes) {
    buffer = (buffer << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += CROCKFORD.charAt((buffer >> bits) & 31);
      buffer &= (1 << bits) - 1;
    }
  }
  return bits === 0 ? text : text + CROCKFORD.charAt((buffer << (5 - bits)) & 31);
}
