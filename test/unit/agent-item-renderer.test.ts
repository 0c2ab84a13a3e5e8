/** An agent's work on a terminal: recorded turns of the real Codex, and deltas as badly as they may come. */
import { readFileSync } from "node:fs";
import picocolors from "picocolors";
import { describe, expect, test } from "vitest";
import type { AgentItem } from "../../contract/agent-item.ts";
import { AgentItemRenderer } from "../../runner-agent/cli/render/agent-items.ts";
import { codexItems } from "../../runner-agent/codex/items.ts";
import type { ServerNotification } from "../../runner-agent/codex/protocol.ts";
import { createLogPrinter } from "../../runner-agent/cli/log-printer.ts";
import { createOutput } from "../../runner-agent/cli/output.ts";
import { projectPath } from "../../scripts/project.ts";
import { chunks } from "../support/run-fixtures.ts";

const PLAIN = picocolors.createColors(false);
const COLOURED = picocolors.createColors(true);
const ESC = String.fromCharCode(27);

function recorded(name: string): AgentItem[] {
  return readFileSync(projectPath(`test/fixtures/codex/${name}.jsonl`), "utf8")
    .split("\n")
    .map((line) => line.replace(/^<-- /, ""))
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as ServerNotification & { id?: number })
    .filter((message) => message.id === undefined)
    .flatMap((notification) => codexItems(notification, "/workspace/checkout"));
}

function shown(items: readonly AgentItem[], colors = PLAIN): string {
  const renderer = new AgentItemRenderer(colors);
  return items.map((item) => renderer.render(item)).join("");
}

const say = (text: string, id = "m"): AgentItem => ({ type: "message", id, state: "delta", text });
const said = (text: string, id = "m"): AgentItem => ({
  type: "message",
  id,
  state: "completed",
  role: "agent",
  text,
});
const print = (text: string, id = "c"): AgentItem => ({ type: "command", id, state: "delta", text });
const command = (id: string, change: Partial<Extract<AgentItem, { type: "command" }>> = {}): AgentItem => ({
  type: "command",
  id,
  state: "started",
  command: `/bin/bash -lc 'run ${id}'`,
  cwd: ".",
  outcome: "running",
  output: "",
  ...change,
});
const ended = (id: string, output: string, exitCode = 0): AgentItem =>
  command(id, { state: "completed", outcome: exitCode === 0 ? "completed" : "failed", exitCode, output });

describe("recorded turns", () => {
  test.each([
    [
      "message",
      [
        "> go",
        "The user wants a greeting, and a short one.",
        "Hello from the fake model, in many small pieces.",
        "turn completed, 124 ms, 100 tokens in (40 cached), 20 out",
      ],
    ],
    [
      "plan",
      [
        "> go",
        "two steps",
        "[>] look",
        "[ ] act",
        "[x] look",
        "[>] act",
        "planned",
        "turn completed, 104 ms, 300 tokens in (120 cached), 60 out",
      ],
    ],
    [
      "patch",
      [
        "> go",
        "delete gone.txt +0 -2",
        "update keep.txt +2 -1",
        "add new.txt +2 -0",
        "update old.txt → moved.txt +1 -1",
        "patched",
        "turn completed, 737 ms, 300 tokens in (120 cached), 60 out",
      ],
    ],
    [
      "code-mode",
      [
        "> go",
        "$ echo one",
        "  one",
        "  exit code 0",
        "$ echo two",
        "  two",
        "  exit code 0",
        "ran",
        "turn completed, 348 ms, 200 tokens in (80 cached), 40 out",
      ],
    ],
    [
      "declined",
      [
        "> go",
        "$ touch made",
        "  declined",
        "add a.txt +1 -0",
        "  declined",
        "not allowed",
        "turn completed, 139 ms, 300 tokens in (120 cached), 60 out",
      ],
    ],
    [
      "dynamic-tool",
      [
        "> go",
        'tool report_status {"percent":50}',
        "reported",
        "turn completed, 142 ms, 200 tokens in (80 cached), 40 out",
      ],
    ],
    [
      "limited",
      [
        "> go",
        "turn failed: You’ve hit your usage limit. Try again later. (usageLimitExceeded)",
        "turn failed, 115 ms",
      ],
    ],
    [
      "interrupted",
      [
        "> go",
        "$ while true; do echo tick; sleep 0.1; done",
        "  tick",
        "turn interrupted, 332 ms, 100 tokens in (40 cached), 20 out",
      ],
    ],
  ])("%s", (name, lines) => {
    expect(shown(recorded(name)).trimEnd().split("\n")).toEqual(lines);
  });

  test("commands: the output in the order in which it was printed, the exit code, and the end of a long output", () => {
    const lines = shown(recorded("commands")).split("\n");
    expect(lines.slice(1, 10)).toEqual([
      "$ for i in 1 2 3 4; do echo line $i; sleep 0.3; done",
      "  line 1",
      "  line 2",
      "  line 3",
      "  line 4",
      "  exit code 0, 1.2 s",
      "$ echo nothing here >&2; exit 3",
      "  nothing here",
      "  exit code 3",
    ]);
    expect(lines.slice(10, 12)).toEqual(["$ seq 1 5000", "(15,701 characters left out)"]);
    expect(lines.slice(-5)).toEqual([
      "  5000",
      "  exit code 0",
      "done",
      expect.stringMatching(/^turn completed/),
      "",
    ]);
  });
});

describe("deltas (I1)", () => {
  test.each([
    ["all of it", [say("Hel"), say("lo"), said("Hello")], "Hello\n"],
    ["none", [said("Hello")], "Hello\n"],
    ["the end is missing", [say("Hel"), said("Hello")], "Hello\n"],
    ["the middle is missing", [say("H"), say("o"), said("Hello")], "Ho\n(in full)\nHello\n"],
    ["more than the bounded text", [say("Hello"), said("Hell")], "Hello\n"],
    ["of a text that ends with its line", [say("a\n"), said("a\n"), said("b", "n")], "a\nb\n"],
  ])("%s", (_name, items, text) => {
    expect(shown(items)).toBe(text);
  });

  test("are written at once, and not when the line is full", () => {
    const renderer = new AgentItemRenderer(PLAIN);
    expect(renderer.render(say("Hel"))).toBe("Hel");
    expect(renderer.lineOpen).toBe(true);
    expect(renderer.render(said("Hello"))).toBe("lo\n");
    expect(renderer.lineOpen).toBe(false);
  });
});

test("of two commands at once each line is told apart (I2)", () => {
  const items = [
    command("a"),
    command("b"),
    print("one\ntw", "a"),
    print("eins\n", "b"),
    print("o\n", "a"),
    ended("a", "one\ntwo\n"),
    ended("b", "eins\n", 4),
  ];
  expect(shown(items)).toBe(
    "$ run a\n$ run b\n$ run a …\n  one\n  two\n  exit code 0\n$ run b …\n  eins\n  exit code 4\n",
  );
});

describe("the output of a command that still runs (I4)", () => {
  const ERASE = `\r${ESC}[2K`;
  const drawn = (columns: number | undefined, ...items: AgentItem[]): string[] => {
    const renderer = new AgentItemRenderer(PLAIN, columns);
    return [...items.map((item) => renderer.render(item)), renderer.unfinished()];
  };

  test("lines that Codex leaves out of the deltas are shown where they were printed", () => {
    expect(
      shown([command("c"), print("line 2\n"), print("line 3\n"), ended("c", "line 1\nline 2\nline 3\n")]),
    ).toBe("$ run c\n  line 1\n  line 2\n  line 3\n  exit code 0\n");
  });

  test("a terminal previews the newest line, and erases it before the next text", () => {
    expect(drawn(80, command("c"), print("one\nt"), print("wo\n"), ended("c", "one\ntwo\n"))).toEqual([
      "$ run c\n",
      "  t",
      `${ERASE}  two`,
      `${ERASE}  one\n  two\n  exit code 0\n`,
      "",
    ]);
  });

  test("a preview never wraps, and cannot steer the terminal", () => {
    const [, preview = ""] = drawn(12, command("c"), print(`${ESC}[2J漢字漢字漢字漢字`), ended("c", ""));
    expect(preview).toBe("  漢字漢字");
  });

  test("a preview does not replace a text that waits for the end of its line", () => {
    expect(drawn(80, command("c"), say("Hel"), print("out\n"), said("Hello"))[2]).toBe("");
  });

  test("output of a command whose end is never reported is written at the end", () => {
    expect(drawn(80, command("c"), print("one\ntwo")).at(-1)).toBe(`${ERASE}  one\n  two\n`);
  });
});

test("of two texts at once each has lines of its own (I2)", () => {
  expect(shown([say("a", "m1"), say("b", "m2"), say("c", "m1"), said("b", "m2"), said("ac", "m1")])).toBe(
    "a\nb\nc\n",
  );
});

test("a command whose beginning was not seen has its head all the same", () => {
  expect(shown([ended("a", "out")])).toBe("$ run a\n  out\n  exit code 0\n");
});

test("nothing that is said can steer the terminal (I3)", () => {
  const evil = `${ESC}[2J${ESC}]0;title${String.fromCharCode(7)}\u202eevil\rprogress`;
  const text = shown([
    said(evil),
    ended("a", evil),
    { type: "warning", id: "w", state: "completed", text: evil },
    { type: "activity", id: "v", state: "completed", kind: evil, text: evil },
    {
      type: "tool_call",
      id: "t",
      state: "completed",
      tool: evil,
      outcome: "failed",
      arguments: evil,
      error: evil,
    },
    {
      type: "file_change",
      id: "f",
      state: "completed",
      outcome: "completed",
      changes: [{ path: evil, kind: "update", movedTo: evil, addedLines: 1, removedLines: 1 }],
    },
    { type: "plan", id: "p", state: "completed", text: evil, steps: [{ text: evil, status: "pending" }] },
    { type: "turn", id: "u", state: "completed", outcome: "failed", error: { message: evil, code: evil } },
  ]);
  expect(text).toContain("progress");
  expect(text).not.toMatch(/(?!\n)[\p{Cc}\p{Bidi_Control}]/u);
});

test("the same plan or warning again says nothing, a changed one does", () => {
  const warning = (text: string): AgentItem => ({ type: "warning", id: "w", state: "completed", text });
  const plan: AgentItem = {
    type: "plan",
    id: "p",
    state: "started",
    text: "",
    steps: [{ text: "look", status: "pending" }],
  };
  expect(shown([warning("a"), warning("a"), plan, plan, warning("b")])).toBe(
    "warning: a\n[ ] look\nwarning: b\n",
  );
});

test("colours tell what is said from what is done", () => {
  const text = shown([...recorded("patch"), say("x"), command("a"), ended("a", "out", 1)], COLOURED);
  expect(text).toContain(`update keep.txt ${COLOURED.green("+2")} ${COLOURED.red("-1")}\n`);
  expect(text).toContain(`  ${COLOURED.dim("out")}\n`);
  expect(text).toContain(COLOURED.red("  exit code 1"));
  expect(text).toContain(`x\n${COLOURED.bold("$")} run a\n`);
});

describe("among what else a run prints", () => {
  function terminal(): { text: () => string; printer: ReturnType<typeof createLogPrinter> } {
    let text = "";
    const stream = { write: (more: string) => (text += more), isTTY: true, columns: 80 };
    const output = createOutput({ out: stream, err: stream, json: false, color: false, environment: {} });
    return { text: () => text, printer: createLogPrinter(output) };
  }
  const agentChunks = (...items: AgentItem[]) =>
    chunks(...items.map(() => ["agent", ""] as const)).map((chunk, index) => {
      const item = items[index];
      return item === undefined ? chunk : { ...chunk, item };
    });

  test("a word of the runner stands on its own line, and what goes on begins a new one", () => {
    const { text, printer } = terminal();
    const [first, last] = agentChunks(say("Hel"), said("Hello"));
    const [system, stdout] = chunks(["system", "note\n"], ["stdout", "open"]);
    for (const chunk of [first, system, stdout, last]) if (chunk !== undefined) printer.chunk(chunk);
    expect(text()).toBe("Hel\n── note\nopen\nlo\n");
  });

  test("a word of the runner erases the preview of a command, and the command's output follows whole", () => {
    let text = "";
    const stream = { write: (more: string) => (text += more), isTTY: true, columns: 80 };
    const output = createOutput({ out: stream, err: stream, json: false, color: false, environment: {} });
    const printer = createLogPrinter(output, { live: true });
    const [start, delta, end] = agentChunks(command("c"), print("two\n"), ended("c", "one\ntwo\n"));
    const [system] = chunks(["system", "note\n"]);
    for (const chunk of [start, delta, system, end]) if (chunk !== undefined) printer.chunk(chunk);
    expect(text).toBe(`$ run c\n  two\r${ESC}[2K── note\n$ run c …\n  one\n  two\n  exit code 0\n`);
  });

  test("another attempt may give the same ids to other items", () => {
    const { text, printer } = terminal();
    for (const chunk of agentChunks(say("first"))) printer.chunk(chunk);
    for (const chunk of agentChunks(said("other"))) printer.chunk({ ...chunk, attempt: 2 });
    expect(text()).toBe("first\n── attempt 2\nother\n");
  });
});
