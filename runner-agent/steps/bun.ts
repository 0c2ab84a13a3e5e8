/** Steps with `runner = "bun"`: the Bun that is installed with this project, else the one on the PATH. */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { scriptStarter } from "./script-step.ts";

export const startBunStep = scriptStarter((wrapper, script, root) => ({
  file: bunProgram(),
  args: [
    // What a step sees of the box is said by the box's configuration, not by a .env file that happens to lie there:
    // nobody would know its values as secrets.
    "--no-env-file",
    `--config=${configIn(root)}`,
    ...["--preload", fileURLToPath(wrapper)],
    script,
  ],
}));

/**
 * The package's own, which its digest covers. Not that of the folder where the step works, which may be a stranger's commit,
 * or what commands in a sandbox have left: it names code that is run before the script.
 */
function configIn(root: string): string {
  const own = join(root, "bunfig.toml");
  return existsSync(own) ? own : "/dev/null";
}

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
