/**
 * Which thread a directory's work goes on in: the runner's own memory, since Codex finds a thread by its id only. A small
 * file beside the runner's CODEX_HOME, written whole and atomically; one agent has it (the journal's lock says so).
 *
 * A disk that does not take the file ends no step: what is remembered then, is so for as long as the agent lives.
 *
 * A key is the real path of the directory, with the step's own key where it has one; in a worktree, which each attempt has
 * its own of, the repository and what of it the step works on. Or it is a run, whose next attempt goes on where the last
 * one was cut off, and counts on from what that had used.
 */
import { mkdirSync, readFileSync, realpathSync, renameSync, writeFileSync } from "node:fs";
import { dirname, relative } from "node:path";
import type { BudgetUse } from "../../contract/budget.ts";
import type { StepRoot } from "../steps/step.ts";

/** Sessions that are remembered; the ones that were used longest ago go first. */
const SESSIONS_MAX = 1_000;

interface Session {
  threadId: string;
  /** Epoch ms of its last use. */
  usedAt: number;
  /** Of a run: what its attempts have used of its budget. */
  budgetUsed?: BudgetUse;
}

export class Sessions {
  readonly #file: string;
  readonly #sessions: Map<string, Session>;
  #writing: NodeJS.Immediate | undefined;
  readonly #unwritable: (why: string) => void;
  /** The last time, the file could not be written. */
  #failing = false;

  /** @param unwritable hears once that the file cannot be written, and anew when it could be meanwhile */
  constructor(file: string, unwritable: (why: string) => void = () => undefined) {
    this.#file = file;
    this.#unwritable = unwritable;
    this.#sessions = new Map(Object.entries(read(file)));
  }

  find(key: string): string | undefined {
    return this.#sessions.get(key)?.threadId;
  }

  remember(keys: string[], threadId: string): void {
    for (const key of keys)
      this.#sessions.set(key, { ...this.#sessions.get(key), threadId, usedAt: Date.now() });
    this.#changed();
  }

  /** What a run has used of its budget so far, in all its attempts; of one whose thread is known. */
  noteUse(key: string, budgetUsed: BudgetUse): void {
    const session = this.#sessions.get(key);
    if (session === undefined) return;
    this.#sessions.set(key, { ...session, budgetUsed });
    this.#write();
  }

  /** Undefined: nothing, or it is a box that has had no attempt of it. */
  useOf(key: string): BudgetUse | undefined {
    return this.#sessions.get(key)?.budgetUsed;
  }

  forget(keys: string[]): void {
    const known = keys.filter((key) => this.#sessions.delete(key));
    if (known.length > 0) this.#changed();
  }

  /** Once for all that changes in one turn of the event loop, and behind what Codex is asked for in it. */
  #changed(): void {
    this.#writing ??= setImmediate(() => {
      this.#writing = undefined;
      this.#write();
    });
  }

  #write(): void {
    const kept = [...this.#sessions].sort(([, a], [, b]) => b.usedAt - a.usedAt).slice(0, SESSIONS_MAX);
    try {
      mkdirSync(dirname(this.#file), { recursive: true, mode: 0o700 });
      const temporary = `${this.#file}.new`;
      writeFileSync(temporary, JSON.stringify(Object.fromEntries(kept)), { mode: 0o600 });
      renameSync(temporary, this.#file);
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) this.#unwritable(error instanceof Error ? error.message : String(error));
      this.#failing = true;
    }
  }
}

/** @param worktree in which the directory lies, if it is one that was made for the attempt */
export function sessionKey(
  directory: string,
  key: string | undefined,
  worktree: StepRoot | undefined,
): string {
  return `${placeOf(realpathSync(directory), worktree)}${key === undefined ? "" : ` key ${key}`}`;
}

function placeOf(directory: string, worktree: StepRoot | undefined): string {
  if (worktree === undefined) return `workdir ${directory}`;
  const { root, base, ref, repository } = worktree;
  // A commit's own id is no line of work: the next one would begin anew each time.
  const line = base.startsWith(ref) ? "" : ` ref ${ref}`;
  return `repository ${repository}${line} in ${relative(realpathSync(root), directory) || "."}`;
}

export function runKey(runId: string): string {
  return `run ${runId}`;
}

/** A file that cannot be read holds nothing that could not be begun anew. */
function read(file: string): Record<string, Session> {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Record<string, Session>;
  } catch {
    return {};
  }
}
