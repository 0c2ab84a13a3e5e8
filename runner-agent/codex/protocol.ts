/**
 * The types of the app-server protocol that this agent uses: the one door to what `scripts/build-codex-protocol.ts`
 * has the installed Codex write. Types only; nothing here is checked at run time.
 */
import type { ClientMethods, ServerMethods } from "./generated/methods.ts";

export type { ClientMethods, ServerMethods } from "./generated/methods.ts";
export type { ServerNotification } from "./generated/ServerNotification.ts";
export type { FileUpdateChange } from "./generated/v2/FileUpdateChange.ts";
export type { ThreadItem } from "./generated/v2/ThreadItem.ts";
export type { ThreadTokenUsage } from "./generated/v2/ThreadTokenUsage.ts";
export type { TurnError } from "./generated/v2/TurnError.ts";

/** Requests that the client may send, and those that the server may. */
export type ClientMethod = keyof ClientMethods;
export type ServerMethod = keyof ServerMethods;
