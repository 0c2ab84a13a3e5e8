/**
 * One chat outbox for each bot: named after the bot's own id, not its token, so that a token can be changed while messages
 * wait. Without a bot of a platform there is no outbox of it, and nothing is ever told to one.
 */
import { CHAT_PLATFORMS, type ChatPlatform } from "../../contract/chat/place.ts";
import type { Env } from "../../worker/env.ts";

/** The bot's public id: Discord's application id, or what stands before the colon of a Telegram token. */
export function botId(env: Env, platform: ChatPlatform): string | undefined {
  if (platform === "discord")
    return env.DISCORD_BOT_TOKEN === undefined ? undefined : env.DISCORD_APPLICATION_ID;
  return /^(\d+):/.exec(env.TELEGRAM_BOT_TOKEN ?? "")?.[1];
}

/** Name of the platform's outbox; undefined when no bot is configured. */
export function outboxName(env: Env, platform: ChatPlatform): string | undefined {
  const id = botId(env, platform);
  return id === undefined ? undefined : `${platform}:${id}`;
}

/**
 * Name of the outbox that can be asked how it stands. A bot whose token was taken away has an outbox all the same, with what is not
 * sent; only of Telegram's no name is known then.
 */
export function outboxNameToAsk(env: Env, platform: ChatPlatform): string | undefined {
  const application = env.DISCORD_APPLICATION_ID;
  if (platform === "discord" && application !== undefined) return `discord:${application}`;
  return outboxName(env, platform);
}

/** Names of all outboxes of this deployment. */
export function outboxNames(env: Env): string[] {
  return CHAT_PLATFORMS.flatMap((platform) => outboxName(env, platform) ?? []);
}
