/** A message and a thread as they are kept: from the wish to what became of it. How they are stored says rows.ts. */
import type { ChatMessage, DeliveryClass } from "../../../contract/chat/message.ts";

/** Where a message is: ids of the platform. Discord's channel of a message in a thread is the thread. */
export interface Posted {
  channel: string;
  id: string;
  /** Epoch ms: when it was made. */
  at: number;
}

/** Of an answer to an interaction. */
export interface ReplyTo {
  applicationId: string;
  token: string;
  at: number;
  /** placeKey of where it goes when the token is dead. */
  place?: string;
}

export interface MessageRow {
  key: string;
  /** The order in which they were wished for. */
  seq: number;
  class: DeliveryClass;
  /** `placeKey`, or `@` and the anchor of a thread. */
  target: string;
  /** Something is to be done: made, edited, an old one retired. */
  pending: boolean;
  /** What is to be seen; undefined when it is out and will not be asked for again. */
  wanted?: ChatMessage;
  /** Jumps the pace of edits. */
  urgent: boolean;
  /** A card that is not out, and whose creation has not begun, is not sent any more: what it shows stands in a newer message. */
  onlyEdit?: true;
  /** Makes its creation idempotent. */
  nonce: string;
  posted?: Posted;
  /** Last change on the platform, epoch ms. */
  touchedAt?: number;
  /** Hash of the body that is out. */
  shown?: string;
  /** Its predecessor, which is to point here once this one is out. */
  stale?: Pick<Posted, "channel" | "id">;
  reply?: ReplyTo;
  /** A creation began then and its outcome is not known: where no nonce helps, look before it is tried again. */
  triedAt?: number;
  /** Why it will not be sent as it is. */
  problem?: { code: string; message: string; at: number };
  createdAt: number;
}

/** `none`: to be made; `flat`: cannot be made, its messages go to the parent. */
export type ThreadState = "none" | "open" | "closed" | "flat";

export interface ThreadRow {
  anchor: string;
  /** placeKey */
  parent: string;
  name: string;
  state: ThreadState;
  wanted: "open" | "closed";
  id?: string;
  touchedAt: number;
}
