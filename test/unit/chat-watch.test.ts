/** Which chats an event object tells of its runs: none that wants to hear may be left out. */
import { expect, test } from "vitest";
import { ChatWatch } from "../../durable-objects/flow-event/chat-watch.ts";

test("a chat that shows nothing of a run is told of it once, and not of its other runs' account", () => {
  const watch = new ChatWatch();
  watch.telling("discord", 1)(false);
  watch.telling("discord", 2)(true);
  expect([1, 2].map((n) => watch.wants("discord", n))).toEqual([false, true]);
  expect(watch.wants("telegram", 1)).toBe(true);
});

test("one that looks at the run later is told again", () => {
  const watch = new ChatWatch();
  watch.telling("discord", 1)(false);
  watch.looked("discord", 1);
  expect(watch.wants("discord", 1)).toBe(true);
});

test("an answer that was on its way while the chat began to look is too old to count; the next one does", () => {
  const watch = new ChatWatch();
  const answer = watch.telling("discord", 1);
  watch.looked("discord", 1);
  answer(false);
  expect(watch.wants("discord", 1)).toBe(true);
  watch.telling("discord", 1)(false);
  expect(watch.wants("discord", 1)).toBe(false);
});
