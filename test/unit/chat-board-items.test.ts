/** An agent's work in its thread: in which mode what of it, batched, bounded, and nothing left out without a word. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AgentItem } from "../../contract/agent-item.ts";
import type { ChatMessage } from "../../contract/chat/message.ts";
import {
  ITEM_CHARS_PER_MINUTE,
  ITEM_POSTS_PER_MINUTE,
  itemMessages,
} from "../../durable-objects/chat-outbox/board/items.ts";
import { RELAY_QUESTION } from "../../contract/relay.ts";
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

const messagesOf = (...given: Parameters<typeof itemMessages>): ChatMessage[] =>
  itemMessages(...given).posts.map(({ message }) => message);

describe("an agent's items", () => {
  test("are its words, with the work behind them below, in verbose", () => {
    const messages = messagesOf(itemChunks(WORK), { output: "verbose", safe: false }, {}, AT);
    expect(messages).toMatchObject([
      {
        body: "I look at the tests.",
        code: { text: "$ npm test  (exit code 1)\n1 failed\nupdate src/a.ts +3 -1" },
        silent: true,
      },
      { title: "Warning", lines: ["80 % of the budget is used"] },
    ]);
  });

  test("are its words and warnings in balanced, warnings alone in minimal", () => {
    const balanced = messagesOf(itemChunks(WORK), { output: "balanced", safe: false }, {}, AT);
    expect(balanced.map(({ lines, body }) => body ?? lines)).toEqual([
      "I look at the tests.",
      ["80 % of the budget is used"],
    ]);
    const minimal = messagesOf(itemChunks(WORK), { output: "minimal", safe: false }, {}, AT);
    expect(minimal.map(({ title }) => title)).toEqual(["Warning"]);
  });

  test("have no bodies in safe mode", () => {
    const messages = messagesOf(itemChunks(WORK), { output: "verbose", safe: true }, {}, AT);
    expect(messages[0]?.code?.text).toBe("ran a command  (exit code 1)\nchanged 1 file");
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
      posts: [],
    });
  });

  const BALANCED = { output: "balanced", safe: false } as const;
  const turn = (outcome: "completed" | "failed", message = ""): AgentItem => ({
    ...{ type: "turn", id: "t1", state: "completed", outcome },
    ...(message === "" ? {} : { error: { message } }),
  });
  const said = (count: number, text = "still at it"): AgentItem[] =>
    Array.from({ length: count }, (_unused, n) => saidItem(`${text} ${n}`, `m${n}`));

  test("that are short and follow each other are one message, so that fourteen lines lose none", () => {
    const [only, ...more] = messagesOf(itemChunks(said(14)), BALANCED, {}, AT);
    expect(more).toEqual([]);
    expect(only?.body?.split("\n\n")).toEqual(
      said(14).map((item) => (item.type === "message" ? item.text : "")),
    );
  });

  test("that end a turn are posted whole, however much was posted in that minute, and first of all", () => {
    const full = { pace: { at: BEGIN_MS, chars: ITEM_CHARS_PER_MINUTE, posts: ITEM_POSTS_PER_MINUTE } };
    const answer = "a long answer ".repeat(900).trim();
    const { posts } = itemMessages(
      itemChunks([...said(3), saidItem(answer), turn("completed")]),
      BALANCED,
      full,
      AT,
    );
    expect(posts).toMatchObject([
      { class: "final", message: { lines: ["3 more messages: see Logs"], body: answer } },
    ]);
  });

  test("of many turns within one minute never lose the last message of a turn, whatever else is held back", () => {
    const turnOf = fc.array(fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 3_000 }), {
      minLength: 1,
      maxLength: 12,
    });
    fc.assert(
      fc.property(fc.array(turnOf, { minLength: 1, maxLength: 12 }), (turns) => {
        let account: Parameters<typeof itemMessages>[2] = {};
        const finals: string[] = [];
        for (const [at, words] of turns.entries()) {
          const answer = `the answer of turn ${at}.`;
          const items = [...words, answer].map((text, index) => saidItem(text, `m${at}-${index}`));
          const end: AgentItem = { type: "turn", id: `t${at}`, state: "completed", outcome: "completed" };
          const { posts, ...next } = itemMessages(
            itemChunks([...items, end]),
            { output: "balanced", safe: false },
            account,
            AT,
          );
          account = next;
          finals.push(...posts.flatMap((post) => (post.class === "final" ? [post.message.body ?? ""] : [])));
        }
        expect(finals).toHaveLength(turns.length);
        for (const [at, body] of finals.entries())
          expect(body.endsWith(`the answer of turn ${at}.`)).toBe(true);
      }),
    );
  });

  test("for which there is no room wait for the next minute, the newest whole and the others counted", () => {
    const full = { pace: { at: BEGIN_MS, chars: ITEM_CHARS_PER_MINUTE, posts: ITEM_POSTS_PER_MINUTE } };
    const held = itemMessages(itemChunks(said(3)), BALANCED, full, AT);
    expect(held).toMatchObject({ posts: [], unsaid: "still at it 2", leftOut: { items: 2 } });
    const later = itemMessages([], BALANCED, held, { ...AT, now: BEGIN_MS + 60_000 });
    expect(later.posts).toMatchObject([
      { message: { lines: ["2 more messages: see Logs"], body: "still at it 2" } },
    ]);
    expect(later.unsaid).toBeUndefined();
  });

  test("that were held back end a turn when the next output says so", () => {
    const full = { pace: { at: BEGIN_MS, chars: ITEM_CHARS_PER_MINUTE, posts: ITEM_POSTS_PER_MINUTE } };
    const held = itemMessages(itemChunks(said(1)), BALANCED, full, AT);
    const { posts } = itemMessages(itemChunks([turn("completed")]), BALANCED, held, AT);
    expect(posts).toMatchObject([{ class: "final", message: { body: "still at it 0" } }]);
  });

  test("of a run that ends leave the answer to the end message", () => {
    const items = itemChunks([saidItem("I begin"), saidItem("All done"), turn("completed")]);
    const end = { ...AT, over: true, ends: true, result: "All done" };
    const ended = itemMessages(items, BALANCED, {}, end);
    expect(ended.answer).toBe("All done");
    expect(ended.posts.map(({ message }) => message.body)).toEqual(["I begin"]);
    const late = itemMessages(items, BALANCED, {}, { ...AT, over: true, ends: false });
    expect(late.answer).toBeUndefined();
    expect(late.posts.map(({ message }) => message.body)).toEqual(["I begin\n\nAll done"]);
  });

  test("of a run that ends with a failed turn leave the reason to the end message", () => {
    const text = "Invalid API key";
    const items = itemChunks([{ type: "warning", id: "w", state: "completed", text }, turn("failed", text)]);
    expect(messagesOf(items, BALANCED, {}, { ...AT, over: true, ends: true })).toEqual([]);
    expect(messagesOf(items, BALANCED, {}, AT)).toMatchObject([{ tone: "bad", lines: [text] }]);
  });

  test("that are an answer in the form of a result show its message, not its JSON", () => {
    const answer = JSON.stringify({ status: "changed", message: "`a.mjs` greets", output: { n: 1 } });
    expect(messagesOf(itemChunks([saidItem(answer)]), BALANCED, {}, AT)).toMatchObject([
      { body: "`a.mjs` greets" },
    ]);
  });

  test("that ask something are a message that rings whoever asked for the run", () => {
    const question: AgentItem = {
      ...{ type: "activity", id: "q", state: "completed" },
      kind: RELAY_QUESTION,
      text: "Overwrite? [y/N]",
    };
    const [asked] = messagesOf(itemChunks([question]), { ...BALANCED, asked: ["7"] }, {}, AT);
    expect(asked).toMatchObject({ lines: ["Overwrite? [y/N]"], mention: ["7"] });
    expect(asked?.silent).toBeUndefined();
  });

  test("stay within a minute's bounds, and each is posted, held or counted", () => {
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
        let account: Omit<ReturnType<typeof itemMessages>, "posts"> = {};
        let [given, posted, counted] = [0, 0, 0];
        for (const { after, texts } of rounds) {
          now += after;
          const items = texts.filter((text) => text.trim() !== "").map((text) => saidItem(`<${text}>`));
          given += items.length;
          const { posts, ...next } = itemMessages(itemChunks(items), BALANCED, account, { now, over: false });
          account = next;
          for (const { message } of posts) {
            posted += message.body?.match(/>(?:\n\n<|$)/g)?.length ?? 0;
            counted += leftOutIn(message.lines ?? []);
          }
          expect(account.pace?.posts ?? 0).toBeLessThanOrEqual(ITEM_POSTS_PER_MINUTE);
          expect(account.pace?.chars ?? 0).toBeLessThanOrEqual(ITEM_CHARS_PER_MINUTE);
        }
        const held = account.unsaid === undefined ? 0 : 1;
        expect(posted + counted + (account.leftOut?.items ?? 0) + held).toBe(given);
      }),
    );
  });
});

function leftOutIn([first = ""]: string[]): number {
  return Number(/^(\d+) more messages?: see Logs/.exec(first)?.[1] ?? 0);
}
