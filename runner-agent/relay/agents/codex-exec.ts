/**
 * Codex without a user: `codex exec --json`. Its stream is one JSON object a line: thread.started, turn.started,
 * item.started and item.completed, turn.completed or turn.failed, error.
 *
 * It hears nobody while it works, so its input is closed when the prompt is in: an open one makes it wait for ever.
 */
import type { AgentItem, ItemOutcome, TokenCounts } from "../../../contract/agent-item.ts";
import { ITEM_CHANGES_MAX, ITEM_PLAN_STEPS_MAX } from "../../../contract/limits.ts";
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
  listOf,
  objectOf,
  relativeTo,
  tail,
  textOf,
  type JsonObject,
} from "./item-parts.ts";
import { isNoMatch } from "./probe.ts";

/** Options of `codex` and `codex exec` that take the next word as their value (codex exec --help). */
const WITH_VALUE = new Set([
  ...["-c", "--config", "--enable", "--disable", "-i", "--image", "-m", "--model", "--local-provider"],
  ...["-p", "--profile", "-s", "--sandbox", "-a", "--ask-for-approval", "-C", "--cd", "--add-dir"],
  ...[
    "--thread-source",
    "--cyber-access-program",
    "--output-schema",
    "--color",
    "-o",
    "--output-last-message",
  ],
]);
const SUBCOMMANDS = new Set(["resume", "fork", "review", "help"]);
const STDIN = "-";

export const codexExec: Agent = {
  name: "codex",
  title: () => "Codex",
  fits: (command) => parse(command) !== undefined,
  launch,
  reader: (cwd, { tokensBefore }) => new CodexExecReader(cwd, tokensBefore),
};

interface CodexCommand {
  file: string;
  /** Up to and with `exec`. */
  head: string[];
  options: string[];
  /** `resume`, `review`: with all that follows it; then the prompt is its own affair. */
  subcommand: string[];
  prompt: string | undefined;
}

function isCodex(file: string): boolean {
  return /^codex(\.js|\.exe)?$/.test(file.split("/").at(-1) ?? "");
}

/** Undefined for a command that is no `codex exec`. */
function parse(command: readonly string[]): CodexCommand | undefined {
  const start = command.findIndex((word, at) => at < 2 && isCodex(word));
  if (start < 0) return undefined;
  const words = command.slice(start + 1);
  const exec = firstOperand(words);
  if (exec === undefined || !["exec", "e"].includes(words[exec] ?? "")) return undefined;
  const behind = words.slice(exec + 1);
  const operand = firstOperand(behind);
  const first = operand === undefined ? undefined : behind[operand];
  const subcommand = operand !== undefined && first !== undefined && SUBCOMMANDS.has(first);
  return {
    file: command[0] ?? "",
    head: [...command.slice(1, start + 1), ...words.slice(0, exec + 1)],
    // What stands behind the mark of the options' end would be a prompt there.
    options: behind.filter(
      (word, at) => word !== "--" && (operand === undefined || at < operand || (!subcommand && at > operand)),
    ),
    subcommand: subcommand ? behind.slice(operand) : [],
    prompt: subcommand ? undefined : first,
  };
}

/** Index of the first word that is neither an option nor the value of one. */
function firstOperand(words: readonly string[]): number | undefined {
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? "";
    if (word === "--") return at + 1 < words.length ? at + 1 : undefined;
    if (WITH_VALUE.has(word)) at += 1;
    else if (word === STDIN || !word.startsWith("-")) return at;
  }
  return undefined;
}

async function launch(command: readonly string[], context: LaunchContext): Promise<AgentLaunch> {
  const parsed = parse(command);
  if (parsed === undefined) throw new Error("not a codex exec command");
  const { file, head, subcommand } = parsed;
  const options = parsed.options.includes("--json") ? parsed.options : [...parsed.options, "--json"];
  const known = { file, terminal: false };
  if (subcommand.length > 0) {
    const input = subcommand.includes(STDIN) ? ((await context.stdin()) ?? "") : "";
    return { ...known, args: [...head, ...options, ...subcommand], input };
  }
  const inArguments = parsed.prompt !== undefined && parsed.prompt !== STDIN;
  if (inArguments && context.prompt === "stdin")
    throw new RelayCommandError(
      "the prompt stands among the arguments of codex exec",
      "pass it on standard input (… codex exec - <<'PROMPT'), or allow it with --prompt-argv",
    );
  const prompt = inArguments ? (parsed.prompt ?? "") : ((await context.stdin()) ?? "");
  if (prompt.trim() === "")
    throw new RelayCommandError(
      "codex exec has no prompt",
      "pass it on standard input, or as the last argument of codex exec",
    );
  const inThread = (...resume: string[]): AgentLaunch => ({
    ...known,
    args: [...head, ...options, ...resume, ...(inArguments ? ["--", prompt] : [STDIN])],
    input: inArguments ? "" : prompt,
  });
  const earlier = await context.earlierThread(prompt);
  if (earlier === undefined) return inThread();
  return {
    ...inThread("resume", earlier.thread),
    tokensBefore: earlier.tokens,
    explainExit: (errors) => whyNotResumed(errors, earlier.thread),
    ...(earlier.isRequired === true ? {} : { startOver: inThread() }),
  };
}

/** What \`codex exec resume\` writes when it does not get its thread, which is before anything is done in it. */
function whyNotResumed(errors: string, thread: string): string | undefined {
  const [, why] = /thread\/resume failed: (.*?)(?: \(code -?\d+\))?$/m.exec(errors) ?? [];
  if (why === undefined) return undefined;
  if (why.includes("already has an active writer"))
    return `another Codex works in the earlier session ${thread}`;
  if (why.includes("no rollout found")) return `the earlier session ${thread} is gone`;
  return `the earlier session ${thread} cannot be continued: ${why}`;
}

type ItemWarning = Extract<AgentItem, { type: "warning" }>;
type Reader = (item: JsonObject, base: { id: string; state: "started" | "completed" }) => AgentItem;

class CodexExecReader implements AgentReader {
  readonly #cwd: string;
  #turn = 0;
  /** Usage is told as the thread's total: what a turn has used is the difference. */
  #total: TokenCounts | undefined;
  /** An error that may be the reason of a turn's failure, which comes next then. */
  #error: ItemWarning | undefined;

  constructor(cwd: string, tokensBefore?: TokenCounts) {
    this.#cwd = cwd;
    this.#total = tokensBefore;
  }

  event(event: unknown): ReadLine {
    const told = objectOf(event);
    const held = this.end();
    const line = this.#line(told);
    // A turn that fails says why once more as an error before.
    const isRepeated = told["type"] === "turn.failed" && held.some(({ text }) => text === line.facts?.failed);
    return isRepeated ? line : { ...line, items: [...held, ...line.items] };
  }

  end(): ItemWarning[] {
    const held = this.#error === undefined ? [] : [this.#error];
    this.#error = undefined;
    return held;
  }

  #line(told: JsonObject): ReadLine {
    switch (told["type"]) {
      case "thread.started":
        return { items: [], facts: { thread: textOf(told["thread_id"]) } };
      case "turn.started":
        this.#turn += 1;
        return { items: [this.#turnItem("started", "running")], facts: { turns: this.#turn } };
      case "item.started":
      case "item.updated":
        return { items: this.#item(told["item"], "started") };
      case "item.completed":
        return { items: this.#item(told["item"], "completed") };
      case "turn.completed":
        return {
          items: [...this.#usage(told["usage"]), this.#turnItem("completed", "completed")],
          over: true,
        };
      case "turn.failed": {
        const message = plainError(textOf(objectOf(told["error"])["message"])) || "the turn failed";
        const error = { message: bounded(message).text };
        return {
          items: [{ ...this.#turnItem("completed", "failed"), error } as AgentItem],
          facts: { failed: error.message },
          over: true,
        };
      }
      case "error":
        this.#error = warning(plainError(textOf(told["message"])));
        return { items: [] };
      default:
        return { items: [] };
    }
  }

  #turnItem(state: "started" | "completed", outcome: "running" | "completed" | "failed"): AgentItem {
    return { type: "turn", id: `turn ${this.#turn}`, state, outcome };
  }

  #usage(value: unknown): AgentItem[] {
    const usage = objectOf(value);
    const inputTokens = countOf(usage["input_tokens"]);
    const outputTokens = countOf(usage["output_tokens"]);
    const thread: TokenCounts = {
      totalTokens: inputTokens + outputTokens,
      inputTokens,
      cachedInputTokens: countOf(usage["cached_input_tokens"]),
      outputTokens,
      reasoningOutputTokens: countOf(usage["reasoning_output_tokens"]),
    };
    const before = this.#total;
    this.#total = thread;
    const call = before === undefined ? thread : difference(thread, before);
    return [{ type: "usage", id: `usage ${this.#turn}`, state: "completed", call, thread }];
  }

  #item(value: unknown, state: "started" | "completed"): AgentItem[] {
    const item = objectOf(value);
    const id = label(textOf(item["id"]) || "item");
    const read = this.#readers[textOf(item["type"])];
    if (read !== undefined) return [read(item, { id, state })];
    const kind = label(textOf(item["type"]) || "item");
    const said = ["text", "query", "path", "message"]
      .map((key) => textOf(item[key]))
      .find((text) => text !== "");
    return [{ type: "activity", id, state, kind, ...bounded(said ?? "") }];
  }

  readonly #readers: Partial<Record<string, Reader>> = {
    agent_message: (item, base) => ({
      ...base,
      type: "message",
      role: "agent",
      ...bounded(textOf(item["text"])),
    }),
    reasoning: (item, base) => ({ ...base, type: "reasoning", ...bounded(textOf(item["text"])) }),
    command_execution: (item, base) => {
      const command = textOf(item["command"]);
      const exitCode = typeof item["exit_code"] === "number" ? item["exit_code"] : undefined;
      return {
        ...base,
        type: "command",
        command: bounded(command).text,
        cwd: ".",
        outcome: isNoMatch(command, exitCode) ? "completed" : outcomeOf(item["status"]),
        ...(exitCode === undefined ? {} : { exitCode }),
        ...tail(textOf(item["aggregated_output"])),
      };
    },
    file_change: (item, base) => {
      const changes = listOf(item["changes"]).map(objectOf);
      const omitted = changes.length - ITEM_CHANGES_MAX;
      return {
        ...base,
        type: "file_change",
        outcome: outcomeOf(item["status"]),
        changes: changes.slice(0, ITEM_CHANGES_MAX).map(({ path, kind }) => ({
          path: relativeTo(this.#cwd, textOf(path)),
          kind: kind === "add" || kind === "delete" ? kind : "update",
          // `codex exec` does not tell how much of a file has changed.
          addedLines: 0,
          removedLines: 0,
        })),
        ...(omitted > 0 ? { omittedChanges: omitted } : {}),
      };
    },
    mcp_tool_call: (item, base) => {
      const error = textOf(objectOf(item["error"])["message"]);
      return {
        ...base,
        type: "tool_call",
        server: label(textOf(item["server"])),
        tool: label(textOf(item["tool"])),
        outcome: outcomeOf(item["status"]),
        ...argumentsOf(item["arguments"]),
        ...(error === "" ? {} : { error: bounded(error).text }),
      };
    },
    todo_list: (item, base) => {
      const steps = listOf(item["items"]).map(objectOf);
      return {
        ...base,
        type: "plan",
        text: "",
        steps: steps.slice(0, ITEM_PLAN_STEPS_MAX).map(({ text, completed }) => ({
          text: label(textOf(text)),
          status: completed === true ? "completed" : "pending",
        })),
      };
    },
    web_search: (item, base) => ({
      ...base,
      type: "activity",
      kind: "search",
      ...bounded(textOf(item["query"])),
    }),
    // Warnings come as errors of a turn that goes on.
    error: (item, base) => ({ ...warning(textOf(item["message"])), id: base.id }),
  };
}

/** What a provider has answered comes as its JSON. */
function plainError(text: string): string {
  if (!text.startsWith("{")) return text;
  try {
    return textOf(objectOf(objectOf(JSON.parse(text))["error"])["message"]) || text;
  } catch {
    return text;
  }
}

function outcomeOf(status: unknown): ItemOutcome {
  if (status === "in_progress") return "running";
  return status === "failed" || status === "declined" ? status : "completed";
}

function warning(text: string): ItemWarning {
  return { type: "warning", id: label(`warning ${text}`), state: "completed", ...bounded(text) };
}

function difference(now: TokenCounts, before: TokenCounts): TokenCounts {
  const less = (key: keyof TokenCounts): number => Math.max(0, now[key] - before[key]);
  return {
    totalTokens: less("totalTokens"),
    inputTokens: less("inputTokens"),
    cachedInputTokens: less("cachedInputTokens"),
    outputTokens: less("outputTokens"),
    reasoningOutputTokens: less("reasoningOutputTokens"),
  };
}
