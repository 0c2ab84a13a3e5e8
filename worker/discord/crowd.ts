/**
 * Interactions that are being answered in this isolate at the same time. One thread does what all of them need, and while
 * it has much to do it comes to no timer: then a deferral that waits for its time comes too late. So behind a few that are
 * under way, others are acknowledged at once, and begun one after the other, with room in between for whoever comes next.
 *
 * It decides nothing but order, and its counts are those of one isolate: no act may depend on them. A request that the
 * platform has cut off never leaves; it is forgotten.
 */
import { ACT_MAX_MS } from "./deferral.ts";

/** Acts under way beside which another one is begun at once. */
export const AT_ONCE_MAX = 4;
/** Between the beginnings of two that wait; about what one costs the thread. */
export const TURN_MS = 15;
/** Nobody waits longer for his turn. */
export const TURN_MAX_MS = 5_000;

export class Crowd {
  readonly #cameAt = new Map<symbol, number>();
  #nextTurnAt = 0;

  /** Counts somebody in. `place`: how many were there before; they are in his way from `AT_ONCE_MAX` on. */
  enter(now: number): { place: number; leave: () => void } {
    for (const [one, at] of this.#cameAt) if (now - at > ACT_MAX_MS) this.#cameAt.delete(one);
    const place = this.#cameAt.size;
    const one = Symbol("in the crowd");
    this.#cameAt.set(one, now);
    return { place, leave: () => this.#cameAt.delete(one) };
  }

  /** Whether it is somebody's turn, who came `waitedMs` ago; he takes it. Else he asks again after `TURN_MS`. */
  takeTurn(now: number, waitedMs: number): boolean {
    if (now < this.#nextTurnAt && waitedMs < TURN_MAX_MS) return false;
    this.#nextTurnAt = now + TURN_MS;
    return true;
  }
}

/** Resolves when it is the turn of somebody at this place. */
export async function turnIn(crowd: Crowd, place: number): Promise<void> {
  const cameAt = Date.now();
  // Those before him ask before him.
  await sleep(Math.min((place - AT_ONCE_MAX + 1) * TURN_MS, TURN_MAX_MS));
  while (!crowd.takeTurn(Date.now(), Date.now() - cameAt)) await sleep(TURN_MS);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
