/**
 * What Codex has told of each attempt, word for word, beside the agent's journal: items of the contract leave out what people
 * need not read, and whoever looks for the reason of something odd needs the rest. One file of JSON lines an attempt, never
 * sent anywhere.
 *
 * R1. Redacted before it is written (invariant 15): what comes here has passed the step's redactor.
 * R2. Bounded: an attempt's file, and all of them together; older ones go first, and all go after a time.
 * R3. Nothing waits for it and nothing fails by it: a disk that takes nothing costs the file.
 */
import { createWriteStream, type WriteStream } from "node:fs";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { parseAttemptId } from "../../contract/ids.ts";

const MIB = 1024 * 1024;
const HOUR_MS = 60 * 60_000;
/** Of one attempt; what comes then is left out, and the last line says so. */
export const RAW_ATTEMPT_MAX_BYTES = 8 * MIB;
/** Of all attempts together, those that still run counted as full; looked at once a minute. */
export const RAW_TOTAL_MAX_BYTES = 256 * MIB;
/** Behind the last line. */
export const RAW_KEPT_MS = 72 * HOUR_MS;

/** Looking at all files takes longer than a turn may; so much more than the bound may stand there meanwhile. */
const PRUNE_EVERY_MS = 60_000;

const SUFFIX = ".jsonl";
const OWNER_ONLY_FOLDER = 0o700;
const OWNER_ONLY_FILE = 0o600;

export interface RawLog {
  /** One thing that was told, redacted. */
  write(told: unknown): void;
  /** Once. Resolves when all of it is written, or cannot be. */
  end(): Promise<void>;
}

/** Of the journal's folder. */
export function rawFolder(journal: string): string {
  return join(journal, "raw");
}

/** For who keeps none. */
export const NO_RAW_LOG: RawLog = { write: () => undefined, end: () => Promise.resolve() };

export interface RawFile {
  /** Id of the attempt. */
  attempt: string;
  path: string;
  bytes: number;
  /** Of the last line, epoch ms. */
  at: number;
}

/** What is kept, oldest first. */
export async function rawFiles(folder: string): Promise<RawFile[]> {
  const names = await readdir(folder).catch(() => []);
  const found = await Promise.all(
    names.map(async (name): Promise<RawFile[]> => {
      const attempt = name.slice(0, -SUFFIX.length);
      if (!name.endsWith(SUFFIX) || parseAttemptId(attempt) === undefined) return [];
      const path = join(folder, name);
      const file = await stat(path).catch(() => undefined);
      return file === undefined ? [] : [{ attempt, path, bytes: file.size, at: file.mtimeMs }];
    }),
  );
  return found.flat().sort((a, b) => a.at - b.at);
}

export class RawLogs {
  readonly #folder: string;
  readonly #live = new Set<string>();
  #prunedAt = -Infinity;
  readonly #limits: { attemptBytes: number; totalBytes: number; keptMs: number };

  constructor(
    folder: string,
    limits = { attemptBytes: RAW_ATTEMPT_MAX_BYTES, totalBytes: RAW_TOTAL_MAX_BYTES, keptMs: RAW_KEPT_MS },
  ) {
    this.#folder = folder;
    this.#limits = limits;
  }

  /** @param attempt its id */
  begin(attempt: string): RawLog {
    this.#live.add(attempt);
    const due = performance.now() - this.#prunedAt > PRUNE_EVERY_MS;
    if (due) this.#prunedAt = performance.now();
    const made = mkdir(this.#folder, { recursive: true, mode: OWNER_ONLY_FOLDER }).then(() =>
      due ? this.prune() : undefined,
    );
    // R3
    made.catch(() => undefined);
    return new AttemptLog(join(this.#folder, `${attempt}${SUFFIX}`), this.#limits.attemptBytes, made, () => {
      this.#live.delete(attempt);
    });
  }

  /** Removes what is too old, and the oldest of what is too much (R2). */
  async prune(now = Date.now()): Promise<void> {
    const { attemptBytes, totalBytes, keptMs } = this.#limits;
    const over = (await rawFiles(this.#folder)).filter(({ attempt }) => !this.#live.has(attempt));
    let surplus = over.reduce((sum, { bytes }) => sum + bytes, this.#live.size * attemptBytes) - totalBytes;
    for (const { path, bytes, at } of over) {
      if (surplus <= 0 && now - at <= keptMs) continue;
      surplus -= bytes;
      await rm(path, { force: true });
    }
  }
}

class AttemptLog implements RawLog {
  readonly #path: string;
  readonly #ready: Promise<void>;
  readonly #over: () => void;
  #left: number;
  #full = false;
  #stream: WriteStream | undefined;
  /** Until there is a folder. */
  #early: string[] | undefined = [];
  #opened: Promise<void>;

  constructor(path: string, maxBytes: number, ready: Promise<void>, over: () => void) {
    this.#path = path;
    this.#left = maxBytes - LEFT_OUT.length;
    this.#ready = ready;
    this.#over = over;
    this.#opened = this.#open();
  }

  write(told: unknown): void {
    if (this.#full) return;
    const line = `${JSON.stringify(told)}\n`;
    this.#left -= Buffer.byteLength(line);
    this.#full = this.#left < 0;
    this.#put(this.#full ? LEFT_OUT : line);
  }

  async end(): Promise<void> {
    await this.#opened;
    this.#over();
    const stream = this.#stream;
    if (stream === undefined || stream.destroyed) return;
    const closed = Promise.withResolvers<void>();
    stream.once("close", closed.resolve);
    stream.end();
    await closed.promise;
  }

  async #open(): Promise<void> {
    try {
      await this.#ready;
      this.#stream = createWriteStream(this.#path, { flags: "a", mode: OWNER_ONLY_FILE });
      // It closes, and nothing is written any more (R3).
      this.#stream.on("error", () => undefined);
      for (const line of this.#early ?? []) this.#stream.write(line);
    } catch {
      this.#full = true;
    }
    this.#early = undefined;
  }

  #put(line: string): void {
    if (this.#early !== undefined) this.#early.push(line);
    else if (this.#stream?.writable === true) this.#stream.write(line);
  }
}

const LEFT_OUT = `${JSON.stringify({ leftOut: `what came then: ${RAW_ATTEMPT_MAX_BYTES} bytes are kept of an attempt` })}\n`;
