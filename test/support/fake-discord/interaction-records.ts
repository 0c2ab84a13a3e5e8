/** What Discord remembers of an interaction for as long as its token lives. */
import { refusal } from "./errors.ts";
import type { Message, Snowflake, World } from "./world.ts";

export const TOKEN_LIFE_MS = 15 * 60_000;

export interface InteractionRecord {
  id: Snowflake;
  token: string;
  /** 2 command, 3 component, 4 autocomplete, 5 modal. */
  type: number;
  userId: Snowflake;
  channelId: Snowflake;
  createdAtMs: number;
  /** Undefined until it was answered. */
  answeredAtMs: number | undefined;
  /** What `@original` means, if anything. */
  original: Message | undefined;
  /** The answer was a deferral, and nothing replaced it yet. */
  thinking: boolean;
}

/** The interaction of a token, or the error that Discord has for it. */
export function liveInteraction(world: World, token: string): InteractionRecord {
  const found = world.interactions.get(token);
  if (found === undefined) throw refusal("unknownWebhook");
  const now = world.nowMs();
  if (now - found.createdAtMs > TOKEN_LIFE_MS) throw refusal("expiredToken");
  // Discord's own race: the token exists a little later than the answer that makes it useful.
  if (found.answeredAtMs === undefined || now - found.answeredAtMs < world.options.followUpRaceMs)
    throw refusal("unknownWebhook");
  return found;
}
