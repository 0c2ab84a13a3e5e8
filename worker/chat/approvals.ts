/** What a run asks leave for at this moment. */
import type { ApprovalView } from "../../contract/approvals.ts";
import type { Env } from "../env.ts";
import { locateRun, unknownRun } from "./located.ts";

export async function openApprovals(env: Env, runId: string): Promise<ApprovalView[]> {
  const { object, n } = locateRun(env, runId);
  const run = await object.runView(n);
  if (run === undefined) throw unknownRun(runId);
  return (run.approvals ?? []).filter(({ state }) => state === "pending");
}
