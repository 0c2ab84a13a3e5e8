/**
 * What passes between a running step and the people who watch it, over the run socket: a cancel, approvals, messages, the
 * budget, and the leave to write to an agent's thread. Decisions stand in the contract (approvals, messages, budget); here they
 * are committed and told.
 *
 * Whatever the runner has to know is told when it happens, and once more on each new socket of the attempt: a decision
 * that fell while the runner was away is the first thing that it hears (V2). The runner ignores what it knows.
 */
import { requestApproval, withdrawApproval, type ApprovalRecord } from "../../contract/approvals.ts";
import { raised } from "../../contract/budget.ts";
import { noteDelivered, pendingMessages } from "../../contract/messages.ts";
import { liveAttempt, type RunRecord } from "../../contract/run-record.ts";
import type { RunDown, RunUp } from "../../contract/runner-link.ts";

/** Frames that this file answers for. */
export type ConversationFrame = Extract<
  RunUp,
  { type: "approval" | "approval_withdrawn" | "delivered" | "thread" }
>;

/** The record after a numbered request of the step. */
export function withRequest(
  run: RunRecord,
  attempt: number,
  frame: Extract<RunUp, { type: "approval" | "approval_withdrawn" }>,
  now: number,
): RunRecord {
  return frame.type === "approval"
    ? requestApproval(run, attempt, frame.seq, frame.request, now)
    : withdrawApproval(run, attempt, frame.seq, frame.id, now);
}

/** The record after the runner has said what became of a message. */
export function withDelivery(
  run: RunRecord,
  frame: Extract<RunUp, { type: "delivered" }>,
  now: number,
): RunRecord {
  return noteDelivered(run, frame, now);
}

/** What a runner that has just connected for the live attempt must know. */
export function openingFrames(run: RunRecord, attempt: number): RunDown[] {
  return [
    ...budgetFrames(run),
    ...(run.approvals ?? []).filter((approval) => approval.attempt === attempt).flatMap(decidedFrames),
    ...pendingMessages(run).map(({ id, text, by }): RunDown => ({ type: "message", id, text, by })),
  ];
}

/** What a change of the record means for the runner of the attempt that was live before it and is now. */
export function framesOfChange(before: RunRecord, after: RunRecord): RunDown[] {
  const live = liveAttempt(after);
  if (live === undefined || liveAttempt(before)?.number !== live.number) return [];
  const stateBefore = new Map(before.approvals?.map(({ request, state }) => [request.id, state]));
  const decided = (after.approvals ?? []).filter(
    ({ request, state }) => stateBefore.get(request.id) !== state && state !== "pending",
  );
  const known = new Set(before.messages?.map((message) => message.id));
  return [
    ...(before.cancel === undefined ? cancelFrames(after) : []),
    ...decided.flatMap(decidedFrames),
    ...pendingMessages(after)
      .filter((message) => !known.has(message.id))
      .map(({ id, text, by }): RunDown => ({ type: "message", id, text, by })),
    ...(before.budgetAdded === after.budgetAdded ? [] : budgetFrames(after)),
  ];
}

/** Somebody wants the run to stop. */
export function cancelFrames({ cancel }: RunRecord): RunDown[] {
  return cancel === undefined ? [] : [{ type: "cancel", reason: `canceled by ${cancel.by}` }];
}

function decidedFrames({ request, state, decision, decidedBy }: ApprovalRecord): RunDown[] {
  if (decision === undefined || state === "withdrawn") return [];
  const by = decidedBy ?? "nobody in time";
  return [{ type: "decided", id: request.id, decision, by }];
}

function budgetFrames(run: RunRecord): RunDown[] {
  const budget = raised(run.policy.budget, run.budgetAdded ?? {});
  return budget === undefined || run.budgetAdded === undefined ? [] : [{ type: "budget", budget }];
}
