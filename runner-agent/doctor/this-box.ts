/** The box that this process runs on, as the doctor's checks see it. */
import { accessSync, constants } from "node:fs";
import { statfs } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { execa } from "execa";
import { readRunnerConfig, RunnerConfigError, runnerConfigFile } from "../config/runner-config.ts";
import { bunProgram } from "../steps/bun.ts";
import type { Box } from "./check.ts";

const PROGRAM_TIMEOUT_MS = 8_000;
const REQUEST_TIMEOUT_MS = 8_000;

export interface BoxGiven {
  environment: Readonly<Record<string, string | undefined>>;
  workspace: string;
  /** The configuration's file, where it is not the workspace's own. */
  config?: string | undefined;
  journal?: string | undefined;
  url: string | undefined;
  token: string | undefined;
  pool?: string | undefined;
}

export async function thisBox(given: BoxGiven): Promise<Box> {
  const { environment, workspace, url, token } = given;
  const config = await readConfig(workspace, given.config);
  const pool = given.pool ?? ("value" in config ? config.value.pool : "default");
  return {
    environment,
    nodeVersion: process.versions.node,
    workspace,
    journal: given.journal ?? join(workspace, ".codex-flow", `runner-${pool}`),
    url,
    token,
    pool,
    config,
    programs: { bun: [bunProgram()], codex: codexProgram(environment) },
    run: async (file, args) => {
      const { exitCode, stdout, stderr, code } = await execa(file, args, {
        reject: false,
        stdin: "ignore",
        timeout: PROGRAM_TIMEOUT_MS,
      });
      return { unstarted: exitCode === undefined && code !== undefined, exitCode, stdout, stderr };
    },
    fetch: (input, init) => fetch(input, { ...init, signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) }),
    now: () => Date.now(),
    freeBytes: async (path) => {
      const { bavail, bsize } = await statfs(path);
      return bavail * bsize;
    },
    openFilesLimit,
    canRead: (path) => {
      try {
        accessSync(path, constants.R_OK);
        return true;
      } catch {
        return false;
      }
    },
  };
}

async function readConfig(workspace: string, path: string | undefined): Promise<Box["config"]> {
  const file = path ?? runnerConfigFile(workspace);
  try {
    return { file, value: await readRunnerConfig({ workspace, ...(path === undefined ? {} : { path }) }) };
  } catch (error) {
    if (!(error instanceof RunnerConfigError)) throw error;
    return { file, fault: error.message };
  }
}

/** The configured one, the one that is installed with this project, or the one on the PATH. */
function codexProgram(environment: BoxGiven["environment"]): string[] {
  const configured = environment["CODEX_APP_SERVER_CODEX_COMMAND"];
  if (configured !== undefined && configured !== "") return [configured];
  try {
    const manifest = createRequire(import.meta.url).resolve("@openai/codex/package.json");
    return [process.execPath, join(manifest, "..", "bin", "codex.js")];
  } catch {
    return ["codex"];
  }
}

/** Node tells it only in its diagnostic report. */
function openFilesLimit(): number | undefined {
  const report = process.report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } };
  const soft = report.userLimits?.open_files?.soft;
  return typeof soft === "number" ? soft : undefined;
}
