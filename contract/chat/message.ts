/**
 * A message for a chat, before any platform: what is to be seen, not how Discord or Telegram draw it. Each platform has
 * one file that draws it within its own limits (durable-objects/chat-outbox/discord, …/telegram). All texts are plain: whoever
 * draws escapes what his platform would take for markup, and no text ever rings anybody; only `mention` does.
 */

/** The colour of a card: how things stand, seen from across the room. */
export type ChatTone =
  "neutral" | "queued" | "running" | "waiting" | "good" | "attention" | "bad" | "stopped";

export interface ChatButton {
  label: string;
  style: "primary" | "secondary" | "success" | "danger";
  /** As `encodeAction` writes it. */
  action: string;
}

export interface ChatLink {
  label: string;
  url: string;
}

export interface ChatMessage {
  tone: ChatTone;
  title: string;
  /** One line each. */
  lines?: string[];
  /**
   * What an agent wrote, in Markdown, drawn below `lines`. Bold, code, lists, quotes and links are rendered as the platform
   * can; links show their address, and nothing in it mentions anybody.
   */
  body?: string;
  /** Name and value, drawn side by side where there is room. */
  fields?: { name: string; value: string }[];
  /** Drawn as code: output, a diff, a command. The end of it when it is too long. */
  code?: { text: string; language?: string };
  /** Epoch ms: drawn so that the reader's own client counts the time since (no edit is needed for it). */
  since?: number;
  links?: ChatLink[];
  /** Rows of buttons: at most 5 rows of 5. */
  buttons?: ChatButton[][];
  /** User ids that are told of this message, besides those who look anyway. */
  mention?: string[];
  /** Nobody's device rings. */
  silent?: boolean;
}

/**
 * `final`: how something ended; `event`: something that somebody must see (an approval, an answer); `state`: a snapshot
 * that the next one replaces. The first two are never dropped while their channel lives.
 */
export const DELIVERY_CLASSES = ["final", "event", "state"] as const;
export type DeliveryClass = (typeof DELIVERY_CLASSES)[number];
