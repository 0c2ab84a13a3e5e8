/**
 * What is wrong with a flow package, in one shape for everybody who says so: the build, `codex-flow check` and the
 * runner agent. Owns the words around a fault, not the rules that find it.
 */
import { relative } from "node:path";

/** One fault of one package: where it stands and what to do about it. */
export interface PackageFault {
  /** Absolute path of the file to edit. */
  file: string;
  /** From 1. */
  line: number;
  /** From 1. */
  column: number;
  /** The key in flow.toml ("steps[0].runner"), the JSON pointer in a schema, or "" for the whole file. */
  path: string;
  /** Reads on from the path: "is required". */
  message: string;
}

/** `file:line:column key message`, with the file relative to `base` (a folder; the current one when absent). */
export function describeFault(fault: PackageFault, base = process.cwd()): string {
  const where = `${relative(base, fault.file)}:${fault.line}:${fault.column}`;
  return [where, fault.path, fault.message].filter((part) => part !== "").join(" ");
}

/** Flow packages that cannot be compiled. The message lists every fault, one a line. */
export class BrokenPackagesError extends Error {
  readonly code = "broken_packages";
  readonly faults: PackageFault[];

  constructor(faults: PackageFault[], base: string) {
    super(
      `the flow packages have ${faults.length === 1 ? "a fault" : `${faults.length} faults`}:\n` +
        faults.map((fault) => `  ${describeFault(fault, base)}`).join("\n"),
    );
    this.name = "BrokenPackagesError";
    this.faults = faults;
  }
}

/** Whether a file system call failed with one of these codes ("ENOENT"). */
export function hasErrorCode(error: unknown, ...codes: string[]): boolean {
  return (
    error instanceof Error && "code" in error && typeof error.code === "string" && codes.includes(error.code)
  );
}
