/**
 * Approvals: what a running step may not do before somebody allows it, as pure functions of the run's record.
 *
 *   pending ──decided──▶ decided      the first answer wins, and who gave it is recorded
 *      ├──expires_at──▶ expired       counts as a decline
 *      └──the step no longer waits──▶ withdrawn
 *
 * V1. A request is stored before the runner hears that it is (invariant 8), and stands in the run's own record: it
 *     survives sockets, deploys and restarts.
 * V2. A decision is made once, at the edge; the runner is told on this socket and again on every later one, and
 *     ignores what it has already heard.
 * V3. With the attempt, all that it asked for is over.
 * V4. What is dangerous is accepted by nobody by accident: whoever does says so a second time, whatever the interface.
 */
import Type, { type Static } from "typebox";
import { APPROVALS_KEPT_PER_RUN, APPROVALS_PENDING_MAX, APPROVAL_EXPIRES_AFTER_MS } from "./limits.ts";
import { changed, liveAttempt, withAttempt, type RunRecord } from "./run-record.ts";

export const APPROVAL_KINDS = ["command", "file_change", "permissions", "tool"] as const;
export const APPROVAL_DECISIONS = ["accept", "accept_for_session", "decline", "cancel"] as const;
/** `decline`: the step goes on without it. `cancel`: its turn is interrupted. */
export type ApprovalDecision = (typeof APPROVAL_DECISIONS)[number];

const Decision = Type.Enum([...APPROVAL_DECISIONS]);

/** What a step asks for, redacted by its runner. Ids are unique in the run. */
export const ApprovalRequest = Type.Object(
  {
    id: Type.String({ pattern: "^[A-Za-z0-9_-]{1,64}$" }),
    kind: Type.Enum([...APPROVAL_KINDS]),
    /** One line for a list or a phone. */
    title: Type.String({ minLength: 1, maxLength: 512 }),
    /** The whole command, or the diff, as far as it fits. */
    detail: Type.Optional(Type.String({ maxLength: 4096 })),
    cwd: Type.Optional(Type.String({ maxLength: 1024 })),
    /** Why the step says that it needs this. */
    reason: Type.Optional(Type.String({ maxLength: 1024 })),
    decisions: Type.Array(Decision, { minItems: 1, maxItems: APPROVAL_DECISIONS.length }),
    /** It leaves the sandbox: it is accepted only with `confirm` (V4). */
    dangerous: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);
export type ApprovalRequest = Static<typeof ApprovalRequest>;

export type ApprovalState = "pending" | "decided" | "expired" | "withdrawn";

export interface ApprovalRecord {
  request: ApprovalRequest;
  attempt: number;
  state: ApprovalState;
  /** Epoch ms, as all times of a record. */
  requestedAt: number;
  expiresAt: number;
  decision?: ApprovalDecision;
  decidedBy?: string;
  decidedAt?: number;
}

const Iso = Type.String({ format: "date-time" });

export const ApprovalView = Type.Object(
  {
    ...ApprovalRequest.properties,
    runId: Type.String(),
    attempt: Type.Integer(),
    state: Type.String({ description: "pending, decided, expired or withdrawn" }),
    requestedAt: Iso,
    expiresAt: Iso,
    decision: Type.Optional(Decision),
    decidedBy: Type.Optional(Type.String()),
    decidedAt: Type.Optional(Iso),
  },
  { $id: "Approval" },
);
export type ApprovalView = Static<typeof ApprovalView>;

/** Who decides is who asks, unless the caller speaks for somebody (a chat, a script). */
export const DecideRequest = Type.Object(
  {
    decision: Decision,
    by: Type.Optional(
      Type.String({ minLength: 1, maxLength: 128, description: "Who decides, for the record" }),
    ),
    confirm: Type.Optional(
      Type.Boolean({ description: "True to accept what is marked dangerous: that it is meant" }),
    ),
  },
  { additionalProperties: false, $id: "DecideRequest" },
);
export type DecideRequest = Static<typeof DecideRequest>;

export function pendingApprovals(run: RunRecord): ApprovalRecord[] {
  return (run.approvals ?? []).filter((approval) => approval.state === "pending");
}

/** A step asks. Without the live lease, or under a number that is committed already, nothing happens. */
export function requestApproval(
  run: RunRecord,
  number: number,
  seq: number,
  request: ApprovalRequest,
  now: number,
): RunRecord {
  const attempt = run.attempts[number - 1];
  if (attempt === undefined || seq <= attempt.ackedSeq) return run;
  const acknowledged = { ...run, attempts: withAttempt(run, { ...attempt, ackedSeq: seq }) };
  if (liveAttempt(run)?.number !== number) return acknowledged;
  const asked: ApprovalRecord = {
    request,
    attempt: number,
    state: "pending",
    requestedAt: now,
    expiresAt: now + APPROVAL_EXPIRES_AFTER_MS,
  };
  const record =
    pendingApprovals(run).length < APPROVALS_PENDING_MAX
      ? asked
      : decidedBy(asked, "decline", `the limit of ${APPROVALS_PENDING_MAX} open approvals of a run`, now);
  return changed(acknowledged, now, { approvals: kept([...(run.approvals ?? []), record]) });
}

/** The step no longer waits for it: its turn was interrupted, or something else has answered. */
export function withdrawApproval(
  run: RunRecord,
  number: number,
  seq: number,
  id: string,
  now: number,
): RunRecord {
  const attempt = run.attempts[number - 1];
  if (attempt === undefined || seq <= attempt.ackedSeq) return run;
  const acknowledged = { ...run, attempts: withAttempt(run, { ...attempt, ackedSeq: seq }) };
  const pending = pendingApprovals(run).some(
    (approval) => approval.request.id === id && approval.attempt === number,
  );
  if (!pending) return acknowledged;
  return changed(acknowledged, now, {
    approvals: eachPending(run, (approval) =>
      approval.request.id === id ? { ...approval, state: "withdrawn", decidedAt: now } : approval,
    ),
  });
}

/** Somebody's answer. */
export interface Decided {
  /** Id of the approval. */
  approval: string;
  decision: ApprovalDecision;
  by: string;
  confirm?: boolean | undefined;
}

export type DecideOutcome =
  | { kind: "decided"; run: RunRecord; approval: ApprovalRecord }
  /** Somebody, or the clock, was first. */
  | { kind: "over"; approval: ApprovalRecord }
  | { kind: "not_offered"; approval: ApprovalRecord }
  /** It is dangerous, and nobody has said that it is meant (V4). */
  | { kind: "unconfirmed"; approval: ApprovalRecord }
  | { kind: "unknown" };

export function decideApproval(
  run: RunRecord,
  { approval: id, decision, by, confirm = false }: Decided,
  now: number,
): DecideOutcome {
  const approval = run.approvals?.find((known) => known.request.id === id);
  if (approval === undefined) return { kind: "unknown" };
  if (approval.state !== "pending") return { kind: "over", approval };
  if (!approval.request.decisions.includes(decision)) return { kind: "not_offered", approval };
  if (approval.request.dangerous === true && isAcceptance(decision) && !confirm)
    return { kind: "unconfirmed", approval };
  const decided = decidedBy(approval, decision, by, now);
  return {
    kind: "decided",
    approval: decided,
    run: changed(run, now, {
      approvals: eachPending(run, (known) => (known.request.id === id ? decided : known)),
    }),
  };
}

function isAcceptance(decision: ApprovalDecision): boolean {
  return decision === "accept" || decision === "accept_for_session";
}

function decidedBy(
  approval: ApprovalRecord,
  decision: ApprovalDecision,
  by: string,
  now: number,
): ApprovalRecord {
  return { ...approval, state: "decided", decision, decidedBy: by, decidedAt: now };
}

/** What nobody has answered in time is declined. */
export function expireApprovals(run: RunRecord, now: number): RunRecord {
  if (!pendingApprovals(run).some((approval) => approval.expiresAt <= now)) return run;
  return changed(run, now, {
    approvals: eachPending(run, (approval) =>
      approval.expiresAt <= now
        ? { ...approval, state: "expired", decision: "decline", decidedAt: now }
        : approval,
    ),
  });
}

/** The attempt is over, and with it whatever it has asked for (V3). */
export function withdrawAll(run: RunRecord, now: number): RunRecord {
  if (pendingApprovals(run).length === 0) return run;
  return {
    ...run,
    approvals: eachPending(run, (approval) => ({ ...approval, state: "withdrawn", decidedAt: now })),
  };
}

function eachPending(run: RunRecord, change: (approval: ApprovalRecord) => ApprovalRecord): ApprovalRecord[] {
  return (run.approvals ?? []).map((approval) =>
    approval.state === "pending" ? change(approval) : approval,
  );
}

/** Pending ones always, of the others the newest: all of them have to fit into the run's document. */
function kept(approvals: ApprovalRecord[]): ApprovalRecord[] {
  let surplus = approvals.length - APPROVALS_KEPT_PER_RUN;
  return approvals.filter((approval) => approval.state === "pending" || surplus-- <= 0);
}

export function approvalView(runId: string, approval: ApprovalRecord): ApprovalView {
  const { request, attempt, state, decision, decidedBy: by } = approval;
  return {
    ...request,
    runId,
    attempt,
    state,
    requestedAt: new Date(approval.requestedAt).toISOString(),
    expiresAt: new Date(approval.expiresAt).toISOString(),
    ...(decision === undefined ? {} : { decision }),
    ...(by === undefined ? {} : { decidedBy: by }),
    ...(approval.decidedAt === undefined ? {} : { decidedAt: new Date(approval.decidedAt).toISOString() }),
  };
}
