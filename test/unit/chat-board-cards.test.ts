/** What a run's card says and offers in each state, and that no text of a run becomes markup or grows out of bounds. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseAction } from "../../contract/chat/action.ts";
import type { ChatMessage } from "../../contract/chat/message.ts";
import { runView, type RunView } from "../../contract/run-view.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import { runCard, type CardView } from "../../durable-objects/chat-outbox/board/cards.ts";
import {
  answeredApproval,
  approvalMessage,
  finalMessage,
} from "../../durable-objects/chat-outbox/board/posts.ts";
import { DISCORD_TEXT_MAX_CHARS, drawDiscord } from "../../durable-objects/chat-outbox/discord/message.ts";
import { glanceOf, withApprovals } from "../support/chat-runs.ts";
import {
  approvalFixture,
  attemptRecord,
  BEGIN_MS,
  endedRun,
  queuedRun,
  runRecord,
  runningRun,
} from "../support/run-fixtures.ts";

const VIEW: CardView = { output: "balanced", safe: false };

function card(run: RunView, view: Partial<CardView> = {}, lines: string[] = []): ChatMessage {
  return runCard(glanceOf(run, { lines }), { ...VIEW, ...view });
}

function labels(message: ChatMessage): string[] {
  return (message.buttons ?? []).flat().map(({ label }) => label);
}

function running(change: Partial<RunRecord> = {}): RunView {
  return runView(
    runRecord({ status: "running", startedAt: BEGIN_MS + 1000, attempts: [attemptRecord()], ...change }),
  );
}

function field(message: ChatMessage, name: string): string | undefined {
  return message.fields?.find((one) => one.name === name)?.value;
}

describe("a card", () => {
  const LISTENING = { step: { name: "review", runner: "codex" as const } };
  const relay = (listens: boolean): Partial<RunRecord> => ({
    step: { name: "session", runner: "relay", listens },
  });
  const states: [string, RunView, ChatMessage["tone"], string[]][] = [
    ["that waits", queuedRun(), "queued", ["Cancel", "Follow", "Logs"]],
    ["that runs", running(), "running", ["Cancel", "Follow", "Logs"]],
    ["whose step listens", running(LISTENING), "running", ["Cancel", "Reply", "Follow", "Logs"]],
    ["of a relay that listens", running(relay(true)), "running", ["Cancel", "Reply", "Follow", "Logs"]],
    ["of a relay that does not", running(relay(false)), "running", ["Cancel", "Follow", "Logs"]],
    [
      "that asks",
      withApprovals(running(LISTENING), [approvalFixture()]),
      "waiting",
      ["Approve", "Approve for session", "Deny", "Details", "Cancel", "Reply", "Follow", "Logs"],
    ],
    [
      "that asks for what is offered once only",
      withApprovals(running(), [approvalFixture({ decisions: ["accept", "decline"] })]),
      "waiting",
      ["Approve", "Deny", "Details", "Cancel", "Follow", "Logs"],
    ],
    [
      "that is being canceled",
      running({ cancel: { state: "cancel_requested", by: "ada", requestedAt: BEGIN_MS } }),
      "stopped",
      ["Follow", "Logs"],
    ],
    ["that is done", endedRun("completed"), "good", ["Replay", "Logs"]],
    ["that has changed something", endedRun("changed"), "good", ["Replay", "Logs"]],
    ["that needs somebody", endedRun("needs_intervention"), "attention", ["Replay", "Logs"]],
    ["that is blocked", endedRun("blocked"), "attention", ["Replay", "Logs"]],
    ["that was skipped", endedRun("skipped"), "neutral", ["Replay", "Logs"]],
    [
      "that has failed",
      running({ status: "failed", error: { code: "exit_code", message: "exited with code 1" } }),
      "bad",
      ["Replay", "Logs"],
    ],
  ];

  test.each(states)("of a run %s has its colour and its buttons", (_name, run, tone, buttons) => {
    const drawn = card(run);
    expect(drawn.tone).toBe(tone);
    expect(labels(drawn)).toEqual(buttons);
    for (const { action } of (drawn.buttons ?? []).flat()) expect(parseAction(action)?.runId).toBe(run.id);
  });

  test("of a run whose budget stopped it offers more of it, and a diff of what it changed", () => {
    const artifacts = {
      threadId: "t1",
      budget: { exceeded: "tokens", used: { tokens: 1234 } },
      changedFiles: [{ path: "a" }],
    };
    const run: RunView = {
      ...endedRun("needs_intervention"),
      budget: { tokens: 1000 },
      result: { status: "needs_intervention", message: "used up", artifacts },
    };
    expect(labels(card(run))).toEqual(["+ budget", "Replay", "Logs", "Diff"]);
    expect(field(card(run), "Budget")).toBe("1,234 of 1,000 tokens");
  });

  test("of a relayed session that is over offers no replay, which could start nothing", () => {
    const run: RunView = { ...endedRun("changed"), flowName: "relay", runner: "relay" };
    expect(labels(card(run))).toEqual(["Logs"]);
    expect(labels(finalMessage(run, VIEW, []))).toEqual(["Logs"]);
  });

  test("of a run that waits says why, and that is gone when it has started", () => {
    const waits = { ...queuedRun(), waiting: { code: "no_runner", message: "no runner is connected" } };
    expect(card(waits).lines).toEqual(["no runner is connected"]);
    expect(card(waits).since).toBe(BEGIN_MS);
    expect(card(running()).lines).toEqual([]);
    expect(card(running()).since).toBe(BEGIN_MS + 1000);
  });

  test("says which runner was lost, and which attempt this is", () => {
    const lost = attemptRecord({ status: "lost", runnerName: "attic" });
    const again = running({ attempts: [lost, attemptRecord({ number: 2, runnerName: "cellar" })] });
    expect(card(again).lines).toEqual(["runner attic lost, tried again as attempt 2"]);
    expect(field(card(again), "Attempt")).toBe("2");
    expect(field(card(again), "Runner")).toBe("cellar");
    expect(card(runView(runRecord({ attempts: [lost] }))).lines).toEqual([
      "runner attic lost, is tried again as attempt 2",
    ]);
  });

  test.each<[string, Partial<RunRecord>, string]>([
    [
      "asked for",
      { cancel: { state: "cancel_requested", by: "ada", requestedAt: 1 } },
      "ada asked to stop it; the runner has not confirmed that yet",
    ],
    [
      "signalled",
      { cancel: { state: "signalled", by: "ada", requestedAt: 1, survivors: [7, 8] } },
      "ada asked to stop it; still running: pids 7, 8",
    ],
    [
      "proved",
      {
        status: "canceled",
        cancel: { state: "canceled", by: "ada", requestedAt: 1 },
        attempts: [attemptRecord({ end: { reason: "canceled", tree: { empty: true, survivors: [] } } })],
      },
      "Stopped by ada; nothing is left running",
    ],
    [
      "not proved",
      {
        status: "failed",
        cancel: { state: "canceled", by: "ada", requestedAt: 1 },
        attempts: [attemptRecord({ end: { reason: "canceled", tree: { empty: false, survivors: [9] } } })],
      },
      "still running: pid 9",
    ],
    [
      "of a run that had not started",
      { status: "canceled", attempts: [], cancel: { state: "canceled", by: "ada", requestedAt: 1 } },
      "before it started",
    ],
  ])("of a cancel that is %s says so", (_name, change, words) => {
    expect(card(running(change)).lines?.join("\n")).toContain(words);
  });

  test("tells the step of a plan that the agent is at", () => {
    const plan = { done: 2, total: 5, current: "write the tests" };
    expect(field(runCard(glanceOf(running(), { plan }), VIEW), "Step")).toBe(
      "rebase, 3 of 5: write the tests",
    );
    expect(field(runCard(glanceOf(running(), { plan: { done: 5, total: 5 } }), VIEW), "Step")).toBe(
      "rebase, 5 of 5",
    );
  });

  test("shows the last lines of output, but not where output is not wanted", () => {
    const lines = Array.from({ length: 20 }, (_unused, n) => `line ${n + 1}`);
    expect(card(running(), {}, lines).code?.text.split("\n")).toEqual(lines.slice(-8));
    expect(card(running(), { safe: true }, lines)).not.toHaveProperty("code");
    expect(card(running(), { output: "minimal" }, lines)).not.toHaveProperty("code");
  });

  test("links to the log only where there is an address, and not where bodies are left out", () => {
    const logUrl = "https://edge.example/runs/r/log?until=1&sig=s";
    expect(card(running())).not.toHaveProperty("links");
    expect(card(running(), { logUrl }).links).toEqual([{ label: "Log", url: logUrl }]);
    expect(card(running(), { logUrl, safe: true })).not.toHaveProperty("links");
  });

  test("does not change while only time passes", () => {
    expect(card(running())).toEqual(card(running()));
  });
});

describe("an approval's message", () => {
  const run = withApprovals(running(), [approvalFixture()]);

  test("shows the whole of what is asked, who is told, and until when", () => {
    const asked = approvalMessage(run, approvalFixture({ detail: "git push", dangerous: true }), VIEW, ["7"]);
    expect(asked).toMatchObject({ mention: ["7"], code: { text: "git push", language: "sh" } });
    expect(asked.lines).toContain("⚠ Dangerous: it leaves the sandbox");
    expect(asked.lines).toContain("Denied at 12:30 UTC when nobody answers");
    expect((asked.buttons ?? [])[0]?.[0]).toMatchObject({ label: "Approve", style: "danger" });
  });

  test("of a diff is drawn as one; in safe mode it is left out, and said", () => {
    const change = approvalFixture({ kind: "file_change", title: "change 1 file", detail: "+secret" });
    expect(approvalMessage(run, change, VIEW, []).code).toEqual({ text: "+secret", language: "diff" });
    expect(JSON.stringify(approvalMessage(run, change, { ...VIEW, safe: true }, []))).not.toContain("secret");
    expect(JSON.stringify(answeredApproval("release", run.id, change, true))).not.toContain("secret");
  });

  test("whose buttons have no room says how else to answer", () => {
    const long = approvalFixture({ id: "x".repeat(64) });
    const asked = approvalMessage(run, long, VIEW, []);
    expect(labels(asked)).toEqual([]);
    expect(asked.lines?.at(-1)).toBe(
      `Answer on a command line: codex-flow approvals accept ${run.id} ${long.id}`,
    );
  });

  test.each([
    [{ state: "decided", decision: "accept", decidedBy: "discord:7 (ada)" }, "Approved by ada"],
    [{ state: "decided", decision: "decline", decidedBy: "bob" }, "Denied by bob"],
    [{ state: "expired", decision: "decline" }, "Denied: nobody answered in time"],
    [{ state: "withdrawn" }, "Withdrawn: the step no longer waits for an answer"],
  ] as const)("once it is %o has nothing to press, and says: %s", (change, words) => {
    const answered = answeredApproval("release", run.id, approvalFixture(change), false);
    expect(answered.lines).toContain(words);
    expect(answered).not.toHaveProperty("buttons");
    expect(answered).not.toHaveProperty("mention");
  });
});

describe("whatever a run is called and says", () => {
  const nasty = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 3000 }),
    fc.constantFrom("**bold** @everyone <@123> ```x", "sk-`a`_b_||c||", "[a](https://evil.example)"),
  );

  test("its messages stay within Discord's limits and ring nobody", () => {
    fc.assert(
      fc.property(nasty, nasty, fc.array(nasty, { maxLength: 30 }), nasty, (flow, said, lines, title) => {
        const run: RunView = {
          ...withApprovals(runningRun(), [approvalFixture({ title: title || "x", detail: said })]),
          flowName: flow,
          error: said,
        };
        for (const message of [
          runCard(glanceOf(run, { lines }), VIEW),
          finalMessage(run, VIEW, []),
          approvalMessage(run, approvalFixture({ title: title || "x", detail: said }), VIEW, []),
        ]) {
          const { body } = drawDiscord(message);
          expect(body.allowed_mentions).toEqual({ parse: [] });
          expect(textOf(body.components).length).toBeLessThanOrEqual(DISCORD_TEXT_MAX_CHARS);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("markdown in a flow's name is shown as it is, and in a result's message it is rendered", () => {
    const run: RunView = {
      ...endedRun("completed", "token sk-12_34_56 of `prod`"),
      flowName: "re*lease*_x_",
    };
    const text = textOf(drawDiscord(finalMessage(run, VIEW, [])).body.components);
    expect(text).toContain("re\\*lease\\*\\_x\\_ · done");
    expect(text).toContain("token sk-12\\_34\\_56 of `prod`");
  });
});

/** All texts of a drawn message. */
function textOf(components: unknown): string {
  if (Array.isArray(components)) return components.map(textOf).join("");
  if (typeof components !== "object" || components === null) return "";
  const { content, components: inside } = components as { content?: string; components?: unknown };
  return (content ?? "") + textOf(inside);
}
