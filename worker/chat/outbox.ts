/**
 * The platform's outbox, for what an act has to ask or tell it. It shows runs and never owns them: whatever goes wrong there
 * is logged, and takes no act back.
 */
import type { ChatPlace, ChatPlatform } from "../../contract/chat/place.ts";
import { outboxName, outboxNameToAsk } from "../../durable-objects/chat-outbox/naming.ts";
import type { ChatOutboxStatus } from "../../durable-objects/chat-outbox/calls.ts";
import type { ChatOutbox } from "../../durable-objects/chat-outbox/object.ts";
import type { Remote } from "../../durable-objects/kit/remote.ts";
import type { Env } from "../env.ts";

/** Undefined when the platform has no bot here. */
export function outboxOf(env: Env, platform: ChatPlatform): Remote<ChatOutbox> | undefined {
  const name = outboxName(env, platform);
  return name === undefined ? undefined : env.CHAT_OUTBOXES.getByName(name);
}

/** What the outbox answers; undefined without a bot, or when it fails. */
export async function askOutbox<T>(
  env: Env,
  platform: ChatPlatform,
  ask: (outbox: Remote<ChatOutbox>) => Promise<T>,
): Promise<T | undefined> {
  const outbox = outboxOf(env, platform);
  return outbox && answerOf(platform, () => ask(outbox));
}

async function answerOf<T>(platform: ChatPlatform, ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    console.warn(JSON.stringify({ message: "a chat outbox did not answer", platform, error: String(error) }));
    return undefined;
  }
}

/** How the platform's outbox stands; undefined when it does not answer. */
export async function outboxStatus(env: Env, platform: ChatPlatform): Promise<ChatOutboxStatus | undefined> {
  const name = outboxNameToAsk(env, platform);
  if (name === undefined) return undefined;
  return answerOf(platform, () => env.CHAT_OUTBOXES.getByName(name).status());
}

/** The run that one of the bot's messages is about: by what it has sent, never by what stands in it. */
export async function runOfMessage(
  env: Env,
  { platform, channel }: ChatPlace,
  messageId: string,
): Promise<string | undefined> {
  return askOutbox(env, platform, (outbox) => outbox.runOfMessage(channel, messageId));
}

/** The run whose thread or topic a place is. */
export async function runOfPlace(env: Env, place: ChatPlace): Promise<string | undefined> {
  if (place.thread === undefined) return undefined;
  return askOutbox(env, place.platform, (outbox) => outbox.runOfThread(place));
}
