/**
 * How an answer gets back. Messages go through the outbox, which keeps them until they are out. What concerns only who has
 * pressed, or only says that it was heard, is a method that Telegram takes from the response to its own request: it costs no
 * message of the chat's limit, and nothing is lost when it is lost.
 */
import { visibleText } from "../../contract/visible-text.ts";
import { shortened } from "../../contract/chat/short-text.ts";
import type { ChatMessage } from "../../contract/chat/message.ts";
import { confirmationsOf } from "../../durable-objects/chat-outbox/board/effects.ts";
import type { Env } from "../env.ts";
import type { ChatAnswer } from "../chat/answer.ts";
import { requestKey, type Asker } from "../chat/asker.ts";
import { outboxOf } from "../chat/outbox.ts";

/** A call of the Bot API as the body of a response: the method, and its parameters beside it. */
export interface WebhookReply {
  method: "answerCallbackQuery" | "setMessageReaction";
  [parameter: string]: unknown;
}

/** Bot API, answerCallbackQuery. */
const TOAST_MAX_CHARS = 200;
const HEARD = "👍";

/** It was done. */
export function isGood(answer: ChatAnswer): boolean {
  return answer.kind === "message" && answer.message.tone !== "bad";
}

/** What was sent is taken: a mark on the message itself. */
export function acknowledge({ place }: Asker, messageId: number): WebhookReply {
  return {
    method: "setMessageReaction",
    chat_id: Number(place.channel),
    message_id: messageId,
    reaction: [{ type: "emoji", emoji: HEARD }],
  };
}

/** Seen by who has pressed the button, and by nobody else. */
export function toast(callbackId: string, text: string, alert = false): WebhookReply {
  return {
    method: "answerCallbackQuery",
    callback_query_id: callbackId,
    text: shortened(visibleText(text), TOAST_MAX_CHARS),
    ...(alert ? { show_alert: true } : {}),
  };
}

/** An answer in a few words. */
export function toastOf(callbackId: string, answer: ChatAnswer): WebhookReply {
  switch (answer.kind) {
    case "message":
      return toast(callbackId, wordsOf(answer.message), answer.message.tone === "bad");
    case "denied":
      return toast(callbackId, wordsOf(answer.message), true);
    case "confirm":
      return toast(callbackId, "This leaves the sandbox. Confirm it below.");
    case "replayed":
      return toast(callbackId, "");
  }
}

function wordsOf({ title, lines = [] }: ChatMessage): string {
  return [title, ...lines.slice(0, 2)].join("\n");
}

/** Posts what there is to read, once, where it was asked for. Rejects when that is not stored: then the update has to come again. */
export async function postAnswer(env: Env, asker: Asker, answer: ChatAnswer): Promise<void> {
  const message = messageOf(answer);
  if (message === undefined) return;
  await outboxOf(env, "telegram")?.post({
    key: keyOf(asker, answer),
    place: asker.place,
    class: "event",
    message: { ...message, silent: true },
  });
}

/** What asks for a second step is found again when the approval is over, to be rewritten. */
function keyOf(asker: Asker, answer: ChatAnswer): string {
  const request = requestKey(asker);
  return answer.kind === "confirm"
    ? confirmationsOf(answer.runId, answer.approval) + request
    : `answer:${request}`;
}

function messageOf(answer: ChatAnswer): ChatMessage | undefined {
  return answer.kind === "replayed" ? undefined : answer.message;
}
