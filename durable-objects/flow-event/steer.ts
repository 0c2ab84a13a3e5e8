/**
 * What people may do to a run: cancel it, decide an approval, say something, raise its budget. Functions of the record
 * and of what is asked; the object commits what comes back, then answers.
 */
import { approvalView, decideApproval, type ApprovalView, type Decided } from "../../contract/approvals.ts";
import { acknowledge as decideAcknowledgement } from "../../contract/attention.ts";
import { continuationOf, sum, unlimitedUnits, type BudgetUse } from "../../contract/budget.ts";
import { addMessage, messageView, type MessageView, type Saying } from "../../contract/messages.ts";
import { RAISES_KEPT_PER_RUN } from "../../contract/limits.ts";
import { requestCancel } from "../../contract/run-lifecycle.ts";
import { changed, isTerminal, type RunRecord } from "../../contract/run-record.ts";
import type { RunView } from "../../contract/run-view.ts";

/** A run as it is shown, with what its output has come to. */
export type ShowRun = (run: RunRecord) => RunView;

/** The next record where there is one, and the answer once that is committed. */
export interface Steered<Answer> {
  answer: (show: ShowRun) => Answer;
  run?: RunRecord;
}

export type CancelAnswer = { kind: "run"; run: RunView } | { kind: "over"; run: RunView };

export function cancel(run: RunRecord, by: string, now: number): Steered<CancelAnswer> {
  if (isTerminal(run.status))
    return { answer: (show) => ({ kind: run.status === "canceled" ? "run" : "over", run: show(run) }) };
  const canceled = requestCancel(run, by, now);
  return { answer: (show) => ({ kind: "run", run: show(canceled) }), run: canceled };
}

export type AckAnswer = { kind: "acknowledged" | "settled" | "not_needed"; run: RunView };

export function acknowledge(run: RunRecord, by: string, now: number): Steered<AckAnswer> {
  const outcome = decideAcknowledgement(run, by, now);
  const next = outcome.kind === "acknowledged" ? outcome.run : undefined;
  return {
    answer: (show) => ({ kind: outcome.kind, run: show(next ?? run) }),
    ...(next === undefined ? {} : { run: next }),
  };
}

export type DecideAnswer =
  | { kind: "unknown_approval" }
  | { kind: "decided"; approval: ApprovalView }
  /** Somebody, or the clock, was first. */
  | { kind: "over"; approval: ApprovalView }
  | { kind: "not_offered" | "unconfirmed"; approval: ApprovalView };

export function decide(run: RunRecord, given: Decided, now: number): Steered<DecideAnswer> {
  const outcome = decideApproval(run, given, now);
  if (outcome.kind === "unknown") return { answer: () => ({ kind: "unknown_approval" }) };
  const { kind, approval } = outcome;
  const answer = (): DecideAnswer => ({ kind, approval: approvalView(run.id, approval) });
  return outcome.kind === "decided" ? { answer, run: outcome.run } : { answer };
}

export type SayAnswer =
  | { kind: "said"; message: MessageView }
  /** Its kind of step listens to nobody. */
  | { kind: "deaf"; run: RunView }
  | { kind: "full" }
  | { kind: "over"; run: RunView };

export function say(run: RunRecord, given: Saying, now: number): Steered<SayAnswer> {
  const outcome = addMessage(run, { ...given, now });
  switch (outcome.kind) {
    case "stored":
      return { answer: () => ({ kind: "said", message: messageView(outcome.message) }), run: outcome.run };
    case "known":
      return { answer: () => ({ kind: "said", message: messageView(outcome.message) }) };
    case "full":
      return { answer: () => ({ kind: "full" }) };
    case "over":
    case "deaf":
      return { answer: (show) => ({ kind: outcome.kind, run: show(run) }) };
  }
}

export type RaiseAnswer =
  | { kind: "raised"; run: RunView }
  /** The step has no limit of these: there is nothing to raise. */
  | { kind: "unlimited"; units: string[] }
  /** It ended at its budget, and a new run of this step can continue it. */
  | { kind: "stopped"; flow: string; step: string }
  | { kind: "over"; run: RunView };

/** @param request key of what asks for it: the same one raises it once */
export function raiseBudget(
  run: RunRecord,
  addition: BudgetUse,
  now: number,
  request?: string,
): Steered<RaiseAnswer> {
  const raises = run.budgetRaises ?? [];
  if (request !== undefined && raises.includes(request))
    return { answer: (show) => ({ kind: "raised", run: show(run) }) };
  const units = unlimitedUnits(run.policy.budget, addition);
  if (units.length > 0) return { answer: () => ({ kind: "unlimited", units }) };
  if (!isTerminal(run.status)) {
    const richer = changed(run, now, {
      budgetAdded: sum(run.budgetAdded, addition),
      ...(request === undefined ? {} : { budgetRaises: [...raises, request].slice(-RAISES_KEPT_PER_RUN) }),
    });
    return { answer: (show) => ({ kind: "raised", run: show(richer) }), run: richer };
  }
  return continuationOf(run) === undefined
    ? { answer: (show) => ({ kind: "over", run: show(run) }) }
    : { answer: () => ({ kind: "stopped", flow: run.flow.name, step: run.step.name }) };
}
