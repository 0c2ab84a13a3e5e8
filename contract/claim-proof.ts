/**
 * The proof that a run was offered to the runner that claims it. Each run has a claim key, which only its event object
 * and its pool know. The pool sends each offer with the proof for that runner; the event object computes the same proof
 * from its own record, so that a claim needs no question to the pool, and a restart of either loses nothing.
 */
import { createHmac, timingSafeEqual } from "node:crypto";

const CLAIM_KEY_BYTES = 16;

/** The claim key of a new run: 128 random bits as hex. */
export function newClaimKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(CLAIM_KEY_BYTES))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

/** What one runner needs to claim one attempt. A retry, or another runner, has another proof. */
export function claimProof(claimKey: string, attempt: number, runnerId: string): string {
  return createHmac("sha256", claimKey).update(`${attempt}:${runnerId}`).digest("base64url");
}

/** Whether a claim carries the proof of an offer. The comparison takes constant time. */
export function provesOffer(
  claimKey: string,
  { attempt, runnerId, proof }: { attempt: number; runnerId: string; proof: string },
): boolean {
  const encoder = new TextEncoder();
  const expected = encoder.encode(claimProof(claimKey, attempt, runnerId));
  const given = encoder.encode(proof);
  return given.length === expected.length && timingSafeEqual(given, expected);
}
