/**
 * A run as its event object keeps it: one document a run, attempts inside. Everything that anybody may want to
 * know later is here; what is derived (effective status, what the outbox owes, when to wake) is computed.
 */
import type { ApprovalRecord } from "./approvals.ts";
import type { BudgetUse, Continuation } from "./budget.ts";
import type { ChatOrigin } from "./chat/place.ts";
import type { FlowResult } from "./flow-result.ts";
import type { RunPolicy, StepKind } from "./flow-manifest.ts";
import { LOST_AFTER_MS, RELAY_LOST_AFTER_MS } from "./limits.ts";
import type { MessageRecord } from "./messages.ts";

export const PROCESS_STATUSES = ["queued", "running", "completed", "failed", "canceled"] as const;
export type ProcessStatus = (typeof PROCESS_STATUSES)[number];

/** Why an attempt or a run ended as it did. `code` is for machines, `message` for people. */
export interface Reason {
  code: string;
  message: string;
}

export type AttemptStatus = "running" | "completed" | "failed" | "canceled" | "lost" | "timeout";

/** How the step's process ended, as the runner saw it. */
export interface ProcessExit {
  code: number | null;
  signal: string | null;
}

/** What the runner found when it looked for survivors (invariant 10). */
export interface TreeProof {
  empty: boolean;
  /** Processes that would not go, by pid. */
  survivors: number[];
}

/** A result that came without the live lease: kept, never acted on (invariant 4). */
export interface LateEvidence {
  receivedAt: number;
  result?: FlowResult;
  end?: AttemptEnd;
}

export const END_REASONS = [
  "exited",
  "reaped",
  "timeout",
  "silence",
  "canceled",
  "refused",
  "abandoned",
] as const;
/**
 * Why the runner says an attempt is over: the process exited; it was reaped after its terminal event; a clock of
 * the runner ran out (wall or silence); it was canceled; the step could not be started; the agent restarted and
 * cannot vouch for the process any more.
 */
export type EndReason = (typeof END_REASONS)[number];

export interface AttemptEnd {
  reason: EndReason;
  exit?: ProcessExit | undefined;
  tree?: TreeProof | undefined;
  error?: Reason | undefined;
}

export interface AttemptRecord {
  number: number;
  status: AttemptStatus;
  runnerId: string;
  runnerName: string;
  lease: string;
  /** The nonce of the claim that won; the lease is handed out again only for the same one. */
  claimNonce?: string;
  /** Epoch milliseconds, as all times in this record. */
  startedAt: number;
  completedAt?: number;
  /** Since when no socket of the runner has been seen; absent while one is open. */
  unseenSince?: number;
  /** The last sign of life that was known when a grace began although a socket is open; another one ends that grace. */
  graceFromSeen?: number;
  /** The first moment after its wall clock at which its runner was not seen: from there it has one grace in all. */
  overdueSince?: number;
  /** Of a relayed session: its box has shown no life since then, and is waited for. People are told, once it is noted. */
  awaySince?: number;
  /** What the edge's clock has jumped over, or a relay was not seen for: it does not count as the step's time. */
  skippedMs?: number;
  /** Highest committed sequence number of a result or end; output has its own in its rows (invariant 8). */
  ackedSeq: number;
  /** What it has told of its own use of the budget. Its output rows may know more. */
  used?: BudgetUse;
  /** Provisional until the process is gone (invariant 9). */
  result?: FlowResult;
  end?: AttemptEnd;
  error?: Reason;
  late?: LateEvidence;
}

export interface CancelRecord {
  /** `cancel_requested → signalled → canceled` (invariant 10). */
  state: "cancel_requested" | "signalled" | "canceled";
  by: string;
  requestedAt: number;
  signalledAt?: number;
  survivors?: number[];
}

/** One event of a result's `next`, and what became of it. */
export interface ChainedEvent {
  index: number;
  eventId: string | null;
  state: "owed" | "sent" | "refused";
  reason?: string;
  runIds?: string[];
}

/** Who has seen that a run needs attention, and when (epoch ms). */
export interface Acknowledgement {
  by: string;
  at: number;
}

export interface RunRecord {
  /** Shape of this document. */
  v: 1;
  n: number;
  id: string;
  eventId: string;
  flow: { name: string; version: number; digest: string };
  step: { name: string; runner: StepKind; listens?: boolean };
  policy: RunPolicy;
  pool: string;
  labels: string[];
  priority: number;
  concurrency?: { key: string; limit: number };
  /** Secret of this run and its pool: what claims are checked against (contract/claim-proof.ts). Never shown. */
  claimKey?: string;
  origin: "event" | "replay" | "next" | "continuation";
  replayOf?: string;
  /** The request that made it of an event which was there already: the same one makes no other. */
  request?: string;
  /** The request from a chat that it came from. */
  chat?: ChatOrigin;
  /** Depth of the event in its chain. */
  depth: number;
  status: ProcessStatus;
  attempts: AttemptRecord[];
  createdAt: number;
  updatedAt: number;
  startedAt?: number;
  completedAt?: number;
  /** When the current wait for a runner began, and the earliest time that the next attempt may be offered. */
  queuedAt: number;
  notBefore: number;
  /** Grows with every change: a projection never goes back to an older state. */
  rev: number;
  /** Outbox: when what this run owes the queue is due (again), and how often it was sent. */
  sendAt: number;
  sends: number;
  /** Outbox: the revision that pool and ledger are known to have been told of; absent: perhaps none. */
  toldRev?: number;
  outputBytes: number;
  outputDropped: number;
  cancel?: CancelRecord;
  approvals?: ApprovalRecord[];
  /** The newest messages, and how many there have been. */
  messages?: MessageRecord[];
  messagesSaid?: number;
  /** What was added to the step's budget. */
  budgetAdded?: BudgetUse;
  /** The newest requests that added to it: each of them once. */
  budgetRaises?: string[];
  continues?: Continuation;
  result?: FlowResult;
  error?: Reason;
  chained?: ChainedEvent[];
  /** Somebody has dealt with how it ended. */
  acknowledged?: Acknowledgement;
  /** A later run of the same step and event that ended well. */
  supersededBy?: string;
}

export function isTerminal(status: ProcessStatus): boolean {
  return status === "completed" || status === "failed" || status === "canceled";
}

/**
 * Whether its attempts wait in a pool for whoever fits. A relayed session is claimed by the relay that began it, and no
 * pool ever hears of it.
 */
export function isPooled(run: RunRecord): boolean {
  return run.step.runner !== "relay";
}

/** How long the lease of its attempt lasts without a sign of life, ms. */
export function leaseMs(run: RunRecord): number {
  return isPooled(run) ? LOST_AFTER_MS : RELAY_LOST_AFTER_MS;
}

/** The attempt that a runner may claim now, or the one that runs. */
export function waitingAttempt(run: RunRecord): number | undefined {
  return run.status === "queued" ? run.attempts.length + 1 : undefined;
}

export function liveAttempt(run: RunRecord): AttemptRecord | undefined {
  return run.status === "running" ? run.attempts.at(-1) : undefined;
}

/** A later state of the run: its revision grows, so that no projection takes it for the older one. */
export function changed(run: RunRecord, now: number, change: Partial<RunRecord>): RunRecord {
  return { ...run, ...change, rev: run.rev + 1, updatedAt: now };
}

/** The run's attempts with this one in place of the one of its number. */
export function withAttempt(run: RunRecord, attempt: AttemptRecord): AttemptRecord[] {
  return run.attempts.map((known) => (known.number === attempt.number ? attempt : known));
}
