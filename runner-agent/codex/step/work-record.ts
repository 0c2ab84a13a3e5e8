/** What a codex step has done, gathered from its items: the artifacts of its result. */
import type { AgentItem, ItemFileChange } from "../../../contract/agent-item.ts";

/** Files that stand in the artifacts by name; of more, only the counts. */
const CHANGED_FILES_MAX = 200;

interface ChangedFile {
  path: string;
  kind: ItemFileChange["kind"];
  addedLines: number;
  removedLines: number;
}

export class WorkRecord {
  readonly #files = new Map<string, ChangedFile>();
  /** Paths by the item that changes them: a request for leave names the item only. */
  readonly #pathsOf = new Map<string, string[]>();

  note(item: AgentItem): void {
    if (item.type !== "file_change") return;
    this.#pathsOf.set(
      item.id,
      item.changes.map((change) => change.path),
    );
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

  pathsOf(itemId: string): string[] {
    return this.#pathsOf.get(itemId) ?? [];
  }

  /** `changedFiles` as Codex told them; changes that its commands made are not among them. */
  get artifacts(): {
    changedFiles: ChangedFile[];
    diff: { files: number; addedLines: number; removedLines: number };
  } {
    const files = [...this.#files.values()];
    return {
      changedFiles: files.slice(0, CHANGED_FILES_MAX),
      diff: {
        files: files.length,
        addedLines: files.reduce((sum, file) => sum + file.addedLines, 0),
        removedLines: files.reduce((sum, file) => sum + file.removedLines, 0),
      },
    };
  }
}
