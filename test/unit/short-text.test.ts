/** A text that is cut never ends, or begins, in the middle of a character. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ChatMessage } from "../../contract/chat/message.ts";
import { beginningOf, endOf, shortened } from "../../contract/chat/short-text.ts";
import { glanceAt } from "../../durable-objects/flow-event/glance.ts";
import { drawDiscord } from "../../durable-objects/chat-outbox/discord/message.ts";
import { drawTelegram } from "../../durable-objects/chat-outbox/telegram/message.ts";
import { readUpdate } from "../../worker/telegram/update.ts";
import { askForm } from "../../worker/discord/forms.ts";
import { byOf } from "../../worker/chat/asker.ts";
import { itemChunks } from "../support/chat-runs.ts";
import { runningRun } from "../support/run-fixtures.ts";

const texts = fc.string({ unit: fc.constantFrom("a", "😀", "é", "\n"), maxLength: 40 });
/** Each cut at an even number of units would halve one of them. */
const EMOJI = `a${"😀".repeat(500)}`;

describe("cut to a length, a text", () => {
  test.each([
    ["at its beginning", beginningOf],
    ["at its end", endOf],
    ["with a mark", shortened],
  ])("%s stays whole characters, no longer than that, and as long as they let it", (_name, cut) => {
    fc.assert(
      fc.property(texts, fc.integer({ min: 1, max: 50 }), (text, most) => {
        const short = cut(text, most);
        expect(short.isWellFormed()).toBe(true);
        expect(short.length).toBeLessThanOrEqual(most);
        expect(short.length).toBeGreaterThanOrEqual(Math.min(text.length, most - 1));
      }),
    );
  });
});

test("lines of output, names, and what a form says are cut between characters", () => {
  const chunks = itemChunks([]).concat({
    ...{ cursor: "1.1", attempt: 1, seq: 1, kind: "stdout", createdAt: "2026-01-01T00:00:00Z" },
    text: EMOJI,
  });
  const event = { id: "e", type: "t", receivedAt: "2026-01-01T00:00:00Z", payload: {} };
  const { lines } = glanceAt(runningRun(), event, chunks);
  const from = { id: 7, is_bot: false, first_name: EMOJI };
  const chat = { id: 7, type: "private" } as const;
  const update = readUpdate({ update_id: 1, message: { message_id: 1, chat, from, text: "x" } }, { id: "1" });
  const user = { id: "1", name: EMOJI };
  const place = { platform: "discord", channel: "1" } as const;
  const by = byOf({ place, tenant: "1", user, roles: [], administrator: false, requestId: "1" });
  const form = askForm({ prompt: EMOJI, project: EMOJI });
  expect(lines).toHaveLength(1);
  for (const text of [...lines, JSON.stringify([update, by, form])]) {
    expect(text.isWellFormed()).toBe(true);
    expect(text).not.toMatch(/\\ud[89a-f]/);
  }
});

test("half of a character that an agent has printed reaches no platform", () => {
  const half = "\ud83d";
  const given: ChatMessage = {
    tone: "neutral",
    title: half,
    lines: [half, "```", half, "```"],
    fields: [{ name: "n", value: half }],
    code: { text: half },
  };
  for (const { body } of [drawDiscord(given), drawTelegram(given)])
    expect(JSON.stringify(body)).not.toMatch(/\\ud[89a-f]/);
});
