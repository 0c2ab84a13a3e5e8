/**
 * Links by which people read the whole log of a run, from a phone and without a token. The edge signs run and end of a link
 * with the token of its bot, which only the edge and the platform have: whoever has the link may read that log until then,
 * and nothing else. Another token of the bot ends all of them.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Env } from "../../worker/env.ts";

/** What else is ever signed with a token says something else first. */
const PURPOSE = "codex-flow: the log of a run, for people";
const MS_PER_SECOND = 1_000;
const DAY_MS = 86_400_000;
const ANSWER_LINK_MS = 3_600_000;

type Signing = Pick<Env, "DISCORD_BOT_TOKEN" | "TELEGRAM_BOT_TOKEN">;

/** For one who has asked for it: an hour. Undefined without a bot. */
export function logLinkForAnswer(env: Signing, base: string, runId: string, now: number): string | undefined {
  return logLink(env, base, runId, now + ANSWER_LINK_MS);
}

/** For a card: until the end of the next day (UTC), so that a card drawn again on the same day bears the same. */
export function logLinkForCard(env: Signing, base: string, runId: string, now: number): string | undefined {
  return logLink(env, base, runId, (Math.floor(now / DAY_MS) + 2) * DAY_MS);
}

function logLink(env: Signing, base: string, runId: string, untilMs: number): string | undefined {
  const [key] = keysOf(env);
  if (key === undefined || base === "") return undefined;
  const until = String(Math.floor(untilMs / MS_PER_SECOND));
  return `${base.replace(/\/+$/, "")}/runs/${runId}/log?until=${until}&sig=${signed(key, runId, until)}`;
}

/** Whether this edge has signed it, and it is not over. Looks at every key, whatever it has found. */
export function isLogLink(
  env: Signing,
  runId: string,
  { until, sig }: { until: string; sig: string },
  now: number,
): boolean {
  const given = new TextEncoder().encode(sig);
  const isOurs = keysOf(env)
    .map((key) => new TextEncoder().encode(signed(key, runId, until)))
    .reduce((found, own) => (own.length === given.length && timingSafeEqual(own, given)) || found, false);
  return isOurs && /^\d{1,12}$/.test(until) && now < Number(until) * MS_PER_SECOND;
}

function keysOf({ DISCORD_BOT_TOKEN, TELEGRAM_BOT_TOKEN }: Signing): string[] {
  return [DISCORD_BOT_TOKEN, TELEGRAM_BOT_TOKEN].flatMap((token) =>
    token === undefined || token === "" ? [] : [token],
  );
}

function signed(key: string, runId: string, until: string): string {
  return createHmac("sha256", key).update(`${PURPOSE}\n${runId}\n${until}`).digest("base64url");
}
