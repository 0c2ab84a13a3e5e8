/** What one attempt's socket sends at a time, and what becomes of a frame that the edge takes for none. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OUTPUT_CHUNK_MAX_BYTES, OUTPUT_FRAME_MAX_BYTES } from "../../contract/limits.ts";
import type { JournalEntry } from "../../runner-agent/journal/entries.ts";
import { frames } from "../../runner-agent/link/run-link.ts";
import { numbersOn } from "../support/fake-run-edge.ts";
import { arrived, ATTEMPT, claimedLink, END, handedOver, RESULT } from "../support/run-link-life.ts";

describe("what is on its way", () => {
  test("is bounded: more waits in the journal until something is acknowledged", async () => {
    const life = await claimedLink();
    const { edge } = life;
    const chunk = "x".repeat(OUTPUT_CHUNK_MAX_BYTES);
    const chunks = 100;
    edge.acknowledges = false;
    for (let n = 0; n < chunks; n += 1) life.print(chunk);
    await arrived(life);
    const inFlight = edge.committed.length * OUTPUT_CHUNK_MAX_BYTES;
    // The bound of what may be unacknowledged, and a frame that may have begun below it.
    expect(inFlight).toBeLessThanOrEqual(2 * 1024 * 1024 + OUTPUT_FRAME_MAX_BYTES);
    expect(inFlight).toBeGreaterThan(1024 * 1024);

    // An acknowledgement makes room for as much as it covers.
    const before = edge.committed.length;
    edge.say({ type: "ack", seq: before / 2 });
    await life.until(() => edge.committed.length > before);
    await arrived(life);
    expect(edge.committed.length).toBeLessThanOrEqual(before + before / 2 + 4);
    edge.acknowledges = true;
    edge.say({ type: "ack", seq: edge.committed.length });
    life.end();
    await life.tells("done");
    expect(handedOver(edge)).toHaveLength(chunks + 1);
    expect(numbersOn(edge, 1)).toEqual(Array.from({ length: chunks + 1 }, (_unused, n) => n + 1));
  });

  test("is cut into frames that keep everything, in order, and below the bound of a frame", () => {
    const entry = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.integer({ min: 0, max: OUTPUT_CHUNK_MAX_BYTES }).map((bytes) => "x".repeat(bytes)),
      },
      fc.constant(RESULT),
    );
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 40 }), (given) => {
        const entries = given.map((one, n): JournalEntry =>
          typeof one === "string"
            ? { kind: "output", chunk: { seq: n + 1, stream: "stdout", text: one, at: 1 } }
            : { kind: "result", seq: n + 1, result: one },
        );
        const cut = frames(entries);
        const numbers = cut.flatMap(({ frame }) =>
          frame.type === "output" ? frame.chunks.map(({ seq }) => seq) : "seq" in frame ? [frame.seq] : [],
        );
        expect(numbers).toEqual(entries.map((_entry, n) => n + 1));
        for (const { frame, seq, bytes } of cut) {
          if (frame.type !== "output") continue;
          expect(seq).toBe(frame.chunks.at(-1)?.seq);
          expect(bytes).toBe(frame.chunks.reduce((sum, chunk) => sum + chunk.text.length, 0));
          expect(bytes).toBeLessThanOrEqual(OUTPUT_FRAME_MAX_BYTES);
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe("what the edge refuses as no frame is not sent for ever", () => {
  test("a result: the refusal takes its place, and what comes behind it arrives", async () => {
    const life = await claimedLink();
    const { edge, journal, link } = life;
    edge.refuses = (frame) => (frame.type === "result" ? "/result is larger than it may be" : undefined);
    life.print("one\n");
    journal.appendResult(ATTEMPT, RESULT);
    link.journaled("urgent");
    life.print("two\n");
    life.end();
    await life.tells("done");
    expect(handedOver(edge)).toEqual([
      "one\n",
      "the edge refused this result: /result is larger than it may be\n",
      "two\n",
      "end: exited",
    ]);
    // Once may be the fault of another frame.
    expect(edge.received.filter(({ frame }) => frame.type === "result")).toHaveLength(2);
  });

  test("an end: it comes without what was said of it", async () => {
    const life = await claimedLink();
    const { edge, journal, link } = life;
    edge.refuses = (frame) =>
      frame.type === "end" && frame.error?.code === "strange" ? "/error/code is unknown" : undefined;
    journal.appendEnd(ATTEMPT, { ...END, error: { code: "strange", message: "x" } });
    link.journaled("urgent");
    await life.tells("done");
    expect(edge.received.at(-1)?.frame).toMatchObject({
      type: "end",
      reason: "exited",
      tree: END.tree,
      error: { code: "end_refused", message: expect.stringContaining("/error/code is unknown") as string },
    });
  });

  test("a frame of many pieces: all of them, and no more", async () => {
    const life = await claimedLink();
    const { edge } = life;
    edge.takes = false;
    for (const text of ["one", "two", "three"]) life.print(text);
    await arrived(life);
    edge.takes = true;
    edge.refuses = (frame) =>
      frame.type === "output" && frame.chunks.some(({ text }) => text === "two") ? "no" : undefined;
    edge.drop();
    await life.until(() => edge.committed.length === 3);
    life.print("four");
    life.end();
    await life.tells("done");
    expect(handedOver(edge).slice(-2)).toEqual(["four", "end: exited"]);
    expect(handedOver(edge).slice(0, -2)).toEqual(Array(3).fill("the edge refused this output: no\n"));
  });

  test("a single refusal, as by a fault of another frame, changes nothing", async () => {
    const life = await claimedLink();
    const { edge, journal, link } = life;
    let refusals = 1;
    edge.refuses = () => ((refusals -= 1) >= 0 ? "once" : undefined);
    journal.appendResult(ATTEMPT, RESULT);
    link.journaled("urgent");
    life.end();
    await life.tells("done");
    expect(handedOver(edge)).toEqual([RESULT, "end: exited"]);
  });
});

test("a reason that is longer than the edge takes is cut, and its end arrives", async () => {
  const life = await claimedLink();
  life.journal.appendEnd(ATTEMPT, { ...END, error: { code: "turn_failed", message: "😀".repeat(5_000) } });
  life.link.journaled("urgent");
  await life.tells("done");
  expect(handedOver(life.edge)).toEqual(["end: exited"]);
});
