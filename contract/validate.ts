/**
 * Checks of everything that comes from outside. The validators are compiled from the schemas of this folder when
 * the project is built (workerd forbids code generation at run time); this file gives them types and one form of
 * fault.
 */
import type { AgentItem } from "./agent-item.ts";
import type { DecideRequest } from "./approvals.ts";
import type { BudgetRequest } from "./budget.ts";
import type { GrantRequest, ServerRequest } from "./chat/audit.ts";
import type { TelegramUpdate } from "./chat/telegram-update.ts";
import type { ChatPostRequest } from "./chat/requests.ts";
import type { ErrorDetail } from "./errors.ts";
import { RESERVED_ID_PREFIXES, type FlowEventInput } from "./flow-event.ts";
import * as frames from "./generated/frame-validators.js";
import * as compiled from "./generated/validators.js";
import { resultFault } from "./flow-result.ts";
import { changedNumbers } from "./json-numbers.ts";
import { deeperThan } from "./json-depth.ts";
import { EVENT_MAX_DEPTH, FAULTS_MAX_ITEMS, FRAME_MAX_BYTES } from "./limits.ts";
import type { MessageRequest } from "./messages.ts";
import type { ControlRequest, GuardRequest, RelaySessionRequest } from "./relay.ts";
import type { CONTROL_UP, ControlUp, RUN_UP, RunUp } from "./runner-link.ts";

/** What ajv reports, as far as it is used here. */
export interface SchemaFault {
  instancePath: string;
  keyword: string;
  message?: string | undefined;
  params: Record<string, unknown>;
}
/** A function that ajv has compiled; the faults of the last call stand on it. */
export interface CompiledCheck {
  (value: unknown): boolean;
  errors?: SchemaFault[] | null;
}

export type Checked<T> = { ok: true; value: T } | { ok: false; faults: ErrorDetail[] };

/** Longer pointers are cut: a key may be as long as a whole body. */
const PATH_MAX_CHARS = 256;

/**
 * Faults of a value by a compiled check, as JSON pointers below `at`; empty when it is valid. Bounded, since it goes
 * into answers and logs: a last entry says how many are left out.
 */
export function faultsOf(check: CompiledCheck, value: unknown, at = ""): ErrorDetail[] {
  if (check(value)) return [];
  const errors = check.errors ?? [];
  const named = errors
    .slice(0, FAULTS_MAX_ITEMS)
    .map((fault) => ({ path: pathOf(fault, at), message: messageOf(fault) }));
  const more = errors.length - named.length;
  return more === 0 ? named : [...named, { path: at, message: `and ${more} more faults` }];
}

function pathOf(fault: SchemaFault, at: string): string {
  const { missingProperty, additionalProperty } = fault.params;
  const key = missingProperty ?? additionalProperty;
  const path = `${at}${fault.instancePath}${typeof key === "string" ? `/${key}` : ""}`;
  return path.length > PATH_MAX_CHARS ? `${path.slice(0, PATH_MAX_CHARS)}…` : path;
}

function messageOf(fault: SchemaFault): string {
  if (fault.keyword === "required") return "is required";
  if (fault.keyword === "additionalProperties") return "is not known here";
  if (fault.keyword === "enum") return `must be one of ${JSON.stringify(fault.params["allowedValues"])}`;
  if (fault.keyword === "const") return `must be ${JSON.stringify(fault.params["allowedValue"])}`;
  return fault.message ?? `breaks the rule ${fault.keyword}`;
}

function checked<T>(check: CompiledCheck, value: unknown): Checked<T> {
  const faults = faultsOf(check, value);
  return faults.length === 0 ? { ok: true, value: value as T } : { ok: false, faults };
}

export function checkFlowEvent(value: unknown): Checked<FlowEventInput> {
  const outcome = checked<FlowEventInput>(compiled.FlowEventInput, value);
  if (!outcome.ok) return outcome;
  // Half a surrogate pair is no text: ids that differ only there would share one key, and no URL could name them.
  if (!outcome.value.id.isWellFormed()) return fault("/id", "must be well-formed Unicode");
  // A URL's path drops these segments, percent-encoded too, so no request could name the event.
  if (outcome.value.id === "." || outcome.value.id === "..") return fault("/id", "must not be . or ..");
  return deeperThan(value, EVENT_MAX_DEPTH) ? fault("/payload", TOO_DEEP) : outcome;
}

/** An event that a product or a step sends: its id may not be one that the edge gives to its own events. */
export function checkSentEvent(value: unknown): Checked<FlowEventInput> {
  const outcome = checkFlowEvent(value);
  if (!outcome.ok) return outcome;
  const { id } = outcome.value;
  const prefix = RESERVED_ID_PREFIXES.find((reserved) => id.startsWith(reserved));
  return prefix === undefined
    ? outcome
    : fault(
        "/id",
        `begins with ${prefix}, which is reserved for events of the edge itself: use another prefix`,
      );
}

const TOO_DEEP = `is nested deeper than ${EVENT_MAX_DEPTH} levels`;

export interface ReplayOptions {
  flow?: string;
  step?: string;
  wait?: boolean | number;
}
export function checkReplayRequest(value: unknown): Checked<ReplayOptions> {
  return checked(compiled.ReplayRequest, value);
}
export function checkCancelRequest(value: unknown): Checked<{ by?: string }> {
  return checked(compiled.CancelRequest, value);
}
export function checkAckRequest(value: unknown): Checked<{ by?: string }> {
  return checked(compiled.AckRequest, value);
}
export function checkAgentItem(value: unknown): Checked<AgentItem> {
  return checked(compiled.AgentItem, value);
}
export function checkDecideRequest(value: unknown): Checked<DecideRequest> {
  return checked(compiled.DecideRequest, value);
}
export function checkMessageRequest(value: unknown): Checked<MessageRequest> {
  return checked(compiled.MessageRequest, value);
}
export function checkGrantRequest(value: unknown): Checked<GrantRequest> {
  return checked(compiled.GrantRequest, value);
}

export function checkServerRequest(value: unknown): Checked<ServerRequest> {
  return checked(compiled.ServerRequest, value);
}
export function checkChatPostRequest(value: unknown): Checked<ChatPostRequest> {
  return checked(compiled.ChatPostRequest, value);
}
export function checkBudgetRequest(value: unknown): Checked<BudgetRequest> {
  return checked(compiled.BudgetRequest, value);
}
export function checkTelegramUpdate(value: unknown): Checked<TelegramUpdate> {
  return checked(frames.TelegramUpdate, value);
}

export function checkRelaySessionRequest(value: unknown): Checked<RelaySessionRequest> {
  return checked(compiled.RelaySessionRequest, value);
}
export function checkGuardRequest(value: unknown): Checked<GuardRequest> {
  return checked(compiled.GuardRequest, value);
}
export function checkControlRequest(value: unknown): Checked<ControlRequest> {
  return checked(compiled.ControlRequest, value);
}

const controlChecks: Record<keyof typeof CONTROL_UP, CompiledCheck> = {
  hello: frames.control_hello,
  accept: frames.control_accept,
  decline: frames.control_decline,
  capacity: frames.control_capacity,
  flows: frames.control_flows,
  drain: frames.control_drain,
  goodbye: frames.control_goodbye,
};
const runChecks: Record<keyof typeof RUN_UP, CompiledCheck> = {
  claim: frames.run_claim,
  resume: frames.run_resume,
  output: frames.run_output,
  result: frames.run_result,
  canceling: frames.run_canceling,
  approval: frames.run_approval,
  approval_withdrawn: frames.run_approval_withdrawn,
  delivered: frames.run_delivered,
  thread: frames.run_thread,
  used: frames.run_used,
  end: frames.run_end,
};

/** Reads a frame from a runner's control socket. */
export function readControlFrame(data: string | ArrayBuffer): Checked<ControlUp> {
  return readFrame<ControlUp>(controlChecks, data);
}
/** Reads a frame from a runner's run socket. */
export function readRunFrame(data: string | ArrayBuffer): Checked<RunUp> {
  const read = readFrame<RunUp>(runChecks, data);
  if (!read.ok || read.value.type !== "result") return read;
  const wrong = resultFault(read.value.result) ?? changedNumber(data);
  return wrong === undefined ? read : fault("/result", wrong);
}

/** The first number of a frame that would be stored as another one, in words. */
function changedNumber(data: string | ArrayBuffer): string | undefined {
  const [changed] = typeof data === "string" ? changedNumbers(data) : [];
  return changed && `${changed.path} ${changed.message}`;
}

function readFrame<T>(checks: Record<string, CompiledCheck>, data: string | ArrayBuffer): Checked<T> {
  if (typeof data !== "string") return fault("", "must be a text frame, not a binary one");
  if (data.length > FRAME_MAX_BYTES) return fault("", `is larger than ${FRAME_MAX_BYTES} bytes`);
  let frame: unknown;
  try {
    frame = JSON.parse(data);
  } catch (error) {
    return fault("", notJson(error));
  }
  const type = frame !== null && typeof frame === "object" && "type" in frame ? frame.type : undefined;
  const check = typeof type === "string" && Object.hasOwn(checks, type) ? checks[type] : undefined;
  return check === undefined
    ? fault("/type", `must be one of ${Object.keys(checks).join(", ")}`)
    : checked<T>(check, frame);
}

/** Why a text is no JSON, as one line: the engine quotes what it met, line breaks and all. */
export function notJson(error: unknown): string {
  const why = error instanceof Error ? error.message : String(error);
  return `is not JSON: ${why.replace(/\p{Cc}+/gu, " ")}`;
}

function fault<T>(path: string, message: string): Checked<T> {
  return { ok: false, faults: [{ path, message }] };
}

/** One line for a log or a close reason. */
export function describeFaults(faults: ErrorDetail[]): string {
  return faults.map((one) => `${one.path} ${one.message}`.trim()).join("; ");
}
