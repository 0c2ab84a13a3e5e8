/** Steps with `runner = "bun"`: the Bun that is installed with this project, else the one on the PATH. */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { scriptStarter } from "./script-step.ts";

export const startBunStep = scriptStarter((wrapper, script) => ({
  file: bunProgram(),
  // What a step sees of the box is said by the box's configuration, not by a .env file that happens to lie there:
  // nobody would know its values as secrets.
  args: ["--no-env-file", "--preload", fileURLToPath(wrapper), script],
}));

let found: string | undefined;

export function bunProgram(): string {
  return (found ??= findBun());
}

function findBun(): string {
  try {
    const manifest = createRequire(import.meta.url).resolve("bun/package.json");
    const { bin } = JSON.parse(readFileSync(manifest, "utf8")) as { bin: { bun: string } };
    const program = join(dirname(manifest), bin.bun);
    if (existsSync(program)) return program;
  } catch {
    // Not installed beside this project.
  }
  return "bun";
}
