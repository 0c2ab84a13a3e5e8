/**
 * What a run has changed, as its result tells it. A codex step and a relayed session list the files with their lines; a
 * step of somebody's own may leave a diff as text. Artifacts are any JSON, so whatever does not fit is not there. Pure.
 */
import type { ChatMessage } from "../../../contract/chat/message.ts";
import type { RunView } from "../../../contract/run-view.ts";

const FILES_SHOWN = 50;

export interface Changes {
  /** `2 files, +10 -3`: says no path, so it may stand anywhere. */
  summary: string[];
  /** The diff, or the files. */
  code?: NonNullable<ChatMessage["code"]>;
}

/** Undefined: it tells of none. */
export function changesOf({ result }: Pick<RunView, "result">): Changes | undefined {
  const { diff, changedFiles } = result?.artifacts ?? {};
  const files = Array.isArray(changedFiles) ? changedFiles.flatMap(fileLine) : [];
  const counted = countsOf(diff);
  const summary = counted === undefined ? [] : [counted];
  if (typeof diff === "string" && diff.trim() !== "")
    return { summary, code: { text: diff, language: "diff" } };
  if (files.length === 0) return undefined;
  const more = files.length - FILES_SHOWN;
  const text = [...files.slice(0, FILES_SHOWN), ...(more > 0 ? [`and ${more} more`] : [])].join("\n");
  return {
    summary: summary.length > 0 ? summary : [`${files.length} ${files.length === 1 ? "file" : "files"}`],
    code: { text },
  };
}

/** How many files a run has changed; undefined when it names none. */
export function filesChanged({ artifacts = {} }: NonNullable<RunView["result"]>): number | undefined {
  const { diff, changedFiles } = artifacts;
  if (isRecord(diff) && typeof diff["files"] === "number" && diff["files"] > 0) return diff["files"];
  const files = Array.isArray(changedFiles) ? changedFiles.flatMap(fileLine).length : 0;
  return files === 0 ? undefined : files;
}

function countsOf(diff: unknown): string | undefined {
  if (!isRecord(diff)) return undefined;
  const { files, addedLines, removedLines } = diff;
  if (typeof files !== "number" || files === 0) return undefined;
  return `${files} ${files === 1 ? "file" : "files"}${linesOf(addedLines, removedLines)}`;
}

function fileLine(file: unknown): string[] {
  if (typeof file === "string") return [file];
  if (!isRecord(file) || typeof file["path"] !== "string") return [];
  const { path, kind, addedLines, removedLines } = file;
  return [`${typeof kind === "string" ? `${kind} ` : ""}${path}${linesOf(addedLines, removedLines)}`];
}

/** Nothing for 0 and 0: the agent has not told how many lines it changed. */
function linesOf(added: unknown, removed: unknown): string {
  if (typeof added !== "number" || typeof removed !== "number") return "";
  return added === 0 && removed === 0 ? "" : `  +${added} -${removed}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
