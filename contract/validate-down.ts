/**
 * Checks of what a runner receives from the edge. A type that this runner does not know is no fault: a newer edge may send
 * it. Only the runner imports this file, so that the validators stay out of the Worker's bundle.
 */
import type { ErrorDetail } from "./errors.ts";
import * as frames from "./generated/down-frame-validators.js";
import type { CONTROL_DOWN, ControlDown, RUN_DOWN, RunDown } from "./runner-link.ts";
import { faultsOf, notJson, type CompiledCheck } from "./validate.ts";

/** How the runner reads a text frame from the edge. */
export type ReadFrame<Down> =
  | { kind: "frame"; frame: Down }
  /** Of a type that a newer edge has. */
  | { kind: "unknown" }
  | { kind: "bad"; faults: ErrorDetail[] };

const controlChecks: Record<keyof typeof CONTROL_DOWN, CompiledCheck> = {
  welcome: frames.control_welcome,
  offer: frames.control_offer,
  files: frames.control_files,
  drain: frames.control_drain,
  error: frames.control_error,
};
const runChecks: Record<keyof typeof RUN_DOWN, CompiledCheck> = {
  claimed: frames.run_claimed,
  resumed: frames.run_resumed,
  refused: frames.run_refused,
  ack: frames.run_ack,
  cancel: frames.run_cancel,
  lease_lost: frames.run_lease_lost,
  decided: frames.run_decided,
  message: frames.run_message,
  budget: frames.run_budget,
  thread: frames.run_thread,
  follow: frames.run_follow,
  error: frames.run_error,
};

/** Reads a frame from a pool. */
export function readControlDown(text: string): ReadFrame<ControlDown> {
  return readDown<ControlDown>(controlChecks, text);
}

/** Reads a frame from an event object. */
export function readRunDown(text: string): ReadFrame<RunDown> {
  return readDown<RunDown>(runChecks, text);
}

function readDown<Down>(checks: Record<string, CompiledCheck>, text: string): ReadFrame<Down> {
  let frame: unknown;
  try {
    frame = JSON.parse(text);
  } catch (error) {
    return bad([{ path: "", message: notJson(error) }]);
  }
  const type = frame !== null && typeof frame === "object" && "type" in frame ? frame.type : undefined;
  if (typeof type !== "string") return bad([{ path: "/type", message: "is required" }]);
  const check = Object.hasOwn(checks, type) ? checks[type] : undefined;
  if (check === undefined) return { kind: "unknown" };
  const faults = faultsOf(check, frame);
  return faults.length === 0 ? { kind: "frame", frame: frame as Down } : bad(faults);
}

function bad(faults: ErrorDetail[]): { kind: "bad"; faults: ErrorDetail[] } {
  return { kind: "bad", faults };
}
