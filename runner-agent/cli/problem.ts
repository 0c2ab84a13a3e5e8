/** What went wrong, in the two lines that a person reads: what, and what to do. With the exit code it leads to. */
import {
  EdgeAnswerError,
  EdgeTimeoutError,
  EdgeUnreachableError,
  EdgeUrlError,
} from "../../client/edge-errors.ts";
import { FlowError, type ErrorDetail } from "../../contract/errors.ts";
import { TelegramError } from "../telegram/bot-api.ts";
import { EXIT, exitCodeOfStatus } from "./exit-codes.ts";

/** The command cannot be carried out as it was given; nothing was sent. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  readonly fix: string;
  /** For machines. */
  readonly code: string;

  constructor(what: string, fix: string, code = "usage") {
    super(what);
    this.fix = fix;
    this.code = code;
  }
}

export interface Problem {
  exitCode: number;
  /** For machines. */
  code: string;
  what: string;
  fix: string;
  details: ErrorDetail[];
  requestId?: string | undefined;
}

export function problemOf(error: unknown): Problem {
  if (error instanceof UsageError)
    return { exitCode: EXIT.usage, code: error.code, what: error.message, fix: error.fix, details: [] };
  if (error instanceof EdgeUrlError)
    return {
      exitCode: EXIT.usage,
      code: "bad_url",
      what: error.message,
      fix: "pass another --url or id, or correct CODEX_FLOW_URL or the profile",
      details: [],
    };
  if (error instanceof EdgeTimeoutError)
    return {
      exitCode: EXIT.unreachable,
      code: "timeout",
      what: `${error.reason} from the edge at ${error.url}`,
      fix: error.advice,
      details: [],
    };
  if (error instanceof EdgeUnreachableError)
    return {
      exitCode: EXIT.unreachable,
      code: "unreachable",
      what: `cannot reach the edge at ${error.url}: ${error.reason}`,
      fix: "check the url and that the edge is up; `codex-flow dev` starts one on this machine",
      details: [],
    };
  if (error instanceof EdgeAnswerError)
    return {
      exitCode: error.code === "not_an_edge" ? EXIT.edgeFailed : exitCodeOfStatus(error.status),
      code: error.code,
      what: error.message,
      fix: fixForAnswer(error),
      details: error.details,
      requestId: error.requestId,
    };
  if (error instanceof TelegramError) return telegramProblem(error);
  if (error instanceof FlowError)
    return {
      // Below 500 it is what an edge would refuse; else a file of this workspace that cannot be used.
      exitCode: error.status < 500 ? exitCodeOfStatus(error.status) : EXIT.usage,
      code: error.code,
      what: error.message,
      fix: fixForLocal(error),
      details: error.details,
    };
  return {
    exitCode: EXIT.internal,
    code: "internal",
    what: error instanceof Error ? (error.stack ?? error.message) : String(error),
    fix: "this is a bug in codex-flow; please report it with the lines above",
    details: [],
  };
}

function fixForAnswer(error: EdgeAnswerError): string {
  if (error.code.startsWith("approval_")) return APPROVALS_FIX;
  if (error.code === "guard_closed") return GUARD_FIX;
  switch (exitCodeOfStatus(error.status)) {
    case EXIT.denied:
      return "use a token that is valid there and may do this: --token, CODEX_FLOW_TOKEN, or `codex-flow login`";
    case EXIT.notFound:
      return `see what there is: ${LISTS[error.code] ?? "`codex-flow events list`, `codex-flow runs list`"}`;
    case EXIT.conflict:
      return "look at what is stored: `codex-flow events show <id>`, `codex-flow runs show <id>`";
    case EXIT.rejected:
      return "correct what is named above and send it again";
    default:
      return error.retryable
        ? `try again; if it stays, look into the edge's logs${error.requestId === undefined ? "" : ` for request ${error.requestId}`}`
        : "check the url: `codex-flow status`";
  }
}

/** By the code of the edge's answer. */
const LISTS: Partial<Record<string, string>> = {
  runner_not_found: "`codex-flow runners list`",
  run_not_found: "`codex-flow runs list`",
  event_not_found: "`codex-flow events list`",
  flow_not_found: "`codex-flow flows list --deployed`",
};

const GUARD_FIX = "send /codeflow on in that channel, or run `codex-flow guard activate --channel <id>`";
function telegramProblem({ method, status, message, refusesToken }: TelegramError): Problem {
  const what = `Telegram did not do ${method}: ${message}`;
  const details: ErrorDetail[] = [];
  if (refusesToken)
    return {
      exitCode: EXIT.denied,
      code: "telegram_token",
      what,
      fix: "copy the bot's token again from BotFather (/token) into TELEGRAM_BOT_TOKEN",
      details,
    };
  if (status === undefined)
    return {
      exitCode: EXIT.unreachable,
      code: "telegram_unreachable",
      what,
      fix: "check that api.telegram.org can be reached from here, and try again",
      details,
    };
  const failed = status >= 500 || status === 429;
  return {
    exitCode: failed ? EXIT.edgeFailed : EXIT.rejected,
    code: "telegram_refused",
    what,
    fix: failed ? "try again in a while" : "correct what Telegram names and try again",
    details,
  };
}

const APPROVALS_FIX = "see what still waits: `codex-flow approvals list`";

/** The edge's own errors, said by this process. */
function fixForLocal(error: FlowError): string {
  switch (error.code) {
    case "flow_not_found":
    case "step_not_found":
      return "see what is here: `codex-flow flows list`, and why a package is not: `codex-flow flows check`";
    case "guard_closed":
      return GUARD_FIX;
    case "approval_over":
      return APPROVALS_FIX;
    case "state_corrupt":
    case "state_unwritable":
      return "fix what is named above, or name another folder: --state <dir>";
    default:
      return "correct what is named above and try again";
  }
}

/** The lines for a terminal; `paint` colours the two words. */
export function renderProblem(problem: Problem, paint: (text: string) => string): string {
  // What the guard says is whole; its details are for programs.
  const shown = problem.code === "guard_closed" ? [] : problem.details;
  const details = shown
    // A part of the path is a placeholder, "{id}": the sentence above names what stood there.
    .filter(({ path }) => !path.startsWith("{"))
    .map(({ path, message }) => `  ${path.replace(/^\?/, "--") || "the body"} ${message}`);
  return [`${paint("error:")} ${problem.what}`, ...details, `${paint("fix:")} ${problem.fix}`].join("\n");
}

/** The same as one JSON document, in the shape of the edge's own errors. */
export function problemDocument(problem: Problem): unknown {
  const { code, what, fix, details, requestId } = problem;
  return { error: { code, message: what, fix, details, ...(requestId === undefined ? {} : { requestId }) } };
}
