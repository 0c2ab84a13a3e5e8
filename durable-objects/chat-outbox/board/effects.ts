/**
 * What the board wants said: calls of the delivery, as data. Rules return them; they are carried out in the transaction
 * that notes them as done, so that nothing is said twice and nothing is forgotten.
 */
import type { ChatMessage, DeliveryClass } from "../../../contract/chat/message.ts";
import type { ChatPlace } from "../../../contract/chat/place.ts";

/** Where something goes: a place, or the thread that stands behind an anchor. */
export type Target = ChatPlace | { thread: string };

/** What the board needs of the delivery. All of it only writes rows, in whatever transaction it is called in. */
export interface BoardDelivery {
  /** A snapshot that is edited in place; the last one wins. */
  card(anchor: string, target: Target, message: ChatMessage, options?: { urgent?: boolean }): void;
  /** A new message, once a key. */
  post(key: string, target: Target, deliveryClass: DeliveryClass, message: ChatMessage): void;
  /** Edits what was posted under a key. */
  rewrite(key: string, message: ChatMessage): void;
  thread(anchor: string, place: ChatPlace, name: string, firstMessage?: ChatMessage): void;
  closeThread(anchor: string): void;
  /** The anchor whose thread this is. */
  anchorOf(place: ChatPlace): string | undefined;
}

export type BoardEffect =
  | { kind: "thread"; anchor: string; place: ChatPlace; name: string; first: ChatMessage }
  | { kind: "card"; anchor: string; target: Target; message: ChatMessage; urgent: boolean }
  | { kind: "post"; key: string; target: Target; class: DeliveryClass; message: ChatMessage }
  | { kind: "rewrite"; key: string; message: ChatMessage }
  | { kind: "close_thread"; anchor: string };

export function perform(delivery: BoardDelivery, effect: BoardEffect): void {
  switch (effect.kind) {
    case "thread":
      delivery.thread(effect.anchor, effect.place, effect.name, effect.first);
      break;
    case "card":
      delivery.card(effect.anchor, effect.target, effect.message, { urgent: effect.urgent });
      break;
    case "post":
      delivery.post(effect.key, effect.target, effect.class, effect.message);
      break;
    case "rewrite":
      delivery.rewrite(effect.key, effect.message);
      break;
    case "close_thread":
      delivery.closeThread(effect.anchor);
      break;
  }
}

/** What a run is called towards the delivery: `card|run_…|discord:1`. No part of it has the separator. */
export const anchorOfCard = (runId: string, place: string): string => `card|${runId}|${place}`;
export const anchorOfThread = (runId: string, place: string): string => `thread|${runId}|${place}`;
export const keyOfFinal = (runId: string, place: string): string => `final|${runId}|${place}`;
export const keyOfApproval = (runId: string, place: string, approval: string): string =>
  `approval|${runId}|${place}|${approval}`;
export const keyOfItems = (runId: string, place: string, cursor: string, index: number): string =>
  `items|${runId}|${place}|${cursor}|${index}`;

/** The run whose thread an anchor names. */
export function runOfAnchor(anchor: string): string | undefined {
  const [kind, runId] = anchor.split("|");
  return kind === "thread" ? runId : undefined;
}
