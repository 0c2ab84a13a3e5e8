/**
 * Picking up what people write in a run's thread, where the platform tells nobody of it: Discord, without a gateway. Pure: how
 * often a thread is asked, and what of an answer is meant for its run. Only messages that mention the bot have a
 * text at all (Discord's rule without the MESSAGE_CONTENT intent), and only those are taken. A message counts only when its
 * author is a person who has written it: not one of a bot, a webhook, an application or the system, and not a forward.
 */
import { beginningOf } from "../../../contract/chat/short-text.ts";
import { MESSAGE_MAX_CHARS } from "../../../contract/limits.ts";
import type { ChatUser } from "../../../contract/chat/place.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
/** How often a thread is asked, by how long nothing has happened in it. After the last of them it is not asked any more. */
const PACE = [
  { idle: 2 * MINUTE_MS, every: 5 * SECOND_MS },
  { idle: 10 * MINUTE_MS, every: 15 * SECOND_MS },
  { idle: 30 * MINUTE_MS, every: 60 * SECOND_MS },
] as const;
export const LISTENED_THREADS_MAX = 50;
export const READS_PER_SECOND = 10;

/** When a thread is asked next, epoch ms; undefined: nothing has happened in it for too long. */
export function nextRead(askedAt: number, activeAt: number, now: number): number | undefined {
  const every = PACE.find(({ idle }) => now - activeAt < idle)?.every;
  return every === undefined ? undefined : askedAt + every;
}

export interface HeardMessage {
  id: string;
  user: ChatUser;
  /** Without the mention; empty: there is nothing to say. */
  text: string;
}

/** What of Discord's answer people have said to the bot, oldest first, and the newest id of all. */
export function heardIn(body: unknown, botId: string): { messages: HeardMessage[]; newest?: string } {
  if (!Array.isArray(body)) return { messages: [] };
  const all = body.flatMap((one) => readMessage(one, botId)).sort((a, b) => compareIds(a.id, b.id));
  const newest = all.at(-1)?.id;
  return {
    messages: all.flatMap(({ said }) => said ?? []),
    ...(newest === undefined ? {} : { newest }),
  };
}

/** Discord's ids grow, but are too large for a number. */
export function compareIds(a: string, b: string): number {
  return a.length === b.length ? (a < b ? -1 : a > b ? 1 : 0) : a.length - b.length;
}

function readMessage(value: unknown, botId: string): { id: string; said?: HeardMessage }[] {
  const { id, content, author, mentions } = fieldsOf(value);
  if (typeof id !== "string" || !/^\d{1,20}$/.test(id)) return [];
  const { id: userId, username, global_name: shown, bot } = fieldsOf(author);
  const mentioned = Array.isArray(mentions) && mentions.some((one) => fieldsOf(one)["id"] === botId);
  if (bot === true || !mentioned || typeof userId !== "string" || typeof content !== "string")
    return [{ id }];
  if (!isWrittenByAuthor(value)) return [{ id }];
  const name = typeof shown === "string" ? shown : typeof username === "string" ? username : userId;
  const text = content.replaceAll(new RegExp(`<@!?${botId}>`, "g"), "").trim();
  return [{ id, said: { id, user: { id: userId, name }, text: beginningOf(text, MESSAGE_MAX_CHARS) } }];
}

/** Discord's numbers of kinds of messages that a person types: ordinary ones, and replies. */
const TYPED: readonly unknown[] = [undefined, 0, 19];
/** Discord's number of a reference that makes a message a forward. */
const FORWARD = 1;

function isWrittenByAuthor(value: unknown): boolean {
  const { type, webhook_id, application_id, interaction_metadata, message_snapshots, message_reference } =
    fieldsOf(value);
  const foreign = [webhook_id, application_id, interaction_metadata, message_snapshots];
  return (
    TYPED.includes(type) &&
    foreign.every((field) => field === undefined || field === null) &&
    fieldsOf(message_reference)["type"] !== FORWARD
  );
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
