/**
 * A press of a button. The button knows a run and nothing else: whether it still makes sense, and whether who presses it
 * may, is decided now. What there is to read is posted; everything else is said to who has pressed alone.
 */
import {
  ACTION_MAX_BYTES,
  parseAction,
  type ChatAction,
  type ChatActionName,
} from "../../contract/chat/action.ts";
import type { Env } from "../env.ts";
import { withAdmission } from "../chat/access.ts";
import { ACTION_SCOPES } from "../chat/action-scopes.ts";
import { refused, said, type ChatAnswer } from "../chat/answer.ts";
import type { Asker } from "../chat/asker.ts";
import { cancel, confirmDecision, decide, follow, replay } from "../chat/steer.ts";
import { approvalDetails, diff, logs } from "../chat/watch.ts";
import { isGood, postAnswer, toast, toastOf, type WebhookReply } from "./deliver.ts";
import type { PressRequest } from "./update.ts";

interface Act {
  /** The answer is something to read: it is posted. */
  posts?: boolean;
  run(env: Env, asker: Asker, action: ChatAction): Promise<ChatAnswer> | ChatAnswer;
}

const ACTS: Record<ChatActionName, Act> = {
  cancel: { run: (env, asker, { runId }) => cancel(env, asker, runId) },
  replay: { run: (env, asker, { runId }) => replay(env, asker, { runId }) },
  follow: { run: (env, asker, { runId }) => follow(env, asker, runId) },
  logs: { posts: true, run: (env, asker, { runId }) => logs(env, asker, runId) },
  diff: { posts: true, run: (env, asker, { runId }) => diff(env, asker, runId) },
  details: {
    posts: true,
    run: (env, asker, { runId, more = "" }) => approvalDetails(env, asker, runId, more),
  },
  // Telegram has no forms.
  reply: {
    run: (_env, _asker, { runId }) =>
      said("told how", "Reply to a message of this run, or write in its topic", {
        lines: [`or: /say ${runId} …`],
      }),
  },
  budget: {
    run: (_env, _asker, { runId }) =>
      said("told how", "Say how much more:", { lines: [`/budget ${runId} tokens=100000`] }),
  },
  approve: { run: (env, asker, action) => decided(env, asker, action, "accept") },
  approve_session: { run: (env, asker, action) => decided(env, asker, action, "accept_for_session") },
  deny: { run: (env, asker, action) => decided(env, asker, action, "decline") },
  confirm: { run: (env, asker, { runId, more = "" }) => confirmDecision(env, asker, runId, more) },
};

export async function press(
  env: Env,
  asker: Asker,
  { callbackId, data }: PressRequest,
): Promise<WebhookReply> {
  const action = data.length > ACTION_MAX_BYTES ? undefined : parseAction(data);
  if (action === undefined) {
    const unknown = await withAdmission<ChatAnswer>(env, asker, { act: "unknown button" }, () =>
      refused("out_of_date", "This button is out of date"),
    );
    return toastOf(callbackId, unknown);
  }
  const { act, runId } = action;
  const { posts = false, run } = ACTS[act];
  const isPosted = (answer: ChatAnswer): boolean => answer.kind === "confirm" || (posts && isGood(answer));
  const answer = await withAdmission(
    env,
    asker,
    { scope: ACTION_SCOPES[act], act, subject: runId },
    () => run(env, asker, action),
    async (given) => {
      if (isPosted(given)) await postAnswer(env, asker, given);
    },
  );
  return isPosted(answer) && answer.kind !== "confirm" ? toast(callbackId, "") : toastOf(callbackId, answer);
}

function decided(
  env: Env,
  asker: Asker,
  { runId, more = "" }: ChatAction,
  decision: "accept" | "accept_for_session" | "decline",
): Promise<ChatAnswer> {
  return decide(env, asker, { runId, approval: more, decision });
}
