/** The audit of what people did in chats, and who may do what there, as the HTTP interface shows and takes them. */
import Type, { type Static } from "typebox";
import { CHAT_SCOPES } from "./scopes.ts";

const SUBJECT_PATTERN = "^(role|user):[0-9]{1,20}$";
const TENANT_PATTERN = "^[0-9]{1,20}$";

export const AuditView = Type.Object(
  {
    row: Type.Integer({ description: "Its number: later acts have greater ones" }),
    at: Type.String({ format: "date-time" }),
    platform: Type.String(),
    tenant: Type.String({ description: "Server (Discord) or bot (Telegram); empty for the guard of relays" }),
    place: Type.String(),
    user: Type.Object({ id: Type.String(), name: Type.String() }),
    roles: Type.Array(Type.String(), { description: "Role ids of the user at that moment" }),
    act: Type.String(),
    subject: Type.Optional(Type.String({ description: "Run, event id, type, role or user" })),
    verdict: Type.String({ description: "allowed, denied or replayed" }),
    outcome: Type.Optional(Type.String({ description: "What came of it, or why it was denied" })),
    times: Type.Optional(
      Type.Integer({
        description:
          "Of refusals at the door and answers of the guard: how often within an hour, at least; those of one kind are one row",
      }),
    ),
  },
  { $id: "AuditRow" },
);
export type AuditView = Static<typeof AuditView>;

export const AuditPage = Type.Object({
  audit: Type.Array(AuditView),
  nextCursor: Type.Optional(Type.String()),
});
export type AuditPage = Static<typeof AuditPage>;

export const GrantView = Type.Object(
  {
    subject: Type.String({ description: "role:<id> or user:<id>" }),
    scopes: Type.Array(Type.Enum([...CHAT_SCOPES])),
    deny: Type.Boolean({ description: "Nothing at all, whatever else they have" }),
    setBy: Type.String(),
    at: Type.String({ format: "date-time" }),
  },
  { $id: "Grant" },
);
export type GrantView = Static<typeof GrantView>;

export const GrantRequest = Type.Object(
  {
    tenant: Type.String({
      pattern: TENANT_PATTERN,
      description: "Id of the server (Discord) or of the bot (Telegram)",
    }),
    subject: Type.String({ pattern: SUBJECT_PATTERN, description: "role:<id> or user:<id>" }),
    scopes: Type.Array(Type.Enum([...CHAT_SCOPES]), {
      maxItems: CHAT_SCOPES.length,
      description: "None of them, and no deny, takes the grant away",
    }),
    deny: Type.Optional(Type.Boolean()),
    by: Type.Optional(Type.String({ minLength: 1, maxLength: 100, description: "For the record" })),
  },
  { additionalProperties: false, $id: "GrantRequest" },
);
export type GrantRequest = Static<typeof GrantRequest>;

/** Discord servers whose people count for anything: whoever owns a server can add the bot to it. */
export const ServerView = Type.Object(
  {
    server: Type.String({ description: "Id of the server" }),
    allowedBy: Type.String(),
    at: Type.String({ format: "date-time" }),
  },
  { $id: "ChatServer" },
);
export type ServerView = Static<typeof ServerView>;

export const ServerRequest = Type.Object(
  {
    server: Type.String({ pattern: TENANT_PATTERN, description: "Id of the server" }),
    allowed: Type.Boolean({ description: "false: its people are refused again" }),
    by: Type.Optional(Type.String({ minLength: 1, maxLength: 100, description: "For the record" })),
  },
  { additionalProperties: false, $id: "ChatServerRequest" },
);
export type ServerRequest = Static<typeof ServerRequest>;

export const TENANT = new RegExp(TENANT_PATTERN);
