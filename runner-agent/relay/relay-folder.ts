/**
 * What a relay leaves on its box: a private folder for each session (its stream, its journal, how delivery went), kept for
 * a week; and a file for each session that runs, by the pid of its relay, so that the next relay can end what one that
 * was killed has left running.
 *
 *   <tmp>/dev-relay.XXXXXX/stream.jsonl, journal.sqlite, delivery-summary.json
 *   <tmp>/dev-relay-sessions/<pid>[.<n>].json
 */
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attemptId } from "../../contract/ids.ts";
import { processStart, reapAttempt } from "../steps/process-tree.ts";
import { objectOf, textOf } from "./agents/item-parts.ts";
import { readOwnFile, replaceFile } from "./small-file.ts";

const FOLDER_PREFIX = "dev-relay.";
const KEPT_MS = 7 * 24 * 60 * 60 * 1000;

const sessionsFolder = (): string => join(tmpdir(), "dev-relay-sessions");

export async function makeRelayFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), FOLDER_PREFIX));
}

/** Removes folders of this user that nobody has written to for a week. */
export async function removeOldFolders(now: number): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(FOLDER_PREFIX)) continue;
    const path = join(tmpdir(), name);
    const found = await stat(path).catch(() => undefined);
    const ours = process.getuid === undefined || found?.uid === process.getuid();
    if (found?.isDirectory() !== true || !ours || now - found.mtimeMs < KEPT_MS) continue;
    await rm(path, { recursive: true, force: true });
  }
}

export interface ActiveSession {
  agent: string;
  workdir: string;
  runId: string;
  attempt: number;
  folder: string;
}

let begun = 0;

/** Says that a session runs here. Returns what takes that back. */
export async function announceSession(session: ActiveSession): Promise<() => Promise<void>> {
  begun += 1;
  const { pid } = process;
  const file = join(sessionsFolder(), `${pid}${begun === 1 ? "" : `.${begun}`}.json`);
  await replaceFile(file, {
    pid,
    began: processStart(pid) ?? "",
    startedAt: new Date().toISOString(),
    ...session,
  });
  return async () => rm(file, { force: true });
}

/** Ends what relays that are gone have left running. Returns the runs of which something was left. */
export async function endLeftSessions(): Promise<string[]> {
  const files = await readdir(sessionsFolder()).catch(() => []);
  const left: string[] = [];
  for (const name of files.filter((file) => /^\d+(\.\d+)?\.json$/.test(file))) {
    const path = join(sessionsFolder(), name);
    const session = objectOf(await readOwnFile(path));
    const pid = Number(session["pid"]);
    const runId = textOf(session["runId"]);
    if (runId === "" || (processStart(pid) ?? "") === textOf(session["began"])) continue;
    await reapAttempt(attemptId(runId, Number(session["attempt"])));
    await rm(path, { force: true });
    left.push(runId);
  }
  return left;
}
