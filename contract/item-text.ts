/** An agent's item as one line or a few, for whoever shows plain output: the ancestor's clients, a log, a phone. */
import type { AgentItem } from "./agent-item.ts";

/** Nothing for what only matters to those who read items themselves. Lines end with a newline. */
export function itemText(item: AgentItem): string {
  if (item.state === "delta") return "";
  switch (item.type) {
    case "message":
      return item.state === "completed" && item.text !== ""
        ? `${item.role === "user" ? "> " : ""}${item.text}\n`
        : "";
    case "reasoning":
      return item.state === "completed" && item.text !== "" ? `(${item.text})\n` : "";
    case "command":
      if (item.state === "started") return `$ ${item.command}\n`;
      return `${item.output}${item.output === "" || item.output.endsWith("\n") ? "" : "\n"}${commandEnd(item)}`;
    case "file_change":
      return item.state === "completed"
        ? item.changes
            .map(
              ({ kind, path, addedLines, removedLines }) =>
                `${kind} ${path} +${addedLines} -${removedLines}\n`,
            )
            .join("")
        : "";
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
      return `warning: ${item.text}\n`;
    case "turn":
      return item.outcome === "failed" ? `turn failed: ${item.error?.message ?? ""}\n` : "";
    case "activity":
      return item.state === "completed" ? `${item.kind} ${item.text}\n` : "";
    case "usage":
      return "";
  }
}

function commandEnd({
  outcome,
  exitCode,
}: Extract<AgentItem, { type: "command"; state: "started" | "completed" }>): string {
  if (outcome === "declined") return "(declined)\n";
  return exitCode === undefined || exitCode === 0 ? "" : `(exit code ${exitCode})\n`;
}
