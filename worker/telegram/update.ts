/**
 * What an update asks for, read from Telegram's form into ours: a command, a text, a press of a button, or something that
 * only has to be known. Pure, and it never throws: whatever is not understood is `nothing`, with the reason.
 *
 * 1. Who acts is `from`, and only where a person stands behind it: a channel or an anonymous administrator speaks as
 *    `sender_chat`, whose `from` is a stand-in that all of them share. Then there is no user.
 * 2. A topic is one only where Telegram says so: `message_thread_id` alone may be a thread of replies.
 * 3. A run is read from the buttons of the bot's own message only, and never from words: those may be an agent's, or quote
 *    other runs. What a message without buttons is about, the outbox knows that has sent it.
 * 4. The words of a message carry the sender's authority only when the sender has written them. Forwards and results of
 *    inline bots are other people's words: they are never a command and never reach a run (`foreign`). Captions, edited
 *    messages, channel posts and quotes are not read at all.
 */
import { parseAction } from "../../contract/chat/action.ts";
import type { ChatPlace, ChatUser } from "../../contract/chat/place.ts";
import { beginningOf } from "../../contract/chat/short-text.ts";
import type { TelegramMessage, TelegramUpdate, TelegramUser } from "../../contract/chat/telegram-update.ts";

/** Who the bot is. */
export interface BotIdentity {
  /** Decimal digits. */
  id: string;
  /** Without the @; undefined: not known, and then `/cmd@name` is nobody's. */
  name?: string | undefined;
}

/** Where and by whom something is asked. */
export interface Asked {
  place: ChatPlace;
  /** Undefined: nobody who could be known. */
  user: ChatUser | undefined;
  /** A chat of one user with the bot. */
  isPrivate: boolean;
}

/** The message of the bot that a message replies to, as far as it tells of a run. */
export interface RepliedTo {
  /** Who wrote it, where that is a person. */
  user?: ChatUser;
  /** The run that the bot's message is about, by its buttons. */
  runId?: string;
  /** The bot's message, when it has no such button. */
  ownMessage?: string;
}

export interface CommandRequest extends Asked {
  kind: "command";
  messageId: number;
  /** In lower case, without slash and bot. */
  name: string;
  /** It names this bot, so that no other can be meant. */
  addressed: boolean;
  /** What stands behind it. */
  rest: string;
  repliedTo?: RepliedTo;
}

export interface TextRequest extends Asked {
  kind: "text";
  messageId: number;
  text: string;
  repliedTo?: RepliedTo;
}

export interface PressRequest extends Asked {
  kind: "press";
  /** Of the callback query; it wants an answer. */
  callbackId: string;
  messageId: number;
  data: string;
}

/** Whose words a message repeats, where the sender has not written them. */
export type ForeignWords = "forwarded" | "via_bot";

/** A message whose words somebody else has written. */
export interface ForeignRequest {
  kind: "foreign";
  why: ForeignWords;
  /** What it would ask for if the sender had written it. */
  request: CommandRequest | TextRequest;
}

export type TelegramRequest =
  | CommandRequest
  | TextRequest
  | ForeignRequest
  | PressRequest
  /** A group has become a supergroup, which has another id. */
  | { kind: "moved"; from: ChatPlace; to: ChatPlace }
  | { kind: "nothing"; why: string };

/** Longer names are cut: they are for people who read. */
const NAME_MAX_CHARS = 64;

export function readUpdate(update: TelegramUpdate, bot: BotIdentity): TelegramRequest {
  if (update.message !== undefined) return readMessage(update.message, bot);
  if (update.callback_query !== undefined) return readPress(update.callback_query);
  // That the bot was added starts nothing; that it was removed shows in what the outbox is answered.
  return { kind: "nothing", why: "no message and no press" };
}

function readMessage(message: TelegramMessage, bot: BotIdentity): TelegramRequest {
  const request = readWords(message, bot);
  const why = foreignWords(message);
  const asks = request.kind === "command" || request.kind === "text";
  return why !== undefined && asks ? { kind: "foreign", why, request } : request;
}

/** Any of these fields says it, whatever its value: a form that a later version of the Bot API sends counts too. */
const FORWARDED = [
  "forward_origin",
  "forward_date",
  "forward_from",
  "forward_from_chat",
  "forward_sender_name",
  "is_automatic_forward",
] as const;

function foreignWords(message: TelegramMessage): ForeignWords | undefined {
  if (FORWARDED.some((field) => message[field] !== undefined)) return "forwarded";
  return message.via_bot === undefined ? undefined : "via_bot";
}

function readWords(message: TelegramMessage, bot: BotIdentity): TelegramRequest {
  const to = message.migrate_to_chat_id;
  if (to !== undefined) return moved(message.chat.id, to);
  // The same news, told in the new group.
  const from = message.migrate_from_chat_id;
  if (from !== undefined) return moved(from, message.chat.id);
  if (message.from?.is_bot === true && message.sender_chat === undefined)
    return { kind: "nothing", why: "a bot speaks" };
  if (message.chat.type === "channel") return { kind: "nothing", why: "a channel's post" };
  const text = message.text?.trim() ?? "";
  if (text === "") return { kind: "nothing", why: "no text" };
  const asked: Asked = {
    place: placeOf(message),
    user: message.sender_chat === undefined ? person(message.from) : undefined,
    isPrivate: message.chat.type === "private",
  };
  const repliedTo = readRepliedTo(message, bot);
  const replied = repliedTo === undefined ? {} : { repliedTo };
  const command = readCommand(text);
  if (command === undefined)
    return { kind: "text", ...asked, messageId: message.message_id, text, ...replied };
  if (command.bot !== undefined && command.bot !== bot.name?.toLowerCase())
    return { kind: "nothing", why: "a command for another bot" };
  const { name, rest } = command;
  const addressed = command.bot !== undefined || asked.isPrivate;
  return { kind: "command", ...asked, messageId: message.message_id, name, addressed, rest, ...replied };
}

function readPress({
  id,
  from,
  message,
  data,
}: NonNullable<TelegramUpdate["callback_query"]>): TelegramRequest {
  if (message === undefined || data === undefined)
    return { kind: "nothing", why: "a press without message or data" };
  return {
    kind: "press",
    place: placeOf(message),
    user: person(from),
    isPrivate: message.chat.type === "private",
    callbackId: id,
    messageId: message.message_id,
    data,
  };
}

const COMMAND = /^\/([A-Za-z0-9_]{1,32})(?:@([A-Za-z0-9_]{1,64}))?(?=\s|$)/;

/** The command that a text begins with, as Telegram marks one; names without regard to case, as phones begin sentences. */
export function readCommand(text: string): { name: string; bot?: string; rest: string } | undefined {
  const [whole, name, bot] = COMMAND.exec(text) ?? [];
  if (whole === undefined || name === undefined) return undefined;
  return {
    name: name.toLowerCase(),
    ...(bot === undefined ? {} : { bot: bot.toLowerCase() }),
    rest: text.slice(whole.length).trim(),
  };
}

function readRepliedTo(
  { reply_to_message: message, message_thread_id: thread, is_topic_message: isTopic }: TelegramMessage,
  bot: BotIdentity,
): RepliedTo | undefined {
  if (message?.from === undefined || message.sender_chat !== undefined) return undefined;
  // Every message of a topic that replies to nothing is shown as a reply to the message that has opened the topic, whose
  // sender the author of this one does not mean.
  if (isTopic === true && message.message_id === thread) return undefined;
  if (String(message.from.id) !== bot.id) {
    const user = person(message.from);
    return user === undefined ? undefined : { user };
  }
  const runId = runOfButtons(message);
  return runId === undefined ? { ownMessage: String(message.message_id) } : { runId };
}

function runOfButtons({ reply_markup }: Pick<TelegramMessage, "reply_markup">): string | undefined {
  for (const { callback_data } of (reply_markup?.inline_keyboard ?? []).flat()) {
    const action = callback_data === undefined ? undefined : parseAction(callback_data);
    if (action !== undefined) return action.runId;
  }
  return undefined;
}

function placeOf({
  chat,
  message_thread_id,
  is_topic_message,
}: Pick<TelegramMessage, "chat" | "message_thread_id" | "is_topic_message">): ChatPlace {
  const topic = is_topic_message === true && message_thread_id !== undefined && message_thread_id > 0;
  return {
    platform: "telegram",
    channel: String(chat.id),
    ...(topic ? { thread: String(message_thread_id) } : {}),
  };
}

function person(user: TelegramUser | undefined): ChatUser | undefined {
  if (user === undefined || user.is_bot === true || user.id <= 0) return undefined;
  const full = [user.first_name, user.last_name].filter((part) => part !== undefined && part !== "");
  const name = user.username ?? full.join(" ");
  return { id: String(user.id), name: name === "" ? "somebody" : beginningOf(name, NAME_MAX_CHARS) };
}

function moved(from: number, to: number): TelegramRequest {
  const chat = (id: number): ChatPlace => ({ platform: "telegram", channel: String(id) });
  return { kind: "moved", from: chat(from), to: chat(to) };
}
