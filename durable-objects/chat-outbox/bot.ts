/** The bot that an outbox speaks for, from the Worker's settings. The only file that reads a bot's token. */
import type { ChatPlatform } from "../../contract/chat/place.ts";
import type { Env } from "../../worker/env.ts";
import type { Platform } from "./delivery/platform.ts";
import { discordPlatform } from "./discord/platform.ts";
import { fingerprint } from "./hash.ts";
import { telegramPlatform } from "./telegram/platform.ts";

/** The platform with its token in it, and a fingerprint by which another token is told from this one. */
export function botPlatform(env: Env, name: ChatPlatform): { platform: Platform; fingerprint: string } {
  const token = (name === "discord" ? env.DISCORD_BOT_TOKEN : env.TELEGRAM_BOT_TOKEN) ?? "";
  const platform =
    name === "discord"
      ? discordPlatform({ token, url: env.DISCORD_API_URL, edgeUrl: env.CODEX_FLOW_PUBLIC_URL })
      : telegramPlatform({ token, url: env.TELEGRAM_API_URL });
  return { platform, fingerprint: fingerprint(token) };
}
