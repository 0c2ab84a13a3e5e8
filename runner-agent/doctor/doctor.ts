/**
 * `codex-flow runner doctor`: all checks at once, each within its time. What a check throws is a finding too: the
 * doctor itself never fails.
 */
import { wordsOf, type Box, type Check, type Finding } from "./check.ts";
import {
  codeModeCheck,
  codexCheck,
  codexHomeCheck,
  codexLoginCheck,
  codexSandboxCheck,
  codexServerCheck,
} from "./codex.ts";
import { journalCheck, journalDiskCheck, workspaceDiskCheck } from "./disk.ts";
import { clockCheck, edgeCheck, tokenCheck } from "./edge.ts";
import { bunCheck, gitCheck, nodeCheck } from "./programs.ts";
import { openFilesCheck, procCheck, systemdCheck } from "./system.ts";
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
  gitCheck,
  systemdCheck,
  procCheck,
  openFilesCheck,
  workspaceDiskCheck,
  journalDiskCheck,
  journalCheck,
  configCheck,
  projectsCheck,
  flowsCheck,
  edgeCheck,
  tokenCheck,
  clockCheck,
];

const CHECK_TIMEOUT_MS = 10_000;

export type Examined = { name: string } & Finding;

export async function examine(
  box: Box,
  checks: readonly Check[] = CHECKS,
  timeoutMs = CHECK_TIMEOUT_MS,
): Promise<Examined[]> {
  return Promise.all(
    checks.map(async (check) => ({ name: check.name, ...(await inTime(check, box, timeoutMs)) })),
  );
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
