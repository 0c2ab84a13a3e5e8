/**
 * Who may do what. Closed by default (invariant 14): without configured secrets nothing matches, so every route but
 * /healthz answers 401.
 */
import { ForbiddenError, UnauthorizedError } from "../../contract/errors.ts";
import type { Scope } from "../../contract/http.ts";
import type { Env } from "../env.ts";
import { isOneOf, secretDigests, sha256 } from "./secrets.ts";

const GRANTS = {
  ADMIN_TOKENS: ["events:write", "runs:read", "runs:write", "runner", "admin"],
  WRITE_TOKENS: ["events:write", "runs:read", "runs:write"],
  READ_TOKENS: ["runs:read"],
  RUNNER_TOKENS: ["runner"],
  EVENT_TOKENS: ["events:write"],
} as const satisfies Partial<Record<keyof Env, readonly Scope[]>>;

/** The token of a request: `Authorization: Bearer`, or `x-api-key` as the ancestor's client may send it. */
export function bearerToken(headers: Headers): string | undefined {
  const match = /^Bearer +(\S+)$/i.exec(headers.get("authorization") ?? "");
  return match?.[1] ?? headers.get("x-api-key") ?? undefined;
}

/** All scopes of the request's token. Throws unless one of `scopes` is among them. */
export async function authorize(
  headers: Headers,
  env: Env,
  scopes: readonly Scope[],
): Promise<ReadonlySet<Scope>> {
  const token = bearerToken(headers);
  if (token === undefined)
    throw new UnauthorizedError("no credentials: send Authorization: Bearer <token>", [
      { path: "authorization", message: "is required" },
    ]);
  const granted = await scopesOf(token, env);
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

async function scopesOf(token: string, env: Env): Promise<Set<Scope>> {
  const granted = new Set<Scope>();
  const digest = await sha256(token);
  for (const [setting, scopes] of Object.entries(GRANTS))
    if (isOneOf(digest, await secretDigests(env, setting as keyof typeof GRANTS)))
      for (const scope of scopes) granted.add(scope);
  return granted;
}
