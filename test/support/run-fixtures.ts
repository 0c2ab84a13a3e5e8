/** Runs and events as an edge shows them, made by the contract's own functions, for tests of what reads them. */
import type { FlowEvent } from "../../contract/flow-event.ts";
import type { ApprovalView, RunnerView } from "../../client/http.ts";
import { runId } from "../../contract/ids.ts";
import type { EventView, OutputChunkView, RunView } from "../../contract/run-view.ts";
import { runView } from "../../contract/run-view.ts";
import { newRun } from "../../contract/run-lifecycle.ts";
import type { AttemptRecord, RunRecord } from "../../contract/run-record.ts";
import type { Flow, FlowStep } from "../../contract/flow-manifest.ts";
import { resolveManifest } from "../../contract/flow-manifest.ts";
import { formatCursor } from "../../contract/output-cursor.ts";

/** When everything in the fixtures begins. */
export const BEGIN_MS = Date.parse("2026-03-01T12:00:00.000Z");
export const EVENT_KEY = "0123456789abcdef";

const FLOW: Flow = resolveManifest(
  { name: "release", version: 2, steps: [{ name: "rebase", runner: "bun", script: "exec/rebase.ts" }] },
  "sha256:0011223344556677",
);
const [STEP] = FLOW.steps as [FlowStep];

const EVENT: FlowEvent = {
  id: "upstream:1",
  type: "upstream.release",
  source: "github",
  receivedAt: new Date(BEGIN_MS).toISOString(),
  payload: { repo: "codex", tag: "v1" },
};

export function eventFixture(change: Partial<EventView> = {}): EventView {
  return {
    ...EVENT,
    raw: EVENT,
    createdAt: EVENT.receivedAt,
    matched: 1,
    rootId: EVENT.id,
    depth: 0,
    ...change,
  };
}

/** A queued run, changed as told; `n` is its number within the event. */
export function runRecord(change: Partial<RunRecord> = {}, n = 1): RunRecord {
  const run = newRun({
    eventKey: EVENT_KEY,
    n,
    event: EVENT,
    flow: FLOW,
    step: STEP,
    origin: "event",
    depth: 0,
    now: BEGIN_MS,
  });
  return { ...run, ...change };
}

export function attemptRecord(change: Partial<AttemptRecord> = {}): AttemptRecord {
  return {
    number: 1,
    status: "running",
    runnerId: "runner_1",
    runnerName: "box",
    lease: "lease_secret",
    startedAt: BEGIN_MS + 1000,
    ackedSeq: 0,
    ...change,
  };
}

export function queuedRun(n = 1): RunView {
  return runView(runRecord({}, n));
}

export function runningRun(n = 1): RunView {
  return runView(
    runRecord({ status: "running", startedAt: BEGIN_MS + 1000, attempts: [attemptRecord()] }, n),
  );
}

/** A run whose step reported this status. */
export function endedRun(
  status: "completed" | "changed" | "blocked" | "needs_intervention" | "skipped",
  message = "done",
  n = 1,
): RunView {
  const completedAt = BEGIN_MS + 3500;
  const result = { status, message };
  return runView(
    runRecord(
      {
        status: "completed",
        result,
        startedAt: BEGIN_MS + 1000,
        completedAt,
        attempts: [
          attemptRecord({
            status: "completed",
            completedAt,
            result,
            end: { reason: "exited", exit: { code: 0, signal: null }, tree: { empty: true, survivors: [] } },
          }),
        ],
      },
      n,
    ),
  );
}

/** Output chunks of the first attempt, numbered from 1. */
export function chunks(...texts: Array<readonly [kind: string, text: string]>): OutputChunkView[] {
  return texts.map(([kind, text], index) => ({
    cursor: formatCursor({ attempt: 1, seq: index + 1 }),
    attempt: 1,
    seq: index + 1,
    kind,
    text,
    createdAt: new Date(BEGIN_MS + 1000 + index).toISOString(),
  }));
}

/** An approval that the first attempt of the first run waits for, changed as told. */
export function approvalFixture(change: Partial<ApprovalView> = {}): ApprovalView {
  return {
    id: "a1-1",
    kind: "command",
    title: "git push origin main",
    decisions: ["accept", "accept_for_session", "decline", "cancel"],
    runId: runId(EVENT_KEY, 1),
    attempt: 1,
    state: "pending",
    requestedAt: new Date(BEGIN_MS + 2000).toISOString(),
    expiresAt: new Date(BEGIN_MS + 1_802_000).toISOString(),
    ...change,
  };
}

export function runnerFixture(name: string, change: Partial<RunnerView> = {}): RunnerView {
  return {
    id: `runner_${name}`,
    name,
    pool: "default",
    version: "0.1.0",
    labels: [],
    capacity: 2,
    active: [],
    state: "connected",
    paused: false,
    flows: [],
    ...change,
  };
}
