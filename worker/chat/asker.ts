/** Who asks for something in a chat, where, and by which request of the platform's. */
import {
  placeKey,
  userLabel,
  type ChatOrigin,
  type ChatPlace,
  type ChatUser,
} from "../../contract/chat/place.ts";
import type { Standing } from "../../durable-objects/chat-access/calls.ts";
import { beginningOf } from "../../contract/chat/short-text.ts";
import type { AskedBy } from "../../durable-objects/flow-event/calls.ts";

export interface Asker {
  place: ChatPlace;
  /** Discord: guild. Telegram: the bot's id. */
  tenant: string;
  user: ChatUser;
  /** Discord: role ids at this moment. */
  roles: string[];
  /** The platform itself calls this user an administrator. */
  administrator: boolean;
  /** Id of the interaction or update. What is started bears it, so that a request that comes twice starts nothing twice. */
  requestId: string;
}

/** The tenant of those who ask in direct messages, or in no server's name: nobody there is ever given anything. */
export const DIRECT_MESSAGES = "direct";

/** Key of the request in the replay window. */
export function requestKey({ place, tenant, requestId }: Asker): string {
  // Telegram counts its updates for each bot.
  return place.platform === "discord" ? `interaction:${requestId}` : `update:${tenant}:${requestId}`;
}

/** Id of an event that this request asks for. */
export function eventIdOf({ place, tenant, requestId }: Asker): string {
  return place.platform === "discord" ? `discord:${requestId}` : `telegram:${tenant}:${requestId}`;
}

/** Longest name of somebody that the edge's records take. */
const BY_MAX_CHARS = 128;

/** As the records of runs name somebody. */
export function byOf({ place, user }: Asker): string {
  return beginningOf(userLabel(place.platform, user), BY_MAX_CHARS);
}

export function originOf({ place, user }: Asker): ChatOrigin {
  return { place, user };
}

/** As runs that are made of what is stored already bear it. */
export function askedBy(asker: Asker): AskedBy {
  return { chat: originOf(asker), request: requestKey(asker) };
}

/** As ChatAccess looks at somebody. */
export function standingOf({ place, tenant, user, roles, administrator }: Asker): Standing {
  return { platform: place.platform, tenant, user, roles, administrator };
}

export function placeOf(asker: Asker): string {
  return placeKey(asker.place);
}
