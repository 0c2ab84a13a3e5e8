/** How long is waited: after failures, between edits, and after a limit that nobody has told of. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Job } from "../../durable-objects/chat-outbox/delivery/platform.ts";
import type { MessageRow } from "../../durable-objects/chat-outbox/delivery/records.ts";
import { dueAt, turnOf } from "../../durable-objects/chat-outbox/delivery/jobs.ts";
import {
  backoffMs,
  blockMs,
  cardPaceMs,
  HIDDEN_WINDOW_MAX_MS,
  learnedPaceMs,
  Throttle,
  youngTokenMs,
} from "../../durable-objects/chat-outbox/delivery/pace.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;

test.each([
  [backoffMs, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]],
  [youngTokenMs, [500, 1_000, 2_000, 4_000, 4_000]],
  [blockMs, [30_000, 60_000, 120_000, 240_000, 480_000, 900_000, 900_000]],
])("%o", (wait, expected) => {
  expect(expected.map((_ms, index) => wait(index + 1))).toEqual(expected);
});

test.each([
  [0, 3],
  [9.9, 3],
  [10, 10],
  [49.9, 10],
  [50, 30],
  [300, 30],
])("a card of %d minutes is edited every %d s", (minutes, seconds) => {
  expect(cardPaceMs(minutes * MINUTE_MS)).toBe(seconds * SECOND_MS);
});

describe("a throttle", () => {
  test("lets no more through in any second than it says, whatever comes when", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 400 }), (gaps) => {
        const throttle = new Throttle(40, 5, 0);
        const went: number[] = [];
        let now = 0;
        for (const gap of gaps) {
          now = Math.max(now + gap, throttle.readyAt(now + gap));
          throttle.take(now);
          went.push(now);
        }
        for (const at of went)
          expect(went.filter((other) => other >= at && other < at + SECOND_MS).length).toBeLessThanOrEqual(
            45,
          );
      }),
    );
  });
});

describe("a hidden cap", () => {
  test("of any size is met once by a steady flow, and kept from then on", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 2, max: 60 }),
        fc.integer({ min: 20, max: 300 }),
        (cap, windowSeconds, latency) => {
          const windowMs = windowSeconds * SECOND_MS;
          // Slower than the cap by itself: never met.
          fc.pre(cap * latency < windowMs);
          let limited = 0;
          let windowEnd = 0;
          let used = 0;
          let everyMs = 0;
          let starts: number[] = [];
          let now = 0;
          for (let sent = 0; sent < cap * 4;) {
            const start = now;
            const arrives = now + latency / 2;
            if (arrives >= windowEnd) {
              windowEnd = arrives + windowMs;
              used = 0;
            }
            now += latency;
            if (used >= cap) {
              limited += 1;
              const waitMs = windowEnd - arrives;
              everyMs = learnedPaceMs(starts, now, waitMs, everyMs);
              starts = [];
              now += waitMs;
              continue;
            }
            used += 1;
            sent += 1;
            starts.push(start);
            now += everyMs;
          }
          expect(limited).toBeLessThanOrEqual(1);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("met again makes it slower", () => {
    expect(learnedPaceMs([], 0, 1_000, 2_000)).toBe(3_000);
    expect(learnedPaceMs([], 0, 1_000, 50_000)).toBe(HIDDEN_WINDOW_MAX_MS);
  });
});

describe("whose turn it is in a lane", () => {
  const row = (more: Partial<MessageRow>): MessageRow => ({
    key: "k",
    seq: 1,
    class: "event",
    target: "discord:1",
    pending: true,
    urgent: false,
    nonce: "",
    createdAt: 0,
    ...more,
  });
  const message = { tone: "good", title: "" } as const;
  const create: Job = { kind: "create", place: { platform: "discord", channel: "1" }, message, nonce: "" };
  const edit: Job = { kind: "edit", at: { channel: "1", id: "1" }, message };
  const retire: Job = { kind: "retire", at: { channel: "1", id: "1" }, message };
  const posted = { channel: "1", id: "1", at: 0 };

  test("posts in their order whatever their class, then what they show, then cards, old ones that are replaced with those that cannot wait", () => {
    const turns = [
      turnOf(row({ seq: 1 }), create),
      turnOf(row({ seq: 2, class: "final" }), create),
      turnOf(row({ seq: 0, posted }), edit),
      turnOf(row({ seq: 0, class: "state", posted, urgent: true }), edit),
      turnOf(row({ seq: 1, class: "state", posted }), retire),
      turnOf(row({ seq: 0, class: "state" }), create),
      turnOf(row({ seq: 0, class: "state", posted, touchedAt: 5 }), edit),
      turnOf(row({ seq: 0, class: "state", posted, touchedAt: 9 }), edit),
    ];
    expect([...turns].sort((a, b) => a[0] - b[0] || a[1] - b[1])).toEqual(turns);
  });

  test("a change of state waits for no pace", () => {
    const card = row({ class: "state", posted, touchedAt: 20 * MINUTE_MS });
    expect(dueAt(card, edit)).toBe(20 * MINUTE_MS + 10 * SECOND_MS);
    expect(dueAt({ ...card, urgent: true }, edit)).toBe(0);
  });
});
