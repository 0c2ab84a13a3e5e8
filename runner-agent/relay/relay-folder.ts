/**
 * What a relay leaves on its box: a private folder for each session (its stream, how delivery went, and its journal as
 * long as the edge has not all of it), kept for a week; and a file for each session that runs, by the pid of its relay, so
 * that the next relay can end what one that was killed has left running.
 *
 *   <tmp>/dev-relay.XXXXXX/stream.jsonl, journal.sqlite, delivery-summary.json
 *   <tmp>/dev-relay-sessions/<pid>[.<n>].json
 */
import { existsSync } from "node:fs";
import { lstat, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attemptId } from "../../contract/ids.ts";
import { processStart, reapAttempt } from "../steps/process-tree.ts";
import { objectOf, textOf, type JsonObject } from "./agents/item-parts.ts";
import { readOwnFile, replaceFile } from "./small-file.ts";

const FOLDER_PREFIX = "dev-relay.";
const KEPT_MS = 7 * 24 * 60 * 60 * 1000;

const sessionsFolder = (): string => join(tmpdir(), "dev-relay-sessions");

export async function makeRelayFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), FOLDER_PREFIX));
}

/** Removes folders of this user that nobody has written to for a week. */
export async function removeOldFolders(now: number): Promise<void> {
  for (const { path, writtenAt } of await ownFolders())
    if (now - writtenAt >= KEPT_MS) await rm(path, { recursive: true, force: true });
}

/** Relay folders of this user. `writtenAt`: epoch ms. */
async function ownFolders(): Promise<{ path: string; writtenAt: number }[]> {
  const names = (await readdir(tmpdir())).filter((name) => name.startsWith(FOLDER_PREFIX));
  const folders = await Promise.all(
    names.map(async (name) => {
      const path = join(tmpdir(), name);
      const found = await lstat(path).catch(() => undefined);
      const ours = process.getuid === undefined || found?.uid === process.getuid();
      return found?.isDirectory() === true && ours ? [{ path, writtenAt: found.mtimeMs }] : [];
    }),
  );
  return folders.flat();
}

export interface DeliverySummary {
  runId: string;
  handedOver: boolean;
  /** How often the edge was away; absent where somebody else has told the rest. */
  outages?: number;
}

export const journalIn = (folder: string): string => join(folder, "journal.sqlite");

/** How delivery went, for whoever looks into the folder. */
export async function noteDelivery(folder: string, said: DeliverySummary): Promise<void> {
  await replaceFile(join(folder, "delivery-summary.json"), said);
}

/** All of a session is told: its journal goes. */
export async function removeJournal(folder: string): Promise<void> {
  for (const suffix of ["", "-wal", "-shm"]) await rm(journalIn(folder) + suffix, { force: true });
}

/** Folders with a journal whose relay is gone. */
export async function foldersLeftWithJournal(): Promise<string[]> {
  const withJournal = (await ownFolders())
    .map(({ path }) => path)
    .filter((path) => existsSync(journalIn(path)));
  // Asked behind the folders: a session is announced before it has a journal.
  const running = new Set(
    (await announced()).filter(isRunning).map(({ session }) => textOf(session["folder"])),
  );
  return withJournal.filter((path) => !running.has(path));
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

interface Announced {
  path: string;
  session: JsonObject;
}

async function announced(): Promise<Announced[]> {
  const files = await readdir(sessionsFolder()).catch(() => []);
  const paths = files
    .filter((file) => /^\d+(\.\d+)?\.json$/.test(file))
    .map((name) => join(sessionsFolder(), name));
  return await Promise.all(paths.map(async (path) => ({ path, session: objectOf(await readOwnFile(path)) })));
}

/** The process that announced it lives: not another one under its pid. */
function isRunning({ session }: Announced): boolean {
  return (processStart(Number(session["pid"])) ?? "") === textOf(session["began"]);
}

/** Ends what relays that are gone have left running. Returns the runs of which something was left. */
export async function endLeftSessions(): Promise<string[]> {
  const left: string[] = [];
  for (const known of await announced()) {
    const { path, session } = known;
    const runId = textOf(session["runId"]);
    if (runId === "" || isRunning(known)) continue;
    await reapAttempt(attemptId(runId, Number(session["attempt"])));
    await rm(path, { force: true });
    left.push(runId);
  }
  return left;
}
