/**
 * Checks of everything that comes from outside. The validators are compiled from the schemas of this folder when
 * the project is built (workerd forbids code generation at run time); this file gives them types and one form of
 * fault.
 */
import type { ErrorDetail } from "./errors.ts";
import type { FlowEventInput } from "./flow-event.ts";
import * as compiled from "./generated/validators.js";
import { deeperThan } from "./json-depth.ts";
import { EVENT_MAX_DEPTH, FRAME_MAX_BYTES } from "./limits.ts";
import type { CONTROL_UP, ControlUp, RUN_UP, RunUp } from "./runner-link.ts";

/** What ajv reports, as far as it is used here. */
interface SchemaFault {
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

/** Faults of a value by a compiled check, as JSON pointers below `at`; empty when it is valid. */
export function faultsOf(check: CompiledCheck, value: unknown, at = ""): ErrorDetail[] {
  if (check(value)) return [];
  return (check.errors ?? []).map((fault) => ({ path: pathOf(fault, at), message: messageOf(fault) }));
}

function pathOf(fault: SchemaFault, at: string): string {
  const { missingProperty, additionalProperty } = fault.params;
  const key = missingProperty ?? additionalProperty;
  return `${at}${fault.instancePath}${typeof key === "string" ? `/${key}` : ""}`;
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
  return deeperThan(value, EVENT_MAX_DEPTH) ? fault("/payload", TOO_DEEP) : outcome;
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

const controlChecks: Record<keyof typeof CONTROL_UP, CompiledCheck> = {
  hello: compiled.control_hello,
  accept: compiled.control_accept,
  decline: compiled.control_decline,
  capacity: compiled.control_capacity,
  flows: compiled.control_flows,
  drain: compiled.control_drain,
  goodbye: compiled.control_goodbye,
};
const runChecks: Record<keyof typeof RUN_UP, CompiledCheck> = {
  claim: compiled.run_claim,
  resume: compiled.run_resume,
  output: compiled.run_output,
  result: compiled.run_result,
  canceling: compiled.run_canceling,
  end: compiled.run_end,
};

/** Reads a frame from a runner's control socket. */
export function readControlFrame(data: string | ArrayBuffer): Checked<ControlUp> {
  return readFrame<ControlUp>(controlChecks, data);
}
/** Reads a frame from a runner's run socket. */
export function readRunFrame(data: string | ArrayBuffer): Checked<RunUp> {
  const read = readFrame<RunUp>(runChecks, data);
  return read.ok && read.value.type === "result" && deeperThan(read.value.result, EVENT_MAX_DEPTH)
    ? fault("/result", TOO_DEEP)
    : read;
}

function readFrame<T>(checks: Record<string, CompiledCheck>, data: string | ArrayBuffer): Checked<T> {
  if (typeof data !== "string") return fault("", "must be a text frame, not a binary one");
  if (data.length > FRAME_MAX_BYTES) return fault("", `is larger than ${FRAME_MAX_BYTES} bytes`);
  let frame: unknown;
  try {
    frame = JSON.parse(data);
  } catch (error) {
    return fault("", `is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const type = frame !== null && typeof frame === "object" && "type" in frame ? frame.type : undefined;
  const check = typeof type === "string" && Object.hasOwn(checks, type) ? checks[type] : undefined;
  return check === undefined
    ? fault("/type", `must be one of ${Object.keys(checks).join(", ")}`)
    : checked<T>(check, frame);
}

function fault<T>(path: string, message: string): Checked<T> {
  return { ok: false, faults: [{ path, message }] };
}

/** One line for a log or a close reason. */
export function describeFaults(faults: ErrorDetail[]): string {
  return faults.map((one) => `${one.path} ${one.message}`.trim()).join("; ");
}
