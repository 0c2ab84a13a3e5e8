/**
 * Ends of attempts that the queue has not brought yet: a run that is canceled, or whose wait is over, a moment after its
 * event came may be settled before its message is here. The message then asks for what is over, and must not stand among
 * what waits until a sweep finds it. In memory alone: what is forgotten, the sweep finds.
 */
import type { RunRoute } from "../../contract/runner-link.ts";

/** The oldest are forgotten first. */
const EARLY_ENDS_MAX = 1_000;

export class EarlyEnds {
  /** By run: the last attempt that is over. */
  readonly #attempts = new Map<string, number>();

  note(runId: string, attempt: number): void {
    this.#attempts.set(runId, Math.max(attempt, this.#attempts.get(runId) ?? 0));
    if (this.#attempts.size <= EARLY_ENDS_MAX) return;
    for (const oldest of this.#attempts.keys()) {
      this.#attempts.delete(oldest);
      return;
    }
  }

  covers({ runId, attempt }: RunRoute): boolean {
    return attempt <= (this.#attempts.get(runId) ?? 0);
  }
}
