/**
 * What must be true when everything is over, as a pure function: what was sent, what the edge says, and what the steps
 * wrote down on disk are held against each other. Three ways to be wrong:
 *
 *   lost      an acknowledged event without its runs, a run without its work or with a hole in its output, a failure
 *             that nothing explains, a chained event that never came
 *   doubled   two starts of an attempt, a start that the edge does not know, more runs than steps, two results,
 *             two at a time under one concurrency key
 *   stuck     a run that is not over, a process that still runs
 */
import { attemptId, parseAttemptId } from "../../contract/ids.ts";
import type { RunView } from "../../contract/run-view.ts";
import type { Deeds } from "./deployment.ts";
import type { Kind, StepPayload } from "./plan.ts";
import { expectedOutput, type Mark } from "./workload.ts";

/** What the edge answered to one sending. */
export interface Answer {
  status: string;
  runIds: string[];
}

export interface SentEvent {
  id: string;
  kind: Kind;
  payload: StepPayload;
  answers: Answer[];
}

/** An event as the edge shows it; runs with their output. */
export interface KeptEvent {
  id: string;
  runs: RunView[];
}

export interface Evidence {
  sent: SentEvent[];
  /** By event id; one that the edge does not know is not there. */
  kept: Map<string, KeptEvent>;
  marks: Mark[];
  deeds: Deeds;
  /** Processes that still bear the id of a run. */
  processes: { pid: number; runId: string }[];
}

export interface Finding {
  fault: "lost" | "doubled" | "stuck";
  /** Id of the event, the run or the attempt. */
  subject: string;
  what: string;
}

/** An agent's clock reading and the edge's may be read in either order around a kill. */
const SLACK_MS = 1_000;
const MANY_FLOWS: Partial<Record<Kind, number>> = { pair: 2 };

type Report = (fault: Finding["fault"], subject: string, what: string) => void;

export function audit(evidence: Evidence): Finding[] {
  const findings: Finding[] = [];
  const report: Report = (fault, subject, what) => {
    findings.push({ fault, subject, what });
  };
  const starts = Map.groupBy(
    evidence.marks.filter(({ what }) => what === "start"),
    (mark) => mark.attemptId,
  );
  const known = new Set<string>();
  const look = (event: ExpectedEvent): void => {
    const kept = evidence.kept.get(event.id);
    if (kept === undefined) {
      report("lost", event.id, "the edge does not know the event");
      return;
    }
    checkRunCount(event, kept, report);
    for (const run of kept.runs) {
      for (const attempt of run.attempts) known.add(attempt.id);
      checkRun(run, event.payload, evidence, starts, report);
      for (const next of event.payload.next ?? []) {
        if (run.status === "completed") checkChained(run, next.id, report);
        if (run.status === "completed") look({ id: next.id, payload: next.payload, runs: 1, answers: [] });
        else if (evidence.kept.has(next.id))
          report("doubled", next.id, `the event was sent, and its run ${run.id} is ${run.status}`);
      }
    }
  };
  for (const { id, kind, payload, answers } of evidence.sent)
    look({ id, payload, answers, runs: MANY_FLOWS[kind] ?? 1 });
  for (const id of starts.keys())
    if (!known.has(id)) report("doubled", id, "a step has started, and the edge knows of no such attempt");
  checkKeys(evidence, report);
  for (const { pid, runId } of evidence.processes) report("stuck", runId, `process ${pid} still runs`);
  return findings;
}

interface ExpectedEvent {
  id: string;
  payload: StepPayload;
  /** Steps that match it. */
  runs: number;
  answers: Answer[];
}

/** One set of runs, and all answers name it (invariant 2). */
function checkRunCount({ id, runs, answers }: ExpectedEvent, kept: KeptEvent, report: Report): void {
  const ids = kept.runs.map((run) => run.id).sort();
  if (ids.length < runs) report("lost", id, `${ids.length} runs instead of ${runs}`);
  if (ids.length > runs) report("doubled", id, `${ids.length} runs instead of ${runs}`);
  if (answers.filter(({ status }) => status === "accepted").length > 1)
    report("doubled", id, "the event was accepted twice");
  for (const answer of answers)
    if (answer.runIds.toSorted().join() !== ids.join())
      report(
        "lost",
        id,
        `the sender was told of ${answer.runIds.join(", ")}, the edge has ${ids.join(", ")}`,
      );
}

function checkRun(
  run: RunView,
  payload: StepPayload,
  { deeds, marks }: Evidence,
  starts: Map<string, Mark[]>,
  report: Report,
): void {
  if (run.completedAt === undefined) report("stuck", run.id, `the run is ${run.status}`);
  const completed = run.attempts.filter(({ status }) => status === "completed");
  if (completed.length > 1) report("doubled", run.id, `${completed.length} attempts completed`);
  if (run.status === "completed" && run.result?.message !== completed[0]?.id)
    report(
      "doubled",
      run.id,
      `the result is ${String(run.result?.message)}'s, not that of ${String(completed[0]?.id)}`,
    );
  for (const attempt of run.attempts) {
    const begun = starts.get(attempt.id)?.length ?? 0;
    if (begun > 1) report("doubled", attempt.id, `the step started ${begun} times`);
    const done = marks.filter((mark) => mark.what === "end" && mark.attemptId === attempt.id).length;
    if (attempt.status === "completed" && done === 0)
      report("lost", attempt.id, "completed, and the step never came to its end");
    checkOutput(run, attempt, payload, report);
    checkFailure(attempt, deeds, report);
  }
  if (run.status !== "completed" && run.completedAt !== undefined && run.attempts.length === 0)
    report("lost", run.id, `nobody has tried: ${run.error ?? run.status}`);
}

/** Whole when the attempt completed; without a hole in any case (invariant 8). */
function checkOutput(
  run: RunView,
  attempt: RunView["attempts"][number],
  payload: StepPayload,
  report: Report,
): void {
  const printed = (run.output ?? [])
    .filter((chunk) => chunk.kind === "stdout" && chunk.attempt === attempt.attemptNumber)
    .map((chunk) => chunk.text)
    .join("");
  const whole = expectedOutput(attemptId(run.id, attempt.attemptNumber), payload);
  if (attempt.status === "completed" && printed !== whole)
    report("lost", attempt.id, `output is not whole: ${JSON.stringify(printed)}`);
  else if (!whole.startsWith(printed))
    report("lost", attempt.id, `output has a hole: ${JSON.stringify(printed)}`);
}

/** An attempt may fail because its agent or its step was killed, and for no other reason. */
function checkFailure(attempt: RunView["attempts"][number], deeds: Deeds, report: Report): void {
  if (attempt.status === "completed" || attempt.status === "running") return;
  const stepKilled = attempt.errorCode === "killed" && deeds.killedAttempts.includes(attempt.id);
  const agentKilled =
    attempt.status === "lost" &&
    deeds.killedAgents.some(
      ({ name, at }) => name === attempt.runnerName && at + SLACK_MS > Date.parse(attempt.startedAt),
    );
  if (!stepKilled && !agentKilled)
    report(
      "lost",
      attempt.id,
      `${attempt.status} without a cause: ${attempt.errorCode ?? ""} ${attempt.error ?? ""}`,
    );
}

function checkChained(run: RunView, eventId: string, report: Report): void {
  const entry = run.chained?.find((one) => one.eventId === eventId);
  if (entry?.state !== "sent") report("lost", run.id, `${eventId} is ${entry?.state ?? "not known"}`);
}

/** Runs of one concurrency key never overlap: from an attempt's first mark to its last, nobody else marks. */
function checkKeys({ sent, kept, marks }: Evidence, report: Report): void {
  const keyOf = new Map(
    sent.flatMap(({ id, payload }) =>
      (kept.get(id)?.runs ?? []).flatMap((run) =>
        payload.key === undefined ? [] : [[run.id, payload.key] as const],
      ),
    ),
  );
  const keyed = marks.flatMap((mark) => {
    const key = keyOf.get(parseAttemptId(mark.attemptId)?.runId ?? "");
    return key === undefined ? [] : [{ ...mark, key }];
  });
  for (const [key, ofKey] of Map.groupBy(keyed, (mark) => mark.key)) {
    const spans = [...Map.groupBy(ofKey, (mark) => mark.attemptId)]
      .map(([id, its]) => ({
        id,
        from: Math.min(...its.map(({ at }) => at)),
        to: Math.max(...its.map(({ at }) => at)),
      }))
      .sort((a, b) => a.from - b.from);
    for (const [n, span] of spans.entries()) {
      const before = spans[n - 1];
      if (before !== undefined && span.from < before.to)
        report("doubled", span.id, `overlaps ${before.id} under the key ${key}`);
    }
  }
}
