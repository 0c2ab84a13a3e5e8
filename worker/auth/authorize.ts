/**
 * Who may do what. Closed by default (invariant 14): without configured secrets nothing matches, so every route but
 * /healthz answers 401.
 */
import { ForbiddenError, UnauthorizedError } from "../../contract/errors.ts";
import type { Scope } from "../../contract/http.ts";
import type { Env } from "../env.ts";
import { pathToken } from "./path-token.ts";
import { isOneOf, secretDigests, sha256, type SecretSetting } from "./secrets.ts";

const GRANTS = {
  ADMIN_TOKENS: ["events:write", "runs:read", "runs:write", "runner", "admin"],
  WRITE_TOKENS: ["events:write", "runs:read", "runs:write"],
  READ_TOKENS: ["runs:read"],
  RUNNER_TOKENS: ["runner"],
  EVENT_TOKENS: ["events:write"],
} as const satisfies Partial<Record<keyof Env, readonly Scope[]>>;

/** What a token of `/t/<token>/…` may do: send, replay and read. No other token counts there, and it counts nowhere else. */
const PATH_GRANTS = { PATH_TOKENS: ["events:write", "runs:read"] } as const satisfies Partial<
  Record<keyof Env, readonly Scope[]>
>;

/** What a signature without a token allows: sending and replaying, and reading nothing. */
export const SIGNATURE_SCOPES: ReadonlySet<Scope> = new Set(["events:write"]);

/** Headers that carry a token beside `Authorization: Bearer`, as clients of the ancestor and of patch.moi send them. */
const TOKEN_HEADERS = ["x-api-key", "x-patch-admin-token"] as const;

interface Token {
  token: string;
  grants: Partial<Record<SecretSetting, readonly Scope[]>>;
}

function tokenOf(headers: Headers): Token | undefined {
  const match = /^Bearer +(\S+)$/i.exec(headers.get("authorization") ?? "");
  const inHeader = [match?.[1], ...TOKEN_HEADERS.map((name) => headers.get(name))].find(
    (token) => token != null,
  );
  if (inHeader != null) return { token: inHeader, grants: GRANTS };
  const inPath = pathToken(headers);
  return inPath === undefined ? undefined : { token: inPath, grants: PATH_GRANTS };
}

/** Whether a request brings a token, in a header or in its path. */
export function hasToken(headers: Headers): boolean {
  return tokenOf(headers) !== undefined;
}

/** All scopes of the request's token. Throws unless one of `scopes` is among them. */
export async function authorize(
  headers: Headers,
  env: Env,
  scopes: readonly Scope[],
): Promise<ReadonlySet<Scope>> {
  const brought = tokenOf(headers);
  if (brought === undefined)
    throw new UnauthorizedError("no credentials: send Authorization: Bearer <token>", [
      { path: "authorization", message: "is required" },
    ]);
  const granted = await scopesOf(brought, env);
  if (granted.size === 0)
    throw new UnauthorizedError("this token is not known here", [
      { path: "authorization", message: "is no configured token" },
    ]);
  if (!scopes.some((scope) => granted.has(scope)))
    throw new ForbiddenError(
      `this token lacks the scope ${scopes.join(" or ")}; it has ${[...granted].join(", ")}`,
      [{ path: "authorization", message: `lacks the scope ${scopes.join(" or ")}` }],
    );
  return granted;
}

async function scopesOf({ token, grants }: Token, env: Env): Promise<Set<Scope>> {
  const granted = new Set<Scope>();
  const digest = await sha256(token);
  for (const [setting, scopes] of Object.entries(grants))
    if (isOneOf(digest, await secretDigests(env, setting as SecretSetting)))
      for (const scope of scopes) granted.add(scope);
  return granted;
}
