/** What a codex step has done, gathered from its items: the artifacts of its result; and what it is about to change. */
import type { AgentItem } from "../../../contract/agent-item.ts";
import type { FileChange } from "../../workspace/changes.ts";
import { relativeTo } from "../items.ts";
import type { FileUpdateChange, ThreadItem } from "../protocol.ts";

/** Files that stand in the artifacts by name; of more, only the counts. */
const CHANGED_FILES_MAX = 200;

/** Of a diff that is kept for whoever is asked about it; more than an approval shows. */
const DIFF_MAX_CHARS = 8 * 1024;

/** A change of files that is about to be made. */
export interface PlannedChange {
  /** From and to where; those outside of the working directory first: of many, not all are shown. */
  paths: string[];
  /** Some lie where the sandbox lets nobody write. */
  leaves: boolean;
  /** For people: each file's name before its lines. */
  diff: string;
}

export class WorkRecord {
  readonly #files = new Map<string, FileChange>();
  /** By the item, until it is over: a request for leave names the item only. */
  readonly #planned = new Map<string, PlannedChange>();

  /** A change as Codex has told it, redacted: what is kept of it is cut. `cwd`: what its paths are relative to. */
  begins({ id, changes }: Extract<ThreadItem, { type: "fileChange" }>, cwd: string): void {
    const told = changes.map((change) => {
      const to = change.kind.type === "update" ? change.kind.move_path : null;
      const paths = [change.path, ...(to === null ? [] : [to])].map((path) => relativeTo(cwd, path));
      return { change, paths, leaves: paths.some(isOutside) };
    });
    const sorted = [...told.filter(({ leaves }) => leaves), ...told.filter(({ leaves }) => !leaves)];
    let diff = "";
    for (const { change } of sorted) if (diff.length < DIFF_MAX_CHARS) diff += diffOf(change, cwd);
    this.#planned.set(id, {
      paths: sorted.flatMap(({ paths }) => paths),
      leaves: told.some(({ leaves }) => leaves),
      diff: diff.length > DIFF_MAX_CHARS ? `${diff.slice(0, DIFF_MAX_CHARS)}\n… and more` : diff,
    });
  }

  note(item: AgentItem): void {
    if (item.type !== "file_change") return;
    if (item.state === "completed") this.#planned.delete(item.id);
    if (item.state !== "completed" || item.outcome !== "completed") return;
    for (const { path, movedTo, kind, addedLines, removedLines } of item.changes) {
      const at = movedTo ?? path;
      const before = this.#files.get(at);
      this.#files.set(at, {
        path: at,
        kind: before?.kind === "add" && kind === "update" ? "add" : kind,
        addedLines: (before?.addedLines ?? 0) + addedLines,
        removedLines: (before?.removedLines ?? 0) + removedLines,
      });
    }
  }

  changeOf(itemId: string): PlannedChange | undefined {
    return this.#planned.get(itemId);
  }

  /** As Codex has told them: changes that its commands made are not among them. Relative to the working directory. */
  get files(): FileChange[] {
    return [...this.#files.values()];
  }

  get artifacts(): ReturnType<typeof changeArtifacts> {
    return changeArtifacts(this.files);
  }
}

/** As they stand in a result's artifacts. */
export function changeArtifacts(files: readonly FileChange[]): {
  changedFiles: FileChange[];
  diff: { files: number; addedLines: number; removedLines: number };
} {
  return {
    changedFiles: files.slice(0, CHANGED_FILES_MAX),
    diff: {
      files: files.length,
      addedLines: files.reduce((sum, file) => sum + file.addedLines, 0),
      removedLines: files.reduce((sum, file) => sum + file.removedLines, 0),
    },
  };
}

/** Of the working directory, or at its top where no sandbox lets anybody write. `path`: relative where it can be. */
function isOutside(path: string): boolean {
  return /^(\/|\.git(\/|$)|\.codex(\/|$)|\.agents(\/|$))|(^|\/)\.\.(\/|$)/.test(path);
}

function diffOf({ path, kind, diff }: FileUpdateChange, cwd: string): string {
  const name = relativeTo(cwd, path);
  if (kind.type === "update") {
    const moved = kind.move_path === null ? "" : ` -> ${relativeTo(cwd, kind.move_path)}`;
    return `update ${name}${moved}\n${diff.trimEnd()}\n`;
  }
  // Of a file that comes or goes, the "diff" is its whole text.
  const sign = kind.type === "add" ? "+" : "-";
  const lines = diff === "" ? [] : diff.replace(/\n$/, "").split("\n");
  return [`${kind.type} ${name}`, ...lines.map((line) => `${sign}${line}`), ""].join("\n");
}
