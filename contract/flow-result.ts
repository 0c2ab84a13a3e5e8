/** A FLOW_RESULT: the one thing that a step says about its run. */
import Type, { type Static } from "typebox";
import { deeperThan } from "./json-depth.ts";
import { changedNumbers } from "./json-numbers.ts";
import { exceedsBytes } from "./text-bytes.ts";
import { EVENT_MAX_DEPTH, RESULT_MAX_BYTES } from "./limits.ts";

export const RESULT_STATUSES = [
  "skipped",
  "completed",
  "changed",
  "needs_intervention",
  "blocked",
  "failed",
] as const;
export const ResultStatus = Type.Enum([...RESULT_STATUSES]);
export type ResultStatus = (typeof RESULT_STATUSES)[number];

/** Other fields are kept. `next` is checked event by event when it is acted on, so that one bad one costs no result. */
export const FlowResult = Type.Object(
  {
    status: ResultStatus,
    message: Type.Optional(Type.String()),
    artifacts: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    next: Type.Optional(
      Type.Array(Type.Unknown(), { description: "FlowEvents that the edge sends after the run" }),
    ),
  },
  { additionalProperties: true, $id: "FlowResult" },
);
export type FlowResult = Static<typeof FlowResult> & Record<string, unknown>;

/** What a line of output says: nothing about the result, the result, or something that should have been one. */
export type ResultLine =
  { kind: "none" } | { kind: "result"; result: FlowResult } | { kind: "invalid"; message: string };

export const RESULT_MARKER = "FLOW_RESULT ";

/**
 * Reads one line of standard output: a line that begins with the marker is a result, and the rest of it is the JSON. Of
 * several such lines the last one counts, even when it is invalid.
 */
export function readResultLine(line: string): ResultLine {
  return line.startsWith(RESULT_MARKER) ? readResultJson(line.slice(RESULT_MARKER.length)) : { kind: "none" };
}

function readResultJson(text: string): ResultLine {
  const tooLarge = {
    kind: "invalid",
    message: `FLOW_RESULT is larger than ${RESULT_MAX_BYTES} bytes`,
  } as const;
  if (exceedsBytes(text, RESULT_MAX_BYTES)) return tooLarge;
  try {
    const value: unknown = JSON.parse(text);
    const changed = changedNumbers(text)[0];
    if (changed !== undefined)
      return { kind: "invalid", message: `FLOW_RESULT ${changed.path} ${changed.message}` };
    return isResultTooLarge(value) ? tooLarge : checkResult(value);
  } catch (error) {
    return {
      kind: "invalid",
      message: `FLOW_RESULT is not JSON: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

/** Why the edge would not take a result, whatever it says; undefined when it would. */
export function resultFault(result: unknown): string | undefined {
  if (deeperThan(result, EVENT_MAX_DEPTH)) return `is nested deeper than ${EVENT_MAX_DEPTH} levels`;
  return isResultTooLarge(result) ? `is larger than ${RESULT_MAX_BYTES} bytes` : undefined;
}

/** Measured as the edge stores it: written anew, the same JSON may be longer (1e20 has 21 digits then). */
export function isResultTooLarge(result: unknown): boolean {
  return exceedsBytes(JSON.stringify(result), RESULT_MAX_BYTES);
}

/** The ancestor's rules, and its words for what is wrong. */
export function checkResult(value: unknown): Exclude<ResultLine, { kind: "none" }> {
  if (value === null || typeof value !== "object" || Array.isArray(value))
    return { kind: "invalid", message: "FLOW_RESULT must be a JSON object" };
  const { status, message, artifacts, next } = value as Record<string, unknown>;
  if (typeof status !== "string" || !RESULT_STATUSES.some((known) => known === status))
    return {
      kind: "invalid",
      message: `FLOW_RESULT status is invalid: use one of ${RESULT_STATUSES.join(", ")}`,
    };
  if (message !== undefined && typeof message !== "string")
    return { kind: "invalid", message: "FLOW_RESULT message must be a string" };
  if (
    artifacts !== undefined &&
    (artifacts === null || typeof artifacts !== "object" || Array.isArray(artifacts))
  )
    return { kind: "invalid", message: "FLOW_RESULT artifacts must be an object" };
  if (next !== undefined && !Array.isArray(next))
    return { kind: "invalid", message: "FLOW_RESULT next must be an array of events" };
  return { kind: "result", result: value as FlowResult };
}
