/**
 * Which processes belong to a step, and proof that they are gone (invariant 10).
 *
 * A process belongs to a step when it is in the session that the step's leader began, or when its environment bears
 * the attempt's id: that also finds those that have left for a session of their own. Where steps run in scopes of
 * systemd, it also belongs to the step when it is in the attempt's cgroup. What nothing of this shows (without a scope,
 * a process that has cleared its environment and its session; always, a container) cannot be found.
 *
 * Where there is no /proc (macOS), only the process group can be looked at; `ENVIRONMENTS_VISIBLE` says so.
 */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { TreeProof } from "../../contract/run-record.ts";
import type { StepClocks } from "./clocks.ts";
import { DEFAULT_CLOCKS } from "./clocks.ts";
import { isInScope, scopeKillFile, scopeUnit } from "./systemd-scope.ts";

export const ENVIRONMENTS_VISIBLE = existsSync("/proc/self/environ");
export const RUN_VARIABLE = "CODEX_FLOW_RUN_ID";
export const ATTEMPT_VARIABLE = "CODEX_FLOW_ATTEMPT_ID";

/** Survivors named in a report; a tree with more is reported by these. */
const SURVIVORS_MAX = 1024;
/** Between two looks at a tree that is being ended: from the first to the second, doubling. */
const LOOK_AGAIN_FIRST_MS = 4;
const LOOK_AGAIN_MAX_MS = 200;
/** A process in the middle of exec shows an empty environment: it is looked at again, this often and this soon. */
const ROUNDS_MAX = 6;
const ROUND_PAUSE_MS = 1;
const STAT_MAX_BYTES = 1024;
/** A larger environment is read as a file, with memory of its own. */
const ENVIRONMENT_USUAL_BYTES = 32 * 1024;
/** PF_KTHREAD in the flags of /proc/<pid>/stat. */
const KERNEL_THREAD = 0x00200000;

/** The processes of one attempt. */
export interface StepTree {
  /** `NAME=value`, one of which every process of it has inherited. */
  marks: readonly string[];
  /** The process that the step began with: leads a session of its own; nothing older than it belongs to the step. */
  leader?: { pid: number; startTicks: number };
  /** The scope that it runs in, or may have run in. */
  scope?: string | undefined;
}

interface ProcessStat {
  group: number;
  session: number;
  /** Time of its fork in clock ticks since boot. */
  startTicks: number;
}

interface Member {
  pid: number;
  group: number;
  session: number;
}

/** What every process of an attempt bears in its environment. */
export function attemptMark(attemptId: string): string {
  return `${ATTEMPT_VARIABLE}=${attemptId}`;
}

/** Call it as soon as the leader is spawned: its entry can only be read while nobody has waited for it. */
export function attemptTree(attemptId: string, leader: number, scoped = false): StepTree {
  const tree = processTree(attemptMark(attemptId), leader);
  return scoped ? { ...tree, scope: scopeUnit(attemptId) } : tree;
}

/** The same for any other mark: a `NAME=value` that the leader has in its environment. */
export function processTree(mark: string, leader: number): StepTree {
  return { marks: [mark], leader: { pid: leader, startTicks: readStat(leader)?.startTicks ?? 0 } };
}

/**
 * Ends whatever is left of a tree: SIGTERM once, after the grace SIGKILL until nothing is left or the time for the
 * proof is over. Sends nothing when nothing is there. `signalled` hears who is left, after the first signal and
 * whenever that changes. Never rejects.
 */
export async function endTree(
  tree: StepTree,
  clocks: StepClocks,
  signalled: (survivors: number[]) => void,
): Promise<TreeProof> {
  // Without a leader there is no group to look at, and without /proc nothing else.
  if (!ENVIRONMENTS_VISIBLE && tree.leader === undefined) return { empty: false, survivors: [] };
  const began = performance.now();
  let session = tree.leader?.pid;
  let sent: "nothing" | "SIGTERM" | "SIGKILL" = "nothing";
  let reported = "";
  for (let pause = LOOK_AGAIN_FIRST_MS; ; pause = Math.min(pause * 2, LOOK_AGAIN_MAX_MS)) {
    const members = await membersOf(tree, session).catch(() => undefined);
    if (members === undefined) {
      // Nobody can look (no more files may be opened): nothing is known, until somebody can or the time is over.
      if (performance.now() - began > clocks.killGraceMs + clocks.killProofMs)
        return { empty: false, survivors: [] };
      await sleep(pause);
      continue;
    }
    if (members.length === 0) return { empty: true, survivors: [] };
    // An empty session stays empty; later its number may be another's.
    if (!members.some((member) => member.session === session)) session = undefined;
    const survivors = members.slice(0, SURVIVORS_MAX).map((member) => member.pid);
    const graceLeft = clocks.killGraceMs - (performance.now() - began);
    if (graceLeft + clocks.killProofMs <= 0) return { empty: false, survivors };
    if (graceLeft <= 0) {
      killScope(members, tree.scope);
      signalMembers(members, tree.leader?.pid, "SIGKILL");
      if (sent !== "SIGKILL") pause = LOOK_AGAIN_FIRST_MS;
      sent = "SIGKILL";
    } else if (sent === "nothing") {
      // Only once: what a process starts to clean up after itself has the grace, too.
      signalMembers(members, tree.leader?.pid, "SIGTERM");
      sent = "SIGTERM";
    }
    const report = `${sent} ${survivors.join(" ")}`;
    if (report !== reported) signalled(survivors);
    reported = report;
    await sleep(graceLeft > 0 ? Math.min(pause, Math.ceil(graceLeft)) : pause);
  }
}

/** Ends all that is left of an attempt of which only the id is known: for an agent that finds those of its former life. */
export async function reapAttempt(
  attemptId: string,
  clocks: StepClocks = DEFAULT_CLOCKS,
): Promise<TreeProof> {
  const tree = { marks: [attemptMark(attemptId)], scope: scopeUnit(attemptId) };
  return await endTree(tree, clocks, () => undefined);
}

/** Pids of what is there of an attempt, as far as this system shows it. */
export async function attemptProcesses(attemptId: string): Promise<number[]> {
  return await processesOf({ marks: [attemptMark(attemptId)] });
}

/** Pids of what is there of a tree, as far as this system shows it; without looking for a leader's session. */
export async function processesOf(tree: StepTree): Promise<number[]> {
  return (await membersOf(tree, undefined)).map((member) => member.pid);
}

async function membersOf(tree: StepTree, session: number | undefined): Promise<Member[]> {
  if (!ENVIRONMENTS_VISIBLE)
    return session !== undefined && isThere(-session) ? [{ pid: session, group: session, session }] : [];
  const marks = tree.marks.map((mark) => Buffer.from(`${mark}\0`));
  return await lookAtAll((pid) => {
    const environment = readEnvironment(pid);
    const marked = marks.some((mark) => bears(environment, mark));
    // Most processes of a box are somebody else's, and their environment alone says so.
    if (!marked && environment.length > 0 && session === undefined && tree.scope === undefined)
      return undefined;
    const stat = readStat(pid);
    if (stat === undefined || stat.startTicks < (tree.leader?.startTicks ?? 0)) return undefined;
    const member = { pid, group: stat.group, session: stat.session };
    if (session !== undefined && stat.session === session) return member;
    if (tree.scope !== undefined && isInScope(readCgroups(pid), tree.scope)) return member;
    if (environment.length === 0) return "unclear";
    return marked ? member : undefined;
  });
}

/**
 * Looks at every process, then at those that have come since, until none has: what a process forks before it is
 * looked at is listed, and what it forks afterwards is listed the next time, so that no chain of forks slips through.
 */
async function lookAtAll<Found>(look: (pid: number) => Found | "unclear" | undefined): Promise<Found[]> {
  const found: Found[] = [];
  const seen = new Set<number>([process.pid]);
  let unclear: number[] = [];
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    if (unclear.length > 0) await sleep(ROUND_PAUSE_MS);
    const pids = [...unclear, ...listProcesses().filter((pid) => !seen.has(pid))];
    if (pids.length === 0) break;
    unclear = [];
    for (const pid of pids) {
      seen.add(pid);
      const what = look(pid);
      if (what === "unclear") unclear.push(pid);
      else if (what !== undefined) found.push(what);
    }
  }
  return found;
}

function listProcesses(): number[] {
  return ENVIRONMENTS_VISIBLE ? readdirSync("/proc").map(Number).filter(Number.isInteger) : [];
}

const statBytes = Buffer.alloc(STAT_MAX_BYTES);
const environmentBytes = Buffer.alloc(ENVIRONMENT_USUAL_BYTES);

/** When a process began, as a text to compare: a pid may be another's later. Undefined: gone, or this system hides it. */
export function processStart(pid: number): string | undefined {
  return readStat(pid)?.startTicks.toString();
}

/** Undefined for what is gone, a zombie or a thread of the kernel. Kept lean: it runs for every process of the box. */
function readStat(pid: number): ProcessStat | undefined {
  let file: number | undefined;
  try {
    file = openSync(`/proc/${pid}/stat`, "r");
    const text = statBytes.toString("latin1", 0, readSync(file, statBytes, 0, STAT_MAX_BYTES, 0));
    // The name comes second, in parentheses, and may contain anything.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ", 20);
    const [state, , group, session] = fields;
    if (state === "Z" || state === "X" || (Number(fields[6]) & KERNEL_THREAD) !== 0) return undefined;
    return { group: Number(group), session: Number(session), startTicks: Number(fields[19]) };
  } catch {
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Of another user's process, or of one that has gone meanwhile: nothing that could be found, but not empty either. */
const UNREADABLE = Buffer.from("\0");

/** Valid until the next call. Kept lean, like `readStat`. */
function readEnvironment(pid: number): Buffer {
  const path = `/proc/${pid}/environ`;
  let file: number | undefined;
  try {
    file = openSync(path, "r");
    const bytes = readSync(file, environmentBytes, 0, environmentBytes.length, 0);
    return bytes < environmentBytes.length ? environmentBytes.subarray(0, bytes) : readFileSync(path);
  } catch {
    return UNREADABLE;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function readCgroups(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, "utf8");
  } catch {
    return "";
  }
}

/** All of the scope in one write, so that nobody in it can fork past the signal; those below still get theirs. */
function killScope(members: Member[], scope: string | undefined): void {
  if (scope === undefined) return;
  const files = new Set(members.map(({ pid }) => scopeKillFile(readCgroups(pid), scope)));
  for (const file of files) {
    try {
      if (file !== undefined) writeFileSync(file, "1");
    } catch {
      // Gone meanwhile, or a kernel without it.
    }
  }
}

function bears(environment: Buffer, mark: Buffer): boolean {
  for (let at = environment.indexOf(mark); at >= 0; at = environment.indexOf(mark, at + 1))
    if (at === 0 || environment[at - 1] === 0) return true;
  return false;
}

/** The group in one call, so that nobody in it can fork past the signal; then those that have left it. */
function signalMembers(members: Member[], group: number | undefined, signal: NodeJS.Signals): void {
  if (group !== undefined && members.some((member) => member.group === group)) trySignal(-group, signal);
  for (const member of members) if (member.group !== group) trySignal(member.pid, signal);
}

function trySignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone meanwhile, or another user's: the next look tells.
  }
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
