/** Why a codex step ends without an answer: errors and failed turns as ends of an attempt. Pure. */
import type { EndReason, Reason } from "../../../contract/run-record.ts";
import { internalError } from "../../steps/internal-error.ts";
import type { Redactor } from "../../steps/redaction.ts";
import { CodexError, NotLoggedInError, RequestTimeoutError, SandboxUnavailableError } from "../errors.ts";
import { ThreadNotResumableError } from "./open-thread.ts";
import type { TurnOutcome } from "./thread-session.ts";

export interface Stop {
  reason: EndReason;
  error?: Reason;
}

/**
 * What another attempt may get through is lost; the rest would only be refused again. What nobody has foreseen is a fault
 * of this box's, and may be none of the next one's.
 */
export function stopFor(error: unknown, redactor: Redactor): Stop {
  if (error instanceof ThreadNotResumableError)
    return { reason: "refused", error: { code: error.code, message: redactor.text(error.message) } };
  if (error instanceof CodexError)
    return {
      reason: error.retryable ? "abandoned" : "refused",
      error: { code: error.code, message: redactor.text(error.message) },
    };
  return { reason: "abandoned", error: internalError(redactor.text(String(error))) };
}

/** Whether another app-server would do better, later at least. */
export function isOfTheServer(error: unknown): boolean {
  return [RequestTimeoutError, NotLoggedInError, SandboxUnavailableError].some(
    (kind) => error instanceof kind,
  );
}

export function turnFailed({ code, message }: Extract<TurnOutcome, { kind: "failed" }>): Stop {
  return {
    reason: "reaped",
    error: { code: "turn_failed", message: `Codex's turn failed (${code}): ${message}` },
  };
}

/** A bound on money that nobody can count is none: what asked for it does not run without. */
export function priceUnknown(model: string): Stop {
  return { reason: "refused", error: { code: "price_unknown", message: missingPrice(model) } };
}

/** What is missing, and what to write where. */
export function missingPrice(model: string): string {
  return `the step has a budget in usd, and this box knows no price of the model ${model}: add [codex.prices.${JSON.stringify(model)}] with input and output, in US dollars for a million tokens, to its runner.toml`;
}

/** @param by whose answer did it; undefined: somebody else's doing at the app-server */
export function turnInterrupted(by: string | undefined): Stop {
  const message = `the turn was interrupted${by === undefined ? "" : `: ${by}`}`;
  return { reason: "reaped", error: { code: "turn_interrupted", message } };
}
