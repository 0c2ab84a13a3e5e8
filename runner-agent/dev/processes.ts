/**
 * The processes of a development set-up: each leads a group of its own, so that all it has started ends with it. The
 * state folder remembers them, for the start after one that could not clean up (kill -9, power).
 */
import { readFile, writeFile } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";

const STOP_GRACE_MS = 4_000;
const LOOK_AGAIN_MS = 50;
/** Lines of a process's own words that an error quotes. */
const QUOTED_LINES = 20;

export interface DevProcess {
  readonly name: string;
  readonly pid: number | undefined;
  /** Settles when it is over, with its last words. Never rejects. */
  readonly over: Promise<{ words: string }>;
  /** SIGTERM (again with `urgently`, which a runner takes as "stop now"), then SIGKILL, to its whole group. */
  stop(urgently: boolean): Promise<void>;
}

export interface DevCommand {
  name: string;
  command: string;
  args: string[];
  cwd: string;
  env: Record<string, string>;
  /** Gets each line that it prints. */
  line(text: string): void;
}

export function startProcess({ name, command, args, cwd, env, line }: DevCommand): DevProcess {
  const last: string[] = [];
  const child = execa(command, args, {
    cwd,
    env,
    detached: true,
    cleanup: false,
    stdin: "ignore",
    all: true,
    buffer: false,
    reject: false,
  });
  void (async () => {
    for await (const text of child.iterable({ from: "all" })) {
      last.push(text);
      if (last.length > QUOTED_LINES) last.shift();
      line(text);
    }
  })().catch(() => undefined);
  const over = child.then(() => ({ words: last.join("\n") }));
  return {
    name,
    pid: child.pid,
    over,
    stop: async (urgently) => {
      signalGroup(child.pid, "SIGTERM");
      if (urgently) setTimeout(() => signalGroup(child.pid, "SIGTERM"), LOOK_AGAIN_MS).unref();
      await Promise.race([over, sleep(STOP_GRACE_MS, undefined, { ref: false })]);
      signalGroup(child.pid, "SIGKILL");
      await over;
    },
  };
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // Gone already.
  }
}

const fileOf = (state: string): string => join(state, "processes.json");

/** Writes down which groups this set-up has started. */
export async function rememberProcesses(state: string, processes: DevProcess[]): Promise<void> {
  await writeFile(fileOf(state), JSON.stringify(processes.flatMap(({ pid }) => pid ?? [])));
}

/** Ends groups that an earlier set-up on this state folder has left behind. Returns how many. */
export async function endLeftovers(state: string): Promise<number> {
  const text = await readFile(fileOf(state), "utf8").catch(() => "[]");
  const left = (JSON.parse(text) as number[]).filter((pid) => isOurs(pid, state));
  for (const pid of left) signalGroup(pid, "SIGKILL");
  while (left.some((pid) => groupLives(pid))) await sleep(LOOK_AGAIN_MS);
  return left.length;
}

/** A pid may have been given to somebody else meanwhile: ours name the state folder in their arguments. */
function isOurs(pid: number, state: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(state);
  } catch {
    return groupLives(pid);
  }
}

function groupLives(pid: number): boolean {
  try {
    process.kill(-pid, 0);
    return true;
  } catch {
    return false;
  }
}
