/** The box that this process runs on, as the doctor's checks see it. */
import { accessSync, constants } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { findCodex } from "../codex/codex-program.ts";
import { isDirectory } from "../config/projects.ts";
import { readRunnerConfig, RunnerConfigError, runnerConfigFile } from "../config/runner-config.ts";
import { bunProgram } from "../steps/bun.ts";
import type { Box } from "./check.ts";
import { openSocket } from "./open-socket.ts";

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
    programs: { bun: [bunProgram()], codex: codexProgram(environment, config) },
    run: async (file, args, variables = {}) => {
      const { exitCode, stdout, stderr, code } = await execa(file, args, {
        reject: false,
        stdin: "ignore",
        env: variables,
        timeout: PROGRAM_TIMEOUT_MS,
      });
      return { unstarted: exitCode === undefined && code !== undefined, exitCode, stdout, stderr };
    },
    fetch: (input, init) => fetch(input, { ...init, signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) }),
    openSocket: (address, headers) => openSocket(address, headers, REQUEST_TIMEOUT_MS),
    now: () => Date.now(),
    freeBytes: async (path) => {
      const { bavail, bsize } = await statfs(path);
      return bavail * bsize;
    },
    openFilesLimit,
    isDirectory,
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

/** What the agent itself would start. */
function codexProgram(environment: BoxGiven["environment"], config: Box["config"]): string[] {
  const owners = "value" in config ? config.value.codex.command : undefined;
  const { file, args } = findCodex(owners ?? environment["CODEX_APP_SERVER_CODEX_COMMAND"]);
  return [file, ...args];
}

/** Node tells it only in its diagnostic report. */
function openFilesLimit(): number | undefined {
  const report = process.report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } };
  const soft = report.userLimits?.open_files?.soft;
  return typeof soft === "number" ? soft : undefined;
}
