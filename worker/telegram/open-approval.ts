/** The approval that is meant when none is named: the only open one. Never one of several. */
import { BadRequestError } from "../../contract/errors.ts";
import type { Env } from "../env.ts";
import { locateRun, unknownRun } from "../chat/located.ts";

/** Its id. Throws BadRequestError unless exactly one is open. */
export async function openApproval(env: Env, runId: string): Promise<string> {
  const { object, n } = locateRun(env, runId);
  const run = await object.runView(n);
  if (run === undefined) throw unknownRun(runId);
  const open = (run.approvals ?? []).filter(({ state }) => state === "pending");
  const [first] = open;
  if (first === undefined) throw new BadRequestError("no_approval", `run ${runId} waits for no approval`);
  if (open.length > 1)
    throw new BadRequestError(
      "several_approvals",
      `several approvals are open: name one of ${open.map(({ id }) => id).join(", ")}`,
    );
  return first.id;
}
