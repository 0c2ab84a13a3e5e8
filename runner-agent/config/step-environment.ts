/**
 * What a step may see of the box: the box's decision, never the flow package's. A built-in list that no secret
 * belongs to, and what the configuration passes; values of the latter are secrets unless it calls them plain.
 */
import type { RunnerConfig } from "./runner-config.ts";

/** A value that must not leave the box (invariant 15). The name is for people of this box only. */
export interface Secret {
  name: string;
  value: string;
}

export interface StepEnvironment {
  /** The whole environment of a step, but for the `CODEX_FLOW_*` variables of its attempt. */
  variables: Record<string, string>;
  /** What is redacted: secret variables, and secrets of the agent that no step is given. */
  secrets: Secret[];
}

/** Always passed, never a secret: what programs need to find their way, and the ancestor's own list. */
export const BUILT_IN_VARIABLES: readonly string[] = [
  "PATH",
  "HOME",
  "LANG",
  "LC_ALL",
  "TZ",
  "TMPDIR",
  "SHELL",
  "USER",
  "LOGNAME",
  "CODEX_FLOWS_MODE",
  "CODEX_FLOWS_ENABLE_CODE_MODE",
  "CODEX_FLOW_COMMIT",
  "CODEX_FLOW_PUSH",
  "CODEX_FLOW_PUBLISH",
  "CODEX_FLOW_FORCE",
  "CODEX_FLOW_SQUASH_PATCH_STACK",
  "CODEX_APP_SERVER_CODEX_COMMAND",
  "CODEX_APP_SERVER_CODEX_PACKAGE",
  "CODEX_APP_SERVER_BUNX_COMMAND",
  "CODEX_HOME",
  "PEEZY_CODEX_REPO",
  "PEEZY_CODEX_TARGET_BRANCH",
  "PEEZY_CODEX_CARGO_TARGET_DIR",
];

/**
 * Chooses from `environment` (the agent's own). `withheld` are the agent's secrets, its token first of all: no
 * variable that holds one of them is passed, whatever its name, and they are redacted all the same.
 */
export function stepEnvironment(
  config: RunnerConfig,
  environment: Readonly<Record<string, string | undefined>>,
  withheld: readonly Secret[],
): StepEnvironment {
  const secret = new Set(
    config.env.pass.filter((name) => !config.env.plain.includes(name) && !BUILT_IN_VARIABLES.includes(name)),
  );
  const names = new Set([...BUILT_IN_VARIABLES, ...config.env.pass]);
  const passed = [...names].flatMap((name) => {
    const value = environment[name];
    return value === undefined || withheld.some((kept) => kept.value === value) ? [] : [{ name, value }];
  });
  return {
    variables: Object.fromEntries(passed.map(({ name, value }) => [name, value])),
    secrets: [...withheld, ...passed.filter(({ name }) => secret.has(name))],
  };
}
