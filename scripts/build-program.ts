/**
 * Bundles `codex-flow` (command line and runner agent) into dist/, so that it starts fast and runs without this
 * project's TypeScript. Packages stay where npm put them.
 */
import { copyFile, mkdir, readdir, rm } from "node:fs/promises";
import { build } from "esbuild";
import { projectPath } from "./project.ts";

/** CommonJS packages ask for Node's own modules by `require`, which an ES module has to make for itself. */
const REQUIRE = `import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);`;

export async function buildProgram(): Promise<void> {
  const dist = projectPath("dist");
  await mkdir(dist, { recursive: true });
  // Chunks are named by their content; those of earlier builds would pile up.
  for (const name of await readdir(dist)) if (/\.(js|map)$/.test(name)) await rm(`${dist}/${name}`);
  await build({
    entryPoints: { "codex-flow": projectPath("runner-agent/cli/main.ts") },
    outdir: dist,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node22",
    // Bundled, packages load in half the time and memory. These hold binaries or build things themselves; undici loads only
    // where there is a proxy.
    external: ["wrangler", "esbuild", "bun", "@openai/codex", "@lydell/node-pty", "undici"],
    banner: { js: REQUIRE },
    sourcemap: "linked",
    logLevel: "warning",
  });
  // Run by bun or node in the step's own process, so it stays a file of its own beside the bundle.
  await copyFile(projectPath("runner-agent/steps/module-wrapper.mjs"), `${dist}/module-wrapper.mjs`);
}
