/** What a press of each button takes, on every platform. */
import type { ChatActionName } from "../../contract/chat/action.ts";
import type { ChatScope } from "../../contract/chat/scopes.ts";

export const ACTION_SCOPES: Record<ChatActionName, ChatScope> = {
  cancel: "run:reply",
  reply: "run:reply",
  follow: "run:read",
  logs: "run:read",
  replay: "run:start",
  diff: "run:read",
  budget: "run:approve",
  approve: "run:approve",
  approve_session: "run:approve",
  deny: "run:approve",
  details: "run:read",
  confirm: "run:approve",
};
