/**
 * What may go wrong between this agent and a Codex app-server: one class a kind, each with a code and with whether
 * trying again can help. A failed turn is none of these: that is an answer, and comes as a notification.
 *
 * Messages may quote what the app-server has printed. Whoever sends one off the box redacts it first (invariant 15).
 */
import type { ProcessExit } from "../../contract/run-record.ts";

export abstract class CodexError extends Error {
  abstract readonly code: string;
  /** Whether the same thing may succeed later, on this app-server or on a new one. */
  abstract readonly retryable: boolean;

  constructor(message: string) {
    super(message);
    this.name = new.target.name;
  }
}

/** There is no app-server: the program is missing or cannot be started, or nobody listens at the address. */
export class AppServerUnavailableError extends CodexError {
  readonly code = "app_server_unavailable";
  readonly retryable = false;
}

/** It was there and is gone: its process ended, its socket closed, or it was stopped from here. */
export class AppServerExitedError extends CodexError {
  readonly code = "app_server_exited";
  readonly retryable = true;
  /** Absent when it was no process of ours. */
  readonly exit: ProcessExit | undefined;

  constructor(message: string, exit?: ProcessExit) {
    super(message);
    this.exit = exit;
  }
}

/** What it sent is no message of the protocol. An answer may be lost, so the connection is over. */
export class AppServerGarbledError extends CodexError {
  readonly code = "app_server_garbled";
  readonly retryable = false;
}

/** It refuses more work for now, or does not read what is sent to it; some tries were made. */
export class AppServerOverloadedError extends CodexError {
  readonly code = "app_server_overloaded";
  readonly retryable = true;
}

/** A request was not answered in time. Whether it took effect is unknown. */
export class RequestTimeoutError extends CodexError {
  readonly code = "codex_request_timeout";
  readonly retryable = true;
}

/** A request was answered by an error: the same request fails again. */
export class RequestFailedError extends CodexError {
  readonly code = "codex_request_failed";
  readonly retryable = false;
  /** Code of the JSON-RPC error. */
  readonly rpcCode: number;
  readonly data: unknown;

  constructor(method: string, error: { code: number; message: string; data?: unknown }) {
    super(`Codex refused ${method}: ${error.message} (${error.code})`);
    this.rpcCode = error.code;
    this.data = error.data;
  }
}

/** A thread has another sandbox, approval policy or directory than was asked for: something above the home's rules says so. */
export class ThreadSettingsError extends CodexError {
  readonly code = "thread_settings_refused";
  readonly retryable = false;
}

/** The provider wants a login, and this box has none. */
export class NotLoggedInError extends CodexError {
  readonly code = "codex_not_logged_in";
  readonly retryable = false;
}

/** Commands cannot be put into a sandbox here, and a step that wants one does not run without. */
export class SandboxUnavailableError extends CodexError {
  readonly code = "sandbox_unavailable";
  readonly retryable = false;
}
