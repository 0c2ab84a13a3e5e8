/** What the streams of coding agents mean, and how their commands are completed. Streams as the real ones print them. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { AgentItem } from "../../contract/agent-item.ts";
import { itemText } from "../../contract/item-text.ts";
import { checkAgentItem } from "../../contract/validate.ts";
import type { Agent, LaunchContext, SessionFacts } from "../../runner-agent/relay/agents/agent.ts";
import { agentOf } from "../../runner-agent/relay/agents/agents.ts";
import { claudeCode } from "../../runner-agent/relay/agents/claude-code.ts";
import { codexExec } from "../../runner-agent/relay/agents/codex-exec.ts";
import { isNoMatch } from "../../runner-agent/relay/agents/probe.ts";
import { SessionSummary } from "../../runner-agent/relay/session-summary.ts";
import { raw } from "../../runner-agent/relay/agents/raw.ts";
import { projectPath } from "../../scripts/project.ts";

const LAUNCH = { file: "", args: [], terminal: false, input: "" };

function read(agent: Agent, fixture: string, launch = LAUNCH) {
  const reader = agent.reader?.("/checkout", launch);
  const items: AgentItem[] = [];
  let facts: SessionFacts = {};
  let over = 0;
  for (const line of readFileSync(projectPath(`test/fixtures/${fixture}.jsonl`), "utf8")
    .trim()
    .split("\n")) {
    const said = reader?.event(JSON.parse(line));
    items.push(...(said?.items ?? []));
    facts = { ...facts, ...said?.facts };
    if (said?.over === true) over += 1;
  }
  for (const item of items) expect(checkAgentItem(item), JSON.stringify(item)).toMatchObject({ ok: true });
  return { items, facts, over, ended: items.filter(({ state }) => state === "completed") };
}

describe("codex exec --json, as recorded", () => {
  test("a session's commands, changes and message; a grep without a match is no failure", () => {
    const { ended, facts, over } = read(codexExec, "codex-exec/work");
    expect(ended).toMatchObject([
      { type: "reasoning" },
      {
        type: "command",
        outcome: "completed",
        exitCode: 0,
        output: expect.stringContaining("keep.txt") as string,
      },
      { type: "command", outcome: "completed", exitCode: 1 },
      {
        type: "file_change",
        changes: [
          { path: "keep.txt", kind: "update" },
          { path: "new.txt", kind: "add" },
        ],
      },
      {
        type: "command",
        outcome: "failed",
        exitCode: 3,
        output: expect.stringContaining("broken") as string,
      },
      { type: "message", text: "done: two files" },
      { type: "usage", call: { inputTokens: 500, outputTokens: 100 } },
      { type: "turn", outcome: "completed" },
    ]);
    expect(facts).toMatchObject({ turns: 1, thread: expect.any(String) as string });
    expect(over).toBe(1);
  });

  test("what a resumed thread had used before is not counted again", () => {
    const tokensBefore = {
      totalTokens: 440,
      inputTokens: 400,
      cachedInputTokens: 100,
      outputTokens: 40,
      reasoningOutputTokens: 5,
    };
    const { ended } = read(codexExec, "codex-exec/work", { ...LAUNCH, ...{ tokensBefore } });
    expect(ended.find(({ type }) => type === "usage")).toMatchObject({
      call: { inputTokens: 100, cachedInputTokens: 100, outputTokens: 60, totalTokens: 160 },
      thread: { inputTokens: 500 },
    });
  });

  test("a turn that fails says why in plain words, and ends the session", () => {
    const { ended, facts, over } = read(codexExec, "codex-exec/failed");
    expect(ended).toMatchObject([{ type: "turn", outcome: "failed" }]);
    expect(facts.failed).toBe("the fake model says 400 bad");
    expect(over).toBe(1);
  });

  test("an error after which the turn goes on is a warning, also when nothing follows it", () => {
    const error = { type: "error", message: "Reconnecting... 1/5" };
    const reader = codexExec.reader?.("/", LAUNCH);
    expect(reader?.event(error).items).toEqual([]);
    expect(reader?.event({ type: "turn.started" }).items).toMatchObject([
      { type: "warning", text: "Reconnecting... 1/5" },
      { type: "turn" },
    ]);
    reader?.event(error);
    expect(reader?.end?.()).toMatchObject([{ type: "warning", text: "Reconnecting... 1/5" }]);
  });

  test("a changed file has no counts of lines, as Codex does not tell them", () => {
    const item = {
      id: "i",
      type: "file_change",
      status: "completed",
      changes: [{ path: "a.txt", kind: "add" }],
    };
    const said = codexExec.reader?.("/", LAUNCH).event({ type: "item.completed", item });
    expect(said?.items.map(itemText)).toEqual(["add a.txt\n"]);
  });
});

describe("claude -p --output-format stream-json", () => {
  test("thinking, text, tools of its own and of servers, and how it ended", () => {
    const { ended, facts, over } = read(claudeCode, "claude-code/work");
    expect(ended).toMatchObject([
      { type: "activity", kind: "session", text: "model claude-sonnet-4-5, permissions acceptEdits" },
      { type: "reasoning", text: "Read the file first." },
      { type: "usage", call: { inputTokens: 1110, cachedInputTokens: 1000, outputTokens: 5 } },
      { type: "message", role: "agent", text: "I will look at the file." },
      { type: "activity", kind: "read", text: "src/a.ts" },
      { type: "plan", steps: [{ status: "running" }, { status: "pending" }] },
      { type: "usage" },
      {
        type: "file_change",
        outcome: "completed",
        changes: [{ path: "src/a.ts", kind: "update", addedLines: 2, removedLines: 1 }],
      },
      { type: "file_change", changes: [{ path: "src/new.ts", kind: "add", addedLines: 3, removedLines: 0 }] },
      { type: "usage" },
      { type: "command", command: "npm test", outcome: "failed", exitCode: 2 },
      { type: "command", command: "grep -r TODO src", outcome: "completed", exitCode: 1 },
      { type: "tool_call", server: "docs", tool: "search", outcome: "completed" },
      { type: "message", text: "Changed a and added b; one test fails." },
      { type: "usage", thread: { outputTokens: 135 } },
      { type: "turn", outcome: "completed", durationMs: 12345 },
    ]);
    expect(facts).toMatchObject({ turns: 5, costUsd: 0.0421, model: "claude-sonnet-4-5" });
    expect(over).toBe(1);
  });

  test("each message's usage is told once, however many parts it comes in", () => {
    const { items } = read(claudeCode, "claude-code/work");
    expect(items.filter(({ type }) => type === "usage")).toHaveLength(4);
  });

  test("what a sub-agent says is told as its words, and is never the answer of the session", () => {
    const said = claudeCode.reader?.("/", LAUNCH).event({
      type: "assistant",
      parent_tool_use_id: "toolu_1",
      message: { id: "m", content: [{ type: "text", text: "I found three files." }] },
    });
    expect(said?.items).toMatchObject([
      { type: "activity", kind: "sub-agent", text: "I found three files." },
    ]);
    const summary = new SessionSummary("Claude Code");
    for (const item of said?.items ?? []) summary.note(item);
    expect(summary.result(64_000)).toMatchObject({
      message: "Finished in 1 min 4 s",
      artifacts: { tools: {} },
    });
  });

  test("tools that were not allowed are named once, with how often", () => {
    const denials = ["Bash", "Write", "Bash"].map((tool_name) => ({
      tool_name,
      tool_input: { command: "x" },
    }));
    const said = claudeCode
      .reader?.("/", LAUNCH)
      .event({ type: "result", subtype: "success", permission_denials: denials });
    expect(said?.items[0]).toMatchObject({ type: "warning", text: "Not allowed: Bash (2 times), Write" });
  });

  test("a model that does not answer and a limit that is reached are warnings", () => {
    const reader = claudeCode.reader?.("/", LAUNCH);
    const retry = {
      subtype: "api_retry",
      attempt: 2,
      max_retries: 10,
      error_status: 529,
      error: "overloaded",
    };
    expect(reader?.event({ type: "system", ...retry }).items).toMatchObject([
      { type: "warning", text: "The model did not answer (overloaded): attempt 2 of 10" },
    ]);
    const limit = (status: string) => ({ status, rateLimitType: "five_hour" });
    expect(
      reader?.event({ type: "rate_limit_event", rate_limit_info: limit("rejected") }).items,
    ).toMatchObject([{ type: "warning", text: "The five hour limit of the account is reached" }]);
    expect(reader?.event({ type: "rate_limit_event", rate_limit_info: limit("allowed") }).items).toEqual([]);
  });

  test("an end that is an error is one, whatever the exit code", () => {
    const said = claudeCode
      .reader?.("/", LAUNCH)
      .event({ type: "result", subtype: "error_max_turns", is_error: true, num_turns: 3, duration_ms: 1 });
    expect(said).toMatchObject({
      over: true,
      items: [{ outcome: "failed", error: { code: "error_max_turns" } }],
      facts: { failed: "it reached its maximum number of turns (--max-turns)" },
    });
  });
});

test.each([
  null,
  3,
  [],
  "x",
  {},
  { type: 3 },
  { type: "item.completed" },
  { type: "assistant", message: { content: 3 } },
])("an event of another form is no item of anything, and no failure: %j", (event) => {
  for (const agent of [codexExec, claudeCode])
    for (const item of agent.reader?.("/", LAUNCH).event(event).items ?? [])
      expect(checkAgentItem(item)).toMatchObject({ ok: true });
});

function context(more: Partial<LaunchContext> = {}): LaunchContext {
  return {
    prompt: "argv",
    stdin: async () => Promise.resolve("from stdin"),
    isInputPiped: false,
    earlierThread: async () => Promise.resolve(undefined),
    ...more,
  };
}

describe("a program that is no agent", () => {
  test.each([
    [["./install.sh", "-y"], "install.sh"],
    [["bash", "scripts/install.sh"], "install.sh"],
    [["sh", "-c", "echo hi"], "sh"],
    [["/usr/bin/python3.12", "tool.py"], "tool.py"],
    [["make"], "make"],
  ])("%j is called %s", (command, name) => {
    expect(raw.title(command)).toBe(name);
  });

  test("has a terminal and can be answered, unless its input is piped", async () => {
    const typed = await raw.launch(["wc"], context());
    expect(typed).toMatchObject({ terminal: true });
    expect(typed.say?.("yes")).toBe("yes\r");
    const piped = await raw.launch(["wc"], context({ isInputPiped: true }));
    expect(piped).toEqual({ file: "wc", args: [], input: "", terminal: false, pipesInput: true });
  });
});

const words = (line: string): string[] => line.split(" ");

describe("commands", () => {
  test.each([
    ["codex exec -", codexExec],
    ["/opt/codex -m x exec do", codexExec],
    ["node codex.js exec do", codexExec],
    ["codex", raw],
    ["codex resume", raw],
    ["claude -p x", claudeCode],
    ["claude", raw],
    ["bash -c codex", raw],
  ])("%s is known for what it is", (line, agent) => {
    expect(agentOf(words(line)).name).toBe(agent.name);
  });

  test.each<[string, Partial<LaunchContext>, string, string]>([
    ["codex exec -", {}, "exec --json -", "from stdin"],
    ["codex exec", {}, "exec --json -", "from stdin"],
    ["codex exec -m gpt -s read-only fix", {}, "exec -m gpt -s read-only --json -- fix", ""],
    ["codex -c a=b exec --json fix", {}, "-c a=b exec --json -- fix", ""],
    ["codex exec -- --fix", {}, "exec --json -- --fix", ""],
    ["codex exec resume --last", {}, "exec --json resume --last", ""],
    ["codex exec review", {}, "exec --json review", ""],
    [
      "codex exec -m gpt -",
      { earlierThread: async () => Promise.resolve({ thread: "t1" }) },
      "exec -m gpt --json resume t1 -",
      "from stdin",
    ],
    ["claude -p", {}, "-p --output-format stream-json --verbose", "from stdin"],
    ["claude -p --verbose --output-format text fix", {}, "-p --verbose --output-format stream-json fix", ""],
    ["claude -p -- -x", {}, "-p --output-format stream-json --verbose -- -x", ""],
  ])("%s is completed", async (line, given, args, input) => {
    const launch = await agentOf(words(line)).launch(words(line), context(given));
    expect(launch).toMatchObject({ args: words(args), input });
  });

  test("claude that takes a stream of messages hears what is said later", async () => {
    const line = words("claude -p --input-format stream-json");
    const launch = await claudeCode.launch(line, context());
    expect(JSON.parse(launch.input)).toMatchObject({
      type: "user",
      message: { content: [{ text: "from stdin" }] },
    });
    expect(launch.say?.("more")).toContain('"more"');
  });

  test.each(["codex exec fix", "claude -p fix"])(
    "%s: its prompt must come on standard input",
    async (line) => {
      await expect(agentOf(words(line)).launch(words(line), context({ prompt: "stdin" }))).rejects.toThrow(
        /among the arguments/,
      );
    },
  );

  test.each(["codex exec", "claude -p"])("%s without a prompt is refused, not left to wait", async (line) => {
    const nothing = context({ stdin: async () => Promise.resolve(undefined) });
    await expect(agentOf(words(line)).launch(words(line), nothing)).rejects.toThrow(/no prompt/);
  });
});

test.each<[string, number, boolean]>([
  ["grep x y", 1, true],
  ["grep x y", 2, false],
  ["/bin/bash -lc 'cd a && rg foo'", 1, true],
  ["cat a | grep b", 1, true],
  ["grep a b | wc -l", 1, false],
  ["test -f x", 1, true],
  ["[ -f x ]", 1, true],
  ["LC_ALL=C grep x y", 1, true],
  ["git grep x", 1, true],
  ["npm test", 1, false],
  ["npm run grep", 1, false],
])("exit code of %s, %d: only says no: %s", (command, code, is) => {
  expect(isNoMatch(command, code)).toBe(is);
});
