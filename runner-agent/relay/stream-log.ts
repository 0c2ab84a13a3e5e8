/**
 * The stream of a session in its relay folder, one JSON object a line: what it is, each item, each text, how it ended.
 * `relay resume` shows a session again from it. Secrets are gone from it as they are from the chat (invariant 15).
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { AgentItem } from "../../contract/agent-item.ts";
import { checkAgentItem } from "../../contract/validate.ts";
import { objectOf, textOf, type JsonObject } from "./agents/item-parts.ts";
import { withoutBodies } from "./output-policy.ts";

/** `full`: all that was shown and more; `redacted`: without bodies of commands and files; `off`: begin and end only. */
export const LOG_POLICIES = ["full", "redacted", "off"] as const;
export type LogPolicy = (typeof LOG_POLICIES)[number];

const STREAM_FILE = "stream.jsonl";
const PRIVATE_FILE = 0o600;

export interface LoggedSession {
  agent: string;
  title: string;
  workdir: string;
  mode: string;
}

export type LogEntry =
  | ({ type: "codeflow.session"; at: string; runId?: string } & LoggedSession)
  | { type: "item"; at: string; item: AgentItem }
  | { type: "text"; at: string; stream: string; text: string }
  /** Something about the way to the edge; never what was on it. */
  | { type: `codeflow.delivery.${string}`; at: string; what: string }
  | { type: "codeflow.end"; at: string; reason: string; exitCode: number | null };

/** What the log is given; the time is its own. */
export type LogFact = LogEntry extends infer Entry
  ? Entry extends LogEntry
    ? Omit<Entry, "at">
    : never
  : never;

export class StreamLog {
  readonly #policy: LogPolicy;
  readonly #file: number;
  #open = true;

  constructor(folder: string, policy: LogPolicy) {
    this.#policy = policy;
    this.#file = openSync(join(folder, STREAM_FILE), "a", PRIVATE_FILE);
  }

  write(fact: LogFact): void {
    const kept = this.#kept(fact);
    if (kept === undefined || !this.#open) return;
    writeSync(this.#file, `${JSON.stringify({ at: new Date().toISOString(), ...kept })}\n`);
  }

  close(): void {
    if (this.#open) closeSync(this.#file);
    this.#open = false;
  }

  #kept(fact: LogFact): LogFact | undefined {
    if (fact.type !== "item" && fact.type !== "text") return fact;
    if (this.#policy === "off") return undefined;
    if (this.#policy === "full") return fact;
    return fact.type === "item"
      ? { type: "item", item: withoutBodies(fact.item) }
      : { ...fact, text: `[${fact.text.length} characters]\n` };
  }
}

/** A session that was logged, for `relay resume`. */
export interface LoggedStream {
  session: LoggedSession;
  steps: ({ item: AgentItem } | { stream: string; text: string })[];
}

/** Undefined when the folder holds no session. Lines that a crash has cut off are left out. */
export async function readStream(folder: string): Promise<LoggedStream | undefined> {
  const text = await readFile(join(folder, STREAM_FILE), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  const entries = text.split("\n").flatMap((line): JsonObject[] => {
    const entry = parsed(line);
    return entry === undefined ? [] : [entry];
  });
  const head = entries.find((entry) => entry["type"] === "codeflow.session");
  if (head === undefined) return undefined;
  const said = (key: keyof LoggedSession): string => textOf(head[key]);
  return {
    session: { agent: said("agent"), title: said("title"), workdir: said("workdir"), mode: said("mode") },
    steps: entries.flatMap((entry): LoggedStream["steps"] => {
      if (entry["type"] === "text") return [{ stream: textOf(entry["stream"]), text: textOf(entry["text"]) }];
      const item = entry["type"] === "item" ? checkAgentItem(entry["item"]) : undefined;
      return item?.ok === true ? [{ item: item.value }] : [];
    }),
  };
}

function parsed(line: string): JsonObject | undefined {
  try {
    return objectOf(JSON.parse(line));
  } catch {
    return undefined;
  }
}
