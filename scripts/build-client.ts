/**
 * Bundles what products import, `codex-flow-edge/client`, into dist/client/. `platform: "neutral"` is what keeps it
 * runnable in browsers and Workers: an import of Node or of a package ends the build.
 */
import { build } from "esbuild";
import { projectPath } from "./project.ts";

export async function buildClient(): Promise<void> {
  await build({
    entryPoints: [projectPath("client/index.ts")],
    outdir: projectPath("dist/client"),
    bundle: true,
    format: "esm",
    platform: "neutral",
    target: "es2022",
    sourcemap: "linked",
    logLevel: "warning",
  });
}
