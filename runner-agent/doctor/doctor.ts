/**
 * `codex-flow runner doctor`: all checks at once, each within its time. What a check throws is a finding too: the
 * doctor itself never fails.
 */
import { loadCatalog } from "../../catalog/load.ts";
import type { StepKind } from "../../contract/flow-manifest.ts";
import { wordsOf, type Box, type Check, type Finding } from "./check.ts";
import {
  codeModeCheck,
  codexCheck,
  codexHomeCheck,
  codexLoginCheck,
  codexSandboxCheck,
  codexServerCheck,
} from "./codex.ts";
import { codexStepsCheck } from "./codex-steps.ts";
import { journalCheck, journalDiskCheck, workspaceDiskCheck } from "./disk.ts";
import { clockCheck, edgeCheck, socketCheck, tokenCheck } from "./edge.ts";
import { bunCheck, gitCheck, nodeCheck } from "./programs.ts";
import { initCheck, openFilesCheck, procCheck, systemdCheck } from "./system.ts";
import { configCheck, flowsCheck, projectsCheck } from "./workspace.ts";

/** In the order of the table. */
export const CHECKS: readonly Check[] = [
  nodeCheck,
  bunCheck,
  codexCheck,
  codexServerCheck,
  codexHomeCheck,
  codexLoginCheck,
  codexSandboxCheck,
  codeModeCheck,
  codexStepsCheck,
  gitCheck,
  systemdCheck,
  procCheck,
  initCheck,
  openFilesCheck,
  workspaceDiskCheck,
  journalDiskCheck,
  journalCheck,
  configCheck,
  projectsCheck,
  flowsCheck,
  edgeCheck,
  tokenCheck,
  socketCheck,
  clockCheck,
];

const CHECK_TIMEOUT_MS = 10_000;

export type Examined = { name: string } & Omit<Finding, "onlyFor">;

export async function examine(
  box: Box,
  checks: readonly Check[] = CHECKS,
  timeoutMs = CHECK_TIMEOUT_MS,
): Promise<Examined[]> {
  const findings = await Promise.all(checks.map((check) => inTime(check, box, timeoutMs)));
  const kinds = findings.some(({ onlyFor }) => onlyFor !== undefined) ? await kindsIn(box.workspace) : [];
  return findings.map(({ onlyFor, ...finding }, index) => ({
    name: checks[index]?.name ?? "",
    ...finding,
    ...(onlyFor?.some((kind) => kinds.includes(kind)) === false ? { state: "warn" as const } : {}),
  }));
}

/** Of the steps of a workspace; one that cannot be read has none, and a check of its own says so. */
async function kindsIn(workspace: string): Promise<StepKind[]> {
  const { packages } = await loadCatalog(workspace).catch(() => ({ packages: [] }));
  return packages.flatMap(({ flow }) => flow.steps.map(({ runner }) => runner));
}

async function inTime(check: Check, box: Box, timeoutMs: number): Promise<Finding> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Finding>((resolve) => {
    timer = setTimeout(() => {
      resolve({
        state: "missing",
        found: `no answer within ${timeoutMs / 1000} s`,
        fix: "see why it hangs: a dead network mount, a firewall that drops, a program that waits",
      });
    }, timeoutMs);
  });
  try {
    return await Promise.race([Promise.resolve(box).then((there) => check.probe(there)), late]);
  } catch (error) {
    return { state: "missing", found: `the check itself failed: ${wordsOf(error)}`, fix: "please report it" };
  } finally {
    clearTimeout(timer);
  }
}
