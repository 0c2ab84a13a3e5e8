/**
 * What an operator asks of a runner, and what stays of it when the runner comes and goes. Pure.
 *
 * T1. A pause is the operator's: it outlives the runner's restarts and goodbyes, and only a resume ends it.
 * T2. A drain is asked for until the runner says that it drains; from then on it is the runner's own affair, and its
 *     next start is a new beginning.
 */
import type { RunnerAction } from "../../contract/http-bodies.ts";

/** What of a runner an operator's wishes are about. */
export interface Steerable {
  /** It has said so itself: it takes nothing new until it is started again. */
  draining: boolean;
  /** An operator has asked for it, and the runner has not said that it drains. */
  drainAsked?: boolean | undefined;
  /** An operator wants it to be offered nothing; kept until a resume. */
  paused?: boolean | undefined;
}

/** The runner after the action: the very same object when that changes nothing. */
export function steered<Runner extends Steerable>(runner: Runner, action: RunnerAction): Runner | "draining" {
  switch (action) {
    case "pause":
      return runner.paused === true ? runner : { ...runner, paused: true };
    case "drain":
      return takesNothingMore(runner) ? runner : { ...runner, drainAsked: true };
    case "resume":
      if (runner.draining) return "draining";
      return runner.paused === true || runner.drainAsked === true
        ? { ...runner, paused: undefined, drainAsked: undefined }
        : runner;
  }
}

/** What the operator's wishes make of a runner that says hello. */
export function welcomedBack<Runner extends Steerable>(said: Runner, before: Runner | undefined): Runner {
  const drainAsked = before?.drainAsked === true && !said.draining;
  return { ...said, paused: before?.paused, ...(drainAsked ? { drainAsked } : {}) };
}

/** It drains, or is about to. */
export function takesNothingMore(runner: Steerable): boolean {
  return runner.draining || runner.drainAsked === true;
}
