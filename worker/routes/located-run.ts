/** A run's id routes itself (invariant 3): from the path of a request to the object that owns the run. */
import type { Context } from "hono";
import { NotFoundError } from "../../contract/errors.ts";
import { parseRunId } from "../../contract/ids.ts";
import { RUN_NOT_FOUND } from "../../contract/runner-link.ts";
import type { FlowEventObject } from "../../durable-objects/flow-event/object.ts";
import type { Remote } from "../../durable-objects/kit/remote.ts";
import type { AppContext } from "../app-context.ts";

/** The run that `:id` names, wherever it lives. Throws NotFoundError for what cannot be a run's id. */
export function located(context: Context<AppContext>): {
  object: Remote<FlowEventObject>;
  n: number;
  id: string;
} {
  const id = context.req.param("id") ?? "";
  const parsed = parseRunId(id);
  if (parsed === undefined) throw unknownRun(id);
  return { object: context.env.EVENTS.getByName(parsed.eventKey), n: parsed.n, id };
}

export function unknownRun(id: string): NotFoundError {
  return new NotFoundError(RUN_NOT_FOUND, `run not found: ${id}`, [
    { path: "{id}", message: "is no run that is stored" },
  ]);
}
