/**
 * How a thread of Codex is opened for a step: begun, gone on with or forked, always with the step's own sandbox, settings
 * and environment, and never handed on with others.
 */
import { realpathSync } from "node:fs";
import { RequestFailedError, ThreadSettingsError } from "../errors.ts";
import type { ClientMethods, JsonValue } from "../protocol.ts";
import type { ServerLease } from "../shared-server.ts";
import { unlessStopped } from "../../unless-stopped.ts";
import type { CodexSettings } from "./prompt-template.ts";

/** Where the thread comes from. */
export type ThreadOrigin =
  { kind: "new" } | { kind: "resume"; threadId: string } | { kind: "fork"; threadId: string };

/** The thread is not there any more, or cannot be read. Its own error: a step may begin a new one, or stop here. */
export class ThreadNotResumableError extends Error {
  override readonly name = "ThreadNotResumableError";
  readonly code = "thread_not_resumable";
}

/** Another program writes to the thread. No run fails by it: the thread is forked, or the step is blocked. */
export class ThreadBusyError extends Error {
  override readonly name = "ThreadBusyError";
}

/** What a thread has to be told each time that it is opened. */
export type ThreadSettings = Pick<CodexSettings, "model" | "sandbox" | "approvalPolicy" | "network">;

export interface ThreadOptions {
  settings: ThreadSettings;
  cwd: string;
  /** The whole environment of the commands that Codex runs. */
  variables: Record<string, string>;
  /** Keys of a config.toml, for this thread alone. */
  config: Record<string, JsonValue>;
  /** The step has to end: no answer of Codex is waited for any more. */
  stopped: AbortSignal;
}

/** A thread that was opened, and the model that its turns ask: Codex's choice where the step makes none. */
export interface OpenedThread {
  threadId: string;
  model: string;
}

/**
 * What keeps shells from the user's own files, login shell or not. Codex gives a command a socket to read from, which bash
 * takes for a connection from another machine: the first shell of one reads ~/.bashrc. Each zsh reads .zshenv, from here.
 */
const NO_FILES_OF_THE_USER = { SHLVL: "1", ZDOTDIR: "/dev/null" };

/**
 * Opens a thread. Sandbox and configuration go with every way in: a resume restores neither. Where
 * Codex does not heed them, since it has the thread in memory and not idle (its last turn has failed), it is forked:
 * then the id is another one. @throws ThreadNotResumableError, ThreadBusyError, CodexError; the reason of `stopped`
 */
export async function openThread(
  lease: ServerLease,
  origin: ThreadOrigin,
  options: ThreadOptions,
): Promise<OpenedThread> {
  const opening = open(lease, origin, options);
  try {
    return await unlessStopped(opening, options.stopped);
  } catch (error) {
    // One that is opened all the same is left; of one that was there before, others may know.
    const leave = async ({ threadId }: OpenedThread): Promise<void> => {
      if (origin.kind !== "resume") await lease.server.request("thread/unsubscribe", { threadId });
    };
    opening.then(leave).catch(() => undefined);
    throw error;
  }
}

async function open(
  { server }: ServerLease,
  origin: ThreadOrigin,
  { settings, cwd, variables, config }: ThreadOptions,
): Promise<OpenedThread> {
  const params = {
    cwd,
    sandbox: settings.sandbox,
    approvalPolicy: settings.approvalPolicy,
    ...(settings.model === undefined ? {} : { model: settings.model }),
    config: {
      ...config,
      shell_environment_policy: { inherit: "none", set: { ...NO_FILES_OF_THE_USER, ...variables } },
      sandbox_workspace_write: { network_access: settings.network },
    },
  };
  const asAsked = (opened: Opened): OpenedThread => {
    const fault = settingsFault(opened, settings, cwd);
    if (fault !== undefined) throw new ThreadSettingsError(`Codex opened a thread ${fault}`);
    return { threadId: opened.thread.id, model: opened.model };
  };
  if (origin.kind === "new") return asAsked(await server.request("thread/start", params));
  const { threadId } = origin;
  try {
    if (origin.kind === "resume") {
      const resumed = await server.request("thread/resume", { threadId, excludeTurns: true, ...params });
      // What its commands have as their environment is not told: that goes by the thread's state alone.
      const heeded =
        resumed.thread.status.type === "idle" && settingsFault(resumed, settings, cwd) === undefined;
      if (heeded && (settings.model ?? resumed.model) === resumed.model)
        return { threadId: resumed.thread.id, model: resumed.model };
      await server.request("thread/unsubscribe", { threadId });
    }
    return asAsked(await server.request("thread/fork", { threadId, ...params }));
  } catch (error) {
    if (!(error instanceof RequestFailedError)) throw error;
    if (error.message.includes("already has an active writer"))
      throw new ThreadBusyError(`thread ${threadId} is in use by another program on this box`);
    throw new ThreadNotResumableError(`thread ${threadId} cannot be resumed: ${error.message}`);
  }
}

type Opened = ClientMethods["thread/start" | "thread/fork" | "thread/resume"]["result"];

const SANDBOX_TYPES = {
  "read-only": "readOnly",
  "workspace-write": "workspaceWrite",
  "danger-full-access": "dangerFullAccess",
} as const;

/** In which way a thread is another one than was asked for; undefined when it is that one. */
function settingsFault(
  opened: Opened,
  { sandbox, approvalPolicy, network }: ThreadSettings,
  cwd: string,
): string | undefined {
  if (opened.sandbox.type !== SANDBOX_TYPES[sandbox])
    return `with the sandbox ${opened.sandbox.type} instead of ${sandbox}`;
  if (opened.sandbox.type === "workspaceWrite" && opened.sandbox.networkAccess !== network)
    return `with${network ? "out" : ""} network in its sandbox`;
  if (opened.approvalPolicy !== approvalPolicy)
    return `with the approval policy ${JSON.stringify(opened.approvalPolicy)} instead of ${approvalPolicy}`;
  return opened.cwd === cwd || realpathSync(opened.cwd) === realpathSync(cwd)
    ? undefined
    : `in ${opened.cwd} instead of ${cwd}`;
}
