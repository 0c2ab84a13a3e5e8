/** The methods of the Bot API: parameters that fit the documentation in, result or Telegram's error out. */
import { badRequest, RuleError, TelegramError } from "./errors.ts";
import { textOfHtml } from "./html.ts";
import type { Webhook } from "./webhook.ts";
import {
  chatView,
  messageView,
  type Chat,
  type Content,
  type MemberStatus,
  type Message,
  type World,
} from "./world.ts";

export interface Call {
  world: World;
  webhook: Webhook;
  /** Checked against the method's schema. */
  parameters: Record<string, unknown>;
  /** Counts what is sent into a chat, and throws the 429. */
  limit: (chat: Chat) => void;
  /** Records a fault that Telegram itself would tolerate. */
  report: (rule: string, message: string) => void;
}

const TEXT_CHARS = 4_096;
/** A user waits no longer for the answer to a button. */
const ANSWER_MS = 15 * 60_000;
const ACTIONS = new Set(["typing", "upload_document", "upload_photo", "record_video", "choose_sticker"]);

export const METHODS: Record<string, (call: Call) => unknown> = {
  getMe: ({ world }) => ({ ...world.bot, can_join_groups: true, can_read_all_group_messages: false }),
  sendMessage,
  editMessageText,
  editMessageReplyMarkup,
  deleteMessage: ({ world, parameters }) => {
    const message = world.message(chatOf(world, parameters).id, Number(parameters["message_id"]));
    if (message === undefined) throw badRequest("message to delete not found");
    message.deleted = true;
    return true;
  },
  answerCallbackQuery: ({ world, parameters }) => {
    const query = world.callbacks.get(String(parameters["callback_query_id"]));
    if (query === undefined || world.nowMs() - query.atMs > ANSWER_MS)
      throw badRequest("query is too old and response timeout expired or query ID is invalid");
    query.answers.push({ text: stringOf(parameters, "text"), alert: parameters["show_alert"] === true });
    return true;
  },
  createForumTopic: ({ world, parameters, limit }) => {
    const chat = chatOf(world, parameters);
    mayManageTopics(world, chat);
    limit(chat);
    const name = String(parameters["name"]);
    const topic = { id: world.newId(), name, closed: false, names: [name] };
    chat.topics.set(topic.id, topic);
    return { message_thread_id: topic.id, name, icon_color: parameters["icon_color"] ?? 7322096 };
  },
  editForumTopic: ({ world, parameters }) => {
    const topic = topicOf(world, parameters);
    const name = stringOf(parameters, "name");
    if (name === topic.name || name === "") throw badRequest("TOPIC_NOT_MODIFIED");
    topic.name = name;
    topic.names.push(name);
    return true;
  },
  closeForumTopic: ({ world, parameters }) => {
    const topic = topicOf(world, parameters);
    if (topic.closed) throw badRequest("TOPIC_NOT_MODIFIED");
    topic.closed = true;
    return true;
  },
  reopenForumTopic: ({ world, parameters }) => {
    const topic = topicOf(world, parameters);
    if (!topic.closed) throw badRequest("TOPIC_NOT_MODIFIED");
    topic.closed = false;
    return true;
  },
  setWebhook: ({ webhook, parameters }) => webhook.set(parameters),
  deleteWebhook: ({ webhook, parameters }) => webhook.remove(parameters["drop_pending_updates"] === true),
  getWebhookInfo: ({ webhook }) => webhook.info(),
  setMyCommands: ({ world, parameters }) => {
    world.commands.set(scopeOf(parameters), parameters["commands"]);
    return true;
  },
  deleteMyCommands: ({ world, parameters }) => {
    world.commands.delete(scopeOf(parameters));
    return true;
  },
  getMyCommands: ({ world, parameters }) => world.commands.get(scopeOf(parameters)) ?? [],
  getChat: ({ world, parameters }) => chatView(chatOf(world, parameters)),
  getChatMember: ({ world, parameters }) => {
    const chat = chatOf(world, parameters);
    const user = world.users.get(Number(parameters["user_id"]));
    if (user === undefined) throw badRequest("user not found");
    return { user, status: chat.members.get(user.id) ?? ("left" satisfies MemberStatus) };
  },
  sendChatAction: ({ world, parameters }) => {
    const chat = chatOf(world, parameters);
    const action = String(parameters["action"]);
    if (!ACTIONS.has(action)) throw new RuleError("action", "wrong parameter action in request");
    const topic = threadOf(chat, parameters);
    chat.actions.push({ action, topic, atMs: world.nowMs() });
    return true;
  },
};

function sendMessage(call: Call): unknown {
  const { world, parameters, limit } = call;
  const chat = chatOf(world, parameters);
  const shown = contentOf(parameters);
  const topic = threadOf(chat, parameters);
  if (
    topic !== undefined &&
    chat.topics.get(topic)?.closed === true &&
    chat.members.get(world.bot.id) !== "administrator"
  )
    throw badRequest("TOPIC_CLOSED");
  const reply = parameters["reply_parameters"] as
    { message_id: number; allow_sending_without_reply?: boolean } | undefined;
  const parent = reply === undefined ? undefined : world.message(chat.id, reply.message_id);
  if (reply !== undefined && parent === undefined && reply.allow_sending_without_reply !== true)
    throw badRequest("message to be replied not found");
  limit(chat);
  const message = world.addMessage(chat, world.bot, shown, {
    topic,
    silent: parameters["disable_notification"] === true,
    replyTo: parent?.id,
  });
  return messageView(world, message);
}

function editMessageText(call: Call): unknown {
  const { world, parameters, limit } = call;
  const message = ownMessage(world, parameters, "edit");
  const shown = contentOf(parameters);
  // Telegram compares before it counts, yet a request is a request: the limit comes first.
  limit(chatOf(world, parameters));
  change(call, message, shown);
  return messageView(world, message);
}

function editMessageReplyMarkup(call: Call): unknown {
  const { world, parameters, limit } = call;
  const message = ownMessage(world, parameters, "edit");
  limit(chatOf(world, parameters));
  change(call, message, { ...message, keyboard: keyboardOf(parameters) });
  return messageView(world, message);
}

function change({ world, report }: Call, message: Message, { text, plain, keyboard }: Content): void {
  const same =
    JSON.stringify([plain, text, keyboard]) ===
    JSON.stringify([message.plain, message.text, message.keyboard]);
  if (same) {
    report("not_modified", "an edit that changes nothing costs a place in the limit");
    throw badRequest(
      "message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message",
    );
  }
  world.editMessage(message, { text, plain, keyboard });
}

function contentOf(parameters: Record<string, unknown>): Content {
  const text = stringOf(parameters, "text");
  const html = parameters["parse_mode"] === "HTML";
  const plain = html ? parsed(text) : text;
  if (plain.trim() === "") throw new RuleError("empty", "message text is empty");
  if (plain.length > TEXT_CHARS) throw new RuleError("text_length", "message is too long");
  if (parameters["parse_mode"] !== undefined && !html)
    throw new RuleError(
      "parse_mode",
      "the fake parses HTML only: its escaping is the one that can be checked",
    );
  return { text, plain, keyboard: keyboardOf(parameters) };
}

function parsed(html: string): string {
  try {
    return textOfHtml(html);
  } catch (error) {
    throw new RuleError("html", error instanceof Error ? error.message : String(error));
  }
}

/** A keyboard without buttons is none. */
function keyboardOf(parameters: Record<string, unknown>): unknown {
  const markup = parameters["reply_markup"] as
    { inline_keyboard?: Array<Array<Record<string, unknown>>> } | undefined;
  if (markup?.inline_keyboard === undefined) return markup;
  const buttons = markup.inline_keyboard.flat();
  for (const button of buttons) {
    const actions = Object.keys(button).filter(
      (key) => !["text", "style", "icon_custom_emoji_id"].includes(key),
    );
    if (actions.length !== 1)
      throw new RuleError("button", "an inline keyboard button has exactly one of its optional fields");
  }
  return buttons.length === 0 ? undefined : markup;
}

/** The chat, if the bot may write there. */
function chatOf(world: World, parameters: Record<string, unknown>): Chat {
  const chat = world.chats.get(Number(parameters["chat_id"]));
  if (chat === undefined) throw badRequest("chat not found");
  if (chat.migratedTo !== undefined)
    throw badRequest("group chat was upgraded to a supergroup chat", { migrate_to_chat_id: chat.migratedTo });
  const status = chat.members.get(world.bot.id);
  if (status === "kicked")
    throw new TelegramError(
      403,
      chat.type === "private"
        ? "Forbidden: bot was blocked by the user"
        : `Forbidden: bot was kicked from the ${chat.type} chat`,
    );
  if (status === "left")
    throw new TelegramError(403, `Forbidden: bot is not a member of the ${chat.type} chat`);
  return chat;
}

function threadOf(chat: Chat, parameters: Record<string, unknown>): number | undefined {
  const id = parameters["message_thread_id"];
  if (id === undefined) return undefined;
  if (!chat.topics.has(Number(id))) throw badRequest("message thread not found");
  return Number(id);
}

function topicOf(
  world: World,
  parameters: Record<string, unknown>,
): NonNullable<ReturnType<Chat["topics"]["get"]>> {
  const chat = chatOf(world, parameters);
  mayManageTopics(world, chat);
  const topic = chat.topics.get(Number(parameters["message_thread_id"]));
  if (topic === undefined) throw badRequest("TOPIC_ID_INVALID");
  return topic;
}

function mayManageTopics(world: World, chat: Chat): void {
  if (!chat.isForum && chat.type !== "private") throw badRequest("the chat is not a forum");
  if (
    chat.type !== "private" &&
    (chat.members.get(world.bot.id) !== "administrator" || !chat.canManageTopics)
  )
    throw badRequest("not enough rights to create a topic");
}

function ownMessage(world: World, parameters: Record<string, unknown>, what: string): Message {
  const message = world.message(chatOf(world, parameters).id, Number(parameters["message_id"]));
  if (message === undefined) throw badRequest(`message to ${what} not found`);
  if (message.from.id !== world.bot.id) throw badRequest(`message can't be ${what}ed`);
  return message;
}

/** The schema knows it for a string; empty when absent. */
function stringOf(parameters: Record<string, unknown>, name: string): string {
  const value = parameters[name];
  return typeof value === "string" ? value : "";
}

function scopeOf(parameters: Record<string, unknown>): string {
  return JSON.stringify([parameters["scope"] ?? { type: "default" }, parameters["language_code"] ?? ""]);
}
