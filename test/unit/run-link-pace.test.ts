/** When a run's output goes out: each frame is a row at the edge, and somebody may be watching. */
import { afterEach, describe, expect, test, vi } from "vitest";
import type { FlowResult } from "../../contract/flow-result.ts";
import { OUTPUT_CHUNK_MAX_BYTES } from "../../contract/limits.ts";
import { arrived, ATTEMPT, claimedLink, type LinkLife } from "../support/run-link-life.ts";

const RESULT: FlowResult = { status: "changed" };
const LONGEST_MS = 90_000;
const MOST_WAITING_BYTES = 2 * OUTPUT_CHUNK_MAX_BYTES;

afterEach(() => {
  vi.useRealTimers();
});

describe("the pace", () => {
  /** From here on only the test moves the clock; the network goes its own way. */
  async function pacedLink(): Promise<LinkLife> {
    const life = await claimedLink(false);
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
    return life;
  }

  test("spares a run that nobody watches, and nothing is held back for ever", async () => {
    const life = await pacedLink();
    const { edge } = life;
    for (let n = 1; n <= 3; n += 1) {
      life.print(`${n}`);
      await vi.advanceTimersByTimeAsync(LONGEST_MS / 2);
      life.print(`${n} and a half`);
      await arrived(life);
      expect(edge.committed).toHaveLength(2 * (n - 1));
      await vi.advanceTimersByTimeAsync(LONGEST_MS / 2);
      await life.until(() => edge.committed.length === 2 * n);
    }
  });

  test("is for whoever asks once, and then as before", async () => {
    const life = await pacedLink();
    const { edge } = life;
    life.print("1");
    await arrived(life);
    expect(edge.committed).toHaveLength(0);
    edge.say({ type: "follow", on: true });
    edge.say({ type: "follow", on: false });
    await life.until(() => edge.committed.length === 1);
    life.print("2");
    await vi.advanceTimersByTimeAsync(LONGEST_MS / 2);
    await arrived(life);
    expect(edge.committed).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(LONGEST_MS / 2);
    await life.until(() => edge.committed.length === 2);
  });

  test("does not hold back much output, nor a result, nor the end", async () => {
    const life = await pacedLink();
    const { edge, journal, link } = life;
    for (let n = 0; n < MOST_WAITING_BYTES / 1024; n += 1) life.print("x".repeat(1024));
    await arrived(life);
    expect(edge.committed).toHaveLength(MOST_WAITING_BYTES / 1024);
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
