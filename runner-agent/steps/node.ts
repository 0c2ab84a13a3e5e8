/** Steps with `runner = "node"`: the Node that runs this agent (22.18 or newer, which reads TypeScript by itself). */
import { scriptStarter } from "./script-step.ts";

export const startNodeStep = scriptStarter((wrapper, script) => ({
  file: process.execPath,
  // A step's script is TypeScript, and outside a package with a type, by design: no news for its standard error.
  args: [
    "--disable-warning=ExperimentalWarning",
    "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON",
    "--import",
    wrapper.href,
    script,
  ],
}));
