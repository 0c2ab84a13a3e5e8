/** When a run's output goes out: each frame is a row at the edge, and somebody may be watching. */
import { afterEach, describe, expect, test, vi } from "vitest";
import type { FlowResult } from "../../contract/flow-result.ts";
import { OUTPUT_CHUNK_MAX_BYTES } from "../../contract/limits.ts";
import { arrived, ATTEMPT, claimedLink, type LinkLife } from "../support/run-link-life.ts";

const RESULT: FlowResult = { status: "changed" };
const LONGEST_MS = 30_000;

afterEach(() => {
  vi.useRealTimers();
});

describe("the pace", () => {
  /** From here on only the test moves the clock; the network goes its own way. */
  async function pacedLink(): Promise<LinkLife> {
    const life = await claimedLink();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
    return life;
  }

  test("slows down for a run that nobody watches, and nothing is held back for ever", async () => {
    const life = await pacedLink();
    const { edge } = life;
    const waits: number[] = [];
    for (let n = 1; n <= 12; n += 1) {
      life.print(`${n}`);
      let waited = 0;
      for (; edge.committed.length < n; waited += 100) {
        await vi.advanceTimersByTimeAsync(100);
        await arrived(life);
      }
      waits.push(waited);
    }
    expect(waits).toEqual([...waits].sort((a, b) => a - b));
    expect(waits.at(-1)).toBeGreaterThan(10 * (waits[0] ?? 0));
    expect(waits.at(-1)).toBeLessThanOrEqual(LONGEST_MS);
  });

  test("does not hold back much output, nor a result, nor the end", async () => {
    const life = await pacedLink();
    const { edge, journal, link } = life;
    for (let n = 0; n < OUTPUT_CHUNK_MAX_BYTES / 1024; n += 1) life.print("x".repeat(1024));
    await arrived(life);
    expect(edge.committed).toHaveLength(OUTPUT_CHUNK_MAX_BYTES / 1024);
    const before = edge.committed.length;
    life.print("a little");
    journal.appendResult(ATTEMPT, RESULT);
    link.journaled("urgent");
    await arrived(life);
    expect(edge.committed).toHaveLength(before + 2);
    life.end();
    await life.tells("done");
  });

  test("is for eyes as soon as somebody watches, also for what waits already", async () => {
    const life = await pacedLink();
    const { edge } = life;
    for (let n = 1; n <= 12; n += 1) {
      life.print(`${n}`);
      await vi.advanceTimersByTimeAsync(LONGEST_MS);
      await life.until(() => edge.committed.length === n);
    }
    life.print("13");
    await vi.advanceTimersByTimeAsync(1000);
    await arrived(life);
    expect(edge.committed).toHaveLength(12);
    edge.say({ type: "follow", on: true });
    // The link has read the frame before this one when it has read this one.
    edge.say({ type: "cancel", reason: "a mark" });
    await life.tells("stop canceled");
    await vi.advanceTimersByTimeAsync(1000);
    await life.until(() => edge.committed.length === 13);
    life.print("14");
    await vi.advanceTimersByTimeAsync(1000);
    await life.until(() => edge.committed.length === 14);
  });
});
