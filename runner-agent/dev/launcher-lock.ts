/**
 * One launcher for each state folder. A second one would end the processes of the first as leftovers, take its port and
 * mix the state of two workspaces, so it is refused while the first one lives. A lock that a crash left behind counts for
 * nothing: the process that wrote it is known by its pid and the time of its start.
 */
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isGone, thisProcess, type Owner } from "../local/owner.ts";
import { SetupError } from "./setup-error.ts";

interface Launcher {
  owner: Owner;
  /** Folder whose flows it serves. */
  workspace: string;
  /** Port of the edge as requested; 0 means any free port. */
  port: number;
}

export class LauncherLock {
  readonly #file: string;

  private constructor(file: string) {
    this.#file = file;
  }

  /** Throws SetupError, which names the other launcher, while another one runs on this state folder. */
  static async take(state: string, of: Omit<Launcher, "owner">): Promise<LauncherLock> {
    const file = join(state, "launcher.json");
    const written = `${file}.${process.pid}`;
    await writeFile(written, JSON.stringify({ owner: thisProcess(), ...of } satisfies Launcher));
    try {
      // A link appears whole or not at all, so no other launcher reads half of it.
      while (!(await linkIfAbsent(written, file))) {
        const other = await readLauncher(file);
        if (other !== undefined && isGone(other.owner) !== true) throw runsAlready(state, other);
        await rm(file, { force: true });
      }
      return new LauncherLock(file);
    } finally {
      await rm(written, { force: true });
    }
  }

  async release(): Promise<void> {
    await rm(this.#file, { force: true });
  }
}

function runsAlready(state: string, { owner, workspace, port }: Launcher): SetupError {
  return new SetupError(
    `codex-flow dev runs already on the state in ${state}: pid ${owner.pid}, workspace ${workspace}, port ${port}`,
    "use that one, or stop it, or start another one with its own --state and --port",
  );
}

/** False when the file exists. */
async function linkIfAbsent(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

/** Undefined when the file is gone meanwhile, or is no lock of this program. */
async function readLauncher(file: string): Promise<Launcher | undefined> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as Launcher;
  } catch {
    return undefined;
  }
}
