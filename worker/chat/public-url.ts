/** Where people reach this edge: as it is set, or else as the platform's own request has just reached it. */
import type { Env } from "../env.ts";

export function withPublicUrl(env: Env, request: Request): Env {
  if ((env.CODEX_FLOW_PUBLIC_URL ?? "") !== "") return env;
  return { ...env, CODEX_FLOW_PUBLIC_URL: new URL(request.url).origin };
}
