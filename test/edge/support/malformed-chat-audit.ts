/** Wrong requests about the audit of chats, and about who may do what there. */
import { TOKENS } from "./api.ts";
import { rows, type MalformedRequest } from "./malformed-row.ts";

const body = { tenant: "1", subject: "role:2", scopes: ["run:read"] };

export const MALFORMED_CHAT_AUDIT: readonly MalformedRequest[] = [
  ...rows(
    "get /chat/audit",
    ["a cursor of elsewhere", { path: "/chat/audit?cursor=x" }, 400, "invalid_cursor", ["?cursor"]],
    ["a token that may only write", { token: TOKENS.write }, 403, "forbidden", ["authorization"]],
  ),
  ...rows(
    "get /chat/grants",
    ["no server", {}, 400, "invalid_tenant", ["?tenant"]],
    ["a server by its name", { path: "/chat/grants?tenant=mine" }, 400, "invalid_tenant", ["?tenant"]],
    ["a token that may only read", { token: TOKENS.read }, 403, "forbidden", ["authorization"]],
  ),
  ...rows(
    "post /chat/grants",
    ["no JSON", { body: "all" }, 400, "invalid_json", [""]],
    ["nothing", { body: {} }, 422, "invalid", ["/tenant", "/subject", "/scopes"]],
    ["a role by its name", { body: { ...body, subject: "role:@devs" } }, 422, "invalid", ["/subject"]],
    ["a scope that is none", { body: { ...body, scopes: ["root"] } }, 422, "invalid", ["/scopes/0"]],
    ["more than that", { body: { ...body, x: 1 } }, 422, "invalid", ["/x"]],
    ["a token that may only write", { body, token: TOKENS.write }, 403, "forbidden", ["authorization"]],
  ),
  ...rows("get /chat/servers", [
    "a token that may only read",
    { token: TOKENS.read },
    403,
    "forbidden",
    ["authorization"],
  ]),
  ...rows(
    "post /chat/servers",
    ["no JSON", { body: "all" }, 400, "invalid_json", [""]],
    ["nothing", { body: {} }, 422, "invalid", ["/server", "/allowed"]],
    ["a server by its name", { body: { server: "mine", allowed: true } }, 422, "invalid", ["/server"]],
    ["more than that", { body: { server: "1", allowed: true, x: 1 } }, 422, "invalid", ["/x"]],
    [
      "a token that may only write",
      { body: { server: "1", allowed: true }, token: TOKENS.write },
      403,
      "forbidden",
      ["authorization"],
    ],
  ),
];
