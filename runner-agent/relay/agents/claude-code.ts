/**
 * Claude Code without a user: `claude -p --output-format stream-json --verbose`. Its stream is one JSON object a line: a
 * `system` one at the start, `assistant` and `user` messages (calls of tools, and their results), a `result` at the end.
 *
 * With `--input-format stream-json` it hears what is said to it while it works; its input is closed at its result.
 */
import type { AgentItem, ItemFileChange, TokenCounts } from "../../../contract/agent-item.ts";
import { ITEM_PLAN_STEPS_MAX } from "../../../contract/limits.ts";
import {
  RelayCommandError,
  type Agent,
  type AgentLaunch,
  type AgentReader,
  type LaunchContext,
  type ReadLine,
} from "./agent.ts";
import {
  argumentsOf,
  bounded,
  countOf,
  label,
  linesOf,
  listOf,
  objectOf,
  relativeTo,
  tail,
  textOf,
  type JsonObject,
} from "./item-parts.ts";
import { isNoMatch } from "./probe.ts";

/** Options that take the next word as their value, as far as they can stand before a prompt (claude --help). */
const WITH_VALUE = new Set([
  ...["--output-format", "--input-format", "--model", "--fallback-model", "--permission-mode", "--max-turns"],
  ...["--append-system-prompt", "--system-prompt", "--mcp-config", "--settings", "--resume", "-r"],
  ...["--session-id", "--agents", "--setting-sources", "--permission-prompt-tool", "--max-budget-usd"],
  ...["--allowedTools", "--allowed-tools", "--disallowedTools", "--disallowed-tools", "--add-dir", "--tools"],
]);
const STREAM = "stream-json";

export const claudeCode: Agent = {
  name: "claude",
  title: () => "Claude Code",
  fits: ([file = "", ...args]) =>
    /^claude(\.js|\.exe)?$/.test(file.split("/").at(-1) ?? "") &&
    args.some((word) => word === "-p" || word === "--print"),
  launch,
  reader: (cwd) => new ClaudeCodeReader(cwd),
};

async function launch(command: readonly string[], context: LaunchContext): Promise<AgentLaunch> {
  const [file = "", ...words] = command;
  const args = withOption(withOption(words, "--output-format", STREAM), "--verbose");
  const listens = valueOf(args, "--input-format") === STREAM;
  const inArguments = promptOf(args);
  if (inArguments !== undefined && context.prompt === "stdin")
    throw new RelayCommandError(
      "the prompt stands among the arguments of claude -p",
      "pass it on standard input (… claude -p <<'PROMPT'), or allow it with --prompt-argv",
    );
  const prompt = inArguments ?? (await context.stdin()) ?? "";
  if (prompt.trim() === "")
    throw new RelayCommandError("claude -p has no prompt", "pass it on standard input");
  if (!listens) return { file, args, terminal: false, input: inArguments === undefined ? prompt : "" };
  return {
    file,
    args: args.filter((word) => word !== inArguments),
    terminal: false,
    input: said(prompt),
    say: said,
  };
}

function said(text: string): string {
  const message = { role: "user", content: [{ type: "text", text }] };
  return `${JSON.stringify({ type: "user", message })}\n`;
}

/** With the option, unless it is there; one with another value is replaced. */
function withOption(words: readonly string[], name: string, value?: string): string[] {
  const at = words.findIndex((word) => word === name || word.startsWith(`${name}=`));
  const end = words.includes("--") ? words.indexOf("--") : words.length;
  const option = value === undefined ? [name] : [name, value];
  if (at < 0) return [...words.slice(0, end), ...option, ...words.slice(end)];
  const length = value !== undefined && words[at] === name ? 2 : 1;
  return [...words.slice(0, at), ...option, ...words.slice(at + length)];
}

function valueOf(words: readonly string[], name: string): string | undefined {
  const at = words.indexOf(name);
  return at < 0 ? words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1) : words[at + 1];
}

function promptOf(words: readonly string[]): string | undefined {
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? "";
    if (word === "--") return words[at + 1];
    if (WITH_VALUE.has(word)) at += 1;
    else if (!word.startsWith("-")) return word;
  }
  return undefined;
}

/** A tool of Claude Code's own, as the item that it is. */
type ToolItem = (input: JsonObject, base: { id: string }) => AgentItem;

class ClaudeCodeReader implements AgentReader {
  readonly #cwd: string;
  /** Calls without a result, by their id. */
  readonly #open = new Map<string, AgentItem>();
  /** Usage stands on each part of a message, and is told once. */
  readonly #counted = new Set<string>();
  #thread: TokenCounts = NO_TOKENS;
  #parts = 0;
  #turns = 0;

  constructor(cwd: string) {
    this.#cwd = cwd;
  }

  event(event: unknown): ReadLine {
    const told = objectOf(event);
    switch (told["type"]) {
      case "system":
        return told["subtype"] === "init" ? this.#began(told) : { items: this.#system(told) };
      case "assistant": {
        const items = this.#assistant(objectOf(told["message"]));
        return { items: textOf(told["parent_tool_use_id"]) === "" ? items : items.map(ofSubAgent) };
      }
      case "user":
        return { items: this.#results(objectOf(told["message"])) };
      case "rate_limit_event":
        return { items: this.#rateLimit(objectOf(told["rate_limit_info"])) };
      case "result":
        return this.#ended(told);
      default:
        return { items: [] };
    }
  }

  #began(told: JsonObject): ReadLine {
    const model = textOf(told["model"]);
    const text = [`model ${model}`, `permissions ${textOf(told["permissionMode"]) || "default"}`].join(", ");
    this.#turns += 1;
    return {
      items: [
        { type: "turn", id: `turn ${this.#turns}`, state: "started", outcome: "running" },
        {
          type: "activity",
          id: `session ${this.#turns}`,
          state: "completed",
          kind: SESSION_HEADER,
          ...bounded(text),
        },
      ],
      facts: { thread: textOf(told["session_id"]), model },
    };
  }

  #system(told: JsonObject): AgentItem[] {
    const kind = textOf(told["subtype"]);
    if (kind === "api_retry") {
      const why = textOf(told["error"]) || `status ${countOf(told["error_status"])}`;
      const of = countOf(told["max_retries"]);
      return [
        this.#warning(
          "api_retry",
          `The model did not answer (${why}): attempt ${countOf(told["attempt"])} of ${of}`,
        ),
      ];
    }
    if (kind !== "compact_boundary") return [];
    return [{ type: "activity", id: this.#nextId(), state: "completed", kind, text: "" }];
  }

  #rateLimit({ status, rateLimitType }: JsonObject): AgentItem[] {
    if (status !== "rejected" && status !== "allowed_warning") return [];
    const limit = textOf(rateLimitType).replaceAll("_", " ") || "usage";
    const what = status === "rejected" ? "is reached" : "is nearly reached";
    return [this.#warning("rate_limit", `The ${limit} limit of the account ${what}`)];
  }

  #warning(code: string, text: string): AgentItem {
    return { type: "warning", id: this.#nextId(), state: "completed", code, ...bounded(text) };
  }

  #assistant(message: JsonObject): AgentItem[] {
    const items = listOf(message["content"]).flatMap((part) => this.#part(objectOf(part)));
    const id = textOf(message["id"]);
    if (id === "" || this.#counted.has(id) || message["usage"] === undefined) return items;
    this.#counted.add(id);
    return [...items, this.#usage(id, objectOf(message["usage"]))];
  }

  #part(part: JsonObject): AgentItem[] {
    switch (part["type"]) {
      case "text":
        return [
          {
            type: "message",
            id: this.#nextId(),
            state: "completed",
            role: "agent",
            ...bounded(textOf(part["text"])),
          },
        ];
      case "thinking":
        return [
          { type: "reasoning", id: this.#nextId(), state: "completed", ...bounded(textOf(part["thinking"])) },
        ];
      case "tool_use": {
        const id = label(textOf(part["id"]) || this.#nextId());
        const item = this.#call(textOf(part["name"]), objectOf(part["input"]), id);
        // A plan is whole when it is made; its result says nothing.
        if (item.type !== "plan") this.#open.set(id, item);
        return [item];
      }
      default:
        return [];
    }
  }

  #call(name: string, input: JsonObject, id: string): AgentItem {
    const own = this.#tools[name];
    if (own !== undefined) return own(input, { id });
    const [, server, tool] = /^mcp__(.+?)__(.+)$/.exec(name) ?? [];
    return {
      type: "tool_call",
      id,
      state: "started",
      ...(server === undefined ? {} : { server: label(server) }),
      tool: label(tool ?? name),
      outcome: "running",
      ...argumentsOf(input),
    };
  }

  readonly #tools: Partial<Record<string, ToolItem>> = {
    Bash: ({ command }, { id }) => ({
      type: "command",
      id,
      state: "started",
      command: bounded(textOf(command)).text,
      cwd: ".",
      outcome: "running",
      output: "",
    }),
    Write: (input, base) =>
      this.#change(base.id, input["file_path"], "add", [["", textOf(input["content"])]]),
    Edit: (input, base) =>
      this.#change(base.id, input["file_path"], "update", [
        [textOf(input["old_string"]), textOf(input["new_string"])],
      ]),
    MultiEdit: (input, base) =>
      this.#change(
        base.id,
        input["file_path"],
        "update",
        listOf(input["edits"])
          .map(objectOf)
          .map((edit) => [textOf(edit["old_string"]), textOf(edit["new_string"])]),
      ),
    NotebookEdit: (input, base) =>
      this.#change(base.id, input["notebook_path"], "update", [["", textOf(input["new_source"])]]),
    Read: ({ file_path }, { id }) => activity(id, READ, relativeTo(this.#cwd, textOf(file_path))),
    Glob: ({ pattern }, { id }) => activity(id, READ, textOf(pattern)),
    Grep: ({ pattern }, { id }) => activity(id, READ, textOf(pattern)),
    LS: ({ path }, { id }) => activity(id, READ, relativeTo(this.#cwd, textOf(path))),
    WebSearch: ({ query }, { id }) => activity(id, "search", textOf(query)),
    WebFetch: ({ url }, { id }) => activity(id, "fetch", textOf(url)),
    TodoWrite: ({ todos }, { id }) => ({
      type: "plan",
      id,
      state: "completed",
      text: "",
      steps: listOf(todos)
        .map(objectOf)
        .slice(0, ITEM_PLAN_STEPS_MAX)
        .map(({ content, status }) => ({
          text: label(textOf(content)),
          status: status === "completed" ? "completed" : status === "in_progress" ? "running" : "pending",
        })),
    }),
  };

  #change(id: string, path: unknown, kind: ItemFileChange["kind"], edits: string[][]): AgentItem {
    const lines = (at: number): number => edits.reduce((sum, edit) => sum + linesOf(edit[at] ?? ""), 0);
    const change = {
      path: relativeTo(this.#cwd, textOf(path)),
      kind,
      addedLines: lines(1),
      removedLines: lines(0),
    };
    return { type: "file_change", id, state: "started", outcome: "running", changes: [change] };
  }

  #results(message: JsonObject): AgentItem[] {
    return listOf(message["content"]).flatMap((part) => {
      const result = objectOf(part);
      const id = label(textOf(result["tool_use_id"]));
      const item = this.#open.get(id);
      if (result["type"] !== "tool_result" || item === undefined) return [];
      this.#open.delete(id);
      return [completed(item, contentText(result["content"]), result["is_error"] === true)];
    });
  }

  #usage(id: string, usage: JsonObject): AgentItem {
    const cachedInputTokens = countOf(usage["cache_read_input_tokens"]);
    const inputTokens =
      countOf(usage["input_tokens"]) + countOf(usage["cache_creation_input_tokens"]) + cachedInputTokens;
    const outputTokens = countOf(usage["output_tokens"]);
    const call: TokenCounts = {
      totalTokens: inputTokens + outputTokens,
      inputTokens,
      cachedInputTokens,
      outputTokens,
      reasoningOutputTokens: 0,
    };
    this.#thread = sum(this.#thread, call);
    return { type: "usage", id: label(`usage ${id}`), state: "completed", call, thread: this.#thread };
  }

  #ended(told: JsonObject): ReadLine {
    const subtype = textOf(told["subtype"]);
    const bad = told["is_error"] === true || (subtype !== "" && subtype !== "success");
    const words = textOf(told["result"]) || listOf(told["errors"]).map(textOf).join("; ");
    const why = bounded(words || (FAILURES[subtype] ?? subtype) || "it stopped with an error").text;
    const cost = told["total_cost_usd"];
    return {
      items: [
        ...this.#denials(listOf(told["permission_denials"])),
        {
          type: "turn",
          id: `turn ${this.#turns}`,
          state: "completed",
          outcome: bad ? "failed" : "completed",
          durationMs: countOf(told["duration_ms"]),
          ...(bad ? { error: { message: why, ...(subtype === "" ? {} : { code: label(subtype) }) } } : {}),
        },
      ],
      facts: {
        thread: textOf(told["session_id"]),
        turns: countOf(told["num_turns"]),
        ...(typeof cost === "number" ? { costUsd: cost } : {}),
        ...(bad ? { failed: why } : {}),
      },
      over: true,
    };
  }

  /** Tools that it wanted to use and was not allowed to: what they were for stands in its stream. */
  #denials(denials: unknown[]): AgentItem[] {
    const tools = denials
      .map((denial) => textOf(objectOf(denial)["tool_name"]))
      .filter((tool) => tool !== "");
    if (tools.length === 0) return [];
    const counts = new Map<string, number>();
    for (const tool of tools) counts.set(tool, (counts.get(tool) ?? 0) + 1);
    const named = [...counts].map(([tool, count]) => (count === 1 ? tool : `${tool} (${count} times)`));
    return [this.#warning("permission_denied", `Not allowed: ${named.join(", ")}`)];
  }

  #nextId(): string {
    this.#parts += 1;
    return `part ${this.#parts}`;
  }
}

/** The words of a sub-agent are not the agent's own: they are told as an activity, which is never its answer. */
function ofSubAgent(item: AgentItem): AgentItem {
  if (item.type !== "message" || item.state === "delta") return item;
  const { id, state, text, omittedChars } = item;
  return {
    type: "activity",
    id,
    state,
    kind: SUB_AGENT,
    text,
    ...(omittedChars === undefined ? {} : { omittedChars }),
  };
}

/** Why it stopped, where its last event has no words for it (`subtype`). */
const FAILURES: Partial<Record<string, string>> = {
  error_max_turns: "it reached its maximum number of turns (--max-turns)",
  error_max_budget_usd: "it reached its budget (--max-budget-usd)",
  error_during_execution: "an error stopped it while it worked",
};
/** Activity that heads a session: its model and its permissions. */
export const SESSION_HEADER = "session";
/** Activity that holds what a sub-agent said. */
export const SUB_AGENT = "sub-agent";
/** Activities of this kind can be left out (`--skip-reads`). */
export const READ = "read";
const NO_TOKENS: TokenCounts = {
  totalTokens: 0,
  inputTokens: 0,
  cachedInputTokens: 0,
  outputTokens: 0,
  reasoningOutputTokens: 0,
};

function activity(id: string, kind: string, text: string): AgentItem {
  return { type: "activity", id, state: "started", kind, ...bounded(text) };
}

/** The result of a call: of a command its output, of anything else only whether it went well. */
function completed(item: AgentItem, text: string, bad: boolean): AgentItem {
  const outcome = bad ? ("failed" as const) : ("completed" as const);
  switch (item.type) {
    case "command": {
      if (item.state === "delta") return item;
      const code = /^(?:Error: )?Exit code (\d+)\n?/.exec(text);
      const exitCode = code === null ? (bad ? undefined : 0) : Number(code[1]);
      return {
        ...item,
        state: "completed",
        outcome: isNoMatch(item.command, exitCode) ? "completed" : outcome,
        ...(exitCode === undefined ? {} : { exitCode }),
        ...tail(text),
      };
    }
    case "file_change":
      return { ...item, state: "completed", outcome };
    case "tool_call":
      return { ...item, state: "completed", outcome, ...(bad ? { error: bounded(text).text } : {}) };
    case "plan":
      return item.state === "delta" ? item : { ...item, state: "completed" };
    case "activity":
      return { ...item, state: "completed" };
    case "message":
    case "reasoning":
    case "turn":
    case "usage":
    case "warning":
      return item;
  }
}

function contentText(content: unknown): string {
  if (typeof content === "string") return content;
  return listOf(content)
    .map((part) => textOf(objectOf(part)["text"]))
    .join("\n");
}

function sum(one: TokenCounts, other: TokenCounts): TokenCounts {
  return {
    totalTokens: one.totalTokens + other.totalTokens,
    inputTokens: one.inputTokens + other.inputTokens,
    cachedInputTokens: one.cachedInputTokens + other.cachedInputTokens,
    outputTokens: one.outputTokens + other.outputTokens,
    reasoningOutputTokens: one.reasoningOutputTokens + other.reasoningOutputTokens,
  };
}
