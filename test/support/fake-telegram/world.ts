/** What Telegram knows: users, chats with topics, messages with their whole history. It owns the clock and the ids. */
import type { ResolvedOptions } from "./options.ts";

export interface User {
  id: number;
  is_bot: boolean;
  first_name: string;
  username: string;
}

export type MemberStatus = "creator" | "administrator" | "member" | "restricted" | "left" | "kicked";

export interface Topic {
  id: number;
  name: string;
  closed: boolean;
  /** Every name it had, the present one last. */
  names: string[];
}

export interface Chat {
  id: number;
  type: "private" | "group" | "supergroup" | "channel";
  title: string;
  isForum: boolean;
  topics: Map<number, Topic>;
  /** By user; the bot's own too. */
  members: Map<number, MemberStatus>;
  /** Of the bot as an administrator. */
  canManageTopics: boolean;
  /** The supergroup that this group has become. */
  migratedTo: number | undefined;
  /** Actions that were shown, as `typing`, with their topic. */
  actions: Array<{ action: string; topic: number | undefined; atMs: number }>;
}

/** What a message shows. */
export interface Content {
  /** As it was sent. */
  text: string;
  /** Without markup. */
  plain: string;
  keyboard: unknown;
}

export interface Message extends Content {
  id: number;
  chatId: number;
  topic: number | undefined;
  from: User;
  createdAtMs: number;
  editedAtMs: number | undefined;
  /** What it showed, first to last; the last is what it shows now. */
  history: Content[];
  /** It made no sound. */
  silent: boolean;
  replyTo: number | undefined;
  deleted: boolean;
}

export interface ProtocolFault {
  /** Short name, as `html`; `schema` for what the documentation's types and lengths forbid. */
  rule: string;
  message: string;
  method: string;
  /** Telegram would have taken it, and so did the fake. */
  tolerated: boolean;
  parameters: unknown;
}

/** A button that a user pressed, until it was answered. */
export interface CallbackQuery {
  id: string;
  data: string;
  atMs: number;
  answers: Array<{ text: string; alert: boolean }>;
}

export class World {
  readonly options: ResolvedOptions;
  readonly faults: ProtocolFault[] = [];
  readonly users = new Map<number, User>();
  readonly chats = new Map<number, Chat>();
  /** By chat and id. */
  readonly messages = new Map<string, Message>();
  readonly callbacks = new Map<string, CallbackQuery>();
  readonly bot: User;
  /** By scope and language, as the JSON of both. */
  readonly commands = new Map<string, unknown>();
  readonly #startedAtMs = Date.now();
  #aheadMs = 0;
  #id = 1_000;

  constructor(options: ResolvedOptions) {
    this.options = options;
    const [id = "1"] = options.token.split(":");
    this.bot = { id: Number(id), is_bot: true, first_name: "Codex", username: "codex_flow_bot" };
    this.users.set(this.bot.id, this.bot);
  }

  nowMs(): number {
    return (this.options.heldClock ? this.#startedAtMs : Date.now()) + this.#aheadMs;
  }

  advance(ms: number): void {
    this.#aheadMs += ms;
  }

  newId(): number {
    this.#id += 1;
    return this.#id;
  }

  addUser(name: string): User {
    const user = { id: this.newId(), is_bot: false, first_name: name, username: name };
    this.users.set(user.id, user);
    return user;
  }

  /** A private chat has its user's id; groups have ids below zero. */
  addChat(type: Chat["type"], title: string, given: Partial<Chat> = {}): Chat {
    const number = this.newId();
    const chat: Chat = {
      id: type === "private" ? number : type === "group" ? -number : -1_000_000_000_000 - number,
      type,
      title,
      isForum: false,
      topics: new Map(),
      members: new Map([[this.bot.id, "administrator"]]),
      canManageTopics: true,
      migratedTo: undefined,
      actions: [],
      ...given,
    };
    this.chats.set(chat.id, chat);
    return chat;
  }

  addMessage(chat: Chat, from: User, shown: Content, more: Partial<Message> = {}): Message {
    const message: Message = {
      id: this.newId(),
      chatId: chat.id,
      topic: undefined,
      from,
      createdAtMs: this.nowMs(),
      editedAtMs: undefined,
      history: [structuredClone(shown)],
      silent: false,
      replyTo: undefined,
      deleted: false,
      ...shown,
      ...more,
    };
    this.messages.set(`${chat.id} ${message.id}`, message);
    return message;
  }

  editMessage(message: Message, shown: Content): void {
    Object.assign(message, shown);
    message.editedAtMs = this.nowMs();
    message.history.push(structuredClone(shown));
  }

  message(chatId: number, id: number): Message | undefined {
    const message = this.messages.get(`${chatId} ${id}`);
    return message?.deleted === true ? undefined : message;
  }
}

export function chatView(chat: Chat): Record<string, unknown> {
  const named = chat.type === "private" ? { first_name: chat.title } : { title: chat.title };
  return { id: chat.id, type: chat.type, ...named, ...(chat.isForum ? { is_forum: true } : {}) };
}

export function messageView(world: World, message: Message): Record<string, unknown> {
  const chat = world.chats.get(message.chatId);
  const parent = message.replyTo === undefined ? undefined : world.message(message.chatId, message.replyTo);
  return {
    message_id: message.id,
    from: message.from,
    chat: chat === undefined ? { id: message.chatId } : chatView(chat),
    date: Math.floor(message.createdAtMs / 1000),
    text: message.plain,
    ...(message.topic === undefined ? {} : { message_thread_id: message.topic, is_topic_message: true }),
    ...(message.editedAtMs === undefined ? {} : { edit_date: Math.floor(message.editedAtMs / 1000) }),
    ...(message.keyboard === undefined ? {} : { reply_markup: message.keyboard }),
    ...(parent === undefined
      ? {}
      : { reply_to_message: messageView(world, { ...parent, replyTo: undefined }) }),
  };
}
