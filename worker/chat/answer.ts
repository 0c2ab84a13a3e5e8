/**
 * What an act in a chat comes to, before any platform draws it. `outcome` is what the audit says of it, in a few words.
 */
import type { ChatMessage } from "../../contract/chat/message.ts";

export type ChatAnswer =
  | {
      kind: "message";
      message: ChatMessage;
      outcome: string;
      /** Everybody may see it; else only who asked, where the platform can do that. */
      open?: boolean;
      /** It takes the place of the message whose button was pressed. */
      replaces?: boolean;
    }
  /** Nothing was decided yet: the message asks the same person for a second press (confirmation.ts). */
  | { kind: "confirm"; runId: string; approval: string; message: ChatMessage; outcome: string }
  /** Not allowed; nothing was done. */
  | { kind: "denied"; message: ChatMessage }
  /** This very request was admitted before; nothing was done. */
  | { kind: "replayed" };

/** A short answer that says how it went. */
export function said(
  outcome: string,
  title: string,
  more: Partial<ChatMessage> & { open?: boolean } = {},
): ChatAnswer {
  const { open, ...message } = more;
  return {
    kind: "message",
    outcome,
    message: { tone: "good", title, ...message },
    ...(open === undefined ? {} : { open }),
  };
}

/** It could not be done, and why; nothing is wrong with the edge. */
export function refused(code: string, title: string, lines: string[] = []): ChatAnswer {
  return { kind: "message", outcome: `refused: ${code}`, message: { tone: "bad", title, lines } };
}
