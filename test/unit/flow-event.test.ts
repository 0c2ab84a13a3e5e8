/** What makes two events the same (invariant 2), and what the edge fills in. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { eventIdentity, normalizeEvent, type FlowEvent } from "../../contract/flow-event.ts";

const NOW = "2026-03-01T12:00:00.000Z";
/** As JSON brings it: -0 is 0 in every text. */
const payload = fc
  .jsonValue({ depthSize: "medium" })
  .map((value) => JSON.parse(JSON.stringify(value)) as unknown);

function event(change: Partial<FlowEvent> = {}): FlowEvent {
  return { id: "e:1", type: "t", source: "s", receivedAt: NOW, payload: { a: 1 }, ...change };
}

/** The same value with the keys of every object in another order. */
function shuffled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shuffled);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, shuffled(inner)]),
  );
}

describe("the identity of an event", () => {
  test("does not depend on the order of keys, at any depth", () => {
    fc.assert(
      fc.property(payload, (value) => {
        expect(eventIdentity(event({ payload: shuffled(value) }))).toBe(
          eventIdentity(event({ payload: value })),
        );
      }),
    );
    expect(eventIdentity(event({ payload: { b: { d: 1, c: 2 }, a: [{ y: 1, x: 2 }] } }))).toBe(
      eventIdentity(event({ payload: { a: [{ x: 2, y: 1 }], b: { c: 2, d: 1 } } })),
    );
  });

  test("is the same for the same payload and no other", () => {
    fc.assert(
      fc.property(payload, payload, (one, other) => {
        const same = JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
        expect(eventIdentity(event({ payload: one })) === eventIdentity(event({ payload: other }))).toBe(
          same,
        );
      }),
    );
  });

  test.each<[string, Partial<FlowEvent>]>([
    ["the type", { type: "t2" }],
    ["the source", { source: "s2" }],
    ["an empty source", { source: "" }],
    ["a value", { payload: { a: 2 } }],
    ["the type of a value", { payload: { a: "1" } }],
    ["a null for a value", { payload: { a: null } }],
    ["a key more", { payload: { a: 1, b: 1 } }],
    ["a key less", { payload: {} }],
    ["the order of a list", { payload: [2, 1] }],
    ["a key called __proto__", { payload: JSON.parse('{"a":1,"__proto__":{}}') as unknown }],
  ])("differs with %s", (_what, change) => {
    expect(eventIdentity(event(change))).not.toBe(eventIdentity(event()));
    expect(eventIdentity(event(change))).not.toBe(eventIdentity(event({ payload: [1, 2] })));
  });

  test("is not touched by times and fields that the edge does not know", () => {
    const identity = eventIdentity(event());
    expect(eventIdentity(event({ receivedAt: "2027-01-01T00:00:00Z", occurredAt: NOW, trace: "x" }))).toBe(
      identity,
    );
  });

  test("cannot be forged by moving text from one field to another", () => {
    expect(eventIdentity(event({ type: 'a","b' }))).not.toBe(
      eventIdentity(event({ type: "a", source: "b" })),
    );
    const { source: _source, ...rest } = event();
    expect(eventIdentity(rest)).not.toBe(eventIdentity(event({ source: "null" })));
  });
});

/** An independent canonical form, for the comparison only. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return ["array", ...value.map(sorted)];
  if (value === null || typeof value !== "object") return ["value", value];
  const entries = Object.entries(value).map(([key, inner]) => [JSON.stringify(key), sorted(inner)] as const);
  return ["object", ...entries.sort(([a], [b]) => (a < b ? -1 : 1))];
}

describe("what a product may leave out", () => {
  test("is the time of receipt and the payload", () => {
    expect(normalizeEvent({ id: "e:1", type: "t" }, NOW)).toEqual({
      id: "e:1",
      type: "t",
      receivedAt: NOW,
      payload: {},
    });
  });

  test("is kept where it is given, unknown fields included", () => {
    const given = {
      id: "e:1",
      type: "t",
      receivedAt: "2020-01-01T00:00:00Z",
      occurredAt: NOW,
      payload: { x: 1 },
      trace: { id: 7 },
    };
    expect(normalizeEvent(given, NOW)).toEqual(given);
  });

  test.each([[null], [0], [false], [""], [[]]])("a payload of %j is a payload", (value) => {
    expect(normalizeEvent({ id: "e:1", type: "t", payload: value }, NOW).payload).toEqual(value);
  });
});
