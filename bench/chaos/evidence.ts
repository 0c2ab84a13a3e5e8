/** Gathers what the audit looks at, once everything is over or has had its time. */
import { readdir, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { EdgeAnswerError, type EdgeClient } from "../../client/http.ts";
import type { KeptEvent } from "./audit.ts";

const LOOK_AGAIN_MS = 500;
/** Events asked for at once. */
const AT_ONCE = 8;
const NOT_FOUND = 404;

/**
 * The events as the edge shows them, with the output of their runs. Waits until all of these events' runs are over and
 * their chained events are sent, or `withinMs` have passed.
 */
export async function gatherEvents(
  client: EdgeClient,
  ids: string[],
  withinMs: number,
): Promise<Map<string, KeptEvent>> {
  const deadline = performance.now() + withinMs;
  const kept = new Map<string, KeptEvent>();
  for (let open = ids; open.length > 0;) {
    const found = await inTurns(open, (id) => readEvent(client, id));
    open = [];
    for (const { id, event } of found) {
      if (event !== undefined) kept.set(id, event);
      if (event === undefined || !isOver(event)) open.push(id);
    }
    if (performance.now() > deadline) break;
    if (open.length > 0) await sleep(LOOK_AGAIN_MS);
  }
  await inTurns([...kept.values()], async (event) => {
    event.runs = await Promise.all(event.runs.map(({ id }) => client.getRun(id)));
  });
  return kept;
}

/** The events among these that the edge knows, as they are now. */
export async function knownEvents(client: EdgeClient, ids: string[]): Promise<string[]> {
  const found = await inTurns(ids, (id) => readEvent(client, id));
  return found.filter(({ event }) => event !== undefined).map(({ id }) => id);
}

async function readEvent(
  client: EdgeClient,
  id: string,
): Promise<{ id: string; event: KeptEvent | undefined }> {
  try {
    const { runs } = await client.getEvent(id);
    return { id, event: { id, runs } };
  } catch (error) {
    if (error instanceof EdgeAnswerError && error.status === NOT_FOUND) return { id, event: undefined };
    throw error;
  }
}

function isOver({ runs }: KeptEvent): boolean {
  return runs.every(
    (run) => run.completedAt !== undefined && (run.chained ?? []).every(({ state }) => state !== "owed"),
  );
}

async function inTurns<T, R>(all: T[], act: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let from = 0; from < all.length; from += AT_ONCE)
    results.push(...(await Promise.all(all.slice(from, from + AT_ONCE).map(act))));
  return results;
}

/** Processes of this box that bear the id of one of these runs. */
export async function processesOf(runIds: Set<string>): Promise<{ pid: number; runId: string }[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const environment = await readFile(`/proc/${pid}/environ`, "latin1").catch(() => "");
      const runId = /(?:^|\0)CODEX_FLOW_RUN_ID=([^\0]+)/.exec(environment)?.[1];
      return runId !== undefined && runIds.has(runId) ? [{ pid: Number(pid), runId }] : [];
    }),
  );
  return found.flat();
}
