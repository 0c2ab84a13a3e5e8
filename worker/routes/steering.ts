/** What people do to a run that is under way: decide its approvals, say something to it, raise its budget. */
import { Hono, type Context } from "hono";
import type { ApprovalView } from "../../contract/approvals.ts";
import { additionOf } from "../../contract/budget.ts";
import { ConflictError, NotFoundError } from "../../contract/errors.ts";
import { MESSAGES_PENDING_MAX, REQUEST_MAX_BYTES } from "../../contract/limits.ts";
import type { RunView } from "../../contract/run-view.ts";
import { checkBudgetRequest, checkDecideRequest, checkMessageRequest } from "../../contract/validate.ts";
import type { AppContext } from "../app-context.ts";
import { authorize } from "../auth/authorize.ts";
import { parseJson, readBytes } from "../body.ts";
import { noteApiCall } from "../chat/api-audit.ts";
import { continueRun } from "../continue-run.ts";
import { apiCaller } from "./api-caller.ts";
import { located, unknownRun } from "./located-run.ts";

export const steeringRoutes = new Hono<AppContext>()
  .get("/runs/:id/approvals", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runs:read"]);
    const { object, n, id } = located(context);
    const run = await object.runView(n);
    if (run === undefined) throw unknownRun(id);
    return context.json({ approvals: run.approvals ?? [] });
  })
  .post("/runs/:id/approvals/:approval", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runs:write"]);
    const { object, n, id } = located(context);
    const approval = context.req.param("approval");
    const { decision, by: name, confirm } = await body(context, checkDecideRequest);
    const by = apiCaller(name);
    const answer = await object.decide(n, { approval, decision, by, confirm });
    switch (answer?.kind) {
      case "decided":
        await noteApiCall(context.env, { act: `approval ${decision}`, subject: id, by, outcome: approval });
        return context.json({ approval: answer.approval });
      case "over":
        throw new ConflictError(
          "approval_over",
          `approval ${approval} is over: ${howItEnded(answer.approval)}`,
        );
      case "not_offered":
        throw new ConflictError(
          "decision_not_offered",
          `approval ${approval} can be answered with ${answer.approval.decisions.join(", ")}`,
          [{ path: "/decision", message: "is not offered" }],
        );
      case "unconfirmed":
        throw new ConflictError(
          "confirmation_required",
          `approval ${approval} leaves the sandbox: ${answer.approval.title}; to accept it all the same, send "confirm": true with the decision`,
          [{ path: "/confirm", message: "must be true to accept what is dangerous" }],
        );
      case "unknown_approval":
        throw new NotFoundError("approval_not_found", `run ${id} has asked for no approval ${approval}`, [
          { path: "{approval}", message: "is none that this run has asked for" },
        ]);
      case undefined:
        throw unknownRun(id);
    }
  })
  .post("/runs/:id/messages", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runs:write"]);
    const { object, n, id } = located(context);
    const { text, by } = await body(context, checkMessageRequest);
    const answer = await object.say(n, { text, by: apiCaller(by) });
    switch (answer?.kind) {
      case "said":
        return context.json({ message: answer.message }, 202);
      case "deaf":
        throw new ConflictError(
          "not_listening",
          `step ${answer.run.flowName}/${answer.run.stepName} is of kind ${answer.run.runner}, which takes no messages; codex steps do`,
        );
      case "full":
        throw new ConflictError(
          "too_many_messages",
          `${MESSAGES_PENDING_MAX} messages already wait for the runner to take them`,
        );
      case "over":
        throw overError(answer.run);
      case undefined:
        throw unknownRun(id);
    }
  })
  .post("/runs/:id/budget", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runs:write"]);
    const { object, n, id } = located(context);
    const addition = additionOf(await body(context, checkBudgetRequest));
    const answer = await object.raiseBudget(n, addition);
    switch (answer?.kind) {
      case "raised":
        return context.json({ run: answer.run }, 202);
      case "stopped":
        return context.json({ run: await continueRun({ object, n, id }, answer, addition) }, 202);
      case "unlimited":
        throw new ConflictError(
          "not_limited",
          `the step has no budget of ${answer.units.join(" and ")}: there is nothing to raise`,
        );
      case "over":
        throw overError(answer.run);
      case undefined:
        throw unknownRun(id);
    }
  });

async function body<T>(context: Context<AppContext>, check: Parameters<typeof parseJson<T>>[2]): Promise<T> {
  const bytes = await readBytes(context.req.raw, "the request", REQUEST_MAX_BYTES);
  return parseJson(context.req.raw, bytes, check);
}

function overError(run: RunView): ConflictError {
  return new ConflictError("run_over", `run ${run.id} is already over: ${run.effectiveStatus}`);
}

function howItEnded({ state, decision, decidedBy, decidedAt }: ApprovalView): string {
  if (state === "withdrawn") return `the step no longer waits for it (${decidedAt ?? ""})`;
  if (state === "expired") return `nobody answered in time, which counts as ${decision ?? "decline"}`;
  return `${decidedBy ?? "somebody"} answered ${decision ?? ""} at ${decidedAt ?? ""}`;
}
