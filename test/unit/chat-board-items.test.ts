/** An agent's work in its thread: in which mode what of it, batched, bounded, and nothing left out without a word. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AgentItem } from "../../contract/agent-item.ts";
import {
  ITEM_CHARS_PER_MINUTE,
  ITEM_POSTS_PER_MINUTE,
  itemMessages,
} from "../../durable-objects/chat-outbox/board/items.ts";
import { commandItem, itemChunks, saidItem } from "../support/chat-runs.ts";
import { BEGIN_MS } from "../support/run-fixtures.ts";

const AT = { now: BEGIN_MS, over: false };
const WORK: AgentItem[] = [
  saidItem("I look at the tests."),
  commandItem("npm test", "1 failed\n", 1),
  {
    type: "file_change",
    id: "f1",
    state: "completed",
    outcome: "completed",
    changes: [{ path: "src/a.ts", kind: "update", addedLines: 3, removedLines: 1 }],
  },
  { type: "warning", id: "w1", state: "completed", text: "80 % of the budget is used" },
];

describe("an agent's items", () => {
  test("are its words, with the work behind them below, in verbose", () => {
    const { messages } = itemMessages(itemChunks(WORK), { output: "verbose", safe: false }, {}, AT);
    expect(messages).toMatchObject([
      {
        lines: ["I look at the tests."],
        code: { text: "$ npm test  (exit code 1)\n1 failed\nupdate src/a.ts +3 -1" },
        silent: true,
      },
      { title: "Warning", lines: ["80 % of the budget is used"] },
    ]);
  });

  test("are its words and warnings in balanced, warnings alone in minimal", () => {
    const balanced = itemMessages(itemChunks(WORK), { output: "balanced", safe: false }, {}, AT);
    expect(balanced.messages.map(({ lines }) => lines)).toEqual([
      ["I look at the tests."],
      ["80 % of the budget is used"],
    ]);
    const minimal = itemMessages(itemChunks(WORK), { output: "minimal", safe: false }, {}, AT);
    expect(minimal.messages.map(({ title }) => title)).toEqual(["Warning"]);
  });

  test("have no bodies in safe mode", () => {
    const { messages } = itemMessages(itemChunks(WORK), { output: "verbose", safe: true }, {}, AT);
    expect(messages[0]?.code?.text).toBe("ran a command  (exit code 1)\nchanged 1 file(s)");
    expect(JSON.stringify(messages)).not.toMatch(/npm test|1 failed|src\/a\.ts/);
  });

  test("that have only begun, what was said to the agent, and empty words are no messages", () => {
    const items: AgentItem[] = [
      { ...saidItem("half"), state: "started" } as AgentItem,
      { type: "message", id: "d", state: "delta", text: "ha" },
      { type: "message", id: "u", state: "completed", role: "user", text: "do it" },
      saidItem("  "),
    ];
    expect(itemMessages(itemChunks(items), { output: "verbose", safe: false }, {}, AT)).toEqual({
      messages: [],
    });
  });

  test("of a run that is over have no unsaid rest", () => {
    const before = { leftOut: { items: 3, chars: 1_200 } };
    const { messages, leftOut } = itemMessages([], { output: "balanced", safe: false }, before, {
      now: BEGIN_MS,
      over: true,
    });
    expect(messages[0]?.lines).toEqual([
      "(3 messages left out here, 1,200 characters: the log has all of it)",
    ]);
    expect(leftOut).toBeUndefined();
  });

  test("stay within a minute's bounds, and each is posted or counted", () => {
    const looks = fc.array(
      fc.record({
        after: fc.nat(90_000),
        texts: fc.array(fc.string({ minLength: 1, maxLength: 3000 }), { maxLength: 12 }),
      }),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(looks, (rounds) => {
        let now = BEGIN_MS;
        let account: Omit<ReturnType<typeof itemMessages>, "messages"> = {};
        let [given, posted, said] = [0, 0, 0];
        const windows = new Map<number, { posts: number; chars: number }>();
        for (const { after, texts } of rounds) {
          now += after;
          const items = texts.filter((text) => text.trim() !== "").map((text) => saidItem(text));
          given += items.length;
          const { messages, ...next } = itemMessages(
            itemChunks(items),
            { output: "balanced", safe: false },
            account,
            { now, over: false },
          );
          account = next;
          posted += messages.length;
          said += messages.reduce((sum, { lines = [] }) => sum + leftOutIn(lines), 0);
          if (account.pace !== undefined) windows.set(account.pace.at, account.pace);
        }
        expect(posted + said + (account.leftOut?.items ?? 0)).toBe(given);
        for (const { posts, chars } of windows.values()) {
          expect(posts).toBeLessThanOrEqual(ITEM_POSTS_PER_MINUTE);
          expect(chars).toBeLessThanOrEqual(ITEM_CHARS_PER_MINUTE);
        }
      }),
    );
  });
});

function leftOutIn([first = ""]: string[]): number {
  return Number(/^\((\d+) messages? left out here/.exec(first)?.[1] ?? 0);
}
