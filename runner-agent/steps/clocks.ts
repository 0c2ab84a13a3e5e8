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

/** A timer looks at its clock at least this often. */
const LOOK_MS = 15_000;

/**
 * A timer that may be started over with every chunk of output: starting over only moves the mark, and the timer
 * looks at it when it fires. Time that the box has slept for does not count, also where the monotonic clock goes on
 * meanwhile (macOS): its processes have slept too. A look that comes later than the next one was due has met a sleep.
 */
export class Countdown {
  #timer: NodeJS.Timeout | undefined;
  #leftMs = 0;
  #lookedAt = 0;
  readonly #ms: number;
  readonly #expired: () => void;
  readonly #clock: () => number;

  /** @param clock monotonic, ms */
  constructor(ms: number, expired: () => void, clock = () => performance.now()) {
    this.#ms = ms;
    this.#expired = expired;
    this.#clock = clock;
  }

  get running(): boolean {
    return this.#timer !== undefined;
  }

  /** Starts, or starts over. */
  start(): void {
    this.#leftMs = this.#ms;
    this.#lookedAt = this.#clock();
    this.#timer ??= this.#nextLook();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #nextLook(): NodeJS.Timeout {
    return setTimeout(this.#look, Math.ceil(Math.min(this.#leftMs, LOOK_MS)));
  }

  readonly #look = (): void => {
    const now = this.#clock();
    const passedMs = now - this.#lookedAt;
    this.#lookedAt = now;
    this.#leftMs -= passedMs > 2 * LOOK_MS ? LOOK_MS : passedMs;
    this.#timer = this.#leftMs > 0 ? this.#nextLook() : undefined;
    if (this.#timer === undefined) this.#expired();
  };
}
