/** Telegram as the delivery sees it. Its token stands in the address, so addresses are never logged. */
import { fingerprint } from "../hash.ts";
import type { Platform } from "../delivery/platform.ts";
import { telegramOutcome } from "./answers.ts";
import { telegramPages } from "./message.ts";
import {
  TELEGRAM_DEFAULT_URL,
  TELEGRAM_PACE,
  telegramLane,
  telegramRequest,
  telegramShown,
  telegramTopicName,
} from "./requests.ts";

export function telegramPlatform({ token, url }: { token: string; url?: string | undefined }): Platform {
  const base = (url ?? TELEGRAM_DEFAULT_URL).replace(/\/+$/, "");
  return {
    name: "telegram",
    pace: TELEGRAM_PACE,
    nonces: false,
    threadsBeginWithMessage: false,
    interactions: false,
    repostAfterMs: undefined,
    url: ({ path }) => `${base}/bot${token}${path}`,
    headers: () => ({ "content-type": "application/json" }),
    lane: telegramLane,
    request: telegramRequest,
    outcome: telegramOutcome,
    linkTo: () => undefined,
    hashOf: (message) => fingerprint(telegramShown(message)),
    pages: telegramPages,
    threadName: telegramTopicName,
  };
}
