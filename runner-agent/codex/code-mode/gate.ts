/**
 * Whether this box runs steps of the kind `code-mode` at all: only where its owner has said so in the agent's own
 * environment, as with the ancestor. No flow package and no event can. Pure, and free of imports that cost memory.
 */
import type { Reason } from "../../../contract/run-record.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

const ON = ["1", "true", "yes", "on"];

/** The owner's word for it, as an installed agent has to be given it again. */
export const CODE_MODE_VARIABLES = ["CODEX_FLOWS_MODE", "CODEX_FLOWS_ENABLE_CODE_MODE"] as const;

export function isCodeModeOn(environment: Environment): boolean {
  return (
    environment["CODEX_FLOWS_MODE"] === "code-mode" ||
    ON.includes((environment["CODEX_FLOWS_ENABLE_CODE_MODE"] ?? "").toLowerCase())
  );
}

/** Why a step is refused here, in the ancestor's words; undefined where it is not. */
export function codeModeFault(environment: Environment, flow: string, step: string): Reason | undefined {
  if (isCodeModeOn(environment)) return undefined;
  return {
    code: "code_mode_off",
    message: `Code Mode flow step ${flow}/${step} requires CODEX_FLOWS_ENABLE_CODE_MODE=1 or CODEX_FLOWS_MODE=code-mode in the environment of the runner agent`,
  };
}
