/** What this box owes the edge survives whatever happens to the agent (invariant 8; J1 to J4 of the journal). */
import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import type { FlowResult } from "../../contract/flow-result.ts";
import type { AttemptEnd } from "../../contract/run-record.ts";
import type { JournaledAttempt, JournalEntry } from "../../runner-agent/journal/entries.ts";
import { Journal } from "../../runner-agent/journal/journal.ts";
import { JournalInUseError, JournalUnusableError } from "../../runner-agent/journal/tables.ts";
import { temporaryFolder } from "../support/flow-workspace.ts";

const FIRST: JournaledAttempt = { runId: "run_0123456789abcdef_1", attempt: 1, lease: "lease_1" };
const SECOND: JournaledAttempt = { runId: "run_0123456789abcdef_1", attempt: 2, lease: "lease_2" };
const RESULT: FlowResult = { status: "changed", message: "grüße", next: [{ id: "a" }] };
const END: AttemptEnd = {
  reason: "exited",
  exit: { code: 0, signal: null },
  tree: { empty: true, survivors: [] },
};
const ALL = 10_000;

async function journalPath(): Promise<string> {
  return join(await temporaryFolder(), "deep", "journal.sqlite");
}

/** Closed when the test is over, unless the test did. */
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

function seqOf(entry: JournalEntry): number {
  return entry.kind === "output" ? entry.chunk.seq : entry.seq;
}

function seqs(journal: Journal, of = FIRST, after = 0): number[] {
  return journal.pending(of, after, ALL).map(seqOf);
}

/** A process that writes so many entries; resolves when it says that it has written `until`. */
async function writer(path: string, first: number, count: number, until: number): Promise<ChildProcess> {
  const script = join(import.meta.dirname, "../support/journal-writer.ts");
  const child = spawn(process.execPath, [script, path, String(first), String(count)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  for await (const line of createInterface({ input: child.stdout })) if (Number(line) >= until) return child;
  throw new Error("the writer ended before it was killed");
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

describe("what is written down", () => {
  test("comes back as it was, numbered from 1 without a gap (J2)", async () => {
    const journal = open(await journalPath());
    journal.begin(FIRST);
    journal.appendOutput(FIRST, "stdout", "hello\n", 7);
    journal.appendOutput(FIRST, "stderr", "oh\n", 8);
    journal.appendResult(FIRST, RESULT);
    journal.appendOutput(FIRST, "system", "reaped\n", 9);
    journal.appendEnd(FIRST, END);
    expect(journal.pending(FIRST, 0, ALL)).toEqual([
      { kind: "output", chunk: { seq: 1, stream: "stdout", text: "hello\n", at: 7 } },
      { kind: "output", chunk: { seq: 2, stream: "stderr", text: "oh\n", at: 8 } },
      { kind: "result", seq: 3, result: RESULT },
      { kind: "output", chunk: { seq: 4, stream: "system", text: "reaped\n", at: 9 } },
      { kind: "end", seq: 5, end: END },
    ]);
    expect(journal.endSeq(FIRST)).toBe(5);
  });

  test("comes back whatever the step printed", async () => {
    const journal = open(await journalPath());
    journal.begin(FIRST);
    const printed = fc.string({ unit: "binary" });
    fc.assert(
      fc.property(fc.oneof(printed, fc.constantFrom("", "\0", "a\0b", "🌍")), (text) => {
        const known = seqs(journal).length;
        journal.appendOutput(FIRST, "stdout", text, 1);
        journal.appendResult(FIRST, { status: "completed", message: text });
        expect(journal.pending(FIRST, known, ALL)).toEqual([
          { kind: "output", chunk: { seq: known + 1, stream: "stdout", text, at: 1 } },
          { kind: "result", seq: known + 2, result: { status: "completed", message: text } },
        ]);
      }),
    );
  });

  test("is numbered for each attempt on its own", async () => {
    const journal = open(await journalPath());
    for (const one of [FIRST, SECOND]) journal.begin(one);
    for (const one of [FIRST, SECOND, FIRST]) journal.appendOutput(one, "stdout", "x", 1);
    expect([seqs(journal, FIRST), seqs(journal, SECOND)]).toEqual([[1, 2], [1]]);
    expect(journal.attempts()).toEqual([FIRST, SECOND]);
  });

  test("is read in pieces", async () => {
    const journal = open(await journalPath());
    journal.begin(FIRST);
    for (let n = 0; n < 5; n += 1) journal.appendOutput(FIRST, "stdout", "x", 1);
    expect(journal.pending(FIRST, 1, 2).map(seqOf)).toEqual([2, 3]);
    expect(journal.pending(FIRST, 5, 2)).toEqual([]);
  });

  test("keeps the lease that it began with, however often the same attempt begins", async () => {
    const journal = open(await journalPath());
    journal.begin(FIRST);
    journal.appendOutput(FIRST, "stdout", "x", 1);
    journal.begin({ ...FIRST, lease: "another" });
    expect(journal.attempts()).toEqual([FIRST]);
    expect(seqs(journal)).toEqual([1]);
  });
});

describe("what is acknowledged", () => {
  test("is owed no more, and the numbers go on behind it (J3)", async () => {
    const journal = open(await journalPath());
    journal.begin(FIRST);
    for (let n = 0; n < 4; n += 1) journal.appendOutput(FIRST, "stdout", "x", 1);
    journal.ack(FIRST, 3);
    expect(seqs(journal)).toEqual([4]);
    journal.ack(FIRST, 2);
    journal.ack(FIRST, 4);
    expect(seqs(journal)).toEqual([]);
    journal.appendOutput(FIRST, "stdout", "x", 1);
    expect(seqs(journal)).toEqual([5]);
  });

  test("further than this journal knows is believed: what follows gets a number that the edge does not know", async () => {
    const journal = open(await journalPath());
    journal.begin(FIRST);
    journal.appendOutput(FIRST, "stdout", "x", 1);
    journal.ack(FIRST, 7);
    journal.appendOutput(FIRST, "stdout", "x", 1);
    expect(seqs(journal)).toEqual([8]);
  });

  test("of one attempt leaves the others alone", async () => {
    const journal = open(await journalPath());
    for (const one of [FIRST, SECOND]) {
      journal.begin(one);
      journal.appendOutput(one, "stdout", "x", 1);
    }
    journal.ack(FIRST, 1);
    expect(seqs(journal, SECOND)).toEqual([1]);
  });
});

test("an attempt that is finished is gone, and nothing brings it back (J3)", async () => {
  const path = await journalPath();
  const journal = open(path);
  for (const one of [FIRST, SECOND]) {
    journal.begin(one);
    journal.appendOutput(one, "stdout", "x", 1);
  }
  journal.finish(FIRST);
  journal.appendOutput(FIRST, "stdout", "late", 1);
  journal.appendResult(FIRST, RESULT);
  journal.appendEnd(FIRST, END);
  journal.ack(FIRST, 9);
  expect([journal.attempts(), seqs(journal, FIRST), journal.endSeq(FIRST)]).toEqual([
    [SECOND],
    [],
    undefined,
  ]);
  journal.close();
  expect(open(path).attempts()).toEqual([SECOND]);
});

test("any order of writing, acknowledging and opening again keeps numbers consecutive and owes what is not acknowledged", async () => {
  const folder = await temporaryFolder();
  let journals = 0;
  const action = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("append"), text: fc.string() }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant("ack"), part: fc.double({ min: 0, max: 1, noNaN: true }) }),
    },
    fc.record({ kind: fc.constant("reopen") }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 30 }), (actions) => {
      const path = join(folder, String((journals += 1)), "journal.sqlite");
      let journal = new Journal(path);
      try {
        journal.begin(FIRST);
        const written: string[] = [];
        let acked = 0;
        for (const one of actions) {
          if ("text" in one) {
            journal.appendOutput(FIRST, "stdout", one.text, 1);
            written.push(one.text);
          } else if ("part" in one) {
            const seq = Math.round(one.part * written.length);
            journal.ack(FIRST, seq);
            acked = Math.max(acked, seq);
          } else {
            journal.close();
            journal = new Journal(path);
          }
          const owed = journal
            .pending(FIRST, 0, ALL)
            .map((entry) => (entry.kind === "output" ? [entry.chunk.seq, entry.chunk.text] : []));
          expect(owed).toEqual(written.map((text, n) => [n + 1, text]).slice(acked));
        }
      } finally {
        journal.close();
      }
    }),
    { numRuns: 40 },
  );
});

describe("the journal of a former life", () => {
  test("is found as it was left", async () => {
    const path = await journalPath();
    const before = open(path);
    const runnerId = before.setting("runnerId", () => "runner_1");
    before.begin(FIRST);
    before.appendOutput(FIRST, "stdout", "x", 1);
    before.appendEnd(FIRST, END);
    before.close();
    const after = open(path);
    expect(after.attempts()).toEqual([FIRST]);
    expect(after.endSeq(FIRST)).toBe(2);
    expect(seqs(after)).toEqual([1, 2]);
    expect(after.setting("runnerId", () => "another")).toBe(runnerId);
  });

  test("holds every entry that was reported as written, however often its agent is killed", async () => {
    const path = await journalPath();
    let next = 1;
    for (const reported of [1, 40, 200, 500]) {
      // More than it can write before the kill arrives, so that the kill meets it writing.
      await kill(await writer(path, next, 1_000_000, next + reported - 1));
      const journal = new Journal(path);
      const entries = journal.pending(FIRST, next - 1, Number.MAX_SAFE_INTEGER);
      expect(entries.length).toBeGreaterThanOrEqual(reported);
      expect(entries.map((entry) => entry.kind === "output" && [entry.chunk.seq, entry.chunk.text])).toEqual(
        entries.map((_entry, n) => [next + n, `entry ${next + n}\n`]),
      );
      next += entries.length;
      journal.close();
    }
  });
});

describe("a second agent (J4)", () => {
  test("is refused in the same process", async () => {
    const path = await journalPath();
    open(path);
    expect(() => new Journal(path)).toThrow(JournalInUseError);
    expect(() => new Journal(path)).toThrow(path);
  });

  test("is refused while another process has the journal, and not by what that leaves when it is killed", async () => {
    const path = await journalPath();
    const child = await writer(path, 1, 1, 1);
    expect(() => new Journal(path)).toThrow(JournalInUseError);
    await kill(child);
    expect(seqs(open(path))).toEqual([1]);
  });

  test("is refused by one that has only read, too", async () => {
    const path = await journalPath();
    open(path).close();
    const reader = open(path);
    expect(reader.attempts()).toEqual([]);
    expect(() => new Journal(path)).toThrow(JournalInUseError);
  });
});

describe("a journal that cannot be opened names the file and the remedy:", () => {
  function failure(path: string): Error {
    try {
      open(path);
    } catch (error) {
      if (error instanceof JournalUnusableError) return error;
      throw error;
    }
    throw new Error("the journal opened");
  }

  test("a file stands where the journal's folder should be", async () => {
    const file = join(await temporaryFolder(), "file");
    await writeFile(file, "");
    expect(failure(join(file, "journal.sqlite")).message).toMatch(
      /file\/journal\.sqlite .*name a folder with --journal/,
    );
  });

  test("the file is no database", async () => {
    const path = join(await temporaryFolder(), "journal.sqlite");
    await writeFile(path, randomBytes(8192));
    const { message } = failure(path);
    expect(message).toContain(path);
    expect(message).toContain("not a database");
    expect(message).toContain("move the file away");
  });

  test("the file was cut off", async () => {
    const path = await journalPath();
    const journal = open(path);
    journal.begin(FIRST);
    for (let n = 0; n < 50; n += 1) journal.appendOutput(FIRST, "stdout", "x".repeat(1000), n);
    journal.close();
    await truncate(path, 5000);
    expect(failure(path).message).toContain("move the file away");
  });

  test("the folder cannot be made", () => {
    // Nobody may make folders there, not even root.
    expect(failure("/sys/journal-of-a-test/journal.sqlite").message).toContain(
      "give the agent's user a folder",
    );
  });
});
