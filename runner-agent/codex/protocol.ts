/**
 * The types of the app-server protocol that this agent uses: the one door to what `scripts/build-codex-protocol.ts`
 * has the installed Codex write. Types only; nothing here is checked at run time.
 */
import type { ClientMethods as StockMethods, ServerMethods } from "./generated/methods.ts";

export type { ServerMethods } from "./generated/methods.ts";
export type { JsonValue } from "./generated/serde_json/JsonValue.ts";
export type { ServerNotification } from "./generated/ServerNotification.ts";
export type { FileUpdateChange } from "./generated/v2/FileUpdateChange.ts";
export type { ThreadItem } from "./generated/v2/ThreadItem.ts";
export type { ThreadTokenUsage } from "./generated/v2/ThreadTokenUsage.ts";
export type { TurnError } from "./generated/v2/TurnError.ts";

/** Of a fork of Codex; the stock one says that it does not know them. */
interface ForkMethods {
  "thread/codeMode/execute": { params: { threadId: string; source: string }; result: unknown };
}

export type ClientMethods = StockMethods & ForkMethods;

/** Requests that the client may send, and those that the server may. */
export type ClientMethod = keyof ClientMethods;
export type ServerMethod = keyof ServerMethods;
