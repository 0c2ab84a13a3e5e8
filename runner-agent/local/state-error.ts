/** What can be wrong with flows that run here, beside what an edge would answer too (contract/errors.ts). */
import { FlowError, type ErrorDetail } from "../../contract/errors.ts";

/** What is kept of events and runs cannot be read or written. Nothing was changed. */
export class LocalStateError extends FlowError {
  readonly status = 500;

  constructor(code: "state_corrupt" | "state_unwritable", message: string, cause?: unknown) {
    super(code, message);
    this.cause = cause;
  }
}

/** The box's own configuration, `.codex/runner.toml`, cannot be used. No event is to blame. */
export class LocalConfigurationError extends FlowError {
  readonly status = 500;

  constructor(message: string, details: ErrorDetail[]) {
    super("invalid_configuration", message, details);
  }
}
