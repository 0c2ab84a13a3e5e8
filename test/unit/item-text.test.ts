/** An agent's items as plain text: what a file or a phone is shown may leave things out, but not change what happened. */
import { describe, expect, test } from "vitest";
import type { AgentItem } from "../../contract/agent-item.ts";
import { itemText } from "../../contract/item-text.ts";

const CHANGE = {
  type: "file_change",
  id: "c",
  state: "completed",
  outcome: "completed",
  changes: [{ path: "made.txt", kind: "add", addedLines: 3, removedLines: 0 }],
} satisfies AgentItem;
const COMMAND = {
  type: "command",
  id: "c",
  state: "completed",
  command: "make",
  cwd: ".",
  outcome: "completed",
  exitCode: 0,
  output: "all done\n",
} satisfies AgentItem;

describe("what did not happen", () => {
  test("a change that nobody allowed, or that failed, does not read as one that was made", () => {
    expect(itemText(CHANGE)).toBe("add made.txt +3 -0\n");
    expect(itemText({ ...CHANGE, outcome: "declined" })).toBe("add made.txt +3 -0\n(declined)\n");
    expect(itemText({ ...CHANGE, outcome: "failed" })).toBe("add made.txt +3 -0\n(failed)\n");
  });

  test("a command that failed without an exit code does not read as one that went well", () => {
    const { exitCode: _, ...never } = COMMAND;
    expect(itemText({ ...never, outcome: "failed" })).toBe("all done\n(failed)\n");
    expect(itemText({ ...never, outcome: "declined", output: "" })).toBe("(declined)\n");
    expect(itemText({ ...COMMAND, outcome: "failed", exitCode: 2 })).toBe("all done\n(exit code 2)\n");
  });
});

describe("what is bounded says what is not there (rule A3)", () => {
  test("of a command's output the beginning", () => {
    expect(itemText({ ...COMMAND, omittedChars: 1_040_414 })).toBe(
      "(1,040,414 characters left out)\nall done\n",
    );
  });

  test.each(["message", "reasoning", "warning"] as const)("of a %s the end", (type) => {
    const of = { message: { role: "agent" as const }, reasoning: {}, warning: {} }[type];
    const item = { type, id: "i", state: "completed", text: "so", omittedChars: 7, ...of } as AgentItem;
    expect(itemText(item)).toContain("so");
    expect(itemText(item)).toMatch(/\(7 characters left out\)\n$/);
  });

  test("of a change the files", () => {
    expect(itemText({ ...CHANGE, omittedChanges: 4 })).toBe("add made.txt +3 -0\n… and 4 more files\n");
  });
});
