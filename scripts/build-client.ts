/**
 * Bundles what products import, `codex-flow-edge/client`, into dist/client/: `index.js` for browsers and Workers, and
 * `node.js` for Node and Bun, which adds local mode. `platform: "neutral"` is what keeps the first one runnable there:
 * an import of Node or of a package ends the build.
 */
import { copyFile, mkdir, readdir, rm } from "node:fs/promises";
import { build, type BuildOptions } from "esbuild";
import { projectPath } from "./project.ts";

export async function buildClient(): Promise<void> {
  const outdir = projectPath("dist/client");
  await mkdir(outdir, { recursive: true });
  // Chunks are named by their content; those of earlier builds would pile up.
  for (const name of await readdir(outdir)) await rm(`${outdir}/${name}`);
  const common: BuildOptions = {
    outdir,
    bundle: true,
    format: "esm",
    sourcemap: "linked",
    logLevel: "warning",
  };
  await build({
    ...common,
    entryPoints: [projectPath("client/index.ts")],
    platform: "neutral",
    target: "es2022",
  });
  await build({
    ...common,
    entryPoints: { node: projectPath("runner-agent/local/client-entry.ts") },
    splitting: true,
    platform: "node",
    target: "node20",
    // Installed with this package.
    packages: "external",
  });
  // Run by bun or node in the step's own process, so it stays a file of its own beside the bundle.
  await copyFile(projectPath("runner-agent/steps/module-wrapper.mjs"), `${outdir}/module-wrapper.mjs`);
}
