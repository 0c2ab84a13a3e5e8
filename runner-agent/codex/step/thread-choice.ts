/**
 * Which thread a codex step works in: a new one, the one of its directory, the one of an attempt before it, or the one of
 * the run that it continues. A thread has one writer (K3): before one that is there already is written to, the edge has
 * said that it is this run; where it is another, or another program on this box (Codex says so), the thread is forked or
 * the step is blocked, as the step says.
 */
import type { StepRequest } from "../../steps/step.ts";
import { runKey, sessionKey, type Sessions } from "../sessions.ts";
import type { ServerLease } from "../shared-server.ts";
import { unlessStopped } from "../../unless-stopped.ts";
import type { StepPlan } from "./step-plan.ts";
import {
  openThread,
  ThreadBusyError,
  ThreadNotResumableError,
  type OpenedThread,
  type ThreadOptions,
  type ThreadOrigin,
} from "./open-thread.ts";

export type ChosenThread =
  /** `again`: an attempt before has begun this very work in it. */
  | ({ kind: "open"; again: boolean } & OpenedThread)
  /** Another run writes to it, or another program. */
  | { kind: "held"; heldBy: string };

export interface ThreadChoice {
  lease: ServerLease;
  plan: StepPlan;
  request: StepRequest;
  sessions: Sessions;
  /** The whole environment of the commands that the model runs. */
  variables: Record<string, string>;
  /** Of a config.toml, for the thread. */
  config: ThreadOptions["config"];
  /** A line for whoever reads the run's output. */
  say(text: string): void;
  /** The step has to end: nobody is waited for any more. */
  stopped: AbortSignal;
}

/** @throws ThreadNotResumableError, CodexError; the reason of `stopped` when that is aborted meanwhile */
export async function chooseThread(choice: ThreadChoice): Promise<ChosenThread> {
  const { plan, request, say } = choice;
  const { settings } = plan;
  const origin = originOf(choice);
  if (origin.kind === "new") return await opened(choice, origin);
  const heldBy = await writerOf(origin.threadId, choice);
  if (heldBy !== undefined) return await conflicting(choice, origin.threadId, heldBy);
  try {
    return await opened(choice, origin);
  } catch (error) {
    if (error instanceof ThreadBusyError) return await conflicting(choice, origin.threadId, ANOTHER_PROGRAM);
    const replaceable = error instanceof ThreadNotResumableError && settings.session === "auto";
    if (!replaceable || request.continues !== undefined) throw error;
    say(`${error.message}; a new thread is begun`);
    return await opened(choice, { kind: "new" });
  }
}

/** Codex knows that there is one, and not which. */
const ANOTHER_PROGRAM = "another program on this box";

async function conflicting(choice: ThreadChoice, threadId: string, heldBy: string): Promise<ChosenThread> {
  if (choice.plan.settings.onConflict === "blocked") return { kind: "held", heldBy };
  choice.say(`the thread is in use by ${heldBy}: it is forked`);
  return await opened(choice, { kind: "fork", threadId });
}

/** The other run that writes to a thread, on this box or anywhere; from now on it is this run, if there is none. */
async function writerOf(threadId: string, choice: ThreadChoice): Promise<string | undefined> {
  const { lease, request, stopped } = choice;
  // The edge may be away for any time.
  const asked = request.conversation?.leaseThread(threadId);
  const leave = asked === undefined ? { granted: true } : await unlessStopped(asked, stopped);
  if (!leave.granted) return leave.heldBy ?? "another run";
  return await lease.claim(threadId, request.runId, stopped);
}

function originOf({ plan, request, sessions }: ThreadChoice): ThreadOrigin {
  const { continues, runId, attempt } = request;
  if (continues !== undefined) return { kind: "resume", threadId: continues.threadId };
  // A thread of an attempt before: its work is not thrown away.
  const mine = attempt > 1 ? sessions.find(runKey(runId)) : undefined;
  const known = plan.settings.session === "new" ? mine : (mine ?? sessions.find(keyOf(plan, request)));
  if (known !== undefined) return { kind: "resume", threadId: known };
  if (plan.settings.session === "reuse")
    throw new ThreadNotResumableError(
      `session = "reuse", and this runner knows no thread of ${keyOf(plan, request)}: use "auto" to begin one`,
    );
  return { kind: "new" };
}

async function opened(
  { lease, plan, request, sessions, variables, config, say, stopped }: ThreadChoice,
  origin: ThreadOrigin,
): Promise<ChosenThread> {
  const { settings, cwd } = plan;
  const { runId, attempt, conversation } = request;
  const { threadId, model } = await openThread(lease, origin, { settings, cwd, variables, config, stopped });
  const resumed = origin.kind === "resume" && origin.threadId === threadId;
  if (!resumed) await lease.claim(threadId, runId);
  sessions.remember([runKey(runId), ...(settings.session === "new" ? [] : [keyOf(plan, request)])], threadId);
  if (origin.kind === "resume" && !resumed)
    say(`Codex has thread ${origin.threadId} open with other settings: it is forked to ${threadId}`);
  // Nobody else can know a thread that is new. Where later runs will, they hear of its writer.
  if (!resumed && settings.session !== "new") void conversation?.leaseThread(threadId);
  return { kind: "open", threadId, model, again: origin.kind === "resume" && attempt > 1 };
}

function keyOf({ cwd, settings }: StepPlan, { worktree }: StepRequest): string {
  return sessionKey(cwd, settings.sessionKey, worktree);
}
