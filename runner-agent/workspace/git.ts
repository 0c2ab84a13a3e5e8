/**
 * How git is run by the agent: never asking anybody, never running a repository's hooks, in an environment that
 * names no other repository, with a time limit and bounded output. Whoever calls it decides what an answer means;
 * what git cannot do for reasons of the box (not installed, too slow, disk full) is the same for all and an error.
 *
 * Git's work is done by others, too: ssh, helpers for http, filters. They outlive a git that is ended and hold its pipes,
 * for as long as their own other side hangs. So its end is the end of all of them, and is not waited for without bound.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { DEFAULT_CLOCKS } from "../steps/clocks.ts";
import { endTree, processTree } from "../steps/process-tree.ts";
import { WorkspaceError } from "./workspace-error.ts";

/** For what reads or writes a little of a repository. */
export const GIT_TIMEOUT_MS = 30_000;
/** For what writes a whole checkout, or removes or measures one. */
export const GIT_CHECKOUT_TIMEOUT_MS = 120_000;
/** For what goes over the network. */
export const GIT_FETCH_TIMEOUT_MS = 60_000;
const GIT_OUTPUT_MAX_CHARS = 4 * 1024 * 1024;
/** Borne by a git and all that it starts. */
const GIT_VARIABLE = "CODEX_FLOW_GIT_ID";
/** One that has to end takes its locks away first; what hangs in the kernel is not waited for. */
const END_CLOCKS = { ...DEFAULT_CLOCKS, killGraceMs: 2_000, killProofMs: 1_000 };
/** How much of git's own words an error carries. */
const WORDS_MAX_CHARS = 500;

/** Two git processes that write to one repository: the later one finds a lock file, which goes soon or never. */
const LOCK_TRIES = 8;
const LOCK_PAUSE_FIRST_MS = 25;
const LOCK_PAUSE_MAX_MS = 1_000;

/** Of the agent's environment: what git and ssh need to find their settings, keys and proxies. */
const PASSED = [
  ...["PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CONFIG_HOME", "SSH_AUTH_SOCK"],
  ...["SSL_CERT_FILE", "SSL_CERT_DIR", "http_proxy", "https_proxy", "no_proxy", "all_proxy"],
  ...["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"],
];

export interface GitOptions {
  /** Where git runs. It looks for a repository here and in the folders above. */
  directory: string;
  /** Looks for a repository in `directory` alone. */
  here?: boolean;
  timeoutMs?: number;
  signal?: AbortSignal | undefined;
}

/** Git's answer; `ok` is exit code 0. */
export interface GitAnswer {
  ok: boolean;
  stdout: string;
  /** What git says of a failure, without credentials. */
  words: string;
}

/** Runs git once. Throws WorkspaceError when git could not do its work at all. */
export async function git(args: readonly string[], options: GitOptions): Promise<GitAnswer> {
  const { directory, timeoutMs = GIT_TIMEOUT_MS, signal } = options;
  const what = `git ${args[0] ?? ""} in ${directory}`;
  const canceled = new WorkspaceError("workspace_canceled", `${what} was canceled`);
  if (signal?.aborted === true) throw canceled;
  const id = randomUUID();
  const child = execa("git", [...SETTINGS, ...args], {
    cwd: directory,
    env: { ...environment(options), [GIT_VARIABLE]: id },
    extendEnv: false,
    stdin: "ignore",
    reject: false,
    detached: true,
    maxBuffer: GIT_OUTPUT_MAX_CHARS,
    stripFinalNewline: false,
  });
  const tree = child.pid === undefined ? undefined : processTree(`${GIT_VARIABLE}=${id}`, child.pid);
  const stopped = Promise.withResolvers<WorkspaceError>();
  const timer = setTimeout(() => {
    stopped.resolve(
      new WorkspaceError(
        "workspace_timeout",
        `${what} took longer than ${timeoutMs} ms: see whether its disk or its remote answers`,
      ),
    );
  }, timeoutMs);
  const cancel = (): void => {
    stopped.resolve(canceled);
  };
  signal?.addEventListener("abort", cancel, { once: true });
  const ended = await Promise.race([child, stopped.promise]);
  clearTimeout(timer);
  signal?.removeEventListener("abort", cancel);
  if (ended instanceof WorkspaceError) {
    if (tree !== undefined) await endTree(tree, END_CLOCKS, () => undefined);
    for (const pipe of [child.stdout, child.stderr]) pipe.destroy();
    throw ended;
  }
  if (ended.isMaxBuffer)
    throw new WorkspaceError(
      "workspace_git_failed",
      `${what} printed more than ${GIT_OUTPUT_MAX_CHARS} characters`,
    );
  if (ended.exitCode === undefined)
    throw new WorkspaceError(
      "workspace_git_missing",
      `git could not be started: ${ended.originalMessage ?? "unknown reason"}; install git and see that it is on the agent's PATH`,
    );
  const words = withoutCredentials(ended.stderr).trim().slice(-WORDS_MAX_CHARS);
  if (ended.exitCode !== 0 && isDiskFull(words))
    throw new WorkspaceError("workspace_disk_full", `${what}: ${words}; make room on the box's disk`);
  return { ok: ended.exitCode === 0, stdout: ended.stdout, words };
}

/** The same, for what must succeed. A lock that somebody else holds is waited for, a bounded time. */
export async function gitMust(args: readonly string[], options: GitOptions): Promise<string> {
  const answer = await pastLocks(() => git(args, options));
  if (answer.ok) return answer.stdout;
  throw new WorkspaceError(
    "workspace_git_failed",
    `git ${args[0] ?? ""} in ${options.directory} failed: ${answer.words}`,
  );
}

/** Asks again, after a growing pause, as long as git says that another git is at work. */
export async function pastLocks(ask: () => Promise<GitAnswer>): Promise<GitAnswer> {
  for (let tries = 1, pauseMs = LOCK_PAUSE_FIRST_MS; ; tries += 1, pauseMs *= 2) {
    const answer = await ask();
    if (answer.ok || tries === LOCK_TRIES || !isLocked(answer.words)) return answer;
    // Those who have met once would meet again without the jitter.
    await sleep(Math.min(pauseMs, LOCK_PAUSE_MAX_MS) * (0.5 + Math.random()));
  }
}

/** A lock file, or the entry of a worktree that another git has half made. */
function isLocked(words: string): boolean {
  return /\.lock': File exists|could not lock|cannot lock ref|failed to read .*commondir/i.test(words);
}

export function isDiskFull(words: string): boolean {
  return /No space left on device|Disk quota exceeded/i.test(words);
}

/** A remote's address may hold a password. */
export function withoutCredentials(text: string): string {
  return text.replaceAll(/:\/\/[^/\s@]+@/g, "://***@");
}

const SETTINGS = [
  ...["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"],
  ...["-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "advice.detachedHead=false"],
];

function environment({ directory, here = false }: GitOptions): Record<string, string> {
  const passed = PASSED.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    ...Object.fromEntries(passed),
    // Git's messages are read here.
    LC_ALL: "C",
    GIT_TERMINAL_PROMPT: "0",
    GIT_OPTIONAL_LOCKS: "0",
    // Whoever would be asked for a password answers nothing, also on a terminal that the agent may have.
    SSH_ASKPASS: "false",
    SSH_ASKPASS_REQUIRE: "force",
    ...(here ? { GIT_CEILING_DIRECTORIES: directory.slice(0, directory.lastIndexOf("/")) } : {}),
  };
}
