/** What a run's state means to somebody who waits for it. */

/** Whether a run, or what a frame says of one, has ended. */
export function isOver(run: { status?: unknown }): boolean {
  return run.status === "completed" || run.status === "failed" || run.status === "canceled";
}

/** Whether it ended as nobody wished: failed, canceled, or needing attention. */
export function endedBadly(run: { status: string; needsAttention: boolean }): boolean {
  return run.needsAttention || run.status === "failed" || run.status === "canceled";
}
