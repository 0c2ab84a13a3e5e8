/** From the words of somebody in a chat to the object that owns the run which he means. */
import { BadRequestError, NotFoundError } from "../../contract/errors.ts";
import { parseRunId } from "../../contract/ids.ts";
import type { FlowEventObject } from "../../durable-objects/flow-event/object.ts";
import type { Remote } from "../../durable-objects/kit/remote.ts";
import type { Env } from "../env.ts";
import type { Asker } from "./asker.ts";
import { runOfPlace } from "./outbox.ts";

export interface LocatedRun {
  object: Remote<FlowEventObject>;
  n: number;
  id: string;
}

/** Throws NotFoundError for what cannot be a run's id. */
export function locateRun(env: Env, id: string): LocatedRun {
  const parsed = parseRunId(id);
  if (parsed === undefined) throw unknownRun(id);
  return { object: env.EVENTS.getByName(parsed.eventKey), n: parsed.n, id };
}

/** The run that was named, or else the one whose thread this is. Throws when there is neither. */
export async function runMeant(env: Env, asker: Asker, named: string | undefined): Promise<string> {
  const id = named?.trim() ?? (await runOfPlace(env, asker.place));
  if (id === undefined || id === "")
    throw new BadRequestError("run_missing", "say which run: here is no thread of one");
  if (parseRunId(id) === undefined) throw unknownRun(id);
  return id;
}

export function unknownRun(id: string): NotFoundError {
  return new NotFoundError("run_not_found", `there is no run ${id.slice(0, 64)}`);
}
