/** Types of the compiled flow packages. wrangler's [alias] points `flow-catalog` to the file that the build writes. */
import type { Flow, PackageFile } from "../../contract/flow-manifest.ts";
import type { CompiledCheck } from "../../contract/validate.ts";

/** Stops at the first fault; `thorough` names all of them. */
export interface PayloadValidator extends CompiledCheck {
  thorough?: CompiledCheck;
}

export const flows: Flow[];
/** The files of each package, by the name of its flow. */
export const packageFiles: Record<string, PackageFile[]>;
export const validators: Record<string, PayloadValidator>;
