/** What is said in the calls of the chat access object: plain data, both ways. */
import type { ChatGrant, ChatScope } from "../../contract/chat/scopes.ts";
import type { ChatPlatform, ChatUser } from "../../contract/chat/place.ts";

/** Somebody wants something. */
export interface Attempt {
  /** `interaction:<id>`, `update:<id>`: the same one is dealt with once within the platform's replay window. */
  key: string;
  platform: ChatPlatform;
  /** Discord: guild; Telegram: the bot's id, since its users have grants by user. */
  tenant: string;
  /** Key of the place (contract/chat/place). */
  place: string;
  user: ChatUser;
  /** Discord: role ids at that moment. */
  roles: string[];
  /** The platform itself calls this user an administrator of the tenant. */
  administrator: boolean;
  /** Absent: it needs none (a ping, a help text), and is only kept from being replayed. */
  scope?: ChatScope;
  /** What, in a few words: `cancel`, `approve`, `/flow dispatch`. */
  act: string;
  /** Run, approval, event id. */
  subject?: string;
}

export type Admission =
  /**
   * `row` takes what came of it: `conclude(row, outcome, key)`. `again`: an earlier admission of this very request was not
   * concluded.
   */
  | { verdict: "allowed"; row: number; again: boolean; scopes: ChatScope[] }
  | { verdict: "denied"; row: number; again: boolean; reason: DenialReason }
  | { verdict: "replayed" };

/**
 * `unknown_server`: a server of Discord that nobody has let in, or none (direct messages); `unconfigured`: nobody of this
 * tenant has any scope yet.
 */
export type DenialReason = "unknown_server" | "denied_role" | "missing_scope" | "unconfigured";

/** A line of the append-only audit. */
export interface AuditRow {
  row: number;
  at: number;
  platform: string;
  tenant: string;
  place: string;
  user: ChatUser;
  roles: string[];
  act: string;
  subject?: string;
  verdict: string;
  /** What came of an admitted one, once it is known. */
  outcome?: string;
  /** Of refusals and answers of the guard that are counted in one row. */
  times?: number;
}

/**
 * Something that was refused before anybody was admitted: what bears no signature, and what strangers ask for. Whoever
 * likes can send as much of it as he likes, so it is counted and not listed.
 */
export interface Refusal {
  platform: ChatPlatform;
  /** What, in words of ours: never of who sent it. */
  act: string;
  reason: string;
  /** Absent: nobody can be known from it. */
  from?: { tenant: string; place: string; user: ChatUser };
  times: number;
}

/** Of those, what was refused lately. */
export interface RefusedLately {
  platform: string;
  act: string;
  times: number;
}

/** A decision that a caller of the HTTP interface has made, for the audit. */
export interface ApiCall {
  act: string;
  subject: string;
  /** Whom the records name (worker/routes/api-caller.ts). */
  by: string;
  outcome: string;
  /** Of a grant and a server. */
  tenant?: string;
}

/** A decision of the guard about a relayed session. */
export interface GuardDecision {
  platform: ChatPlatform;
  place: string;
  sessionKey?: string;
  mode: string;
  allowed: boolean;
  reason: string;
  /** Redacted and shortened by who asks. */
  commandHint?: string;
}

/** Grants of a tenant: Discord roles as `role:<id>`, users as `user:<id>`. */
export interface GrantRow {
  subject: string;
  grant: ChatGrant;
  setBy: string;
  at: number;
}

/** Who somebody is, where grants are looked up. */
export type Standing = Pick<Attempt, "platform" | "tenant" | "user" | "roles" | "administrator">;

/** Absent fields match all. */
export interface AuditFilter {
  /** Id of the user, as his platform writes it. */
  user?: string;
  /** A run: what was done to it, and what started it. */
  run?: string;
}

/** A server of Discord that was let in. */
export interface ServerRow {
  server: string;
  setBy: string;
  at: number;
}

export type ServerAnswer =
  | { kind: "set"; servers: ServerRow[] }
  /** There are as many as there may be. */
  | { kind: "full" };

export type GrantAnswer =
  | { kind: "set"; grants: GrantRow[] }
  /** The tenant has as many as it may have. */
  | { kind: "full" };
