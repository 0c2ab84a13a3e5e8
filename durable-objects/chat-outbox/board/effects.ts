/**
 * What the board wants said: calls of the delivery, as data. Rules return them; they are carried out in the transaction
 * that notes them as done, so that nothing is said twice and nothing is forgotten.
 */
import type { ChatMessage, DeliveryClass } from "../../../contract/chat/message.ts";
import { parseRunId } from "../../../contract/ids.ts";
import type { ChatPlace } from "../../../contract/chat/place.ts";

/** A place, or the thread of an anchor, wherever that is or will be. */
export type Target = ChatPlace | { thread: string };

export type BoardEffect =
  | { kind: "thread"; anchor: string; place: ChatPlace; name: string; first: ChatMessage }
  | {
      kind: "card";
      anchor: string;
      target: Target;
      message: ChatMessage;
      urgent: boolean;
      onlyEdit?: boolean;
    }
  | { kind: "post"; key: string; target: Target; class: DeliveryClass; message: ChatMessage }
  | { kind: "rewrite"; key: string; message: ChatMessage }
  | { kind: "rewrite_all"; prefix: string; message: ChatMessage }
  | { kind: "close_thread"; anchor: string };

/** What a run is called towards the delivery: `card|run_…|discord:1`. No part of it has the separator. */
export const anchorOfCard = (runId: string, place: string): string => `card|${runId}|${place}`;
export const anchorOfThread = (runId: string, place: string): string => `thread|${runId}|${place}`;
export const keyOfFinal = (runId: string, place: string): string => `final|${runId}|${place}`;
export const keyOfApproval = (runId: string, place: string, approval: string): string =>
  `approval|${runId}|${place}|${approval}`;
export const keyOfItems = (runId: string, place: string, cursor: string, index: number): string =>
  `items|${runId}|${place}|${cursor}|${index}`;

/** The run that a message of the board is about; undefined for a message of anybody else. */
export function runOfKey(key: string): string | undefined {
  const [kind = "", runId = ""] = key.split("|");
  return ABOUT_A_RUN.includes(kind) && parseRunId(runId) !== undefined ? runId : undefined;
}

const ABOUT_A_RUN: readonly string[] = ["card", "thread", "final", "approval", "items"];

/** The run whose card or approval a row of the delivery holds: what is said again as long as the run is not over. */
export function runRewritten(rowKey: string): string | undefined {
  const [kind = "", runId] = rowKey.split("|");
  return /:(card|approval)$/.test(kind) ? runId : undefined;
}
/** What the keys of all posts begin with that ask somebody to confirm his answer to an approval: rewritten once it is over. */
export const confirmationsOf = (runId: string, approval: string): string => `confirm|${runId}|${approval}|`;

/** The run whose thread an anchor names. */
export function runOfAnchor(anchor: string): string | undefined {
  const [kind, runId] = anchor.split("|");
  return kind === "thread" ? runId : undefined;
}
