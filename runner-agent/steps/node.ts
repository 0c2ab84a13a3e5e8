/**
 * Steps with `runner = "node"`: the Node that runs this agent (22.18 or newer, which reads TypeScript by itself). Where
 * Bun runs it (the client's local mode), the one that is installed with this project, else the one on the PATH.
 */
import { createRequire } from "node:module";
import { scriptStarter } from "./script-step.ts";

export const startNodeStep = scriptStarter((wrapper, script) => ({
  file: (nodeProgram ??= findNode()),
  // A step's script is TypeScript, and outside a package with a type, by design: no news for its standard error.
  args: [
    "--disable-warning=ExperimentalWarning",
    "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON",
    "--import",
    wrapper.href,
    script,
  ],
}));

let nodeProgram: string | undefined;

function findNode(): string {
  if (process.versions["bun"] === undefined) return process.execPath;
  try {
    return createRequire(import.meta.url).resolve(`node-${process.platform}-${process.arch}/bin/node`);
  } catch {
    return "node";
  }
}
