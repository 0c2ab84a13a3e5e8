/** The times that bound the end of a step, and the one kind of timer that keeps them. Monotonic, never the wall's. */
import { KILL_GRACE_MS, RESULT_GRACE_MS } from "../../contract/limits.ts";

export interface StepClocks {
  /** After a FLOW_RESULT, the process has this long to go by itself (invariant 9). */
  resultGraceMs: number;
  /** SIGTERM → this long → SIGKILL. */
  killGraceMs: number;
  /** After SIGKILL, survivors are looked for this long before they are reported as such (invariant 10). */
  killProofMs: number;
  /** When the processes are gone, what is left in their pipes has this long to arrive. */
  drainMs: number;
}

/** A killed process that is still there after this long hangs in the kernel; no signal will change that. */
const KILL_PROOF_MS = 30_000;
/** Whoever still holds the pipe by then is no process of the step. */
const DRAIN_MS = 500;

export const DEFAULT_CLOCKS: StepClocks = {
  resultGraceMs: RESULT_GRACE_MS,
  killGraceMs: KILL_GRACE_MS,
  killProofMs: KILL_PROOF_MS,
  drainMs: DRAIN_MS,
};

/**
 * A timer that may be started over with every chunk of output: starting over only moves the mark, and the timer
 * looks at it when it fires.
 */
export class Countdown {
  #timer: NodeJS.Timeout | undefined;
  #due = 0;
  readonly #ms: number;
  readonly #expired: () => void;

  constructor(ms: number, expired: () => void) {
    this.#ms = ms;
    this.#expired = expired;
  }

  get running(): boolean {
    return this.#timer !== undefined;
  }

  /** Starts, or starts over. */
  start(): void {
    this.#due = performance.now() + this.#ms;
    this.#timer ??= setTimeout(this.#look, this.#ms);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  readonly #look = (): void => {
    const left = this.#due - performance.now();
    this.#timer = left > 0 ? setTimeout(this.#look, Math.ceil(left)) : undefined;
    if (this.#timer === undefined) this.#expired();
  };
}
