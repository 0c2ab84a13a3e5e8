/** Discord as the delivery sees it. */
import { fingerprint } from "../hash.ts";
import type { Platform } from "../delivery/platform.ts";
import { discordOutcome } from "./answers.ts";
import { discordPages } from "./message.ts";
import {
  DISCORD_DEFAULT_URL,
  DISCORD_PACE,
  DISCORD_USER_AGENT,
  discordLane,
  discordRequest,
  discordShown,
  discordThreadName,
} from "./requests.ts";

/** Edits of messages older than an hour are refused; five minutes are for the queue. */
const REPOST_AFTER_MS = 55 * 60_000;

export function discordPlatform({ token, url }: { token: string; url?: string | undefined }): Platform {
  const base = (url ?? DISCORD_DEFAULT_URL).replace(/\/+$/, "");
  return {
    name: "discord",
    pace: DISCORD_PACE,
    nonces: true,
    threadsBeginWithMessage: true,
    interactions: true,
    repostAfterMs: REPOST_AFTER_MS,
    url: ({ path }) => `${base}${path}`,
    headers: ({ body, anonymous }) => ({
      "user-agent": DISCORD_USER_AGENT,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(anonymous === true ? {} : { authorization: `Bot ${token}` }),
    }),
    lane: discordLane,
    request: discordRequest,
    outcome: discordOutcome,
    hashOf: (message) => fingerprint(discordShown(message)),
    pages: discordPages,
    threadName: discordThreadName,
  };
}
