/** What a relayed session has come to, gathered from its items: its last item, and the artifacts of its result. */
import type { AgentItem } from "../../contract/agent-item.ts";
import type { FlowResult } from "../../contract/flow-result.ts";
import { WorkRecord } from "../codex/step/work-record.ts";
import type { SessionFacts } from "./agents/agent.ts";
import { SESSION_HEADER, SUB_AGENT } from "./agents/claude-code.ts";
import { bounded } from "./agents/item-parts.ts";
import { RELAY_SUMMARY } from "../../contract/relay.ts";

const MESSAGE_MAX_CHARS = 2_000;
const FILES_NAMED_MAX = 10;
const SECOND_MS = 1_000;

/** Activities that are no use of a tool: the header of a session, and what it does with its own history. */
const NOT_TOOLS: readonly string[] = [RELAY_SUMMARY, SESSION_HEADER, "compact_boundary", SUB_AGENT];

export class SessionSummary {
  /** Of the agent, as people see it. */
  readonly #name: string;
  readonly #work = new WorkRecord();
  readonly #tools = new Map<string, number>();
  #facts: SessionFacts = {};
  #commands = 0;
  #failedCommands = 0;
  #warnings = 0;
  #items = 0;
  #tokens = { input: 0, cached: 0, output: 0 };
  #answer = "";

  constructor(name: string) {
    this.#name = name;
  }

  note(item: AgentItem): void {
    this.#items += 1;
    this.#work.note(item);
    if (item.state !== "completed") return;
    switch (item.type) {
      case "command":
        this.#commands += 1;
        if (item.outcome === "failed") this.#failedCommands += 1;
        return;
      case "tool_call":
        this.#tools.set(item.tool, (this.#tools.get(item.tool) ?? 0) + 1);
        return;
      case "activity":
        if (!NOT_TOOLS.includes(item.kind)) this.#tools.set(item.kind, (this.#tools.get(item.kind) ?? 0) + 1);
        return;
      case "message":
        if (item.role === "agent") this.#answer = item.text;
        return;
      case "warning":
        this.#warnings += 1;
        return;
      case "usage":
        this.#tokens.input += item.call.inputTokens;
        this.#tokens.cached += item.call.cachedInputTokens;
        this.#tokens.output += item.call.outputTokens;
        return;
      case "file_change":
      case "plan":
      case "reasoning":
      case "turn":
        return;
    }
  }

  learn(facts: SessionFacts): void {
    this.#facts = { ...this.#facts, ...facts };
  }

  get facts(): SessionFacts {
    return this.#facts;
  }

  /** The last item of a session. */
  item(durationMs: number): AgentItem {
    const text = this.#lines(durationMs).join("\n");
    return { type: "activity", id: RELAY_SUMMARY, state: "completed", kind: RELAY_SUMMARY, ...bounded(text) };
  }

  result(durationMs: number): FlowResult {
    const { failed, thread, model, turns, costUsd } = this.#facts;
    const answer = this.#answer.slice(0, MESSAGE_MAX_CHARS).toWellFormed();
    return {
      status: failed !== undefined ? "failed" : this.#changed === 0 ? "completed" : "changed",
      message:
        failed !== undefined
          ? `${this.#name} failed: ${failed}`.slice(0, MESSAGE_MAX_CHARS).toWellFormed()
          : answer === ""
            ? `Finished in ${finishedIn(durationMs)}`
            : answer,
      artifacts: {
        ...this.#work.artifacts,
        commands: this.#commands,
        failedCommands: this.#failedCommands,
        tools: Object.fromEntries(this.#tools),
        warnings: this.#warnings,
        tokens: this.#tokens,
        durationMs,
        ...(costUsd === undefined ? {} : { costUsd }),
        ...(turns === undefined ? {} : { turns }),
        ...(model === undefined ? {} : { model }),
        ...(thread === undefined || thread === "" ? {} : { threadId: thread }),
      },
    };
  }

  get #changed(): number {
    return this.#work.artifacts.changedFiles.length;
  }

  #lines(durationMs: number): string[] {
    const { turns, costUsd } = this.#facts;
    const files = this.#work.artifacts.changedFiles;
    const named = (kinds: string[]): string => {
      const paths = files.filter(({ kind }) => kinds.includes(kind)).map(({ path }) => path);
      const more = paths.length - FILES_NAMED_MAX;
      return [...paths.slice(0, FILES_NAMED_MAX), ...(more > 0 ? [`and ${more} more`] : [])].join(", ");
    };
    const { input, cached, output } = this.#tokens;
    const rows: [name: string, value: string][] = [
      ["duration", finishedIn(durationMs)],
      ["turns", turns === undefined ? "" : String(turns)],
      ["created", named(["add"])],
      ["edited", named(["update", "delete"])],
      ["commands", this.#commands === 0 ? "" : `${this.#commands}, ${this.#failedCommands} failed`],
      ["tools", [...this.#tools].map(([tool, count]) => `${tool} ${count}`).join(", ")],
      ["tokens", input + output === 0 ? "" : `${input} in (${cached} cached), ${output} out`],
      ["cost", costUsd === undefined ? "" : `$${costUsd.toFixed(4)}`],
      ["items", this.#items === 0 ? "" : String(this.#items)],
    ];
    return rows.filter(([, value]) => value !== "").map(([name, value]) => `${name}: ${value}`);
  }
}

/** For people: "12 s", "1 min 4 s". */
function finishedIn(ms: number): string {
  const seconds = Math.round(ms / SECOND_MS);
  const minutes = Math.floor(seconds / 60);
  if (minutes === 0) return `${seconds} s`;
  return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`;
}
