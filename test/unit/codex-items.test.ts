/** Items of recorded turns of the real Codex (`test/support/record-codex-turns.ts`), and of what it may say next year. */
import { readdirSync, readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { AgentItem } from "../../contract/agent-item.ts";
import {
  ITEM_CHANGES_MAX,
  ITEM_LABEL_MAX_CHARS,
  ITEM_OUTPUT_MAX_CHARS,
  ITEM_TEXT_MAX_CHARS,
} from "../../contract/limits.ts";
import { codexItems } from "../../runner-agent/codex/items.ts";
import { ItemCoalescer } from "../../runner-agent/codex/item-coalescer.ts";
import type { ServerNotification } from "../../runner-agent/codex/protocol.ts";
import { projectPath } from "../../scripts/project.ts";

const FOLDER = projectPath("test/fixtures/codex");
const CWD = "/workspace/checkout";
const check = new Ajv2020({ allErrors: true }).compile(AgentItem);

/** Notifications of a recording; one that has both directions marks each line with its own. */
function recorded(name: string): ServerNotification[] {
  return readFileSync(`${FOLDER}/${name}.jsonl`, "utf8")
    .split("\n")
    .map((line) => line.replace(/^<-- /, ""))
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as ServerNotification & { id?: number; result?: unknown })
    .filter((message) => message.id === undefined);
}

function itemsOf(name: string): AgentItem[] {
  return recorded(name).flatMap((notification) => codexItems(notification, CWD));
}

/** What stays in the end: the last item of each id, in the order in which they began (rule A1). */
function settled(items: AgentItem[]): AgentItem[] {
  const byId = new Map<string, AgentItem>();
  for (const item of items) if (item.state !== "delta") byId.set(`${item.type} ${item.id}`, item);
  return [...byId.values()];
}

function ofType<Type extends AgentItem["type"]>(items: AgentItem[], type: Type) {
  return items.filter((item): item is Extract<AgentItem, { type: Type }> => item.type === type);
}

/** Settled items of a type, without what differs between two recordings. */
function shown(name: string, type: AgentItem["type"]): object[] {
  return ofType(settled(itemsOf(name)), type).map((item) =>
    Object.fromEntries(Object.entries(item).filter(([key]) => !["id", "durationMs"].includes(key))),
  );
}

function told(method: ServerNotification["method"], params: object): ServerNotification {
  return { method, params } as ServerNotification;
}

describe("recorded turns", () => {
  const names = readdirSync(FOLDER).map((file) => file.replace(".jsonl", ""));

  test.each(names)("%s: each item is one of the contract's", (name) => {
    const items = itemsOf(name);
    expect(items.length).toBeGreaterThan(0);
    for (const item of items) expect(check(item), JSON.stringify([item, check.errors])).toBe(true);
  });

  test.each(names)("%s: what has started has ended, and the turn last of all", (name) => {
    const items = settled(itemsOf(name)).filter(({ type }) => type !== "plan");
    expect(items.filter(({ state }) => state === "started" && name !== "interrupted")).toEqual([]);
    expect(itemsOf(name).at(-1)).toMatchObject({ type: "turn", state: "completed" });
  });

  test("deltas of a message and of reasoning add up to it", () => {
    const items = itemsOf("message");
    for (const type of ["message", "reasoning"] as const) {
      const said = ofType(settled(items), type).filter(({ id }) => id.includes("resp"));
      const deltas = items.filter((item) => item.state === "delta" && item.type === type);
      expect(deltas.length).toBeGreaterThan(5);
      expect(deltas.map((delta) => ("text" in delta ? delta.text : "")).join("")).toBe(
        said.map((item) => item.text).at(-1),
      );
    }
  });

  test("commands: output, exit code, and only the end of a long output", () => {
    const [loop, failing, long] = ofType(settled(itemsOf("commands")), "command").sort((a, b) =>
      a.id.localeCompare(b.id),
    );
    expect(loop).toMatchObject({
      outcome: "completed",
      exitCode: 0,
      cwd: ".",
      output: "line 1\nline 2\nline 3\nline 4\n",
    });
    expect(failing).toMatchObject({ outcome: "failed", exitCode: 3, output: "nothing here\n" });
    expect(long).toMatchObject({ exitCode: 0, output: expect.stringMatching(/\n4999\n5000\n$/) as unknown });
    expect(long).toMatchObject({ omittedChars: 23_893 - ITEM_OUTPUT_MAX_CHARS });
  });

  test("changes of files are counted by line, with relative paths", () => {
    expect(shown("patch", "file_change")).toEqual([
      {
        type: "file_change",
        state: "completed",
        outcome: "completed",
        changes: [
          { path: "gone.txt", kind: "delete", addedLines: 0, removedLines: 2 },
          { path: "keep.txt", kind: "update", addedLines: 2, removedLines: 1 },
          { path: "new.txt", kind: "add", addedLines: 2, removedLines: 0 },
          { path: "old.txt", kind: "update", movedTo: "moved.txt", addedLines: 1, removedLines: 1 },
        ],
      },
    ]);
  });

  test("a plan is one item, however often it changes", () => {
    const steps = [
      { text: "look", status: "completed" },
      { text: "act", status: "running" },
    ];
    expect(shown("plan", "plan")).toEqual([{ type: "plan", state: "started", text: "", steps }]);
  });

  test("what was declined has not run", () => {
    expect(shown("declined", "command")).toEqual([
      expect.objectContaining({ outcome: "declined", output: "" }),
    ]);
    expect(shown("declined", "file_change")).toEqual([expect.objectContaining({ outcome: "declined" })]);
  });

  test("an approved command of an older recording", () => {
    expect(shown("approval", "command")).toEqual([
      expect.objectContaining({ outcome: "completed", exitCode: 0, output: "made\n" }),
    ]);
  });

  test("the usage of a turn is the sum of its calls; the thread's total goes on from turn to turn", () => {
    const sum = (name: string): number =>
      ofType(itemsOf(name), "usage").reduce((total, { call }) => total + call.totalTokens, 0);
    expect(sum("commands")).toBe(120 + 120 + 343);
    // A second turn of its thread: 240 tokens since it began, 120 of them before.
    expect(sum("approval")).toBe(250);
    expect(ofType(itemsOf("approval"), "usage").at(-1)?.thread.totalTokens).toBe(370);
  });

  test("commands of code mode are commands like any other, and a tool of ours is a tool call", () => {
    const outputs = ofType(settled(itemsOf("code-mode")), "command").map(({ output }) => output);
    expect(outputs.sort()).toEqual(["one\n", "two\n"]);
    expect(shown("dynamic-tool", "tool_call")).toEqual([
      {
        type: "tool_call",
        state: "completed",
        tool: "report_status",
        outcome: "completed",
        arguments: '{"percent":50}',
      },
    ]);
  });

  test("a stream that was cut is a warning, and the turn goes on", () => {
    expect(shown("retried", "warning")).toEqual([
      expect.objectContaining({ code: "responseStreamDisconnected" }),
    ]);
    expect(shown("retried", "turn")).toEqual([expect.objectContaining({ outcome: "completed" })]);
  });

  test.each([
    ["failed", "failed", "contextWindowExceeded"],
    ["limited", "failed", "usageLimitExceeded"],
    ["interrupted", "interrupted", undefined],
  ])("%s: the turn ends as %s", (name, outcome, code) => {
    const [turn] = ofType(settled(itemsOf(name)), "turn");
    expect(turn).toMatchObject({ outcome });
    expect(turn?.error?.code).toBe(code);
  });
});

describe("what no recording has", () => {
  const item = (of: object): ServerNotification =>
    told("item/completed", { threadId: "t", turnId: "u", item: { id: "i", ...of } });

  test("whatever its size, an item keeps within the contract's bounds and says what was left out", () => {
    const text = "😀".repeat(ITEM_TEXT_MAX_CHARS);
    const change = { path: `${CWD}/${"p".repeat(5_000)}`, kind: { type: "add" }, diff: text };
    const command = {
      type: "commandExecution",
      command: text,
      cwd: text,
      status: "completed",
      aggregatedOutput: text,
    };
    const items = [
      item({ type: "agentMessage", text }),
      item({ type: "fileChange", status: "completed", changes: Array(ITEM_CHANGES_MAX + 3).fill(change) }),
      item({ ...command, exitCode: 0, durationMs: 1 }),
      item({
        type: "mcpToolCall",
        server: text,
        tool: text,
        status: "failed",
        arguments: { text },
        error: { message: text },
      }),
      told("item/agentMessage/delta", { itemId: "i", delta: text }),
      told("turn/plan/updated", {
        turnId: text,
        explanation: text,
        plan: Array(500).fill({ step: text, status: "pending" }),
      }),
      told("warning", { threadId: null, message: text }),
    ].flatMap((notification) => codexItems(notification, CWD));
    for (const one of items) expect(check(one), JSON.stringify(check.errors)).toBe(true);
    expect(items[0]).toMatchObject({ omittedChars: ITEM_TEXT_MAX_CHARS });
    expect(items[1]).toMatchObject({ omittedChanges: 3 });
    expect(items[2]).toMatchObject({ omittedChars: 2 * ITEM_TEXT_MAX_CHARS - ITEM_OUTPUT_MAX_CHARS });
    const deltas = items.filter(({ state }) => state === "delta");
    expect(deltas.map((delta) => ("text" in delta ? delta.text : "")).join("")).toBe(text);
    for (const { id } of items) expect(id.length).toBeLessThanOrEqual(ITEM_LABEL_MAX_CHARS);
  });

  test("an item of a kind without a form of its own is an activity", () => {
    expect(codexItems(item({ type: "webSearch", query: "how to" }), CWD)).toEqual([
      { type: "activity", id: "i", state: "completed", kind: "webSearch", text: "how to" },
    ]);
  });

  test("a form that is not understood is a warning, not the end of the agent", () => {
    for (const odd of [item({ type: "fileChange" }), told("turn/completed", {}), told("item/started", {})])
      expect(codexItems(odd, CWD)).toEqual([
        expect.objectContaining({ type: "warning", text: expect.stringContaining(odd.method) as unknown }),
      ]);
    expect(codexItems(told("warning", { message: "x" }), CWD)).toHaveLength(1);
    expect(codexItems({ method: "next/year", params: {} } as never, CWD)).toEqual([]);
  });
});

describe("coalescing", () => {
  const delta = (id: string, text: string): AgentItem => ({ type: "message", id, state: "delta", text });
  const whole = (id: string): AgentItem => ({
    type: "message",
    id,
    state: "completed",
    role: "agent",
    text: "",
  });
  const HOUR_MS = 3_600_000;

  function coalescer(gatherMs = HOUR_MS): { items: ItemCoalescer; out: AgentItem[] } {
    const out: AgentItem[] = [];
    return { items: new ItemCoalescer((item) => out.push(item), gatherMs), out };
  }

  test("a hundred deltas before a completed item are one, and come before it", () => {
    const { items, out } = coalescer();
    for (let n = 0; n < 100; n += 1) items.add(delta("a", `${n} `));
    items.add(whole("a"));
    expect(out).toHaveLength(2);
    expect(out[0]).toEqual(delta("a", Array.from({ length: 100 }, (_, n) => `${n} `).join("")));
    expect(out[1]).toEqual(whole("a"));
  });

  test("two items at a time keep their texts apart", () => {
    const { items, out } = coalescer();
    for (const [id, text] of [
      ["a", "1"],
      ["b", "x"],
      ["a", "2"],
    ] as const)
      items.add(delta(id, text));
    items.flush();
    expect(out).toEqual([delta("a", "12"), delta("b", "x")]);
  });

  test("much text goes out before its time, and none of it is lost", () => {
    const { items, out } = coalescer();
    for (let n = 0; n < 100; n += 1) items.add(delta("a", "x".repeat(1_000)));
    expect(out.length).toBeGreaterThan(20);
    items.flush();
    expect(out.map((item) => ("text" in item ? item.text.length : 0)).reduce((sum, n) => sum + n)).toBe(
      100_000,
    );
    for (const item of out) expect("text" in item ? item.text.length : 0).toBeLessThanOrEqual(4_096);
  });

  test("what is held goes out by itself", async () => {
    const arrived = Promise.withResolvers<AgentItem>();
    new ItemCoalescer(arrived.resolve, 5).add(delta("a", "1"));
    expect(await arrived.promise).toEqual(delta("a", "1"));
  });
});
