/**
 * What the end of an attempt means, given what its step said before: the table of invariant 9 (the terminal event
 * wins over the process) and of invariant 10 (a cancel is proved). Pure, and the only place where either is decided.
 */
import type { RetryReason } from "./flow-manifest.ts";
import type { FlowResult } from "./flow-result.ts";
import type { AttemptEnd, AttemptStatus, Reason } from "./run-record.ts";

export interface Outcome {
  status: Exclude<AttemptStatus, "running">;
  /** What a retry policy would have to name for another attempt. */
  retry?: RetryReason;
  result?: FlowResult;
  error?: Reason;
}

/** @param canceled whether somebody has asked for the run to stop before this end came */
export function outcomeOf(end: AttemptEnd, result: FlowResult | undefined, canceled: boolean): Outcome {
  const byItself = end.reason === "exited" && end.exit?.code === 0;
  if (canceled && !(byItself && result !== undefined && end.error === undefined)) return canceledOutcome(end);
  if (end.reason === "exited" && !byItself) return failed(end.error ?? exitError(end));
  if (end.error !== undefined && (byItself || end.reason === "reaped" || end.reason === "refused"))
    return failed(end.error);
  if (result !== undefined)
    return {
      status: "completed",
      result,
      ...(result.status === "failed" ? { retry: "failed" as const } : {}),
    };
  switch (end.reason) {
    case "timeout":
      return timeout(end.error ?? reason("timeout", "the step ran longer than its timeout_ms"));
    case "silence":
      return timeout(end.error ?? reason("silence", "the step was silent for longer than its silence_ms"));
    case "abandoned":
      return {
        status: "lost",
        retry: "lost",
        error: end.error ?? reason("lost", "the runner lost the step"),
      };
    case "canceled":
      return { status: "canceled" };
    case "exited":
    case "reaped":
      return failed(reason("no_result", "Step did not emit FLOW_RESULT"));
    case "refused":
      return failed(reason("refused", "the runner could not start the step"));
  }
}

/**
 * The runner has looked at the tree and says what it saw. Where it says nothing, a step that never started and a
 * runner that is declared lost are the only proofs.
 */
function canceledOutcome(end: AttemptEnd): Outcome {
  const proved = end.tree?.empty ?? (end.reason === "refused" || end.reason === "abandoned");
  if (proved) return { status: "canceled" };
  const survivors = end.tree?.survivors ?? [];
  const seen = survivors.length === 0 ? "nobody has seen them go" : `still there: ${survivors.join(", ")}`;
  return {
    status: "failed",
    error: reason("cancel_unproved", `the run was canceled, but not all of its processes ended; ${seen}`),
  };
}

function failed(error: Reason): Outcome {
  return { status: "failed", retry: "failed", error };
}

function timeout(error: Reason): Outcome {
  return { status: "timeout", retry: "timeout", error };
}

function reason(code: string, message: string): Reason {
  return { code, message };
}

function exitError(end: AttemptEnd): Reason {
  return end.exit?.signal != null
    ? reason("killed", `the step was killed by ${end.exit.signal}`)
    : reason("exit_code", `the step exited with code ${end.exit?.code ?? "unknown"}`);
}
