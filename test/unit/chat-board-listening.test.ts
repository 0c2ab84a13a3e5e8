/** How often a thread is asked for what people write, and what of the answer is meant for its run. */
import { describe, expect, test } from "vitest";
import { compareIds, heardIn, nextRead } from "../../durable-objects/chat-outbox/board/listening.ts";

const BOT = "900";
const ADA = { id: "7", username: "ada" };
const MINUTE_MS = 60_000;

function message(id: string, content: string, more: object = {}): object {
  return { id, content, author: ADA, mentions: [{ id: BOT }], ...more };
}

describe("a thread is asked", () => {
  test.each([
    [0, 5_000],
    [3 * MINUTE_MS, 15_000],
    [12 * MINUTE_MS, 60_000],
    [30 * MINUTE_MS, undefined],
  ])("when nothing has happened in it for %d ms: every %d ms", (idle, every) => {
    const now = 1_000_000_000;
    expect(nextRead(now, now - idle, now)).toBe(every === undefined ? undefined : now + every);
  });
});

describe("what people write", () => {
  test("is taken oldest first, without the mention", () => {
    const answer = [message("12", `<@${BOT}> second`), message("9", `<@!${BOT}>  first `)];
    expect(heardIn(answer, BOT)).toEqual({
      messages: [
        { id: "9", user: { id: "7", name: "ada" }, text: "first" },
        { id: "12", user: { id: "7", name: "ada" }, text: "second" },
      ],
      newest: "12",
    });
  });

  test.each([
    ["to nobody", message("1", "hello", { mentions: [] })],
    ["to somebody else", message("1", "<@5> hello", { mentions: [{ id: "5" }] })],
    ["as a bot", message("1", `<@${BOT}> again`, { author: { id: BOT, username: "bot", bot: true } })],
    ["by a webhook", message("1", `<@${BOT}> again`, { webhook_id: "5" })],
    ["by an application", message("1", `<@${BOT}> again`, { application_id: "5", type: 20 })],
    ["for a user by an application", message("1", `<@${BOT}> again`, { interaction_metadata: { id: "5" } })],
    ["by the system", message("1", `<@${BOT}> again`, { type: 18 })],
    ["as a forward", message("1", `<@${BOT}> again`, { message_reference: { type: 1 } })],
    [
      "with a snapshot",
      message("1", `<@${BOT}>`, { message_snapshots: [{ message: { content: "again" } }] }),
    ],
    ["without an author", { id: "1", content: "x", mentions: [{ id: BOT }] }],
  ])("%s is not, but has been read", (_name, one) => {
    expect(heardIn([one], BOT)).toEqual({ messages: [], newest: "1" });
  });

  test("is taken as a reply, too", () => {
    const reply = message("1", `<@${BOT}> again`, { type: 19, message_reference: { type: 0 } });
    expect(heardIn([reply], BOT).messages).toMatchObject([{ text: "again" }]);
  });

  test.each([undefined, null, "text", {}, [null, 7, { id: 5 }, { id: "x" }]])("is nothing in %o", (body) => {
    expect(heardIn(body, BOT)).toEqual({ messages: [] });
  });

  test("has ids that are larger than numbers are exact", () => {
    expect(compareIds("1410000000000000001", "1410000000000000002")).toBeLessThan(0);
    expect(compareIds("999", "1000")).toBeLessThan(0);
    expect(compareIds("5", "5")).toBe(0);
  });
});
