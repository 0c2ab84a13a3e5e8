/**
 * What attempts have used of their step's budget, from the runner's word to the claim of the next attempt.
 *
 * It costs no row of its own: the socket that said it holds it (hibernation keeps that), and the next row of output or of
 * the run takes it along, at the latest the one that a close writes. A socket that goes without a close (a deploy) loses
 * what came since the last row; a runner that lives says it again on its next socket.
 */
import { largest, noteUse, raised, usedBy, type Budget, type BudgetUse } from "../../contract/budget.ts";
import type { OutputProgress } from "../../contract/run-lifecycle.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import type { EventStorage } from "./storage.ts";

/** Of what hibernation keeps of a run socket. */
export interface HeldUse {
  attempt?: number;
  /** By that attempt alone. */
  used?: BudgetUse;
}

function heldBy(socket: WebSocket): HeldUse {
  return socket.deserializeAttachment() as HeldUse;
}

export function holdUse(socket: WebSocket, run: RunRecord, used: BudgetUse): void {
  if (run.policy.budget === undefined) return;
  const held = heldBy(socket);
  socket.serializeAttachment({ ...held, used: largest(held.used, used) });
}

/** For the socket that replaces these. */
export function takeOver(sockets: WebSocket[]): Pick<HeldUse, "used"> {
  return sockets.reduce<Pick<HeldUse, "used">>((most, socket) => {
    const { used } = heldBy(socket);
    return used === undefined ? most : { used: largest(most.used, used) };
  }, {});
}

/** The record with what these sockets of its run hold. */
export function withHeldUse(run: RunRecord, sockets: WebSocket[]): RunRecord {
  return sockets.map(heldBy).reduce((noted, { attempt = 0, used }) => noteUse(noted, attempt, used), run);
}

/** An attempt's progress with what its socket holds. */
export function progressWithUse(progress: OutputProgress, socket: WebSocket): OutputProgress {
  const { used } = heldBy(socket);
  return used === undefined ? progress : { ...progress, used: largest(progress.used, used) };
}

/** The record with what attempts have said by rows of output alone. */
export function withToldUse(run: RunRecord, storage: Pick<EventStorage, "readProgress">): RunRecord {
  if (run.policy.budget === undefined) return run;
  return run.attempts.reduce(
    (noted, { number }) => noteUse(noted, number, storage.readProgress(run.n, number).used),
    run,
  );
}

/** What an attempt's claim says of the budget. @param run with what its sockets hold */
export function claimedBudget(
  run: RunRecord,
  attempt: number,
  storage: Pick<EventStorage, "readProgress">,
): { budget?: Budget; used?: BudgetUse } {
  const budget = raised(run.policy.budget, run.budgetAdded ?? {});
  if (budget === undefined) return {};
  const attempts = withToldUse(run, storage).attempts.filter(({ number }) => number < attempt);
  return { budget, used: usedBy({ ...run, attempts }) };
}

/** Whether the runner is asked for it. */
export function countsUse({ policy }: RunRecord): { countsUse?: true } {
  return policy.budget === undefined ? {} : { countsUse: true };
}
