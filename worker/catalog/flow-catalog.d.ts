/** Types of the compiled flow packages. wrangler's [alias] points `flow-catalog` to the file that the build writes. */
import type { Flow } from "../../contract/flow-manifest.ts";
import type { CompiledCheck } from "../../contract/validate.ts";

/** Stops at the first fault; `thorough` names all of them. */
export interface PayloadValidator extends CompiledCheck {
  thorough?: CompiledCheck;
}

export const flows: Flow[];
export const validators: Record<string, PayloadValidator>;
