/**
 * What people may do to a run besides canceling it: decide an approval, say something, raise its budget. Functions of
 * the record and of what is asked; the object commits what comes back.
 */
import {
  approvalView,
  decideApproval,
  type ApprovalDecision,
  type ApprovalView,
} from "../../contract/approvals.ts";
import { continuationOf, sum, unlimitedUnits, type BudgetUse } from "../../contract/budget.ts";
import { addMessage, messageView, type MessageView } from "../../contract/messages.ts";
import { changed, isTerminal, type RunRecord } from "../../contract/run-record.ts";
import { runView, type RunView } from "../../contract/run-view.ts";

/** The answer, and the next record where there is one. */
export interface Steered<Answer> {
  answer: Answer;
  run?: RunRecord;
}

export type DecideAnswer =
  | { kind: "unknown_approval" }
  | { kind: "decided"; approval: ApprovalView }
  /** Somebody, or the clock, was first. */
  | { kind: "over"; approval: ApprovalView }
  | { kind: "not_offered"; approval: ApprovalView };

export function decide(
  run: RunRecord,
  given: { approval: string; decision: ApprovalDecision; by: string },
  now: number,
): Steered<DecideAnswer> {
  const outcome = decideApproval(run, given.approval, given.decision, given.by, now);
  if (outcome.kind === "unknown") return { answer: { kind: "unknown_approval" } };
  const answer = { kind: outcome.kind, approval: approvalView(run.id, outcome.approval) };
  return outcome.kind === "decided" ? { answer, run: outcome.run } : { answer };
}

export type SayAnswer =
  | { kind: "said"; message: MessageView }
  /** Its kind of step listens to nobody. */
  | { kind: "deaf"; run: RunView }
  | { kind: "full" }
  | { kind: "over"; run: RunView };

export function say(run: RunRecord, given: { text: string; by: string }, now: number): Steered<SayAnswer> {
  const outcome = addMessage(run, { ...given, now });
  switch (outcome.kind) {
    case "stored":
      return { answer: { kind: "said", message: messageView(outcome.message) }, run: outcome.run };
    case "full":
      return { answer: { kind: "full" } };
    case "over":
    case "deaf":
      return { answer: { kind: outcome.kind, run: runView(run) } };
  }
}

export type RaiseAnswer =
  | { kind: "raised"; run: RunView }
  /** The step has no limit of these: there is nothing to raise. */
  | { kind: "unlimited"; units: string[] }
  /** It ended at its budget, and a new run of this step can continue it. */
  | { kind: "stopped"; flow: string; step: string }
  | { kind: "over"; run: RunView };

export function raiseBudget(run: RunRecord, addition: BudgetUse, now: number): Steered<RaiseAnswer> {
  const units = unlimitedUnits(run.policy.budget, addition);
  if (units.length > 0) return { answer: { kind: "unlimited", units } };
  if (!isTerminal(run.status)) {
    const richer = changed(run, now, { budgetAdded: sum(run.budgetAdded, addition) });
    return { answer: { kind: "raised", run: runView(richer) }, run: richer };
  }
  return continuationOf(run) === undefined
    ? { answer: { kind: "over", run: runView(run) } }
    : { answer: { kind: "stopped", flow: run.flow.name, step: run.step.name } };
}
