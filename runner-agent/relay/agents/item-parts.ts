/** Parts of items that all agents' streams are made into, within the bounds of contract/agent-item.ts. Pure. */
import {
  ITEM_LABEL_MAX_CHARS,
  ITEM_OUTPUT_MAX_CHARS,
  ITEM_TEXT_MAX_CHARS,
} from "../../../contract/limits.ts";

export type JsonObject = Record<string, unknown>;

export function objectOf(value: unknown): JsonObject {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? (value as JsonObject) : {};
}

export function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

export function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

export function countOf(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? Math.round(value) : 0;
}

export function label(text: string): string {
  return text.slice(0, ITEM_LABEL_MAX_CHARS).toWellFormed();
}

/** The beginning of a text. */
export function bounded(
  text: string,
  maxChars = ITEM_TEXT_MAX_CHARS,
): { text: string; omittedChars?: number } {
  if (text.length <= maxChars) return { text: text.toWellFormed() };
  return { text: text.slice(0, maxChars).toWellFormed(), omittedChars: text.length - maxChars };
}

/** The end of a text: of a command that fails, the reason. */
export function tail(text: string): { output: string; omittedChars?: number } {
  const omitted = text.length - ITEM_OUTPUT_MAX_CHARS;
  if (omitted <= 0) return { output: text.toWellFormed() };
  return { output: text.slice(omitted).toWellFormed(), omittedChars: omitted };
}

/** A tool's arguments as JSON, cut to their bound. */
export function argumentsOf(value: unknown): { arguments: string; omittedChars?: number } {
  const { text, omittedChars } = bounded(JSON.stringify(value ?? {}), ITEM_OUTPUT_MAX_CHARS);
  return { arguments: text, ...(omittedChars === undefined ? {} : { omittedChars }) };
}

export function relativeTo(cwd: string, path: string): string {
  if (path === cwd) return ".";
  return label(path.startsWith(`${cwd}/`) ? path.slice(cwd.length + 1) : path);
}

export function linesOf(text: string): number {
  if (text === "") return 0;
  return text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
}
