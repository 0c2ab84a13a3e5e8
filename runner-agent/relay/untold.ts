/**
 * Sessions that are over on this box and not at their edge: their relay has ceased to wait for an edge that was away, or was
 * killed. What is owed stands in the journal in the session's folder, and whoever comes by tells it: the next relay, `relay
 * resume`, a runner agent of the same user. It goes to the run that the session always was, behind what the edge has
 * acknowledged (invariant 8), so that nothing is told twice.
 *
 * U1. A session that runs is its relay's alone: it is announced (relay-folder.ts), and its journal is locked.
 * U2. It is told to the edge that it was begun at, and to no other.
 */
import { hostname } from "node:os";
import { attemptId } from "../../contract/ids.ts";
import { Conversation } from "../conversation.ts";
import type { JournaledAttempt } from "../journal/entries.ts";
import { Journal } from "../journal/journal.ts";
import { JournalInUseError } from "../journal/tables.ts";
import { RunLink } from "../link/run-link.ts";
import type { AgentLog } from "../log.ts";
import { reapAttempt } from "../steps/process-tree.ts";
import { foldersLeftWithJournal, journalIn, noteDelivery, removeJournal } from "./relay-folder.ts";

/** An edge that does not take it all within this long is away, and asked again another time. */
const TELLING_MAX_MS = 30_000;
/** How often an agent looks for what relays have left. */
const TELLING_INTERVAL_MS = 60_000;
const EDGE_SETTING = "edgeUrl";

export interface TellingEdge {
  url: string;
  /** That may carry runs. */
  token: string;
}

/** What became of a session's rest. */
export type Telling =
  | { kind: "told"; runId: string }
  /** Nothing was owed. */
  | { kind: "nothing" }
  /** It stays where it is. */
  | { kind: "away"; runId: string }
  | { kind: "other_edge"; url: string }
  /** Somebody else is telling it, or its relay lives. */
  | { kind: "busy" };

/** Writes down which edge a session belongs to (U2). */
export function noteEdge(journal: Journal, url: string): string {
  return journal.setting(EDGE_SETTING, () => url);
}

/** Tells what is left of all sessions of this box that belong to this edge. Never rejects. */
export async function tellUntold(edge: TellingEdge, say: AgentLog, stopped: AbortSignal): Promise<void> {
  for (const folder of await foldersLeftWithJournal().catch(() => [])) {
    if (stopped.aborted) return;
    try {
      const telling = await tellRest(folder, edge, stopped);
      if (telling.kind === "told")
        say("info", "told the rest of an earlier session", { run: telling.runId, folder });
    } catch (error) {
      say("warn", `the rest of an earlier session could not be told: ${String(error)}`, { folder });
    }
  }
}

/** The same now and every so often; at most one at a time. Returns what ends it. */
export function keepTelling(edge: TellingEdge, say: AgentLog): () => Promise<void> {
  const stop = new AbortController();
  let telling = tellUntold(edge, say, stop.signal);
  const timer = setInterval(() => {
    telling = telling.then(() => tellUntold(edge, say, stop.signal));
  }, TELLING_INTERVAL_MS);
  return async () => {
    clearInterval(timer);
    stop.abort();
    await telling;
  };
}

/** @throws JournalUnusableError */
export async function tellRest(folder: string, edge: TellingEdge, stopped: AbortSignal): Promise<Telling> {
  let journal: Journal;
  try {
    journal = new Journal(journalIn(folder));
  } catch (error) {
    if (error instanceof JournalInUseError) return { kind: "busy" };
    throw error;
  }
  try {
    const url = noteEdge(journal, edge.url);
    if (linkUrl(url) !== linkUrl(edge.url)) return { kind: "other_edge", url };
    let told: string | undefined;
    for (const left of journal.attempts()) {
      await endLeft(journal, left);
      if (!(await handOver(journal, left, edge, stopped))) return { kind: "away", runId: left.runId };
      told = left.runId;
    }
    if (told !== undefined) await noteDelivery(folder, { runId: told, handedOver: true });
    await removeJournal(folder);
    return told === undefined ? { kind: "nothing" } : { kind: "told", runId: told };
  } finally {
    journal.close();
  }
}

/** Of a relay that was killed, nobody has written how its session ended: that is so now. */
async function endLeft(journal: Journal, left: JournaledAttempt): Promise<void> {
  if (journal.endSeq(left) !== undefined) return;
  const tree = await reapAttempt(attemptId(left.runId, left.attempt));
  const message = "the relay was killed while its agent worked; what it had left running is ended";
  journal.appendEnd(left, { reason: "abandoned", tree, error: { code: "lost", message } });
}

/** False when the edge has not taken all of it in time. One that does not know the run any more wants nothing of it. */
async function handOver(
  journal: Journal,
  left: JournaledAttempt,
  { url, token }: TellingEdge,
  stopped: AbortSignal,
): Promise<boolean> {
  const nothing = (): void => undefined;
  const over = Promise.withResolvers<boolean>();
  const giveUp = (): void => {
    over.resolve(false);
  };
  const taken = (): void => {
    over.resolve(true);
  };
  const link = new RunLink({
    ...left,
    url: linkUrl(url),
    token,
    runnerId: "",
    runnerName: hostname(),
    journal,
    // Its agent is gone: nobody asks, and nobody hears.
    conversation: new Conversation({ journalApproval: nothing, journalWithdrawal: nothing, tell: nothing }),
    claimed: nothing,
    stop: nothing,
    refused: taken,
    done: taken,
    lost: nothing,
    moved: nothing,
  });
  const timer = setTimeout(giveUp, TELLING_MAX_MS);
  stopped.addEventListener("abort", giveUp, { once: true });
  if (stopped.aborted) giveUp();
  try {
    return await over.promise;
  } finally {
    clearTimeout(timer);
    stopped.removeEventListener("abort", giveUp);
    link.close();
  }
}

function linkUrl(url: string): string {
  return url.replace(/^http/, "ws").replace(/\/$/, "");
}
