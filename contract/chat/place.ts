/**
 * Where people talk: a channel of Discord, a chat of Telegram, and inside of it perhaps a thread or a topic. And who of
 * them asked for a run.
 */

export const CHAT_PLATFORMS = ["discord", "telegram"] as const;
export type ChatPlatform = (typeof CHAT_PLATFORMS)[number];

/** Ids as the platform writes them: decimal digits, of a Telegram group with a minus before them. */
export interface ChatPlace {
  platform: ChatPlatform;
  /** Discord: channel or forum. Telegram: chat. */
  channel: string;
  /** Discord: a thread of the channel. Telegram: a topic of the chat. */
  thread?: string;
}

/** Somebody in a chat, by the id that cannot be changed; the name is for people who read. */
export interface ChatUser {
  id: string;
  name: string;
}

/** Id of nobody: a run that is shown in a chat, and that none of its people asked for. Never mentioned. */
export const NOBODY_ID = "0";

export function isSomebody({ id }: ChatUser): boolean {
  return id !== NOBODY_ID;
}

/** The request from a chat that a run came from: it is shown there, and its requester is told how it ends. */
export interface ChatOrigin {
  place: ChatPlace;
  user: ChatUser;
  /** It was asked to have a thread of its own there, whatever the channel is used to. */
  ownThread?: boolean;
}

const PLACE = /^(discord|telegram):(-?\d{1,20})(?::(\d{1,20}))?$/;

/** Short, ASCII, and the same for the same place: `discord:123`, `telegram:-100123:7`. */
export function placeKey({ platform, channel, thread }: ChatPlace): string {
  return thread === undefined ? `${platform}:${channel}` : `${platform}:${channel}:${thread}`;
}

/** The place of a key, or undefined for a text that is none. */
export function parsePlaceKey(key: string): ChatPlace | undefined {
  const match = PLACE.exec(key);
  const [, platform, channel, thread] = match ?? [];
  if (channel === undefined || (platform !== "discord" && platform !== "telegram")) return undefined;
  return { platform, channel, ...(thread === undefined ? {} : { thread }) };
}

/** The channel itself, whatever thread of it was meant: what settings, bindings and the guard belong to. */
export function channelOf({ platform, channel }: ChatPlace): ChatPlace {
  return { platform, channel };
}

/** How an audit and a run name somebody of a chat: `discord:123 (ada)`. */
export function userLabel(platform: ChatPlatform, { id, name }: ChatUser): string {
  return `${platform}:${id} (${name})`;
}
