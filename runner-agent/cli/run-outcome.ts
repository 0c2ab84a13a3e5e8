/** What a run's state means to somebody who waits for it. */
import { isBadEnd } from "../../contract/attention.ts";

/** Whether a run, or what a frame says of one, has ended. */
export function isOver(run: { status?: unknown }): boolean {
  return run.status === "completed" || run.status === "failed" || run.status === "canceled";
}

/** Whether it ended as nobody wished: failed, canceled, blocked or in need of intervention, dealt with or not. */
export function endedBadly(run: { status: string; effectiveStatus: string }): boolean {
  return isBadEnd(run.effectiveStatus) || run.status === "failed" || run.status === "canceled";
}
