/** The bot that an outbox speaks for, from the Worker's settings. The only file that speaks with its token. */
import type { ChatPlatform } from "../../contract/chat/place.ts";
import type { Env } from "../../worker/env.ts";
import type { Platform } from "./delivery/platform.ts";
import { discordPlatform } from "./discord/platform.ts";
import { fingerprint } from "./hash.ts";
import { telegramPlatform } from "./telegram/platform.ts";

export interface Bot {
  /** With the token in it. */
  platform: Platform;
  /** By which another token is told from this one. */
  fingerprint: string;
  /** The setting without which it cannot speak: it is sent nothing, and tries nothing. */
  lacks?: string;
}

const TOKENS = { discord: "DISCORD_BOT_TOKEN", telegram: "TELEGRAM_BOT_TOKEN" } as const;

export function botPlatform(env: Env, name: ChatPlatform): Bot {
  const token = env[TOKENS[name]]?.trim() ?? "";
  const platform =
    name === "discord"
      ? discordPlatform({ token, url: env.DISCORD_API_URL, edgeUrl: env.CODEX_FLOW_PUBLIC_URL })
      : telegramPlatform({ token, url: env.TELEGRAM_API_URL });
  return { platform, fingerprint: fingerprint(token), ...(token === "" ? { lacks: TOKENS[name] } : {}) };
}
