/**
 * Ids as people type them: the short forms that tables and chats show, and `last`. A whole id goes to the edge as it is
 * and costs no further request.
 */
import { EdgeAnswerError, type EdgeClient } from "../../client/http.ts";
import { isShortRunId } from "../../contract/chat/short-id.ts";
import { parseRunId } from "../../contract/ids.ts";
import { LIST_MAX_ITEMS } from "../../contract/limits.ts";
import { UsageError } from "./problem.ts";

/** Characters of a run's key in a short id: 40 bits, so that two runs hardly ever share one. */
const SHORT_KEY_CHARS = 8;
/** Fewer characters would be a guess, not an id. */
const PREFIX_MIN_CHARS = 4;
/** Candidates that an error names. */
const NAMED_MAX = 5;
/** The newest run. */
export const LAST_RUN = "last";
export const RUN_ARGUMENT = "id of the run, its short form, or `last` for the newest run";

/** `run_2jcaz4v5kmhyd86r_1` as `2jcaz4v5_1`. */
export function shortRun(id: string): string {
  const parsed = parseRunId(id);
  return parsed === undefined ? id : `${parsed.eventKey.slice(0, SHORT_KEY_CHARS)}_${parsed.n}`;
}

/**
 * The whole id of the run that somebody typed. Looks among the newest runs of the edge; what is no short id goes on
 * unchanged, and the edge says what is wrong with it. Throws UsageError when several runs fit.
 */
export async function resolveRun(client: EdgeClient, typed: string): Promise<string> {
  if (parseRunId(typed) !== undefined) return typed;
  if (typed === LAST_RUN) {
    const [newest] = (await client.listRuns({ limit: 1 })).runs;
    if (newest !== undefined) return newest.id;
    throw new UsageError("there is no run yet", "send an event: codex-flow dispatch --help");
  }
  const prefix = withoutEllipsis(typed).replace(/^run_/, "");
  if (!/^[0-9a-z]{4,16}([_-][0-9]{1,6})?$/i.test(prefix)) return typed;
  const { runs } = await client.listRuns({ limit: LIST_MAX_ITEMS });
  const fitting = runs.map(({ id }) => id).filter((id) => fits(id, prefix.toLowerCase()));
  return theOnly(typed, fitting, "run") ?? typed;
}

/** Key and number of a run by the beginning of its key, or as chats show it. */
function fits(id: string, prefix: string): boolean {
  const parsed = parseRunId(id);
  if (parsed === undefined) return false;
  const [key = "", n] = prefix.split(/[_-]/);
  return (
    isShortRunId(id, prefix) ||
    (parsed.eventKey.startsWith(key) && (n === undefined || Number(n) === parsed.n))
  );
}

/** Calls with an event's id; when there is no such event, with the only id among the newest that begins like it. */
export async function withEvent<T>(
  client: EdgeClient,
  typed: string,
  call: (id: string) => Promise<T>,
): Promise<T> {
  try {
    return await call(typed);
  } catch (error) {
    const prefix = withoutEllipsis(typed);
    const isUnknown = error instanceof EdgeAnswerError && error.code === "event_not_found";
    if (!isUnknown || prefix.length < PREFIX_MIN_CHARS) throw error;
    const { events } = await client.listEvents({ limit: LIST_MAX_ITEMS });
    const fitting = events.map(({ id }) => id).filter((id) => id.startsWith(prefix));
    const id = theOnly(typed, fitting, "event");
    if (id === undefined) throw error;
    return call(id);
  }
}

/** Tables cut with an ellipsis, which is copied with the rest. */
function withoutEllipsis(typed: string): string {
  return typed.replace(/(…|\.\.\.)$/, "");
}

function theOnly(typed: string, ids: readonly string[], what: string): string | undefined {
  const different = [...new Set(ids)];
  if (different.length <= 1) return different[0];
  const more = different.length > NAMED_MAX ? `, and ${different.length - NAMED_MAX} more` : "";
  throw new UsageError(
    `${typed} fits ${different.length} ${what}s: ${different.slice(0, NAMED_MAX).join(", ")}${more}`,
    `type more of the id`,
    "ambiguous_id",
  );
}
