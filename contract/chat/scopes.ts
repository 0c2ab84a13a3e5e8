/**
 * What somebody in a chat may do. Roles (Discord) and users (both) are given scopes; a deny role or user wins over all; nobody has any
 * until an admin says so.
 */
export const CHAT_SCOPES = ["run:read", "run:start", "run:reply", "run:approve", "admin"] as const;
export type ChatScope = (typeof CHAT_SCOPES)[number];

/** What one role or user was given. */
export interface ChatGrant {
  scopes: ChatScope[];
  /** Whatever else the same person has. */
  deny?: boolean;
}

/** The scopes of somebody who has all these grants. `admin` holds them all. */
export function scopesOf(grants: readonly ChatGrant[]): Set<ChatScope> {
  if (grants.some(({ deny }) => deny === true)) return new Set();
  const scopes = new Set(grants.flatMap((grant) => grant.scopes));
  return scopes.has("admin") ? new Set(CHAT_SCOPES) : scopes;
}
