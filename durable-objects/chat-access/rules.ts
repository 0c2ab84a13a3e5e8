/**
 * Who may do what from a chat, as a function of what was granted. The object reads the grants that concern somebody and
 * the earlier admission of the same request, asks here, and stores the verdict in the same transaction.
 *
 * A1. Closed until configured: without a grant nobody of a tenant has anything, but the platform's own administrators.
 *     A server of Discord is one only once the owner of the deployment has let it in: whoever has a server of his own is
 *     its administrator, and can add the bot to it. In direct messages there is no server, and nobody has anything.
 * A2. A deny wins over everything, an administrator's standing too.
 * A3. What was dealt with is not dealt with again within its platform's replay window. Discord sends nothing twice, so what
 *     comes twice is a copy, whatever became of the first. Telegram repeats whatever it got no 200 for: until its answer is given
 *     (`done`), an update is admitted again, at once. What an act does is then idempotent by the update's id, so that one
 *     that was cut off, or is still under way, is done once all the same.
 */
import { CHAT_SCOPES, scopesOf, type ChatGrant, type ChatScope } from "../../contract/chat/scopes.ts";
import type { ChatPlatform } from "../../contract/chat/place.ts";
import type { Attempt, DenialReason, Standing } from "./calls.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** A Discord signature is good for 5 minutes on either side; Telegram sends an update again for a day. */
const REPLAY_WINDOW_MS: Record<ChatPlatform, number> = { discord: 15 * MINUTE_MS, telegram: 2 * DAY_MS };

/** What was said of a tenant. */
export interface TenantState {
  /** A server of Discord that was let in; the bot of Telegram itself. */
  known: boolean;
  /** Somebody of it has a grant. */
  configured: boolean;
}

/** Subjects of the grants that concern somebody. Everybody has the role @everyone, whose id is its server's: no list names it. */
export function subjectsOf({ platform, tenant, user, roles }: Standing): string[] {
  const everyone = platform === "discord" ? [tenant] : [];
  return [`user:${user.id}`, ...[...everyone, ...roles].map((role) => `role:${role}`)];
}

/** The scopes of somebody who was given these grants. */
export function scopesNow(standing: Standing, grants: readonly ChatGrant[], known: boolean): Set<ChatScope> {
  if (!known) return new Set();
  const asAdministrator: ChatGrant[] = standing.administrator ? [{ scopes: ["admin"] }] : [];
  return scopesOf([...grants, ...asAdministrator]);
}

export type Verdict =
  { verdict: "allowed"; scopes: ChatScope[] } | { verdict: "denied"; reason: DenialReason };

export function judge(
  attempt: Attempt,
  grants: readonly ChatGrant[],
  { known, configured }: TenantState,
): Verdict {
  // Also what needs no scope: nothing at all is done for strangers.
  if (!known) return { verdict: "denied", reason: "unknown_server" };
  const scopes = scopesNow(attempt, grants, known);
  if (attempt.scope === undefined || scopes.has(attempt.scope))
    return { verdict: "allowed", scopes: CHAT_SCOPES.filter((scope) => scopes.has(scope)) };
  if (grants.some(({ deny }) => deny === true)) return { verdict: "denied", reason: "denied_role" };
  return { verdict: "denied", reason: configured ? "missing_scope" : "unconfigured" };
}

/** Scopes whose acts change what others may do, or what a machine runs. */
const LASTING: readonly (ChatScope | undefined)[] = ["admin", "run:approve"];

/** Whether the audit keeps an allowed attempt under a bound of its own, whatever else is written. */
export function isLasting({ scope }: Attempt): boolean {
  return LASTING.includes(scope);
}

/** An earlier admission of the same request. */
export interface Seen {
  at: number;
  /** It was acted on, and whoever asked was answered. */
  done: boolean;
}

export function isReplay(platform: ChatPlatform, seen: Seen | undefined, now: number): boolean {
  if (seen === undefined || now >= seen.at + REPLAY_WINDOW_MS[platform]) return false;
  return platform === "discord" || seen.done;
}

/** Until when an admission has to be remembered, epoch ms. */
export function rememberedUntil(platform: ChatPlatform, now: number): number {
  return now + REPLAY_WINDOW_MS[platform];
}
