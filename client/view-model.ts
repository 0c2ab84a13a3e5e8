/**
 * The ancestor's normaliser: what a server of flows answers, in any shape that one has ever sent, as the views of
 * flow-types.ts. Pure functions that throw for no input: a field of the wrong type is left out, one that is not known
 * stays in `raw`.
 */
import type { ResultStatus } from "../contract/flow-result.ts";
import type {
  FlowAttemptView,
  FlowCancelResult,
  FlowDispatchResult,
  FlowEventList,
  FlowEventView,
  FlowOutputView,
  FlowResultStatus,
  FlowRunList,
  FlowRunView,
} from "./flow-types.ts";

/** Every semantic status, and whether someone has to act on it. */
const NEEDS_ATTENTION: Record<ResultStatus, boolean> = {
  skipped: false,
  completed: false,
  changed: false,
  needs_intervention: true,
  blocked: true,
  failed: false,
};

type JsonObject = Record<string, unknown>;

/** A run, bare or as `{run}`. */
export function normalizeRun(answer: unknown): FlowRunView {
  const raw = unwrapped(answer, "run");
  const run = objectOf(raw);
  const processStatus = text(run["status"]);
  const resultPayload = resultOf(run);
  const resultStatus = semanticStatus(objectOf(resultPayload)["status"]) ?? semanticStatus(processStatus);
  const effectiveStatus = resultStatus ?? processStatus ?? "unknown";
  const attempts = listOf(run["attempts"]).map(normalizeAttempt);
  const output = outputOf(run);
  return withoutUndefined<FlowRunView>({
    id: text(run["id"]) ?? text(run["runId"]) ?? "",
    eventId: text(run["eventId"]),
    flowName: text(run["flowName"]),
    flowVersion: number(run["flowVersion"]),
    stepName: text(run["stepName"]),
    runner: text(run["runner"]),
    backend: text(run["backend"]),
    processStatus,
    resultStatus,
    status: effectiveStatus,
    effectiveStatus,
    // The server knows when that has ended: acknowledged, or superseded by a later run.
    needsAttention:
      resultStatus !== undefined && NEEDS_ATTENTION[resultStatus] && run["needsAttention"] !== false,
    attemptCount: number(run["attemptCount"]) ?? number(run["attempts"]) ?? attempts.length,
    attempts,
    output,
    latestOutput: output.at(-1),
    resultPayload,
    error: text(run["error"]),
    createdAt: text(run["createdAt"]),
    startedAt: text(run["startedAt"]),
    completedAt: text(run["completedAt"]) ?? text(run["finishedAt"]),
    updatedAt: text(run["updatedAt"]),
    raw,
  });
}

function normalizeAttempt(raw: unknown): FlowAttemptView {
  const attempt = objectOf(raw);
  return withoutUndefined<FlowAttemptView>({
    id: text(attempt["id"]) ?? text(attempt["attemptId"]) ?? "",
    status: text(attempt["status"]),
    attemptNumber: number(attempt["attemptNumber"]),
    workerId: text(attempt["workerId"]),
    leaseExpiresAt: number(attempt["leaseExpiresAt"]),
    startedAt: text(attempt["startedAt"]),
    completedAt: text(attempt["completedAt"]),
    error: text(attempt["error"]),
    raw,
  });
}

/** An event, bare or as `{event, runs}`. */
export function normalizeEvent(answer: unknown): FlowEventView {
  const raw = unwrapped(answer, "event");
  const event = objectOf(raw);
  const beside = objectOf(answer)["runs"];
  const runs = listOf(Array.isArray(beside) ? beside : event["runs"]).map(normalizeRun);
  return withoutUndefined<FlowEventView>({
    id: text(event["id"]) ?? text(event["eventId"]) ?? "",
    type: text(event["type"]),
    source: text(event["source"]),
    occurredAt: text(event["occurredAt"]),
    receivedAt: text(event["receivedAt"]),
    payload: event["payload"],
    runIds: [...new Set([...textsOf(event["runIds"]), ...runs.map((run) => run.id)])],
    runs,
    createdAt: text(event["createdAt"]),
    raw,
  });
}

export function normalizeRunList(raw: unknown): FlowRunList {
  const list = objectOf(raw);
  return withoutUndefined<FlowRunList>({
    runs: listOf(list["runs"]).map(normalizeRun),
    eventId: text(list["eventId"]),
    nextCursor: text(list["nextCursor"]),
    raw,
  });
}

export function normalizeEventList(raw: unknown): FlowEventList {
  const list = objectOf(raw);
  return withoutUndefined<FlowEventList>({
    events: listOf(list["events"]).map(normalizeEvent),
    nextCursor: text(list["nextCursor"]),
    raw,
  });
}

/** The answer to an event that was sent, or sent again. */
export function normalizeDispatchResult(raw: unknown): FlowDispatchResult {
  const answer = objectOf(raw);
  const runs = listOf(answer["runs"]).map(normalizeRun);
  const runIds = textsOf(answer["runIds"]);
  const { idempotent, conflict, event, faults } = answer;
  return withoutUndefined<FlowDispatchResult>({
    status: text(answer["status"]),
    eventId: text(answer["eventId"]),
    runIds: runIds.length > 0 ? runIds : runs.map((run) => run.id),
    matched: number(answer["matched"]),
    idempotent: typeof idempotent === "boolean" ? idempotent : undefined,
    conflict: typeof conflict === "boolean" ? conflict : undefined,
    event: isObject(event) ? normalizeEvent(event) : undefined,
    runs,
    faults: Array.isArray(faults) ? textsOf(faults) : undefined,
    raw,
  });
}

export function normalizeCancelResult(raw: unknown): FlowCancelResult {
  return { run: normalizeRun(raw), raw };
}

/** `result` whatever it is, even null; else `resultJson`, which may be JSON in a string. */
function resultOf(run: JsonObject): unknown {
  if ("result" in run) return run["result"];
  const { resultJson } = run;
  if (isObject(resultJson)) return resultJson;
  const json = text(resultJson);
  if (json === undefined || json.trim() === "") return undefined;
  try {
    return JSON.parse(json) as unknown;
  } catch {
    return json;
  }
}

/** `output`, or else what stands in `stdout` and `stderr`. */
function outputOf(run: JsonObject): FlowOutputView[] {
  const { output } = run;
  if (Array.isArray(output))
    return output.map((raw: unknown) => {
      const piece = objectOf(raw);
      return withoutUndefined<FlowOutputView>({
        kind: text(piece["kind"]) ?? "output",
        text: text(piece["text"]) ?? "",
        createdAt: text(piece["createdAt"]),
        raw,
      });
    });
  return ["stdout", "stderr"].flatMap((kind) => {
    const whole = text(run[kind]);
    return whole === undefined ? [] : [{ kind, text: whole, raw: { kind, text: whole } }];
  });
}

function semanticStatus(value: unknown): FlowResultStatus | undefined {
  return typeof value === "string" && Object.hasOwn(NEEDS_ATTENTION, value)
    ? (value as FlowResultStatus)
    : undefined;
}

/** What stands under a name, or the whole when nothing does. */
function unwrapped(answer: unknown, name: string): unknown {
  return objectOf(answer)[name] ?? answer;
}

function isObject(value: unknown): value is JsonObject {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

function objectOf(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function textsOf(value: unknown): string[] {
  return listOf(value).filter((id) => typeof id === "string");
}

/** An empty text says nothing. */
function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function number(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

/** A view without the fields that nothing was sent for, so that it looks the same printed, compared or sent on. */
function withoutUndefined<View extends object>(view: { [Name in keyof View]: View[Name] | undefined }): View {
  return Object.fromEntries(Object.entries(view).filter(([, value]) => value !== undefined)) as View;
}
