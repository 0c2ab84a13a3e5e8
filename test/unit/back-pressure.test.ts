/** When a step is read and when it waits. */
import { expect, test } from "vitest";
import { OUTPUT_MAX_BYTES } from "../../contract/limits.ts";
import {
  BACKLOG_MAX_BYTES,
  HELD_MAX_BYTES,
  mayRead,
  type Backlog,
} from "../../runner-agent/back-pressure.ts";

const backlog = (change: Partial<Backlog>): Backlog => ({
  owedBytes: 0,
  edgeConnected: true,
  journalWritable: true,
  reading: true,
  ...change,
});

test("a step that prints faster than the edge takes it waits, until half of it is taken", () => {
  expect(mayRead(backlog({ owedBytes: BACKLOG_MAX_BYTES }))).toBe(true);
  expect(mayRead(backlog({ owedBytes: BACKLOG_MAX_BYTES + 1 }))).toBe(false);
  expect(mayRead(backlog({ owedBytes: BACKLOG_MAX_BYTES / 2 + 1, reading: false }))).toBe(false);
  expect(mayRead(backlog({ owedBytes: BACKLOG_MAX_BYTES / 2, reading: false }))).toBe(true);
});

test("a step does not wait for an edge that is away", () => {
  for (const reading of [true, false])
    expect(mayRead(backlog({ owedBytes: OUTPUT_MAX_BYTES, edgeConnected: false, reading }))).toBe(true);
});

test("a step whose output nobody can write down waits, whether the edge is there or not", () => {
  for (const edgeConnected of [true, false]) {
    const change = { edgeConnected, journalWritable: false };
    expect(mayRead(backlog({ ...change, owedBytes: HELD_MAX_BYTES + 1 }))).toBe(false);
    expect(mayRead(backlog({ ...change, owedBytes: HELD_MAX_BYTES / 2, reading: false }))).toBe(true);
  }
});
