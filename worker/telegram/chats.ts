/** Which chats of Telegram the bot hears, and what becomes of one that changes its id. */
import type { ChatPlace } from "../../contract/chat/place.ts";
import { CHAT_ACCESS } from "../../durable-objects/chat-access/naming.ts";
import {
  changeChannel,
  glanceAtSettings,
  guardChannel,
} from "../../durable-objects/channel-settings/client.ts";
import { isInUse, LET_GO, movedSettings } from "../../durable-objects/channel-settings/settings.ts";
import type { Env } from "../env.ts";
import { standingOf, type Asker } from "../chat/asker.ts";

/** A group that an administrator of the bot has bound; a private chat of somebody who has been given anything. */
export async function isBound(env: Env, asker: Asker, isPrivate: boolean): Promise<boolean> {
  if (!isPrivate) return isInUse(await glanceAtSettings(env, asker.place));
  const scopes = await env.CHAT_ACCESS.getByName(CHAT_ACCESS).scopesOf(standingOf(asker));
  return scopes.length > 0;
}

/**
 * A group has become a supergroup: its settings move along. Both groups tell of it, perhaps again, perhaps at once, and any
 * call may be the last one. So the new group has everything before the old one loses anything, which it does in one write: until
 * then it is all done again, which changes nothing (movedSettings); from then on there is nothing to move.
 */
export async function moveChat(env: Env, from: ChatPlace, to: ChatPlace): Promise<void> {
  const settings = await glanceAtSettings(env, from);
  if (!isInUse(settings)) return;
  const { change, guards } = movedSettings(settings, await glanceAtSettings(env, to));
  const answers = [await changeChannel(env, to, change)];
  for (const guard of guards) answers.push(await guardChannel(env, to, guard));
  if (answers.some(({ kind }) => kind === "full"))
    console.warn(
      JSON.stringify({ message: "a group has more settings than its new one takes", to: to.channel }),
    );
  await changeChannel(env, from, LET_GO);
}
