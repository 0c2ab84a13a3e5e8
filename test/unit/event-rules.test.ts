/** What a change of a run owes the outside (invariant 6), and which output of a frame is new (invariants 8 and 12). */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LOST_AFTER_MS, OUTPUT_MAX_BYTES } from "../../contract/limits.ts";
import {
  deadLetter,
  endAttempt,
  recordResult,
  requestCancel,
  type OutputProgress,
} from "../../contract/run-lifecycle.ts";
import { noteUnseen, tick } from "../../contract/run-clocks.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import type { OutputChunk } from "../../contract/runner-link.ts";
import {
  acceptOutput,
  effectsOfChange,
  effectsOfState,
  retentionDue,
  routeOf,
} from "../../durable-objects/flow-event/rules.ts";
import { at, BEGIN_MS, claimed, CRASHED, EXITED, GONE, retrying, waitingRun } from "../support/run-life.ts";

const NOW = BEGIN_MS + 1000;
const waiting = waitingRun(retrying(2));
const running = claimed(waiting);
const told = recordResult(running, 1, 1, { status: "changed", next: [{ id: "a" }] }, NOW);
const again = endAttempt(running, 1, 1, CRASHED, at(NOW));
const completed = endAttempt(told, 1, 2, EXITED, at(NOW));

const toldOf = (run: RunRecord): RunRecord => ({ ...run, toldRev: run.rev });

const project = { kind: "project", n: 1 };
const send = { kind: "send", n: 1 };
const chain = { kind: "chain", n: 1 };
const settle = (attempt: number): object => ({ kind: "settle", n: 1, attempt });

describe("a change owes", () => {
  test.each<[string, RunRecord | undefined, RunRecord, object[]]>([
    ["a new run: its send", undefined, waiting, [project, send]],
    ["a claim: the projection alone", waiting, running, [project]],
    ["a provisional result, which no list shows: nothing", running, told, []],
    [
      "an end with a retry after a backoff: the place is free, the send is for later",
      running,
      again,
      [project, settle(1)],
    ],
    [
      "an end with a retry at once",
      claimed(waitingRun(retrying(2, 0))),
      endAttempt(claimed(waitingRun(retrying(2, 0))), 1, 1, CRASHED, at(NOW)),
      [project, send, settle(1)],
    ],
    ["an end with chained events", told, completed, [project, settle(1), chain]],
    [
      "an end with refused chained events",
      told,
      endAttempt(told, 1, 2, EXITED, at(NOW, { checkEvent: () => [{ path: "", message: "no" }] })),
      [project, settle(1)],
    ],
    [
      "a cancel of a waiting run: its place in the backlog",
      waiting,
      requestCancel(waiting, "Ada", NOW),
      [project, settle(1)],
    ],
    [
      "a cancel of a running one: nothing but the projection yet",
      running,
      requestCancel(running, "Ada", NOW),
      [project],
    ],
    ["a dead letter", waiting, deadLetter(waiting, 1, NOW), [project, settle(1)]],
    ["a cancel between two attempts", again, requestCancel(again, "Ada", NOW), [project, settle(2)]],
    ["nothing for nothing", running, running, []],
    ["nothing for the lease clock", running, noteUnseen(running, 1, NOW), []],
    ["nothing for evidence", completed, recordResult(completed, 1, 9, { status: "failed" }, NOW), []],
  ])("%s", (_what, before, after, effects) => {
    expect(effectsOfChange(before, after, NOW)).toEqual(effects);
  });
});

describe("what an alarm finds owed", () => {
  test.each<[string, RunRecord, number, object[]]>([
    ["nothing of a run that waits and was sent lately", waiting, NOW, []],
    ["a run that waits and is to be sent again", waiting, waiting.sendAt, [project, send]],
    ["nothing during a backoff", again, again.notBefore - 1, []],
    [
      "a retry whose backoff is over, and the place of the attempt before",
      again,
      again.notBefore,
      [project, send, settle(1)],
    ],
    ["nothing of a run that runs", running, NOW + LOST_AFTER_MS, []],
    [
      "all of a run that is over, chained events when they are due again",
      completed,
      completed.sendAt,
      [project, settle(2), chain],
    ],
    ["all but those of a run that is over", completed, NOW, [project, settle(2)]],
    ["the send alone of a run that waits as everybody knows", toldOf(waiting), waiting.sendAt, [send]],
    ["nothing of a run that is over, as everybody knows", toldOf(completed), NOW, []],
    [
      "all of a run of which an earlier state was told",
      { ...completed, toldRev: 1 },
      NOW,
      [project, settle(2)],
    ],
  ])("%s", (_what, run, now, effects) => {
    expect(effectsOfState(run, now)).toEqual(effects);
  });

  test("covers all that a crash right after the change could have cut off, once it is due", () => {
    const changes: Array<[RunRecord | undefined, RunRecord]> = [
      [undefined, waiting],
      [running, again],
      [told, completed],
      [waiting, requestCancel(waiting, "Ada", NOW)],
      [again, tick(again, undefined, at(again.notBefore + again.policy.queueMs))],
      [
        requestCancel(running, "Ada", NOW),
        endAttempt(requestCancel(running, "Ada", NOW), 1, 1, { reason: "canceled", tree: GONE }, at(NOW)),
      ],
    ];
    for (const [before, after] of changes) {
      const found = effectsOfState(after, after.sendAt + LOST_AFTER_MS);
      for (const owed of effectsOfChange(before, after, NOW)) {
        // A later attempt's settle frees the earlier one's place, too.
        const covered = found.some(
          (one) =>
            one.kind === owed.kind &&
            (one.kind !== "settle" || owed.kind !== "settle" || one.attempt >= owed.attempt),
        );
        expect(covered, `${owed.kind} of a run that is ${after.status}`).toBe(true);
      }
    }
  });
});

test("the route of a run says what a pool needs to choose a runner, and carries the event's id alone", () => {
  const run = waitingRun({}, { labels: ["gpu"], priority: 3, concurrency: { key: "codex", limit: 2 } });
  expect(routeOf(run, 1)).toEqual({
    runId: run.id,
    eventId: "upstream:1",
    attempt: 1,
    pool: "default",
    flow: run.flow,
    step: "rebase",
    labels: ["gpu"],
    priority: 3,
    concurrency: { key: "codex", limit: 2 },
    queuedAt: BEGIN_MS,
  });
  expect(routeOf(waitingRun(), 2)).not.toHaveProperty("concurrency");
});

/** Consecutive chunks, numbered from 1, with these texts. */
function chunksOf(texts: string[]): OutputChunk[] {
  return texts.map((text, n) => ({ seq: n + 1, stream: "stdout", text, at: n }));
}

const NOTHING: OutputProgress = { ackedSeq: 0, bytes: 0, dropped: 0 };

describe("output", () => {
  test("is stored exactly once and in order, however it is cut into frames and sent again", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ maxLength: 5 }), { minLength: 1, maxLength: 30 }),
        fc.array(fc.record({ back: fc.nat(35), size: fc.integer({ min: 1, max: 8 }) }), { maxLength: 60 }),
        (texts, sends) => {
          const all = chunksOf(texts);
          const stored: OutputChunk[] = [];
          let progress = NOTHING;
          for (const { back, size } of [...sends, { back: 35, size: texts.length }]) {
            // The runner may begin anywhere at or before what is committed: it has missed acknowledgements.
            const from = Math.max(progress.ackedSeq - back, 0);
            const accepted = acceptOutput(progress, 0, all.slice(from, from + size), 0);
            if ("gap" in accepted) throw new Error(`a gap at ${accepted.gap}`);
            if (accepted.fresh.length > 0) expect(accepted.firstSeq).toBe(accepted.fresh[0]?.seq);
            stored.push(...accepted.fresh);
            expect(accepted.progress.ackedSeq).toBe(stored.length);
            progress = accepted.progress;
          }
          expect(stored).toEqual(all.slice(0, progress.ackedSeq));
          expect(progress.ackedSeq).toBe(all.length);
          expect(progress.bytes).toBe(Buffer.byteLength(texts.join("")));
        },
      ),
    );
  });

  test("with a gap is refused as a whole, and the answer says from where to go on", () => {
    fc.assert(
      fc.property(
        fc.nat(20),
        fc.nat(20),
        fc.nat(20),
        fc.integer({ min: 1, max: 5 }),
        (acked, behind, missing, size) => {
          const all = chunksOf(Array<string>(70).fill("x"));
          const progress = { ...NOTHING, ackedSeq: acked };
          const known = all.slice(Math.max(acked - behind, 0), acked + 1);
          const holed = [...known, ...all.slice(acked + 2 + missing, acked + 2 + missing + size)];
          expect(acceptOutput(progress, 0, holed, 0)).toEqual({ gap: acked + 2 });
          const ahead = all.slice(acked + 1 + missing, acked + 1 + missing + size);
          expect(acceptOutput(progress, 0, ahead, 0)).toEqual({ gap: acked + 1 });
        },
      ),
    );
  });

  test("goes on behind a result: that has a number of its own", () => {
    const progress = { ...NOTHING, ackedSeq: 2 };
    const after = chunksOf(["a", "b", "c", "d", "e"]);
    expect(acceptOutput(progress, 3, after.slice(3), 0)).toMatchObject({
      fresh: after.slice(3),
      firstSeq: 4,
      progress: { ackedSeq: 5 },
    });
  });

  test("that is all known changes nothing", () => {
    const progress = { ackedSeq: 3, bytes: 3, dropped: 0 };
    expect(acceptOutput(progress, 0, chunksOf(["a", "b", "c"]), 0)).toMatchObject({ fresh: [], progress });
  });

  test("beyond the bound of the run is counted, not kept, and acknowledged", () => {
    const text = "é".repeat(1000);
    const size = Buffer.byteLength(text);
    const used = OUTPUT_MAX_BYTES - 2 * size - 1;
    const all = chunksOf([text, text, text, text]);
    expect(acceptOutput(NOTHING, 0, all, used)).toEqual({
      fresh: all.slice(0, 2),
      firstSeq: 1,
      progress: { ackedSeq: 4, bytes: 2 * size, dropped: 2 * size },
    });
    expect(acceptOutput(NOTHING, 0, all.slice(0, 1), OUTPUT_MAX_BYTES)).toMatchObject({
      fresh: [],
      progress: { ackedSeq: 1, bytes: 0, dropped: size },
    });
  });

  test("of all attempts together never exceeds the bound, and every byte is kept or counted", () => {
    const size = 1024 * 1024;
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 12 }),
        fc.nat(OUTPUT_MAX_BYTES),
        (sizes, used) => {
          const all = chunksOf(sizes.map((times) => "x".repeat(times * size)));
          const accepted = acceptOutput(NOTHING, 0, all, used);
          if ("gap" in accepted) throw new Error("there is no gap");
          const { bytes, dropped } = accepted.progress;
          expect(used + bytes).toBeLessThanOrEqual(OUTPUT_MAX_BYTES);
          expect(bytes + dropped).toBe(sizes.reduce((sum, times) => sum + times * size, 0));
          expect(accepted.fresh.reduce((sum, chunk) => sum + chunk.text.length, 0)).toBe(bytes);
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe("an event's deletion", () => {
  const retention = 1000;

  test.each([
    ["is due at its age", 0, 500, true, 1000],
    ["stays due when it is late", 0, 5000, true, 1000],
    ["is due at its age while a run lives", 0, 999, false, 1000],
    ["waits for a run that lives longer", 0, 1000, false, 1000 + LOST_AFTER_MS],
  ])("%s", (_what, createdAt, now, over, due) => {
    expect(retentionDue(createdAt, retention, now, over)).toBe(due);
  });
});
