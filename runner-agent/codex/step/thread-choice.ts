/**
 * Which thread a codex step works in: a new one, the one of its directory, the one of an attempt before it, or the one of
 * the run that it continues. A thread has one writer (K3): before one that is there already is written to, the edge has
 * said that it is this run; where it is another, the thread is forked or the step is blocked, as the step says.
 */
import type { StepRequest } from "../../steps/step.ts";
import { runKey, sessionKey, type Sessions } from "../sessions.ts";
import type { ServerLease } from "../shared-server.ts";
import { unlessStopped } from "../unless-stopped.ts";
import type { StepPlan } from "./step-plan.ts";
import { openThread, ThreadNotResumableError, type ThreadOrigin } from "./open-thread.ts";

export type ChosenThread =
  /** `again`: an attempt before has begun this very work in it. */
  | { kind: "open"; threadId: string; again: boolean }
  /** Another run writes to it. */
  | { kind: "held"; heldBy: string };

export interface ThreadChoice {
  lease: ServerLease;
  plan: StepPlan;
  request: StepRequest;
  sessions: Sessions;
  /** The whole environment of the commands that the model runs. */
  variables: Record<string, string>;
  /** A line for whoever reads the run's output. */
  say(text: string): void;
  /** The step has to end: nobody is waited for any more. */
  stopped: AbortSignal;
}

/** @throws ThreadNotResumableError, ThreadBusyError, CodexError; the reason of `stopped` when that is aborted meanwhile */
export async function chooseThread(choice: ThreadChoice): Promise<ChosenThread> {
  const { plan, request, say } = choice;
  const { settings } = plan;
  const origin = originOf(choice);
  if (origin.kind === "new") return await opened(choice, origin);
  const heldBy = await writerOf(origin.threadId, choice);
  if (heldBy !== undefined) {
    if (settings.onConflict === "blocked") return { kind: "held", heldBy };
    say(`the thread is in use by ${heldBy}: it is forked`);
    return await opened(choice, { kind: "fork", threadId: origin.threadId });
  }
  try {
    return await opened(choice, origin);
  } catch (error) {
    const replaceable = error instanceof ThreadNotResumableError && settings.session === "auto";
    if (!replaceable || request.continues !== undefined) throw error;
    say(`${error.message}; a new thread is begun`);
    return await opened(choice, { kind: "new" });
  }
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
  const known = plan.settings.session === "new" ? mine : (mine ?? sessions.find(keyOf(plan)));
  if (known !== undefined) return { kind: "resume", threadId: known };
  if (plan.settings.session === "reuse")
    throw new ThreadNotResumableError(
      `session = "reuse", and this runner knows no thread of ${keyOf(plan)}: use "auto" to begin one`,
    );
  return { kind: "new" };
}

async function opened(
  { lease, plan, request, sessions, variables, say }: ThreadChoice,
  origin: ThreadOrigin,
): Promise<ChosenThread> {
  const { settings, cwd } = plan;
  const { runId, attempt, conversation } = request;
  const threadId = await openThread(lease, origin, { settings, cwd, variables });
  const resumed = origin.kind === "resume" && origin.threadId === threadId;
  if (!resumed) await lease.claim(threadId, runId);
  sessions.remember([runKey(runId), ...(settings.session === "new" ? [] : [keyOf(plan)])], threadId);
  if (origin.kind === "resume" && !resumed)
    say(`Codex has thread ${origin.threadId} open with other settings: it is forked to ${threadId}`);
  // Nobody else can know a thread that is new. Where later runs will, they hear of its writer.
  if (!resumed && settings.session !== "new") void conversation?.leaseThread(threadId);
  return { kind: "open", threadId, again: origin.kind === "resume" && attempt > 1 };
}

function keyOf({ cwd, settings }: StepPlan): string {
  return sessionKey(cwd, settings.sessionKey);
}
