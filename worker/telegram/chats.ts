/** Which chats of Telegram the bot hears, and what becomes of one that changes its id. */
import type { ChatPlace } from "../../contract/chat/place.ts";
import { CHAT_ACCESS } from "../../durable-objects/chat-access/naming.ts";
import {
  changeChannel,
  glanceAtSettings,
  guardChannel,
} from "../../durable-objects/channel-settings/client.ts";
import type { Settings } from "../../durable-objects/channel-settings/settings.ts";
import type { Env } from "../env.ts";
import { standingOf, type Asker } from "../chat/asker.ts";

/** A group that an administrator of the bot has bound; a private chat of somebody who has been given anything. */
export async function isBound(env: Env, asker: Asker, isPrivate: boolean): Promise<boolean> {
  if (!isPrivate) return isInUse(await glanceAtSettings(env, asker.place));
  const scopes = await env.CHAT_ACCESS.getByName(CHAT_ACCESS).scopesOf(standingOf(asker));
  return scopes.length > 0;
}

function isInUse({ bound, flows, types, guards }: Settings): boolean {
  return bound || flows.length > 0 || types.length > 0 || guards.some(({ on }) => on);
}

/**
 * A group has become a supergroup: its settings move along. Both groups tell of it, perhaps again; what was moved is gone
 * from the old one, so that nothing is moved twice, and nothing that was set in the new one meanwhile is lost.
 */
export async function moveChat(env: Env, from: ChatPlace, to: ChatPlace): Promise<void> {
  const settings = await glanceAtSettings(env, from);
  if (!isInUse(settings)) return;
  const { flows, types, threads, output, safe, session, project, workdir, prompts, guards } = settings;
  const known = await glanceAtSettings(env, to);
  if (!isInUse(known))
    await changeChannel(env, to, {
      bound: true,
      follow: { flows, types },
      threads,
      output,
      safe,
      session,
      prompts,
      ...(project === undefined ? {} : { project }),
      ...(workdir === undefined ? {} : { workdir }),
    });
  for (const guard of guards)
    if (!known.guards.some((one) => one.topic === guard.topic && one.sessionKey === guard.sessionKey))
      await guardChannel(env, to, guard);
  await changeChannel(env, from, { bound: false, unfollow: { flows: ["*"], types: ["*"] } });
  for (const guard of guards) if (guard.on) await guardChannel(env, from, { ...guard, on: false });
}
