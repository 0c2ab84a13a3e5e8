/**
 * Whether a relay may show a session in a channel (contract/relay, R1). What was said about the channel stands in its settings; each
 * answer is written down before it is given. Fails closed: settings or an audit that do not answer allow nothing.
 */
import { placeKey, type ChatPlace } from "../../contract/chat/place.ts";
import { ConflictError } from "../../contract/errors.ts";
import type { GuardAnswer, GuardRequest } from "../../contract/relay.ts";
import { glanceAtSettings, guardChannel } from "../../durable-objects/channel-settings/client.ts";
import { guardVerdict } from "../../durable-objects/channel-settings/settings.ts";
import { CHAT_ACCESS } from "../../durable-objects/chat-access/naming.ts";
import type { Env } from "../env.ts";

/** What opens it, by why it is closed. */
const HOW: Readonly<Record<string, string>> = {
  not_set: "Send /codeflow on there",
  off: "Send /codeflow on there",
  other_session: "Send /codeflow on in the session that relays, and set its key as CODEFLOW_SESSION_KEY",
  unavailable: "Try again",
};

/** The settings of a thread are its channel's, and the id of a thread looks like that of a channel. */
const THREADS =
  "If it is a thread, name its channel and the thread: --channel <channel> --discord-thread <thread>";

export async function guardAllows(env: Env, question: GuardRequest): Promise<GuardAnswer> {
  try {
    const { place, sessionKey, mode, commandHint } = question;
    const { allowed, reason } = await lookAtGuard(env, place, sessionKey);
    await env.CHAT_ACCESS.getByName(CHAT_ACCESS).guardDecision({
      platform: place.platform,
      place: placeKey(place),
      mode,
      allowed,
      reason,
      ...(sessionKey === undefined ? {} : { sessionKey }),
      ...(commandHint === undefined ? {} : { commandHint }),
    });
    return answer(allowed, reason, place);
  } catch (error) {
    console.error(JSON.stringify({ message: "the guard of a channel did not answer", error: String(error) }));
    return answer(false, "unavailable", question.place);
  }
}

function answer(allowed: boolean, reason: string, { platform, thread }: ChatPlace): GuardAnswer {
  const how = HOW[reason];
  if (allowed || how === undefined) return { allowed, reason };
  const mayBeThread = reason === "not_set" && platform === "discord" && thread === undefined;
  return { allowed, reason, how: mayBeThread ? `${how}. ${THREADS}` : how };
}

/** The same without an answer to a relay: nothing is written down. */
export async function lookAtGuard(
  env: Env,
  place: ChatPlace,
  sessionKey: string | undefined,
): Promise<{ allowed: boolean; reason: string }> {
  const { guards } = await glanceAtSettings(env, place);
  return guardVerdict(guards, {
    ...(place.thread === undefined ? {} : { topic: place.thread }),
    ...(sessionKey === undefined ? {} : { sessionKey }),
  });
}

/** Opens or closes it: for the channel, or for the thread that is named; with a key, for that session alone. */
export async function switchGuard(
  env: Env,
  place: ChatPlace,
  { on, by, sessionKey }: { on: boolean; by: string; sessionKey?: string | undefined },
): Promise<void> {
  const { thread } = place;
  const set = await guardChannel(env, place, {
    on,
    by,
    at: Date.now(),
    ...(thread === undefined ? {} : { topic: thread }),
    ...(sessionKey === undefined ? {} : { sessionKey }),
  });
  if (set.kind === "full")
    throw new ConflictError(
      "too_many_guards",
      `a channel has at most ${set.most} threads with a guard of their own`,
    );
}
