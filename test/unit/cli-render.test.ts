/** What the command line prints of runs, events and runners, as a function of data and style. */
import { describe, expect, test } from "vitest";
import { runView, type RunView } from "../../contract/run-view.ts";
import type { DispatchAnswer } from "../../client/http.ts";
import {
  renderDispatch,
  renderDryRun,
  renderEvent,
  renderEventList,
} from "../../runner-agent/cli/render/event.ts";
import {
  progressLine,
  renderCancel,
  renderRun,
  renderRunList,
  resultLine,
} from "../../runner-agent/cli/render/run.ts";
import {
  approvalFixture,
  attemptRecord,
  BEGIN_MS,
  endedRun,
  eventFixture,
  queuedRun,
  runningRun,
  runRecord,
} from "../support/run-fixtures.ts";
import { PIPE, PLAIN_TERMINAL, TERMINAL } from "../support/terminal-styles.ts";

const ESC = String.fromCharCode(27);

describe("runs", () => {
  test("a list says what needs attention, why a run waits and what a run reports", () => {
    const waiting: RunView = {
      ...queuedRun(3),
      waiting: { code: "no_runner", message: "no runner in pool default" },
    };
    const text = renderRunList(
      PIPE,
      {
        runs: [endedRun("blocked", "needs a rebase"), endedRun("changed", "two files", 2), waiting],
        nextCursor: "c 1",
      },
      "codex-flow runs list --flow release",
    );
    expect(text.split("\n").map((line) => line.trim().replace(/ {2,}/g, " | "))).toEqual([
      "run | flow/step | status | created | took | attempts | message",
      "run_0123456789abcdef_1 | release/rebase | ! blocked | 2026-03-01T12:00:00.000Z | 2.5 s | 1 | needs a rebase",
      "run_0123456789abcdef_2 | release/rebase | changed | 2026-03-01T12:00:00.000Z | 2.5 s | 1 | two files",
      "run_0123456789abcdef_3 | release/rebase | queued | 2026-03-01T12:00:00.000Z | 0 | waits: no runner in pool default",
      "",
      "more: codex-flow runs list --flow release --cursor 'c 1'",
    ]);
    expect(renderRunList(PIPE, { runs: [] }, "")).toBe("no runs");
  });

  test("a run that waits for an approval stands out in the list, and shows what passed between it and people", () => {
    const message = {
      id: "m1",
      text: "no tests",
      by: "Ada",
      at: new Date(BEGIN_MS).toISOString(),
      state: "steered",
    };
    const run: RunView = {
      ...runningRun(),
      pendingApprovals: 1,
      approvals: [
        approvalFixture({ id: "a1-1", state: "expired", decision: "decline" }),
        approvalFixture({ id: "a1-2", dangerous: true }),
      ],
      messages: [message],
      budget: { tokens: 2000, usd: 0.5 },
      budgetUsed: { tokens: 1200.5 },
      continues: "run_0123456789abcdef_9",
    };
    expect(renderRunList(PIPE, { runs: [run] }, "")).toMatch(/! running .* waits for 1 approval$/);
    const text = renderRun(PIPE, run, "run_0123456789abcdef_3").replaceAll(/ {2,}/g, " | ");
    for (const part of [
      "budget | tokens 1,200.5 of 2,000, usd up to 0.5",
      "continues | run_0123456789abcdef_9",
      "continued by | run_0123456789abcdef_3",
      "declined: nobody answered in time | git push",
      "a1-2 | command | ! leaves the sandbox | 2026-03-01T12:00:02.000Z | pending, expires 2026-03-01T12:30:02.000Z",
      "Ada | went into the active turn | no tests",
      `codex-flow approvals accept ${run.id} a1-2`,
    ])
      expect(text).toContain(part);
    // Whatever a step says of its budget, nothing fails.
    for (const budget of [null, "all", { used: { tokens: "many" } }, { used: null }])
      expect(renderRun(PIPE, { ...run, result: { status: "completed", artifacts: { budget } } })).toContain(
        "up to",
      );
  });

  test("a run shows its attempts, survivors, cancel, chained events and how to go on", () => {
    const run = runView(
      runRecord({
        status: "failed",
        startedAt: BEGIN_MS + 1000,
        completedAt: BEGIN_MS + 9000,
        origin: "replay",
        replayOf: "run_0123456789abcdef_9",
        depth: 2,
        outputBytes: 2048,
        outputDropped: 100,
        error: { code: "exit_code", message: "the step exited with code 3" },
        result: {
          status: "failed",
          message: "two\nlines",
          artifacts: { pr: "https://example.dev/1", files: ["a"] },
        },
        cancel: {
          state: "signalled",
          by: "Ada",
          requestedAt: BEGIN_MS + 5000,
          signalledAt: BEGIN_MS + 6000,
          survivors: [41, 42],
        },
        chained: [
          { index: 0, eventId: "next:1", state: "sent", runIds: ["run_a"] },
          { index: 1, eventId: null, state: "refused", reason: "type is required" },
        ],
        attempts: [
          attemptRecord({
            status: "lost",
            completedAt: BEGIN_MS + 2000,
            error: { code: "lost", message: "not seen" },
          }),
          attemptRecord({
            number: 2,
            status: "failed",
            completedAt: BEGIN_MS + 9000,
            end: {
              reason: "exited",
              exit: { code: 3, signal: null },
              tree: { empty: false, survivors: [42] },
            },
            late: { receivedAt: BEGIN_MS },
          }),
        ],
      }),
    );
    expect(`${renderRun(PIPE, run)}\n`).toMatchInlineSnapshot(`
      "run_0123456789abcdef_1  ! failed  release/rebase

        event    upstream:1
        flow     release version 2 (sha256:0011223344556677)
        step     rebase (bun, pool default)
        origin   replay of run_0123456789abcdef_9, depth 2
        process  failed
        created  2026-03-01T12:00:00.000Z
        started  2026-03-01T12:00:01.000Z
        took     8.0 s
        error    the step exited with code 3 (exit_code)
        output   2.0 KiB, and 100 B over the bound that were not kept

      cancel
        state      signalled
        asked      2026-03-01T12:00:05.000Z by Ada
        signalled  2026-03-01T12:00:06.000Z
        survivors  pid 41, 42

      result
        status     ! failed
        message    two
                   lines
        artifacts  pr: https://example.dev/1
                   files: [
                     "a"
                   ]

      attempts
        #  status  runner  started                   took   exit    remarks
        1  lost    box     2026-03-01T12:00:01.000Z  1.0 s          not seen (lost)
        2  failed  box     2026-03-01T12:00:01.000Z  8.0 s  code 3  still running: pid 42; what came after the lease was lost is kept as evidence (--json shows it)

      chained events
        #  state    event   runs or reason
        0  sent     next:1  run_a
        1  refused          type is required

      next
        codex-flow runs logs run_0123456789abcdef_1                       what it printed
        codex-flow events replay --flow release --step rebase upstream:1  run it again
        codex-flow runs ack run_0123456789abcdef_1                        it needs no attention any more
        codex-flow events show upstream:1                                 the event that started it
      "
    `);
    expect(renderRun(TERMINAL, run)).toContain(`${ESC}[31m`);
  });

  test("a waiting run shows why, and how to follow or stop it", () => {
    const waiting = { code: "no_label", message: "no runner with labels gpu" };
    const text = renderRun(PIPE, { ...queuedRun(), waiting });
    expect(text).toContain("no runner with labels gpu (no_label)");
    expect(text).toContain("codex-flow runs logs -f run_0123456789abcdef_1");
    expect(text).toContain("codex-flow runs cancel run_0123456789abcdef_1");
    expect(text).not.toContain("run it again");
  });

  test("an attempt whose runner is not seen says when its lease ends, and does not call it lost before", () => {
    const attempts = [attemptRecord({ unseenSince: PIPE.now })];
    const run = runView(runRecord({ status: "running", attempts }));
    expect(renderRun(PLAIN_TERMINAL, run)).toMatch(/runner not seen; its\s+lease\s+ends\s+in\s+1 min/);
    expect(renderRun(PIPE, run)).toMatch(/runner not seen; its lease ends\s+20\d\d-/);
    expect(renderRun({ ...PLAIN_TERMINAL, now: PIPE.now + 65_000 }, run)).toMatch(
      /its\s+lease\s+ended\s+5\s+s\s+ago/,
    );
  });

  test("a relayed session whose box is away says since when, in lists too", () => {
    const awaySince = "2026-03-01T11:00:00.000Z";
    const away = { ...runningRun(), awaySince };
    expect(renderRun(PIPE, away)).toMatch(/box last seen +2026-03-01T11:00:00.000Z/);
    expect(progressLine(PIPE, away)).toContain(`running  its box is away since ${awaySince}`);
    expect(renderRun(PIPE, runningRun())).not.toContain("last seen");
  });

  test("progress and result are one line each", () => {
    expect(progressLine(PIPE, { ...runningRun(), attemptCount: 2 })).toBe(
      "run_0123456789abcdef_1 release/rebase  running (attempt 2)",
    );
    expect(resultLine(PIPE, endedRun("needs_intervention", "look\nhere"))).toBe(
      "result  run_0123456789abcdef_1  ! needs_intervention  2.5 s  look here",
    );
  });

  test("a cancel shows how far it is", () => {
    const cancel = { state: "cancel_requested", by: "Ada", requestedAt: BEGIN_MS } as const;
    const asked = renderCancel(PIPE, runView(runRecord({ status: "running", cancel })));
    expect(asked).toMatch(/cancel_requested/);
    expect(asked).toMatch(/codex-flow runs show run_0123456789abcdef_1/);
    const gone = renderCancel(
      PIPE,
      runView(runRecord({ status: "canceled", cancel: { ...cancel, state: "canceled" } })),
    );
    expect(gone).not.toMatch(/next/);
  });
});

describe("events", () => {
  const answer: DispatchAnswer = {
    status: "accepted",
    eventId: "upstream:1",
    runIds: [queuedRun().id],
    matched: 1,
    runs: [queuedRun()],
    idempotent: false,
  };

  test("a list says which matched nothing", () => {
    const text = renderEventList(
      PIPE,
      { events: [eventFixture({ matched: 0 }), eventFixture({ matched: 2 })] },
      "",
    );
    expect(text).toMatch(/upstream:1 +upstream\.release +github +\S+ +nothing\n.* 2 steps/);
  });

  test("an event shows payload, lineage, conflicts and runs", () => {
    const event = eventFixture({
      parentRunId: "run_p",
      rootId: "root:1",
      depth: 1,
      conflicts: { count: 2, lastAt: "2026-03-01T13:00:00.000Z" },
    });
    const text = renderEvent(PIPE, { event, runs: [endedRun("completed")] });
    expect(text).toContain('    "repo": "codex",');
    expect(text).toContain("sent by run run_p, depth 1, first event root:1");
    expect(text).toContain("2 differing events came with this id");
    expect(text).toContain("codex-flow events replay upstream:1");
    expect(renderEvent(PIPE, { event, runs: [] })).toContain("none: no deployed step matched");
  });

  test("a duplicate points to a replay, whether its event has runs or not", () => {
    for (const runIds of [answer.runIds, []])
      expect(renderDispatch(PIPE, { ...answer, status: "duplicate", runIds })).toContain(
        "codex-flow events replay upstream:1 --wait",
      );
  });

  test("an event that matches nothing is shown with the reason of each step of its type", () => {
    const misses = [
      { flow: "hello", step: "greet", errors: [{ path: "/payload/name", message: "is required" }] },
    ];
    const text = renderDispatch(PIPE, { ...answer, matched: 0, runIds: [], runs: [], misses });
    expect(text).toMatch(/no match hello\/greet\n +\/payload\/name is required/);
  });

  test("sending says what was started and how to follow it", () => {
    const text = renderDispatch(PIPE, answer);
    expect(text).toMatch(/^accepted {2}upstream:1 started 1 run\n/);
    expect(text).toContain("codex-flow runs logs -f run_0123456789abcdef_1");
  });

  test("a duplicate, a conflict and an event without a match each say so (invariant 2)", () => {
    expect(renderDispatch(PIPE, { ...answer, status: "duplicate" })).toMatch(
      /^duplicate {2}upstream:1 was stored before/,
    );
    expect(renderDispatch(PIPE, { ...answer, status: "duplicate", conflict: true })).toMatch(
      /another type, source or payload[\s\S]*codex-flow events show upstream:1/,
    );
    expect(renderDispatch(PIPE, { ...answer, runIds: [], runs: [], matched: 0 })).toMatch(
      /matches no deployed step[\s\S]*flows list --deployed/,
    );
  });

  test("a dry run names each step with its reasons", () => {
    const misses = [{ flow: "b", step: "y", errors: [{ path: "/payload/tag", message: "must be string" }] }];
    const text = renderDryRun(PIPE, {
      eventId: "e",
      matches: [{ flow: "a", step: "x", pool: "gpu" }],
      misses,
    });
    expect(text.split("\n").slice(1)).toEqual([
      "  matches  a/x  pool gpu",
      "  no match b/y",
      "      /payload/tag must be string",
    ]);
    expect(renderDryRun(PIPE, { eventId: "e", matches: [], misses: [] })).toContain(
      "no deployed step waits for this type",
    );
  });
});
