/** Which runner a name means. Names are not unique, ids are; a box whose journal was deleted leaves its old self behind. */
import { ConflictError, NotFoundError } from "../contract/errors.ts";

/** What of a runner decides. */
export interface NamedRunner {
  id: string;
  name: string;
  pool: string;
  state: string;
}

/** Known names that an error lists. */
const LISTED_MAX_RUNNERS = 20;

/** The runner with this id; else the one with this name that is there; else the one that was. Throws 404 and 409. */
export function chooseRunner<Runner extends NamedRunner>(runners: readonly Runner[], wanted: string): Runner {
  const byId = runners.filter(({ id }) => id === wanted);
  const byName = runners.filter(({ name }) => name === wanted);
  const present = byName.filter(({ state }) => state !== "disconnected");
  const fitting = [byId, present, byName].find(({ length }) => length > 0) ?? [];
  const [first] = fitting;
  if (first === undefined) throw unknownRunner(runners, wanted);
  if (fitting.length > 1)
    throw new ConflictError(
      "runner_ambiguous",
      `${fitting.length} runners are called ${wanted}; use an id: ${listed(fitting)}`,
    );
  return first;
}

export function unknownRunner(known: readonly NamedRunner[], wanted: string): NotFoundError {
  const others = known.length === 0 ? "no runner is known" : `known: ${listed(known)}`;
  return new NotFoundError("runner_not_found", `there is no runner ${wanted}; ${others}`, [
    { path: "{name}", message: "is the name or id of no runner" },
  ]);
}

function listed(runners: readonly NamedRunner[]): string {
  const words = runners
    .slice(0, LISTED_MAX_RUNNERS)
    .map(({ id, name, pool }) => `${name} (${id}, pool ${pool})`);
  const left = runners.length - words.length;
  return [...words, ...(left > 0 ? [`and ${left} more`] : [])].join(", ");
}
