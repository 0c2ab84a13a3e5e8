/**
 * Events and runs in a folder that several processes may use at once, without a lock: each document is a file with
 * one writer, and comes into being by a rename or a link that only one process can win.
 *
 *   events/<key>/event.json           an event that has started something; the folder appears whole, runs included
 *   events/<key>/<run>.json           a run; written again, whole, by the process that works on it
 *   events/<key>/<run>.output.jsonl   its output, appended to
 *   unmatched/<key>.json              an event that has started nothing
 *   new/                              what is being written
 *
 * A file that cannot be read is an error that names it, never a missing event: its id might start everything again.
 */
import { randomUUID } from "node:crypto";
import { appendFileSync } from "node:fs";
import { link, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { hasErrorCode } from "../../catalog/fault.ts";
import { RETENTION_DEFAULT_DAYS } from "../../contract/limits.ts";
import { isTerminal } from "../../contract/run-lifecycle.ts";
import { LocalStateError } from "./state-error.ts";
import type { LocalEvent, LocalOutput, LocalRun, LocalStore, StoredEvent } from "./store.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const EVENT_FILE = "event.json";
const OUTPUT_SUFFIX = ".output.jsonl";
/** Private: payloads and output may hold anything. */
const FOLDER_MODE = 0o700;

export class FileStore implements LocalStore {
  readonly #folder: string;
  #ready: Promise<void> | undefined;

  /** @param folder made when something is kept */
  constructor(folder: string) {
    this.#folder = folder;
  }

  async create(event: LocalEvent, runs: LocalRun[]): Promise<boolean> {
    return this.#writing(async () => {
      const made = join(this.#folder, "new", randomUUID());
      await mkdir(made, { mode: FOLDER_MODE });
      try {
        await writeDurably(join(made, EVENT_FILE), event);
        for (const run of runs) await writeDurably(join(made, `${run.run.id}.json`), run);
        await syncFolder(made);
        // Onto a folder that is there, and not empty, no other can be renamed: the first one wins.
        await rename(made, this.#eventFolder(event.key));
      } catch (error) {
        await rm(made, { recursive: true, force: true });
        if (hasErrorCode(error, "ENOTEMPTY", "EEXIST")) return false;
        throw error;
      }
      await syncFolder(join(this.#folder, "events"));
      await rm(this.#unmatchedFile(event.key), { force: true });
      return true;
    });
  }

  async keepUnmatched(event: LocalEvent): Promise<void> {
    await this.#writing(() => this.#replace(this.#unmatchedFile(event.key), event));
  }

  async read(key: string): Promise<StoredEvent | undefined> {
    const event = await readDocument<LocalEvent>(join(this.#eventFolder(key), EVENT_FILE));
    if (event !== undefined) return { event, runs: await this.#readRuns(key) };
    const unmatched = await readDocument<LocalEvent>(this.#unmatchedFile(key));
    return unmatched && { event: unmatched, runs: [] };
  }

  async add(key: string, from: number, make: (n: number) => LocalRun): Promise<LocalRun> {
    return this.#writing(async () => {
      for (let n = from; ; n += 1) {
        const made = make(n);
        const temporary = join(this.#folder, "new", randomUUID());
        await writeDurably(temporary, made);
        try {
          await link(temporary, this.#runFile(made));
        } catch (error) {
          if (hasErrorCode(error, "EEXIST")) continue;
          throw error;
        } finally {
          await rm(temporary, { force: true });
        }
        await syncFolder(this.#eventFolder(key));
        return made;
      }
    });
  }

  async save(run: LocalRun): Promise<void> {
    await this.#writing(() => this.#replace(this.#runFile(run), run));
  }

  appendOutput(of: LocalRun, output: LocalOutput): void {
    try {
      appendFileSync(this.#outputFile(of), `${JSON.stringify(output)}\n`);
    } catch (error) {
      throw unwritable(error);
    }
  }

  async readOutput(of: LocalRun): Promise<LocalOutput[]> {
    const file = this.#outputFile(of);
    const lines = ((await readIfPresent(file)) ?? "").split("\n");
    // Behind the last line end stands nothing, or what a killed process did not get to write.
    lines.pop();
    return lines.map((line) => parseDocument(line, file) as LocalOutput);
  }

  async list(): Promise<StoredEvent[]> {
    const keys = await namesIn(join(this.#folder, "events"));
    const unmatched = (await namesIn(join(this.#folder, "unmatched"))).map((name) =>
      name.replace(/\.json$/, ""),
    );
    const found: StoredEvent[] = [];
    for (const key of new Set([...keys, ...unmatched])) {
      const stored = await this.read(key);
      if (stored !== undefined) found.push(stored);
    }
    return found;
  }

  #eventFolder(key: string): string {
    return join(this.#folder, "events", key);
  }
  #unmatchedFile(key: string): string {
    return join(this.#folder, "unmatched", `${key}.json`);
  }
  #runFile({ key, run }: LocalRun): string {
    return join(this.#eventFolder(key), `${run.id}.json`);
  }
  #outputFile({ key, run }: LocalRun): string {
    return join(this.#eventFolder(key), `${run.id}${OUTPUT_SUFFIX}`);
  }

  async #readRuns(key: string): Promise<LocalRun[]> {
    const folder = this.#eventFolder(key);
    const files = (await namesIn(folder)).filter((name) => name.endsWith(".json") && name !== EVENT_FILE);
    const runs = await Promise.all(files.map((name) => readDocument<LocalRun>(join(folder, name))));
    return runs.filter((run) => run !== undefined).sort((a, b) => a.run.n - b.run.n);
  }

  async #replace(file: string, document: unknown): Promise<void> {
    const temporary = join(this.#folder, "new", randomUUID());
    try {
      await writeDurably(temporary, document);
      await rename(temporary, file);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    await syncFolder(dirname(file));
  }

  async #writing<T>(write: () => Promise<T>): Promise<T> {
    try {
      await (this.#ready ??= this.#prepare());
      return await write();
    } catch (error) {
      this.#ready = undefined;
      throw error instanceof LocalStateError ? error : unwritable(error);
    }
  }

  async #prepare(): Promise<void> {
    for (const name of ["events", "unmatched", "new"])
      await mkdir(join(this.#folder, name), { recursive: true, mode: FOLDER_MODE });
    // Nothing in here belongs into somebody's repository.
    await writeFile(join(this.#folder, ".gitignore"), "*\n");
    await this.#forgetOld(Date.now() - RETENTION_DEFAULT_DAYS * DAY_MS);
  }

  /** What has not changed since, and is over. A folder leaves by a rename, so that no other process sees a part of it. */
  async #forgetOld(before: number): Promise<void> {
    for (const [folder, name] of await this.#entries()) {
      const path = join(this.#folder, folder, name);
      const changed = await stat(path).catch(() => undefined);
      if (changed === undefined || changed.mtimeMs >= before) continue;
      const runs = folder === "events" ? await this.#readRuns(name) : [];
      if (runs.some(({ run }) => !isTerminal(run.status))) continue;
      const leaving = join(this.#folder, "new", randomUUID());
      await rename(path, leaving).catch(() => undefined);
      await rm(leaving, { recursive: true, force: true });
    }
  }

  async #entries(): Promise<Array<[folder: string, name: string]>> {
    const entries: Array<[string, string]> = [];
    for (const folder of ["events", "unmatched", "new"])
      for (const name of await namesIn(join(this.#folder, folder))) entries.push([folder, name]);
    return entries;
  }
}

function unwritable(error: unknown): LocalStateError {
  const message = error instanceof Error ? error.message : String(error);
  return new LocalStateError("state_unwritable", `events and runs cannot be kept: ${message}`, error);
}

async function writeDurably(file: string, document: unknown): Promise<void> {
  const handle = await open(file, "wx", 0o600);
  try {
    await handle.writeFile(`${JSON.stringify(document)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A rename is on the disk when its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => !name.startsWith("."));
  } catch (error) {
    if (hasErrorCode(error, "ENOENT", "ENOTDIR")) return [];
    throw unreadable(folder, error);
  }
}

async function readIfPresent(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (hasErrorCode(error, "ENOENT", "ENOTDIR")) return undefined;
    throw unreadable(file, error);
  }
}

async function readDocument<T extends { v: 1 }>(file: string): Promise<T | undefined> {
  const text = await readIfPresent(file);
  if (text === undefined) return undefined;
  const document = parseDocument(text, file) as { v?: unknown };
  // Also what a later version has written: it knows what it means, this one does not.
  if (document.v !== 1) throw unreadable(file, "it is no document of this version");
  return document as T;
}

function parseDocument(text: string, file: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw unreadable(file, error);
  }
  if (value === null || typeof value !== "object") throw unreadable(file, "it holds no JSON object");
  return value;
}

function unreadable(file: string, why: unknown): LocalStateError {
  const reason = why instanceof Error ? why.message : String(why);
  return new LocalStateError(
    "state_corrupt",
    `${file} cannot be read: ${reason}; restore it, or move its folder away (its event will then count as new)`,
    why,
  );
}
