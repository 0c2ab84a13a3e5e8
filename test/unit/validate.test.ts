/** Everything that comes from outside: taken, or refused with its faults; never an exception (invariant 13). */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readResultLine, type FlowResult } from "../../contract/flow-result.ts";
import {
  EVENT_ID_MAX_CHARS,
  EVENT_MAX_DEPTH,
  EVENT_SOURCE_MAX_CHARS,
  EVENT_TYPE_MAX_CHARS,
  FAULTS_MAX_ITEMS,
  FLOWS_PER_RUNNER_MAX,
  FRAME_MAX_BYTES,
  RESULT_MAX_BYTES,
  RUNNER_CAPACITY_MAX,
} from "../../contract/limits.ts";
import { CONTROL_UP, RUN_UP, type ControlUp, type RunUp } from "../../contract/runner-link.ts";
import {
  checkCancelRequest,
  checkFlowEvent,
  checkReplayRequest,
  describeFaults,
  readControlFrame,
  readRunFrame,
  type Checked,
} from "../../contract/validate.ts";

const RUN_ID = "run_0123456789abcdef_1";
const HELLO = {
  type: "hello",
  protocol: 1,
  runnerId: "runner_1",
  name: "box",
  version: "0.1.0",
  labels: ["linux"],
  capacity: 2,
  flows: [{ name: "release", version: 1, digest: "sha256:1" }],
  active: [{ runId: RUN_ID, attempt: 1 }],
} satisfies ControlUp;
const CONTROL_FRAMES: ControlUp[] = [
  HELLO,
  { ...HELLO, draining: true },
  { type: "accept", runId: RUN_ID, attempt: 1 },
  { type: "decline", runId: RUN_ID, attempt: 1, reason: "busy" },
  { type: "capacity", capacity: 0 },
  { type: "flows", flows: [] },
  { type: "drain" },
  { type: "goodbye" },
];
const RESULT: FlowResult = { status: "completed", extra: { kept: true } };
const RUN_FRAMES: RunUp[] = [
  { type: "claim", attempt: 1, runnerId: "runner_1", runnerName: "box" },
  { type: "resume", attempt: 1, lease: "lease_1" },
  { type: "output", chunks: [{ seq: 1, stream: "stdout", text: "\u0000\ud800", at: 1 }] },
  { type: "result", seq: 2, result: RESULT },
  { type: "canceling", survivors: [1, 2] },
  { type: "approval", seq: 3, request: { id: "a1-1", kind: "tool", title: "t", decisions: ["accept"] } },
  { type: "approval_withdrawn", seq: 4, id: "a1-1" },
  { type: "delivered", id: "m1", fate: "queued" },
  { type: "delivered", id: "m1", fate: "steered", hidden: true },
  { type: "thread", threadId: "t1" },
  { type: "used", used: { tokens: 120, seconds: 1.5, usd: 0.25 } },
  {
    type: "end",
    seq: 3,
    reason: "exited",
    exit: { code: 0, signal: null },
    tree: { empty: true, survivors: [] },
  },
  { type: "end", seq: 3, reason: "abandoned", error: { code: "lost", message: "gone" } },
];

/** JSON nested this deep; the text of it, since a value would be too deep to be written. */
function nested(levels: number): string {
  return "[".repeat(levels) + "]".repeat(levels);
}

function faultsOf(checked: Checked<unknown>): string {
  return checked.ok ? "" : describeFaults(checked.faults);
}

describe("frames", () => {
  test("of every kind are read as they were sent", () => {
    for (const frame of CONTROL_FRAMES)
      expect(readControlFrame(JSON.stringify(frame))).toEqual({ ok: true, value: frame });
    for (const frame of RUN_FRAMES)
      expect(readRunFrame(JSON.stringify(frame))).toEqual({ ok: true, value: frame });
    expect(new Set(CONTROL_FRAMES.map(({ type }) => type))).toEqual(new Set(Object.keys(CONTROL_UP)));
    expect(new Set(RUN_FRAMES.map(({ type }) => type))).toEqual(new Set(Object.keys(RUN_UP)));
  });

  test("with a million wrong items name the first, and cost no fault for each", () => {
    const read = readControlFrame(`{"type":"flows","flows":[${"1,".repeat(999_999)}1]}`);
    expect(read).toMatchObject({ ok: false, faults: { length: 1 } });
    const keys = Object.fromEntries(Array.from({ length: 10_000 }, (_unused, n) => [`key${n}`, n]));
    const checked = checkReplayRequest({ ...keys, ["k".repeat(60_000)]: 1 });
    expect(checked).toMatchObject({ ok: false, faults: { length: FAULTS_MAX_ITEMS + 1 } });
    const text = checked.ok ? "" : describeFaults(checked.faults);
    expect(text).toContain(`and ${10_001 - FAULTS_MAX_ITEMS} more faults`);
    expect(faultsOfOne("k".repeat(60_000)).length).toBeLessThan(300);
  });

  test("with a result that would be stored as more than its bound", () => {
    const short = `{"status":"completed","artifacts":{"numbers":[${"1e20,".repeat(20_000)}1]}}`;
    expect(short.length).toBeLessThan(RESULT_MAX_BYTES);
    expect(readRunFrame(`{"type":"result","seq":1,"result":${short}}`)).toMatchObject({
      ok: false,
      faults: [{ path: "/result" }],
    });
    expect(readResultLine(`FLOW_RESULT ${short}`)).toMatchObject({ kind: "invalid" });
  });

  function faultsOfOne(key: string): string {
    const checked = checkReplayRequest({ [key]: 1 });
    return checked.ok ? "" : describeFaults(checked.faults);
  }

  test.each([
    ["", "is not JSON"],
    ["ping", "is not JSON"],
    ["null", "/type must be one of"],
    ["[]", "/type must be one of"],
    ['"claim"', "/type must be one of"],
    ["{}", "/type must be one of"],
    ['{"type":"claimed"}', "/type must be one of"],
    ['{"type":["claim"]}', "/type must be one of"],
    ['{"type":"__proto__"}', "/type must be one of"],
    ['{"type":"constructor"}', "/type must be one of"],
    ['{"type":"toString"}', "/type must be one of"],
  ])("%j is none", (text, fault) => {
    expect(faultsOf(readRunFrame(text))).toContain(fault);
    expect(faultsOf(readControlFrame(text))).toContain(fault);
  });

  test("of one socket are none on the other", () => {
    for (const frame of CONTROL_FRAMES) expect(readRunFrame(JSON.stringify(frame)).ok).toBe(false);
    for (const frame of RUN_FRAMES) expect(readControlFrame(JSON.stringify(frame)).ok).toBe(false);
  });

  test("are text", () => {
    const bytes = new TextEncoder().encode(JSON.stringify({ type: "drain" })).buffer;
    expect(faultsOf(readControlFrame(bytes))).toBe("must be a text frame, not a binary one");
  });

  test("are bounded", () => {
    const text = JSON.stringify({ type: "drain", more: "x".repeat(FRAME_MAX_BYTES) });
    expect(faultsOf(readControlFrame(text))).toBe(`is larger than ${FRAME_MAX_BYTES} bytes`);
  });

  test.each<[string, Checked<unknown>, string]>([
    ["an unknown field", readControlFrame('{"type":"drain","now":true}'), "/now is not known here"],
    [
      "a missing field",
      readRunFrame('{"type":"claim","attempt":1,"runnerId":"r"}'),
      "/runnerName is required",
    ],
    [
      "a word that is not in the list",
      readRunFrame('{"type":"end","seq":1,"reason":"bored"}'),
      "/reason must be one of",
    ],
    [
      "a number that is none",
      readRunFrame('{"type":"end","seq":1.5,"reason":"exited"}'),
      "/seq must be integer",
    ],
    ["no chunk at all", readRunFrame('{"type":"output","chunks":[]}'), "/chunks"],
    [
      "a result without a status",
      readRunFrame('{"type":"result","seq":1,"result":{}}'),
      "/result/status is required",
    ],
    [
      "more capacity than there is",
      readControlFrame(JSON.stringify({ type: "capacity", capacity: RUNNER_CAPACITY_MAX + 1 })),
      "/capacity",
    ],
    [
      "more flows than there are",
      readControlFrame(
        JSON.stringify({ type: "flows", flows: Array(FLOWS_PER_RUNNER_MAX + 1).fill(HELLO.flows[0]) }),
      ),
      "/flows",
    ],
  ])("are refused for %s", (_what, checked, fault) => {
    expect(faultsOf(checked)).toContain(fault);
  });

  test("of any depth are read or refused, never an exception", () => {
    const deep = `{"type":"result","seq":1,"result":{"status":"completed","artifacts":{"a":${nested(200_000)}}}}`;
    expect(faultsOf(readRunFrame(deep))).toContain(`deeper than ${EVENT_MAX_DEPTH}`);
    expect(readRunFrame(nested(400_000)).ok).toBe(false);
    expect(readControlFrame(`{"type":"drain","x":${nested(400_000)}}`).ok).toBe(false);
  });

  test("that were damaged are read or refused with their faults, never an exception", () => {
    const junk = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom<unknown>(-1, 0, 1e308, "", "x".repeat(5000), null, [], {}, "__proto__"),
    );
    const damage = fc.record({
      at: fc.nat(30),
      how: fc.constantFrom("replace", "remove", "add"),
      junk,
      key: fc.string(),
    });
    fc.assert(
      fc.property(
        fc.constantFrom(...CONTROL_FRAMES, ...RUN_FRAMES),
        fc.array(damage, { minLength: 1, maxLength: 3 }),
        (frame, damages) => {
          let text = JSON.stringify(frame);
          for (const one of damages) text = damaged(text, one);
          for (const read of [readControlFrame(text), readRunFrame(text)]) {
            if (read.ok)
              expect([...Object.keys(CONTROL_UP), ...Object.keys(RUN_UP)]).toContain(read.value.type);
            else expect(read.faults.length).toBeGreaterThan(0);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("cut off or spoilt as text are read or refused, never an exception", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...RUN_FRAMES),
        fc.nat(200),
        fc.string({ unit: "binary" }),
        (frame, at, junk) => {
          const text = JSON.stringify(frame);
          for (const broken of [text.slice(0, at), text.slice(0, at) + junk + text.slice(at)])
            expect(typeof readRunFrame(broken).ok).toBe("boolean");
        },
      ),
    );
  });
});

interface Damage {
  at: number;
  how: string;
  junk: unknown;
  key: string;
}

/** The JSON text with one change at the n-th place that can be changed. */
function damaged(text: string, { at, how, junk, key }: Damage): string {
  let place = 0;
  return JSON.stringify(JSON.parse(text), (name, value: unknown) => {
    if (name === "" || place++ !== at) return value;
    if (how === "remove") return undefined;
    if (how === "add" && value !== null && typeof value === "object" && !Array.isArray(value))
      return { ...value, [key]: junk };
    return junk;
  });
}

describe("an event", () => {
  const event = { id: "e:1", type: "t" };

  test("is taken with all that a product may say", () => {
    for (const given of [
      event,
      {
        ...event,
        source: "s",
        occurredAt: "2026-03-01T12:00:00.5+01:00",
        receivedAt: "2026-03-01T12:00:00Z",
      },
      { ...event, payload: null, unknown: { kept: true } },
      { ...event, id: "x".repeat(EVENT_ID_MAX_CHARS), type: "y".repeat(EVENT_TYPE_MAX_CHARS) },
      { ...event, id: "grüße 🌍 / ../%00" },
    ])
      expect(checkFlowEvent(given)).toEqual({ ok: true, value: given });
  });

  test.each<[unknown, string]>([
    [undefined, ""],
    [null, ""],
    ["e:1", ""],
    [[], ""],
    [{}, "/id is required; /type is required"],
    [{ ...event, id: "" }, "/id"],
    [{ ...event, id: 7 }, "/id must be string"],
    [{ ...event, id: "x".repeat(EVENT_ID_MAX_CHARS + 1) }, "/id"],
    [{ ...event, id: "half a pair: \ud83c" }, "/id must be well-formed Unicode"],
    [{ ...event, type: "" }, "/type"],
    [{ ...event, type: "x".repeat(EVENT_TYPE_MAX_CHARS + 1) }, "/type"],
    [{ ...event, source: "x".repeat(EVENT_SOURCE_MAX_CHARS + 1) }, "/source"],
    [{ ...event, source: null }, "/source"],
    [{ ...event, occurredAt: "yesterday" }, "/occurredAt"],
    [{ ...event, occurredAt: 1_700_000_000 }, "/occurredAt"],
    [{ ...event, receivedAt: "2026-13-01T00:00:00Z" }, "/receivedAt"],
  ])("%j is refused", (given, fault) => {
    const checked = checkFlowEvent(given);
    expect(checked.ok).toBe(false);
    expect(faultsOf(checked)).toContain(fault);
  });

  test("is bounded in depth, however deep", () => {
    const withPayload = (levels: number): unknown =>
      JSON.parse(`{"id":"e","type":"t","payload":${nested(levels)}}`);
    expect(checkFlowEvent(withPayload(EVENT_MAX_DEPTH - 1)).ok).toBe(true);
    for (const levels of [EVENT_MAX_DEPTH, 400_000])
      expect(faultsOf(checkFlowEvent(withPayload(levels)))).toBe(
        `/payload is nested deeper than ${EVENT_MAX_DEPTH} levels`,
      );
  });

  test("of any shape is taken or refused, never an exception", () => {
    const field = fc.option(fc.oneof(fc.string(), fc.jsonValue()), { nil: undefined });
    const given = fc.record({ id: field, type: field, source: field, occurredAt: field, payload: field });
    fc.assert(
      fc.property(fc.oneof(given, fc.jsonValue()), (value) => {
        const checked = checkFlowEvent(value);
        if (checked.ok) expect(typeof checked.value.id).toBe("string");
        else expect(checked.faults.length).toBeGreaterThan(0);
      }),
    );
  });
});

describe("requests", () => {
  test.each<[Checked<unknown>, boolean]>([
    [checkReplayRequest({}), true],
    [checkReplayRequest({ flow: "release", step: "rebase", wait: 3 }), true],
    [checkReplayRequest({ wait: true }), true],
    [checkReplayRequest({ wait: -1 }), false],
    [checkReplayRequest({ wait: "3" }), false],
    [checkReplayRequest({ flow: "" }), false],
    [checkReplayRequest({ unknown: 1 }), false],
    [checkReplayRequest(null), false],
    [checkCancelRequest({}), true],
    [checkCancelRequest({ by: "Ada", anything: 1 }), true],
    [checkCancelRequest({ by: 7 }), false],
    [checkCancelRequest([]), false],
  ])("case %#", (checked, ok) => {
    expect(checked.ok).toBe(ok);
  });
});
