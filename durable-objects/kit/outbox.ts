/**
 * The way out of an object (invariant 6). What a state change owes the outside can be read from the state that was
 * committed with it; this file only carries it out: each effect on its own, bounded in time, with a key that makes a
 * repetition harmless. What fails stays owed, and the caller arms its alarm for another round.
 */

import { within } from "./deadline.ts";

/** Longest time that one effect may take. */
const EFFECT_TIMEOUT_MS = 30_000;
/** First wait after a failed round; it doubles with each. */
const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 60_000;

/** One thing owed to the outside. The same key means the same effect: performing it twice changes nothing. */
export interface Effect {
  key: string;
  perform(): Promise<unknown>;
}

export class Outbox {
  readonly #owner: string;
  #failedRounds = 0;

  /** @param owner names the object in the log */
  constructor(owner: string) {
    this.#owner = owner;
  }

  /** Performs all effects at once. Returns how long to wait before what failed is tried again, or undefined. */
  async drain(effects: Effect[]): Promise<number | undefined> {
    const outcomes = await Promise.allSettled(effects.map((effect) => withTimeout(effect)));
    const failed = effects.filter((_effect, index) => outcomes[index]?.status === "rejected");
    if (failed.length === 0) {
      this.#failedRounds = 0;
      return undefined;
    }
    this.#failedRounds += 1;
    // The first failure tells what is wrong; one line a round would only repeat it.
    if (this.#failedRounds === 1) {
      const reasons = outcomes.flatMap((outcome) =>
        outcome.status === "rejected" ? [String(outcome.reason)] : [],
      );
      console.warn(
        JSON.stringify({
          message: "outbox effects failed",
          owner: this.#owner,
          keys: failed.map((e) => e.key),
          reasons,
        }),
      );
    }
    return Math.min(RETRY_FIRST_MS * 2 ** (this.#failedRounds - 1), RETRY_MAX_MS);
  }
}

async function withTimeout(effect: Effect): Promise<void> {
  await within(effect.perform(), EFFECT_TIMEOUT_MS, () => {
    throw new Error(`${effect.key} took longer than ${EFFECT_TIMEOUT_MS} ms`);
  });
}
