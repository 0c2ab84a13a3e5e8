/**
 * What becomes of a run whose process has died: it ends as lost, with the reason, and what its step has left running
 * is ended too. Its result stands if it had one. Nothing is started again by itself: a replay does that.
 */
import { attemptId } from "../../contract/ids.ts";
import { WALL_MARGIN_MS } from "../../contract/limits.ts";
import { changed, endAttempt, isTerminal, liveAttempt } from "../../contract/run-lifecycle.ts";
import type { RunRecord, TreeProof } from "../../contract/run-record.ts";
import { reapAttempt } from "../steps/process-tree.ts";
import { endOptions, isSettled } from "./local-run.ts";
import { isGone } from "./owner.ts";
import type { LocalRun } from "./store.ts";

/** The run as it has to end; undefined while its process may still live, or when there is nothing to do. */
export async function recover(stored: LocalRun): Promise<RunRecord | undefined> {
  const { run, owner } = stored;
  if (isSettled(run)) return undefined;
  const gone = isGone(owner);
  if (gone === false || (gone === "unknown" && !isOverdue(run, Date.now()))) return undefined;
  const live = liveAttempt(run);
  // Of another host nothing can be seen here.
  const tree =
    live === undefined || gone !== true ? undefined : await reapAttempt(attemptId(run.id, live.number));
  return lost(run, `process ${owner.pid} on ${owner.host}, which worked on it, has died`, tree);
}

/** Past every clock that its process kept: whoever that was, it does so no more. */
function isOverdue(run: RunRecord, now: number): boolean {
  const live = liveAttempt(run);
  if (live !== undefined) return now >= live.startedAt + run.policy.timeoutMs + WALL_MARGIN_MS;
  return now >= (run.completedAt ?? run.queuedAt) + run.policy.queueMs;
}

function lost(run: RunRecord, why: string, tree: TreeProof | undefined): RunRecord {
  const options = endOptions();
  const error = { code: "lost", message: `${why}; replay the event to run it again` };
  const live = liveAttempt(run);
  if (live !== undefined) {
    // Nobody is there to try again, whatever the step's retry says.
    const once = { ...run, policy: { ...run.policy, retry: { ...run.policy.retry, attempts: 1 } } };
    const end = { reason: "abandoned" as const, error, ...(tree === undefined ? {} : { tree }) };
    const ended = endAttempt(once, live.number, undefined, end, options);
    return withoutDebts({ ...ended, policy: run.policy }, why, options.now);
  }
  if (isTerminal(run.status)) return withoutDebts(run, why, options.now);
  return changed(run, options.now, { status: "failed", completedAt: options.now, error });
}

/** Events that the result asked for and that nobody will send. */
function withoutDebts(run: RunRecord, why: string, now: number): RunRecord {
  if (isSettled(run)) return run;
  const chained = (run.chained ?? []).map((entry) =>
    entry.state === "owed" ? { ...entry, state: "refused" as const, reason: `not sent: ${why}` } : entry,
  );
  return changed(run, now, { chained });
}
