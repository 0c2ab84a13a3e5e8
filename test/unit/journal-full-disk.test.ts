/** The journal while its disk takes nothing (J5): nothing is lost, nothing ends, and numbers stay what they were. */
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, expect, onTestFinished, test } from "vitest";
import type { JournaledAttempt, JournalEntry } from "../../runner-agent/journal/entries.ts";
import { Journal } from "../../runner-agent/journal/journal.ts";
import { temporaryFolder } from "../support/flow-workspace.ts";
import { fillDisk, freeDisk } from "../support/full-disk.ts";
import { END } from "../support/run-link-life.ts";

const FIRST: JournaledAttempt = { runId: "run_0123456789abcdef_1", attempt: 1, lease: "lease_1" };
const SECOND: JournaledAttempt = { runId: "run_0123456789abcdef_1", attempt: 2, lease: "lease_2" };
const ALL = 10_000;

afterEach(() => {
  freeDisk(process.pid);
});

async function journalPath(): Promise<string> {
  return join(await temporaryFolder(), "journal.sqlite");
}

function open(path: string): Journal {
  const journal = new Journal(path);
  onTestFinished(() => {
    try {
      journal.close();
    } catch {
      // The test has closed it.
    }
  });
  return journal;
}

/** A journal on which one attempt has begun and written one entry, and whose disk is full since. */
async function stalled(): Promise<{ path: string; journal: Journal }> {
  const path = await journalPath();
  const journal = open(path);
  journal.begin(FIRST);
  journal.appendOutput(FIRST, "stdout", "1", 1);
  fillDisk(process.pid);
  return { path, journal };
}

function owed(journal: Journal, of = FIRST, after = 0): unknown[] {
  return journal.pending(of, after, ALL).map((entry: JournalEntry) => {
    if (entry.kind === "output") return [entry.chunk.seq, entry.chunk.text];
    return [entry.seq, entry.kind];
  });
}

test("what cannot be written can be sent, under the number that it gets on the disk when that takes it", async () => {
  const { path, journal } = await stalled();
  journal.appendOutput(FIRST, "stdout", "2\0ü", 1);
  journal.appendResult(FIRST, { status: "changed" });
  journal.appendEnd(FIRST, END);
  const all = [
    [1, "1"],
    [2, "2\0ü"],
    [3, "result"],
    [4, "end"],
  ];
  expect(journal.trouble).toMatch(/disk/);
  expect(owed(journal)).toEqual(all);
  expect(owed(journal, FIRST, 2)).toEqual(all.slice(2));
  expect(journal.pending(FIRST, 0, 2)).toHaveLength(2);
  expect(journal.endSeq(FIRST)).toBe(4);
  expect(journal.owedBytes(FIRST)).toBeGreaterThan(20);
  freeDisk(process.pid);
  await journal.written();
  expect(journal.trouble).toBeUndefined();
  expect(owed(journal)).toEqual(all);
  journal.close();
  expect(owed(open(path))).toEqual(all);
});

test("what is acknowledged meanwhile need not be written, and what follows goes on behind it", async () => {
  const { path, journal } = await stalled();
  journal.appendOutput(FIRST, "stdout", "2", 1);
  journal.appendOutput(FIRST, "stdout", "3", 1);
  journal.ack(FIRST, 2);
  journal.appendOutput(FIRST, "stdout", "4", 1);
  expect(owed(journal, FIRST, 2)).toEqual([
    [3, "3"],
    [4, "4"],
  ]);
  expect(journal.owedBytes(FIRST)).toBe(2);
  freeDisk(process.pid);
  await journal.written();
  journal.appendOutput(FIRST, "stdout", "5", 1);
  journal.close();
  expect(owed(open(path))).toEqual([
    [3, "3"],
    [4, "4"],
    [5, "5"],
  ]);
});

test("an attempt that is finished meanwhile is gone when the disk is back, and nothing of it is wanted any more", async () => {
  const { path, journal } = await stalled();
  journal.appendEnd(FIRST, END);
  journal.finish(FIRST);
  journal.appendOutput(FIRST, "stdout", "late", 1);
  freeDisk(process.pid);
  await journal.written();
  journal.close();
  expect(open(path).attempts()).toEqual([]);
});

test("an attempt that begins is not written before it is (J1)", async () => {
  const { journal } = await stalled();
  journal.begin(SECOND);
  let written = false;
  const waiting = journal.written().then(() => {
    written = true;
  });
  expect(journal.attempts()).toEqual([FIRST]);
  await Promise.resolve();
  expect(written).toBe(false);
  freeDisk(process.pid);
  await waiting;
  expect(journal.attempts()).toEqual([FIRST, SECOND]);
});

test("the watcher hears of the trouble once, and of its end once", async () => {
  const path = await journalPath();
  const journal = open(path);
  const heard: boolean[] = [];
  journal.watch(() => heard.push(journal.trouble !== undefined));
  journal.begin(FIRST);
  fillDisk(process.pid);
  for (const text of ["1", "2", "3"]) journal.appendOutput(FIRST, "stdout", text, 1);
  freeDisk(process.pid);
  await journal.written();
  expect(heard).toEqual([true, false]);
});

test("a journal that dies with the disk full has all that it wrote before", async () => {
  const { path, journal } = await stalled();
  journal.appendOutput(FIRST, "stdout", "held", 1);
  journal.close();
  freeDisk(process.pid);
  expect(owed(open(path))).toEqual([[1, "1"]]);
});

test("a journal that cannot even be made says what to do", async () => {
  const path = await journalPath();
  fillDisk(process.pid);
  expect(() => new Journal(path)).toThrow(/cannot be used .*free space/);
});

test("any order of writing and acknowledging, the disk full or not, looks the same", async () => {
  const folder = await temporaryFolder();
  const action = fc.oneof(
    { weight: 4, arbitrary: fc.constant("append" as const) },
    { weight: 2, arbitrary: fc.double({ min: 0, max: 1, noNaN: true }) },
    fc.constant("fill" as const),
    fc.constant("free" as const),
  );
  let journals = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 20 }), async (actions) => {
      const journal = new Journal(join(folder, String((journals += 1))));
      try {
        journal.begin(FIRST);
        let last = 0;
        let acked = 0;
        for (const one of actions) {
          if (one === "append") journal.appendOutput(FIRST, "stdout", String((last += 1)), 1);
          else if (one === "fill") fillDisk(process.pid);
          else if (one === "free") freeDisk(process.pid);
          else journal.ack(FIRST, (acked = Math.max(acked, Math.round(one * last))));
          const numbers = Array.from({ length: last - acked }, (_unused, n) => acked + n + 1);
          expect(owed(journal, FIRST, acked)).toEqual(numbers.map((n) => [n, String(n)]));
        }
        freeDisk(process.pid);
        await journal.written();
        expect(owed(journal)).toEqual(owed(journal, FIRST, acked));
      } finally {
        freeDisk(process.pid);
        journal.close();
      }
    }),
    { numRuns: 25 },
  );
});
