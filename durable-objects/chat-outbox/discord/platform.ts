/** Discord as the delivery sees it. */
import { discordUserAgent } from "../../../contract/chat/discord-agent.ts";
import { fingerprint } from "../hash.ts";
import type { Platform } from "../delivery/platform.ts";
import { discordOutcome } from "./answers.ts";
import { discordPages } from "./message.ts";
import {
  DISCORD_DEFAULT_URL,
  DISCORD_PACE,
  discordLane,
  discordLink,
  discordRequest,
  discordShown,
  discordThreadName,
} from "./requests.ts";

/** Edits of messages older than an hour are refused; five minutes are for the queue. */
const REPOST_AFTER_MS = 55 * 60_000;

export interface DiscordOptions {
  token: string;
  /** Of Discord's REST interface; the real one when absent. */
  url?: string | undefined;
  /** Where people reach this edge. */
  edgeUrl?: string | undefined;
}

export function discordPlatform({ token, url, edgeUrl }: DiscordOptions): Platform {
  const base = (url ?? DISCORD_DEFAULT_URL).replace(/\/+$/, "");
  const userAgent = discordUserAgent(edgeUrl);
  return {
    name: "discord",
    pace: DISCORD_PACE,
    nonces: true,
    threadsBeginWithMessage: true,
    interactions: true,
    repostAfterMs: REPOST_AFTER_MS,
    url: ({ path }) => `${base}${path}`,
    headers: ({ body, anonymous }) => ({
      "user-agent": userAgent,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(anonymous === true ? {} : { authorization: `Bot ${token}` }),
    }),
    lane: discordLane,
    request: discordRequest,
    outcome: discordOutcome,
    linkTo: discordLink,
    hashOf: (message) => fingerprint(discordShown(message)),
    pages: discordPages,
    threadName: discordThreadName,
  };
}
