/** An agent's item as one line or a few, for whoever shows plain output: the ancestor's clients, a log, a phone. */
import type { AgentItem } from "./agent-item.ts";

type Whole<Type extends AgentItem["type"]> = Extract<
  AgentItem,
  { type: Type; state: "started" | "completed" }
>;

/**
 * Nothing for what only matters to those who read items themselves. Lines end with a newline. What was left out of an item is
 * counted here, too (rule A3), and what did not happen does not read as if it had.
 */
export function itemText(item: AgentItem): string {
  if (item.state === "delta") return "";
  switch (item.type) {
    case "message":
      return item.state === "completed" && item.text !== ""
        ? `${item.role === "user" ? `> ${item.text}` : answerText(item.text)}\n${omitted(item)}`
        : "";
    case "reasoning":
      return item.state === "completed" && item.text !== "" ? `(${item.text})\n${omitted(item)}` : "";
    case "command":
      if (item.state === "started") return `$ ${item.command}\n`;
      // Of a command's output, the end is there.
      return `${omitted(item)}${item.output}${item.output === "" || item.output.endsWith("\n") ? "" : "\n"}${commandEnd(item)}`;
    case "file_change":
      return item.state === "completed" ? fileChange(item) : "";
    case "plan":
      return item.steps
        .map(
          ({ text, status }) =>
            `[${status === "completed" ? "x" : status === "running" ? ">" : " "}] ${text}\n`,
        )
        .join("");
    case "tool_call":
      return item.state === "completed" ? `tool ${item.tool}: ${item.error ?? item.outcome}\n` : "";
    case "warning":
      return `warning: ${item.text}\n${omitted(item)}`;
    case "turn":
      return item.outcome === "failed" ? `turn failed: ${item.error?.message ?? ""}\n` : "";
    case "activity":
      return item.state === "completed" ? `${item.kind} ${item.text}\n` : "";
    case "usage":
      return "";
  }
}

function commandEnd({ outcome, exitCode }: Whole<"command">): string {
  if (outcome === "declined") return "(declined)\n";
  if (exitCode === undefined) return outcome === "failed" ? "(failed)\n" : "";
  return exitCode === 0 ? "" : `(exit code ${exitCode})\n`;
}

function fileChange({ changes, omittedChanges, outcome }: Whole<"file_change">): string {
  const lines = changes.map(
    (change) => `${[`${change.kind} ${change.path}`, ...lineCounts(change)].join(" ")}\n`,
  );
  const more = omittedChanges === undefined ? "" : `… and ${omittedChanges} more files\n`;
  return `${lines.join("")}${more}${outcome === "completed" ? "" : `(${outcome})\n`}`;
}

/** How many lines a change adds and removes; nothing where the agent does not tell, which reads as 0 and 0. */
export function lineCounts({
  addedLines,
  removedLines,
}: {
  addedLines: number;
  removedLines: number;
}): string[] {
  return addedLines === 0 && removedLines === 0 ? [] : [`+${addedLines}`, `-${removedLines}`];
}

function omitted({ omittedChars }: { omittedChars?: number }): string {
  return omittedChars === undefined ? "" : `(${omittedChars.toLocaleString("en")} characters left out)\n`;
}

/** An answer in the form of a result: its message, and what else stands in it. */
export interface StructuredAnswer {
  message: string;
  status: string;
  rest: Record<string, unknown>;
}

/** Reads the answer of an agent that had to answer in the form of a result; undefined for words. */
export function structuredAnswer(text: string): StructuredAnswer | undefined {
  const trimmed = text.trim();
  if (!trimmed.startsWith("{") || !trimmed.endsWith("}")) return undefined;
  try {
    const { message, status, ...rest } = JSON.parse(trimmed) as Record<string, unknown>;
    return typeof message === "string" && typeof status === "string" ? { message, status, rest } : undefined;
  } catch {
    return undefined;
  }
}

/** The message of a structured answer for people, and below it one line for each other field. */
function answerText(text: string): string {
  const answer = structuredAnswer(text);
  if (answer === undefined) return text;
  const rows = Object.entries(answer.rest)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`);
  return [answer.message, ...rows].join("\n");
}
