/** What the agent says of itself: one line an event, for people or, with --json, for machines. On standard error. */
import pc from "picocolors";

export type LogLevel = "info" | "warn" | "error";

export interface AgentLog {
  (level: LogLevel, message: string, fields?: Record<string, string | number | boolean | undefined>): void;
}

export function agentLog(json: boolean): AgentLog {
  return (level, message, fields = {}) => {
    const at = new Date().toISOString();
    const line = json ? JSON.stringify({ at, level, message, ...fields }) : human(at, level, message, fields);
    process.stderr.write(`${line}\n`);
  };
}

function human(at: string, level: LogLevel, message: string, fields: Record<string, unknown>): string {
  const details = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${String(value)}`);
  const colour = level === "error" ? pc.red : level === "warn" ? pc.yellow : (text: string) => text;
  return [pc.dim(at.slice(11, 19)), colour(message), pc.dim(details.join(" "))].join(" ").trimEnd();
}
