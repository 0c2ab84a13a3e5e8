/**
 * How Telegram is spoken to: each job as a method of the Bot API. All requests of a chat share one lane, since they share
 * its pace, topics included. Telegram knows no nonce: a creation whose outcome is unknown is looked for first (`probe`).
 */
import type { ChatMessage } from "../../../contract/chat/message.ts";
import type { Job, Lane, Pace, PlatformRequest } from "../delivery/platform.ts";
import { cut, flat } from "../drawing.ts";
import { drawTelegram, type TelegramBody } from "./message.ts";

export const TELEGRAM_DEFAULT_URL = "https://api.telegram.org";

const TOPIC_NAME_MAX_CHARS = 128;
const UNNAMED = "run";
/** One message a second in a chat, 20 a minute in a group, edits too; cards leave room for what matters. */
const CHAT_EVERY_MS = 1_050;
const GROUP_EVERY_MS = 3_050;
const GROUP_CARDS_EVERY_MS = 5_000;

/** Groups and channels have ids below zero. */
function isGroup(chat: string): boolean {
  return chat.startsWith("-");
}

/** About 30 a second over all chats. */
export const TELEGRAM_PACE: Pace = {
  perSecond: 24,
  burst: 3,
  inFlight: 6,
  laneEveryMs: (chat, deliveryClass) =>
    !isGroup(chat) ? CHAT_EVERY_MS : deliveryClass === "state" ? GROUP_CARDS_EVERY_MS : GROUP_EVERY_MS,
  restMs: (chat) => (isGroup(chat) ? GROUP_EVERY_MS : CHAT_EVERY_MS),
};

export function telegramTopicName(name: string): string {
  return cut(flat(name), TOPIC_NAME_MAX_CHARS) || UNNAMED;
}

function chatOf(job: Job): string {
  switch (job.kind) {
    case "create":
    case "find":
      return job.place.channel;
    case "edit":
    case "retire":
    case "probe":
      return job.at.channel;
    case "answer":
      return job.key;
    case "read":
      return job.major;
    case "open_thread":
    case "close_thread":
    case "reopen_thread":
      return job.parent.channel;
  }
}

export function telegramLane(job: Job): Lane {
  const chat = chatOf(job);
  return { name: `chat ${chat}`, route: "chat", major: chat };
}

export function telegramRequest(job: Job): PlatformRequest {
  const chat_id = chatOf(job);
  switch (job.kind) {
    case "create": {
      const thread = job.place.thread === undefined ? {} : { message_thread_id: Number(job.place.thread) };
      return call("sendMessage", { chat_id, ...thread, ...drawTelegram(job.message).body });
    }
    case "edit":
    case "retire":
    case "probe":
      return call("editMessageText", { chat_id, message_id: Number(job.at.id), ...editBody(job.message) });
    case "open_thread":
      return call("createForumTopic", { chat_id, name: job.thread.name });
    case "close_thread":
      return call("closeForumTopic", { chat_id, message_thread_id: Number(job.id) });
    case "reopen_thread":
      return call("reopenForumTopic", { chat_id, message_thread_id: Number(job.id) });
    case "answer":
      throw new Error("Telegram has no interactions: a reply to one is a post");
    case "find":
      throw new Error("Telegram shows a bot nothing of what stands in a chat");
    case "read":
      throw new Error("Telegram brings what is said by itself: there is nothing to be read");
  }
}

function call(method: string, body: object): PlatformRequest {
  return { method: "POST", path: `/${method}`, body };
}

function editBody(message: ChatMessage): TelegramBody {
  const { disable_notification: _silent, ...body } = drawTelegram(message).body;
  return body;
}

/** What makes a drawn message this one. */
export function telegramShown(message: ChatMessage): string {
  return JSON.stringify(editBody(message));
}
