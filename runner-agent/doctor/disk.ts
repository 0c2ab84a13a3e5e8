/** Room for what steps write and for what the journal keeps, and whether the journal can be written at all. */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Journal } from "../journal/journal.ts";
import { JournalInUseError, JournalUnusableError } from "../journal/tables.ts";
import { wordsOf, type Box, type Check, type Finding } from "./check.ts";

const GIB = 1024 ** 3;
const FREE_DISK_WARN_BYTES = 2 * GIB;

export const workspaceDiskCheck: Check = {
  name: "disk (workspace)",
  probe: (box) => roomAt(box, box.workspace),
};

export const journalDiskCheck: Check = {
  name: "disk (journal)",
  probe: (box) => roomAt(box, box.journal),
};

/**
 * Writes a file where the journal is, or where its folder will be made, and removes it again; then opens the journal, if there
 * is one, as the agent does.
 */
export const journalCheck: Check = {
  name: "journal",
  probe: async ({ journal }) => {
    const probe = join(existingAbove(journal), `.codex-flow-doctor-${randomUUID()}`);
    try {
      await writeFile(probe, "", { flag: "wx", mode: 0o600 });
      return {
        state: "ok",
        found: `${journal} can be written${openedState(join(journal, "journal.sqlite"))}`,
      };
    } catch (error) {
      return {
        state: "missing",
        found:
          error instanceof JournalUnusableError
            ? error.message
            : `${journal} cannot be written: ${wordsOf(error)}`,
        fix: "give the agent's user that folder, or name another one with --journal",
      };
    } finally {
      await rm(probe, { force: true }).catch(() => undefined);
    }
  },
};

/** Words behind "can be written". Throws JournalUnusableError for a file that no agent can open. */
function openedState(file: string): string {
  if (!existsSync(file)) return "";
  try {
    new Journal(file).close();
    return "";
  } catch (error) {
    if (error instanceof JournalInUseError) return ", and an agent runs on it";
    throw error;
  }
}

async function roomAt(box: Box, path: string): Promise<Finding> {
  const free = await box.freeBytes(existingAbove(path));
  const found = `${(free / GIB).toFixed(1)} GiB free at ${path}`;
  return free >= FREE_DISK_WARN_BYTES
    ? { state: "ok", found }
    : {
        state: "warn",
        found: `${found}, less than ${FREE_DISK_WARN_BYTES / GIB} GiB`,
        fix: "free some space; a full disk stops the journal, and with it every step's output",
      };
}

/** The folder itself, or the nearest one above it that is there. */
export function existingAbove(path: string): string {
  let folder = path;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}
