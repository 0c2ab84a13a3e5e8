/**
 * Which program `codex` is: the native binary inside the installed `@openai/codex`, since the package's own Node
 * wrapper costs 40 ms and a process more; else that wrapper; else the `codex` on the PATH.
 */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

export interface CodexProgram {
  file: string;
  /** Stand before Codex's own arguments. */
  args: string[];
}

/** Names of the package that holds the binary, and of the folder in it, by `process.platform`-`process.arch`. */
const BUILDS: Record<string, { package: string; target: string } | undefined> = {
  "linux-x64": { package: "@openai/codex-linux-x64", target: "x86_64-unknown-linux-musl" },
  "linux-arm64": { package: "@openai/codex-linux-arm64", target: "aarch64-unknown-linux-musl" },
  "darwin-x64": { package: "@openai/codex-darwin-x64", target: "x86_64-apple-darwin" },
  "darwin-arm64": { package: "@openai/codex-darwin-arm64", target: "aarch64-apple-darwin" },
};

/** `command` is somebody's own choice: a program by path or by its name on the PATH. */
export function findCodex(command?: string): CodexProgram {
  if (command !== undefined) return { file: command, args: [] };
  const installed = installedCodex();
  if (installed === undefined) return { file: "codex", args: [] };
  const native = nativeBinary(installed.manifest);
  return native === undefined
    ? { file: process.execPath, args: [join(dirname(installed.manifest), "bin", "codex.js")] }
    : { file: native, args: [] };
}

/** The `@openai/codex` beside this project; undefined when there is none. */
export function installedCodex(): { version: string; manifest: string } | undefined {
  const manifest = tryResolve(import.meta.url, "@openai/codex/package.json");
  if (manifest === undefined) return undefined;
  const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
  return { version, manifest };
}

function nativeBinary(manifest: string): string | undefined {
  const build = BUILDS[`${process.platform}-${process.arch}`];
  // The platform's package is a dependency of that package, not of this project.
  const platform = build && tryResolve(manifest, `${build.package}/package.json`);
  if (platform === undefined) return undefined;
  const binary = join(dirname(platform), "vendor", build?.target ?? "", "bin", "codex");
  return existsSync(binary) ? binary : undefined;
}

function tryResolve(from: string, name: string): string | undefined {
  try {
    return createRequire(from).resolve(name);
  } catch {
    return undefined;
  }
}
