/**
 * The life of a run as pure functions: a record and a fact go in, the next record comes out. No clock, no storage,
 * no socket; the event object supplies those and commits what comes back.
 *
 *   queued ──claim──▶ running ──end──▶ completed | failed | canceled
 *     ▲                  │
 *     └──── retry ◀── lost | timeout | failed        (only when the step's retry says so)
 *
 * Kept here: invariant 4 (fencing: only the live lease writes), 5 (the first terminal state wins), 10 (cancel is
 * proved), 11 (three clocks) and 16 (grace after a restart). What an end means (invariant 9) stands in run-outcome.
 */
import { withdrawAll } from "./approvals.ts";
import type { BudgetUse, Continuation } from "./budget.ts";
import type { ErrorDetail } from "./errors.ts";
import type { ChatOrigin } from "./chat/place.ts";
import type { FlowEvent } from "./flow-event.ts";
import type { Flow, StartableStep } from "./flow-manifest.ts";
import type { FlowResult } from "./flow-result.ts";
import { runId } from "./ids.ts";
import { CHAIN_MAX_DEPTH, CHAIN_MAX_EVENTS, EVIDENCE_MAX_CHARS, RETRY_BACKOFF_MAX_MS } from "./limits.ts";
import { renderConcurrencyKey } from "./matching.ts";
import { outcomeOf, type Outcome } from "./run-outcome.ts";
import {
  changed,
  isTerminal,
  liveAttempt,
  waitingAttempt,
  withAttempt,
  type AttemptEnd,
  type AttemptRecord,
  type AttemptStatus,
  type ChainedEvent,
  type ProcessStatus,
  type Reason,
  type RunRecord,
} from "./run-record.ts";

/**
 * How long after the n-th send a run that nobody claimed is sent again; the last one repeats. A queue loses nothing on
 * Cloudflare, and what a local one loses when it stops may wait this long: sooner, each of a burst of waiting runs
 * would be told again while nothing is wrong, and each run that starts at once would wake its object for nothing.
 */
export const RESEND_AFTER_MS = [30_000, 60_000, 300_000, 900_000] as const;

export function resendAfterMs(sends: number): number {
  return RESEND_AFTER_MS[Math.min(sends, RESEND_AFTER_MS.length) - 1] ?? RESEND_AFTER_MS[0];
}

export interface NewRun {
  eventKey: string;
  n: number;
  event: FlowEvent;
  flow: Pick<Flow, "name" | "version" | "digest">;
  step: StartableStep;
  origin: RunRecord["origin"];
  replayOf?: string | undefined;
  request?: string | undefined;
  chat?: ChatOrigin | undefined;
  continues?: Continuation | undefined;
  budgetAdded?: BudgetUse | undefined;
  /** Absent where nobody offers the run to a runner. */
  claimKey?: string | undefined;
  depth: number;
  now: number;
}

/** A run as it is stored with its event. Its first queue message follows the commit at once; `sendAt` is the second. */
export function newRun(given: NewRun): RunRecord {
  const { step, now } = given;
  return {
    v: 1,
    n: given.n,
    id: runId(given.eventKey, given.n),
    eventId: given.event.id,
    flow: { name: given.flow.name, version: given.flow.version, digest: given.flow.digest },
    step: {
      name: step.name,
      runner: step.runner,
      ...(step.listens === undefined ? {} : { listens: step.listens }),
    },
    policy: {
      timeoutMs: step.timeoutMs,
      silenceMs: step.silenceMs,
      queueMs: step.queueMs,
      retry: step.retry,
      ...(step.budget === undefined ? {} : { budget: step.budget }),
    },
    pool: step.pool,
    labels: step.labels,
    priority: step.priority,
    ...(step.concurrency === undefined
      ? {}
      : {
          concurrency: {
            key: renderConcurrencyKey(step.concurrency.key, given.event),
            limit: step.concurrency.limit,
          },
        }),
    origin: given.origin,
    ...(given.replayOf === undefined ? {} : { replayOf: given.replayOf }),
    ...(given.request === undefined ? {} : { request: given.request }),
    ...(given.chat === undefined ? {} : { chat: given.chat }),
    ...(given.continues === undefined ? {} : { continues: given.continues }),
    ...(given.budgetAdded === undefined ? {} : { budgetAdded: given.budgetAdded }),
    ...(given.claimKey === undefined ? {} : { claimKey: given.claimKey }),
    depth: given.depth,
    status: "queued",
    attempts: [],
    createdAt: now,
    updatedAt: now,
    queuedAt: now,
    notBefore: now,
    rev: 1,
    sendAt: now + resendAfterMs(1),
    sends: 1,
    outputBytes: 0,
    outputDropped: 0,
  };
}

export type ClaimOutcome =
  | { kind: "claimed"; run: RunRecord; attempt: AttemptRecord; fresh: boolean }
  | { kind: "refused"; reason: Reason };

/**
 * A runner wants to start an attempt. The first claim wins. The same claim, known by its nonce, may come again as long as
 * the runner has sent nothing: then the first answer was lost with the socket, and the lease is handed out once more.
 */
export function claim(
  run: RunRecord,
  by: { attempt: number; runnerId: string; runnerName: string; lease: string; nonce?: string | undefined },
  now: number,
): ClaimOutcome {
  const live = liveAttempt(run);
  const isSameClaim =
    live?.number === by.attempt && live.runnerId === by.runnerId && live.claimNonce === by.nonce;
  if (isSameClaim && live.ackedSeq === 0) return { kind: "claimed", run, attempt: live, fresh: false };
  if (run.status !== "queued") return refused("not_claimable", `run ${run.id} is ${run.status}, not queued`);
  if (by.attempt !== run.attempts.length + 1)
    return refused(
      "not_claimable",
      `run ${run.id} waits with attempt ${run.attempts.length + 1}, not ${by.attempt}`,
    );
  if (now < run.notBefore)
    return refused(
      "too_early",
      `attempt ${by.attempt} of run ${run.id} backs off until ${new Date(run.notBefore).toISOString()}`,
    );
  const attempt: AttemptRecord = {
    number: by.attempt,
    status: "running",
    runnerId: by.runnerId,
    runnerName: by.runnerName,
    lease: by.lease,
    ...(by.nonce === undefined ? {} : { claimNonce: by.nonce }),
    startedAt: now,
    ackedSeq: 0,
  };
  return {
    kind: "claimed",
    attempt,
    fresh: true,
    run: changed(run, now, {
      status: "running",
      attempts: [...run.attempts, attempt],
      startedAt: run.startedAt ?? now,
    }),
  };
}

function refused(code: string, message: string): { kind: "refused"; reason: Reason } {
  return { kind: "refused", reason: { code, message } };
}

export type ResumeOutcome =
  { kind: "resumed"; attempt: AttemptRecord; live: boolean } | { kind: "refused"; reason: Reason };

/** A runner connects again for an attempt. With a lease that is lost it may still hand over evidence (invariant 4). */
export function resume(run: RunRecord, by: { attempt: number; lease: string }): ResumeOutcome {
  const attempt = run.attempts[by.attempt - 1];
  if (attempt === undefined || attempt.lease !== by.lease)
    return refused("unknown_lease", `run ${run.id} knows no such lease for attempt ${by.attempt}`);
  return { kind: "resumed", attempt, live: liveAttempt(run)?.number === attempt.number };
}

/** A FLOW_RESULT came: it stands until a later one replaces it or the process ends (invariant 9). */
export function recordResult(
  run: RunRecord,
  number: number,
  seq: number,
  result: FlowResult,
  now: number,
): RunRecord {
  const attempt = run.attempts[number - 1];
  if (attempt === undefined || seq <= attempt.ackedSeq) return run;
  if (liveAttempt(run)?.number !== number)
    return withEvidence(run, {
      ...attempt,
      ackedSeq: seq,
      late: { ...attempt.late, receivedAt: now, result: asEvidence(result) },
    });
  return changed(run, now, { attempts: withAttempt(run, { ...attempt, ackedSeq: seq, result }) });
}

/** A result that decides nothing any more. All of them have to fit into the run's document together. */
function asEvidence(result: FlowResult): FlowResult {
  if (JSON.stringify(result).length <= EVIDENCE_MAX_CHARS) return result;
  const message = (result.message ?? "").slice(0, EVIDENCE_MAX_CHARS / 2);
  return { status: result.status, message: `${message} (cut: larger than ${EVIDENCE_MAX_CHARS} characters)` };
}

/** Evidence stays out of `rev` and `updatedAt`: it changes nothing that a projection shows. */
function withEvidence(run: RunRecord, attempt: AttemptRecord): RunRecord {
  return { ...run, attempts: withAttempt(run, attempt) };
}

export interface EndOptions {
  now: number;
  /** 0 to 1, for the jitter of a retry's backoff. */
  random: number;
  /** Faults of an event that a result's `next` asks for. */
  checkEvent: (event: unknown) => ErrorDetail[];
}

/**
 * An attempt is over. With the live lease this ends the run or queues its next attempt; without it, it is evidence.
 * `seq` is absent when the edge itself declares the end (lost, out of time).
 */
export function endAttempt(
  run: RunRecord,
  number: number,
  seq: number | undefined,
  end: AttemptEnd,
  options: EndOptions,
): RunRecord {
  const { now } = options;
  const attempt = run.attempts[number - 1];
  if (attempt === undefined || (seq !== undefined && seq <= attempt.ackedSeq)) return run;
  const ackedSeq = seq ?? attempt.ackedSeq;
  if (liveAttempt(run)?.number !== number)
    return withEvidence(run, { ...attempt, ackedSeq, late: { ...attempt.late, receivedAt: now, end } });

  const outcome = outcomeOf(end, attempt.result, run.cancel !== undefined);
  const ended: AttemptRecord = {
    ...attempt,
    ackedSeq,
    end,
    status: outcome.status,
    completedAt: now,
    ...(outcome.error === undefined ? {} : { error: outcome.error }),
  };
  delete ended.unseenSince;
  delete ended.awaySince;
  delete ended.overdueSince;
  const next = withdrawAll(changed(run, now, { attempts: withAttempt(run, ended) }), now);
  return mayRetry(run, outcome) ? requeued(next, options) : terminated(next, outcome, options);
}

function mayRetry(run: RunRecord, outcome: Outcome): boolean {
  const { attempts, on } = run.policy.retry;
  return (
    outcome.retry !== undefined &&
    on.includes(outcome.retry) &&
    run.attempts.length < attempts &&
    run.cancel === undefined
  );
}

/** The next attempt's result is the one that counts; of this one's, evidence remains. */
function superseded(run: RunRecord): AttemptRecord[] {
  return run.attempts.map((attempt) =>
    attempt.result === undefined ? attempt : { ...attempt, result: asEvidence(attempt.result) },
  );
}

/** The wait for a runner, and with it the queue clock, begins when the backoff is over (invariant 11). */
function requeued(run: RunRecord, { now, random }: EndOptions): RunRecord {
  const doubled = run.policy.retry.backoffMs * 2 ** (run.attempts.length - 1);
  const notBefore = now + Math.round(Math.min(doubled, RETRY_BACKOFF_MAX_MS) * (0.75 + random / 2));
  return {
    ...run,
    attempts: superseded(run),
    status: "queued",
    queuedAt: notBefore,
    notBefore,
    sendAt: notBefore,
    sends: 0,
  };
}

const PROCESS_OF: Record<Exclude<AttemptStatus, "running">, ProcessStatus> = {
  completed: "completed",
  failed: "failed",
  canceled: "canceled",
  lost: "failed",
  timeout: "failed",
};

function terminated(run: RunRecord, outcome: Outcome, options: EndOptions): RunRecord {
  const { now } = options;
  const chained = outcome.result === undefined ? [] : chainedEvents(run, outcome.result, options);
  // Whom the first signal found is no news once the tree is proven empty.
  const proven = run.attempts.at(-1)?.end?.tree?.empty === true ? { survivors: [] } : {};
  return {
    ...run,
    status: PROCESS_OF[outcome.status],
    completedAt: now,
    ...(outcome.result === undefined ? {} : { result: outcome.result }),
    ...(outcome.error === undefined ? {} : { error: outcome.error }),
    ...(run.cancel === undefined || outcome.status !== "canceled"
      ? {}
      : { cancel: { ...run.cancel, ...proven, state: "canceled" as const } }),
    // The first send of chained events follows the commit at once; `sendAt` is the second.
    ...(chained.length === 0 ? {} : { chained, sends: 1, sendAt: now + resendAfterMs(1) }),
  };
}

function chainedEvents(run: RunRecord, result: FlowResult, options: EndOptions): ChainedEvent[] {
  return (result.next ?? []).slice(0, CHAIN_MAX_EVENTS + 1).map((event, index): ChainedEvent => {
    const eventId = idOf(event);
    const refuse = (why: string): ChainedEvent => ({ index, eventId, state: "refused", reason: why });
    if (index >= CHAIN_MAX_EVENTS)
      return refuse(
        `one run may send ${CHAIN_MAX_EVENTS} events; this one and what follows it were not sent`,
      );
    if (run.depth + 1 > CHAIN_MAX_DEPTH)
      return refuse(`the chain is already ${run.depth} events deep, the limit is ${CHAIN_MAX_DEPTH}`);
    const faults = options.checkEvent(event);
    return faults.length === 0
      ? { index, eventId, state: "owed" }
      : refuse(faults.map((fault) => `${fault.path} ${fault.message}`).join("; "));
  });
}

function idOf(event: unknown): string | null {
  if (event === null || typeof event !== "object" || !("id" in event)) return null;
  return typeof event.id === "string" ? event.id : null;
}

/** What became of a chained event: its own object has taken it over, or it cannot be taken at all. */
export type ChainedOutcome = { state: "sent"; runIds: string[] } | { state: "refused"; reason: string };

export function noteChained(run: RunRecord, index: number, outcome: ChainedOutcome, now: number): RunRecord {
  const entry = run.chained?.[index];
  if (run.chained === undefined || entry?.state !== "owed") return run;
  const chained = run.chained.map((known) => (known.index === index ? { ...known, ...outcome } : known));
  return changed(run, now, { chained });
}

/** Somebody wants the run to stop. A run that nobody has started is canceled at once; a running one must prove it. */
export function requestCancel(run: RunRecord, by: string, now: number): RunRecord {
  if (isTerminal(run.status) || run.cancel !== undefined) return run;
  if (run.status === "queued")
    return changed(run, now, {
      status: "canceled",
      completedAt: now,
      cancel: { state: "canceled", by, requestedAt: now },
    });
  return changed(run, now, { cancel: { state: "cancel_requested", by, requestedAt: now } });
}

/** The runner has signalled the tree; `survivors` are the pids that it still sees. */
export function recordSignalled(run: RunRecord, number: number, survivors: number[], now: number): RunRecord {
  const { cancel } = run;
  if (cancel === undefined || liveAttempt(run)?.number !== number) return run;
  const known = cancel.survivors ?? [];
  const same = known.length === survivors.length && known.every((pid) => survivors.includes(pid));
  if (cancel.state === "signalled" && same) return run;
  return changed(run, now, {
    cancel: { ...cancel, state: "signalled", signalledAt: cancel.signalledAt ?? now, survivors },
  });
}

/** The queue gave a message up. The run ends where people see it, and can be replayed. */
export function deadLetter(run: RunRecord, attempt: number, now: number): RunRecord {
  if (waitingAttempt(run) !== attempt) return run;
  return changed(run, now, {
    status: "failed",
    completedAt: now,
    error: {
      code: "dead_lettered",
      message: `attempt ${attempt} could not be handed to pool ${run.pool}: the queue gave up after its retries; replay the event to try again`,
    },
  });
}

/** What one attempt's output has come to: what is committed, and how much of the run's bound is used. */
export interface OutputProgress {
  ackedSeq: number;
  bytes: number;
  dropped: number;
  /** What it had told of its use of the budget by then. */
  used?: BudgetUse | undefined;
}
