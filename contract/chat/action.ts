/**
 * What a button means, as the text that the platform keeps for us and hands back with the press: `v1:<act>:<run>[:<more>]`.
 * At most 64 bytes, so that the same text fits Discord's custom_id and Telegram's callback_data. It carries ids only: who may press,
 * and whether it still makes sense, is decided at the press from what is true then. Messages live for ever, and so do
 * their buttons: a text that no version of ours reads is answered with "this button is out of date".
 */
import { parseRunId } from "../ids.ts";

export const CHAT_ACTIONS = [
  "cancel",
  "reply",
  "follow",
  "logs",
  "replay",
  "diff",
  "budget",
  "approve",
  "approve_session",
  "deny",
  "details",
  /** The second step of something dangerous. */
  "confirm",
] as const;
export type ChatActionName = (typeof CHAT_ACTIONS)[number];

export interface ChatAction {
  act: ChatActionName;
  runId: string;
  /** The approval's id, a page's cursor. */
  more?: string;
}

/** The narrower of both platforms' bounds. */
export const ACTION_MAX_BYTES = 64;
const VERSION = "v1";

/** Undefined when it does not fit: then the button is left out, and the command line says it in words. */
export function encodeAction({ act, runId, more }: ChatAction): string | undefined {
  const text = [VERSION, act, runId, ...(more === undefined ? [] : [more])].join(":");
  return new TextEncoder().encode(text).length <= ACTION_MAX_BYTES ? text : undefined;
}

/** Undefined for a text that is not one of ours, or of a version that is not known here. */
export function parseAction(text: string): ChatAction | undefined {
  const [version, name, runId = "", ...rest] = text.split(":");
  const act = CHAT_ACTIONS.find((known) => known === name);
  if (version !== VERSION || act === undefined || parseRunId(runId) === undefined) return undefined;
  return { act, runId, ...(rest.length === 0 ? {} : { more: rest.join(":") }) };
}
