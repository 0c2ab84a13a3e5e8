/** What people do to a run from the command line: answer approvals, say something, raise a budget, follow it. */
import { userInfo } from "node:os";
import { describe, expect, test } from "vitest";
import { EXIT } from "../../runner-agent/cli/exit-codes.ts";
import { access, codexFlow } from "../support/command-line.ts";
import { startFakeEdge } from "../support/fake-edge.ts";
import { approvalFixture, chunks, endedRun, eventFixture, runningRun } from "../support/run-fixtures.ts";

const RUN = "run_0123456789abcdef_1";
const OTHER_RUN = "run_0123456789abcdef_2";

/** What was posted, in order. */
function posted(edge: { calls: Array<{ method: string; path: string; body: string }> }) {
  return edge.calls
    .filter(({ method }) => method === "POST")
    .map(({ path, body }) => [path, JSON.parse(body) as unknown]);
}

describe("approvals list", () => {
  test("asks only runs that wait, over all of them, and says how to decide", async () => {
    const edge = await startFakeEdge({
      runs: [[runningRun(1), { ...runningRun(2), pendingApprovals: 1 }]],
      approvals: [
        approvalFixture(),
        approvalFixture({ runId: OTHER_RUN, id: "a2-3", dangerous: true }),
        approvalFixture({ runId: OTHER_RUN, id: "a2-2", state: "decided", decision: "accept" }),
      ],
    });
    const { code, out } = await codexFlow(["approvals"], access(edge));
    expect(code).toBe(EXIT.ok);
    expect(edge.calls.map(({ path, query }) => [path, query])).toEqual([
      ["/runs", { status: "running", attention: "true", limit: "500" }],
      [`/runs/${OTHER_RUN}/approvals`, {}],
    ]);
    expect(out).toMatch(
      /run_0123456789abcdef_2 +a2-3 +command +! leaves the sandbox .*12:30:02.* git push origin main/,
    );
    expect(out).toContain(`codex-flow approvals accept ${OTHER_RUN} a2-3`);
    expect(out).not.toContain("a2-2");
  });

  test("of one run as JSON, and of a run that waits for nothing", async () => {
    const edge = await startFakeEdge({ approvals: [approvalFixture()] });
    const json = await codexFlow(["approvals", "list", "--run", RUN, "--json"], access(edge));
    expect(JSON.parse(json.out)).toEqual({ approvals: [approvalFixture()] });
    const none = await codexFlow(["approvals", "list", "--run", OTHER_RUN], access(edge));
    expect(none.out).toBe("nothing waits for an approval\n");
  });
});

describe("an answer", () => {
  test.each([
    [["accept", RUN, "a1-1"], "accept", "accepted", userInfo().username],
    [
      ["accept", RUN, "a1-1", "--for-session", "--by", "Ada"],
      "accept_for_session",
      "accepted for the session",
      "Ada",
    ],
    [["decline", RUN, "--by", "Ada"], "decline", "declined", "Ada"],
    [["cancel", RUN, "--by", "Ada"], "cancel", "canceled", "Ada"],
  ])("%j", async (words, decision, done, by) => {
    const edge = await startFakeEdge({
      approvals: [approvalFixture({ id: "a1-0", state: "withdrawn" }), approvalFixture()],
    });
    const { code, out } = await codexFlow(["approvals", ...words], access(edge));
    expect([code, out]).toEqual([EXIT.ok, `a1-1  ${done} by ${by}  git push origin main\n`]);
    const confirm = words[0] === "accept" ? { confirm: true } : {};
    expect(posted(edge)).toEqual([[`/runs/${RUN}/approvals/a1-1`, { decision, by, ...confirm }]]);
  });

  test("that comes too late says who was first: 6", async () => {
    const over = approvalFixture({ state: "decided", decision: "decline", decidedBy: "Grace" });
    const edge = await startFakeEdge({ approvals: [over] });
    const named = await codexFlow(["approvals", "accept", RUN, "a1-1"], access(edge));
    expect([named.code, named.err]).toEqual([
      EXIT.conflict,
      expect.stringMatching(/Grace was first\nfix: .*approvals list/),
    ]);
    const unnamed = await codexFlow(["approvals", "accept", RUN, "--json"], access(edge));
    expect(unnamed.code).toBe(EXIT.conflict);
    expect(JSON.parse(unnamed.err)).toMatchObject({
      error: { code: "approval_over", message: /a1-1: declined by Grace/ },
    });
  });

  test("without an id never chooses among several, and never lets anything out of the sandbox: 2", async () => {
    const several = await startFakeEdge({ approvals: [approvalFixture(), approvalFixture({ id: "a1-2" })] });
    const among = await codexFlow(["approvals", "accept", RUN], access(several));
    expect([among.code, among.err]).toEqual([EXIT.usage, expect.stringMatching(/a1-1, a1-2\nfix: name one/)]);
    const dangerous = await startFakeEdge({ approvals: [approvalFixture({ dangerous: true })] });
    const refused = await codexFlow(["approvals", "accept", RUN], access(dangerous));
    expect([refused.code, refused.err]).toEqual([
      EXIT.usage,
      expect.stringMatching(/leaves the sandbox: git push.*\nfix: .*approvals accept run_\S+ a1-1/),
    ]);
    expect([...posted(several), ...posted(dangerous)]).toEqual([]);
    expect((await codexFlow(["approvals", "accept", RUN, "a1-1"], access(dangerous))).code).toBe(EXIT.ok);
    expect(posted(dangerous)).toMatchObject([[expect.anything(), { decision: "accept", confirm: true }]]);
    const other = await startFakeEdge({ approvals: [approvalFixture({ dangerous: true })] });
    expect((await codexFlow(["approvals", "decline", RUN], access(other))).code).toBe(EXIT.ok);
  });

  test("to nothing: 5", async () => {
    const edge = await startFakeEdge();
    const { code } = await codexFlow(["approvals", "decline", RUN, "a9-9"], access(edge));
    expect(code).toBe(EXIT.notFound);
  });
});

describe("runs say", () => {
  test("a sentence, or standard input without its last newline", async () => {
    const edge = await startFakeEdge();
    const { code, out } = await codexFlow(
      ["runs", "say", RUN, "leave the tests", "--by", "Ada"],
      access(edge),
    );
    expect([code, out]).toEqual([EXIT.ok, expect.stringMatching(/^m1 {2}waits for the runner/)]);
    await codexFlow(["runs", "say", RUN, "-"], { ...access(edge), input: "first\n\nsecond\n" });
    expect(posted(edge)).toEqual([
      [`/runs/${RUN}/messages`, { text: "leave the tests", by: "Ada" }],
      [`/runs/${RUN}/messages`, { text: "first\n\nsecond", by: userInfo().username }],
    ]);
  });

  test("nothing is not sent: 2", async () => {
    const edge = await startFakeEdge();
    const { code } = await codexFlow(["runs", "say", RUN, "-"], { ...access(edge), input: "\n" });
    expect([code, edge.calls]).toEqual([EXIT.usage, []]);
  });
});

describe("runs budget", () => {
  test("tells the run that goes on apart from one that continues it", async () => {
    const budget = { tokens: 3000 };
    const edge = await startFakeEdge({
      runs: [[{ ...runningRun(1), budget }], [{ ...runningRun(2), budget, continues: RUN }]],
    });
    const words = ["runs", "budget", RUN, "--add-tokens", "1000", "--add-usd", "0.5", "--by", "Ada"];
    const same = await codexFlow(words, access(edge));
    expect([same.code, same.out]).toEqual([
      EXIT.ok,
      expect.stringContaining(`${RUN}  running  goes on with more; budget: tokens up to 3,000`),
    ]);
    const next = await codexFlow(words, access(edge));
    expect(next.out).toContain(`${OTHER_RUN}  running  continues ${RUN} in the same thread`);
    expect(posted(edge)[0]).toEqual([`/runs/${RUN}/budget`, { addTokens: 1000, addUsd: 0.5, by: "Ada" }]);
  });

  test("of a run that was continued before names the one that is continued now", async () => {
    const third = { ...runningRun(3), continues: OTHER_RUN };
    const edge = await startFakeEdge({ runs: [[third]] });
    const { out } = await codexFlow(["runs", "budget", RUN, "--add-tokens", "1000"], access(edge));
    expect(out).toContain(`continues ${OTHER_RUN} in the same thread`);
  });

  test("takes a part of one as people write it", async () => {
    const edge = await startFakeEdge({ runs: [[runningRun()]] });
    const { code } = await codexFlow(
      ["runs", "budget", RUN, "--add-usd", ".5", "--add-seconds", "0.25"],
      access(edge),
    );
    expect([code, posted(edge)[0]?.[1]]).toEqual([
      EXIT.ok,
      expect.objectContaining({ addUsd: 0.5, addSeconds: 0.25 }),
    ]);
  });

  test("--wait follows the run that continues, and ends with its result", async () => {
    const edge = await startFakeEdge({
      runs: [[runningRun(2)], [runningRun(2)], [endedRun("blocked", "look", 2)]],
    });
    const { code, out, err } = await codexFlow(
      ["runs", "budget", RUN, "--add-seconds", "60", "--wait"],
      access(edge),
    );
    expect([code, out]).toEqual([EXIT.bad, expect.stringContaining("result  run_0123456789abcdef_2")]);
    expect(err).toContain("continues run_0123456789abcdef_1");
  });

  test.each([
    [[], "nothing is added"],
    [["--add-usd", "0"], "above 0, at most 10000"],
    [["--add-tokens", "1.5"], "whole number"],
  ])("%j: 2", async (flags, message) => {
    const edge = await startFakeEdge();
    const { code, err } = await codexFlow(["runs", "budget", RUN, ...flags], access(edge));
    expect([code, err, edge.calls]).toEqual([EXIT.usage, expect.stringContaining(message), []]);
  });
});

describe("runs logs", () => {
  const AGENT = chunks(["agent", ""], ["agent", "$ ls\n"]).map((chunk, index) => ({
    ...chunk,
    item:
      index === 0
        ? ({ type: "message", id: "m", state: "delta", text: "Hel" } as const)
        : ({
            type: "command",
            id: "c",
            state: "started",
            command: "ls",
            cwd: ".",
            outcome: "running",
            output: "",
          } as const),
  }));

  test("in a pipe an agent's items are their plain text, and --json has them as they are", async () => {
    const edge = await startFakeEdge({ output: AGENT });
    const { out } = await codexFlow(["runs", "logs", "-f", RUN], access(edge));
    expect(out).toBe("$ ls\n");
    const json = await codexFlow(["runs", "logs", RUN, "--json"], access(edge));
    expect(JSON.parse(json.out)).toMatchObject({ output: AGENT });
  });

  test("-f says once what a run waits for, with the exact command to decide it", async () => {
    const waiting = {
      ...runningRun(),
      approvals: [approvalFixture({ dangerous: true })],
      pendingApprovals: 1,
    };
    const edge = await startFakeEdge({ runs: [[waiting]], opening: waiting });
    const { err } = await codexFlow(["runs", "logs", "-f", RUN], access(edge));
    expect(err).toContain(
      "── waits for approval a1-1 (command): git push origin main  ! leaves the sandbox\n",
    );
    expect(err.split(`codex-flow approvals accept ${RUN} a1-1\n`)).toHaveLength(2);
  });
});

test("status names a run that waits for an approval among what needs somebody", async () => {
  const edge = await startFakeEdge({ runs: [[{ ...runningRun(2), pendingApprovals: 2 }], []] });
  const { out } = await codexFlow(["status"], access(edge));
  expect(out).toMatch(/needs attention\n.*\n +run_0123456789abcdef_2 .*! running .*waits for 2 approvals/);
});

describe("runs show", () => {
  test("names the run that continues one which its budget has ended", async () => {
    const stopped = endedRun("needs_intervention", "used up");
    const result = {
      status: "needs_intervention" as const,
      artifacts: { budget: { limits: { tokens: 2000 }, used: { tokens: 2100.456 }, exceeded: "tokens" } },
    };
    const edge = await startFakeEdge({
      runs: [
        [{ ...stopped, result }],
        [
          { ...stopped, result },
          { ...runningRun(2), continues: RUN },
        ],
      ],
      events: [eventFixture({ id: stopped.eventId })],
    });
    const { out } = await codexFlow(["runs", "show", RUN], access(edge));
    expect(out).toMatch(/budget +tokens 2,100\.46 of 2,000 \(used up\)/);
    expect(out).toMatch(/continued by +run_0123456789abcdef_2/);
  });

  test("what was said too late for a run does not read as if somebody would still hear it", async () => {
    const said = {
      id: "m1",
      text: "stop there",
      by: "Ada",
      at: "2026-03-01T12:00:02.000Z",
      state: "pending",
    };
    const edge = await startFakeEdge({
      runs: [[{ ...runningRun(), messages: [said] }], [{ ...endedRun("completed"), messages: [said] }]],
    });
    const going = await codexFlow(["runs", "show", RUN], access(edge));
    expect(going.out).toMatch(/m1 .* waits for the runner to take it +stop there/);
    const over = await codexFlow(["runs", "show", RUN], access(edge));
    expect(over.out).toMatch(/m1 .* reached nobody: the run ended before +stop there/);
  });

  test("a budget of less than a cent does not read as nothing of nothing", async () => {
    const stopped = endedRun("needs_intervention", "used up");
    const limits = { usd: 0.001 + 0.0002 };
    const result = {
      status: "needs_intervention" as const,
      artifacts: { budget: { limits, used: { usd: 0.00121 }, exceeded: "usd" } },
    };
    const edge = await startFakeEdge({
      runs: [[{ ...stopped, result }]],
      events: [eventFixture({ id: stopped.eventId })],
    });
    const { out } = await codexFlow(["runs", "show", RUN], access(edge));
    expect(out).toMatch(/budget +usd 0\.00121 of 0\.0012 \(used up\)/);
  });
});
