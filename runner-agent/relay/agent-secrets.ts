/**
 * What a relay keeps from the edge and from its own log (invariant 15). An agent is started with the whole environment of
 * the relay, as if it had been started by hand; so every variable that looks like a secret is one. The relay's own
 * credentials are given to no agent.
 */
import type { Secret } from "../config/step-environment.ts";

const SECRET_NAME = /(^|_)(TOKENS?|KEYS?|SECRETS?|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|WEBHOOK_URL|PAT)$/;
/** Whatever they are called. */
const PASSWORD_NAME = /PASSWORD/;
/** Names that only look so. */
const NO_SECRETS = new Set(["SSH_AUTH_SOCK", "CODEFLOW_SESSION_KEY"]);
/** Of the relay itself: for the edge, not for an agent. */
const OWN = [
  "CODEX_FLOW_TOKEN",
  "CODEX_FLOW_BACKEND_TOKEN",
  "CODEX_FLOW_EVENT_SECRET",
  "CODEX_FLOW_BACKEND_SECRET",
];

type Environment = Readonly<Record<string, string | undefined>>;

export function looksSecret(name: string): boolean {
  const upper = name.toUpperCase();
  return !NO_SECRETS.has(upper) && (SECRET_NAME.test(upper) || PASSWORD_NAME.test(upper));
}

export function agentSecrets(environment: Environment, token: string): Secret[] {
  const named = Object.entries(environment).flatMap(([name, value]) =>
    value !== undefined && value !== "" && looksSecret(name) ? [{ name, value }] : [],
  );
  return [{ name: "token of the edge", value: token }, ...named];
}

/** The environment of the agent: the relay's, without what is the relay's own. */
export function agentVariables(environment: Environment, token: string): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) =>
      value === undefined || OWN.includes(name) || value === token ? [] : [[name, value] as const],
    ),
  );
}
