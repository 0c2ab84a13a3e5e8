/** What people do to a run under way: approvals, messages, the budget; and the one writer of an agent's thread. */
import { afterAll, afterEach, describe, expect, test } from "vitest";
import type { ApprovalRequest, ApprovalView } from "../../contract/approvals.ts";
import type { AuditView } from "../../contract/chat/audit.ts";
import { APPROVALS_PENDING_MAX, MESSAGE_MAX_CHARS, MESSAGES_PENDING_MAX } from "../../contract/limits.ts";
import type { RunView } from "../../contract/run-view.ts";
import {
  call,
  crash,
  expectError,
  expectJson,
  fireAlarm,
  get,
  poolOf,
  rewriteRun,
  runOf,
  runStub,
  startRun,
  until,
  untilRun,
  untilWaiting,
} from "./support/api.ts";
import { FakeRunner, RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

const REQUEST: ApprovalRequest = {
  id: "ap1",
  kind: "command",
  title: "git push",
  detail: "git push origin main",
  decisions: ["accept", "accept_for_session", "decline", "cancel"],
};

async function running(
  more: Parameters<typeof deployStep>[0] = {},
): Promise<{ runId: string; link: RunLink }> {
  const { runId } = await startRun(deployStep({ runner: "codex", ...more }).type);
  return { runId, link: await RunLink.claim(runId, 1, "runner-a") };
}

async function ask(link: RunLink, request: Partial<ApprovalRequest> = {}): Promise<void> {
  link.seq += 1;
  link.tell({ type: "approval", seq: link.seq, request: { ...REQUEST, ...request } });
  await link.acked(link.seq);
}

function decide(
  runId: string,
  decision: string,
  by?: string,
  id = "ap1",
  confirm?: boolean,
): Promise<Response> {
  return call("POST", `/runs/${runId}/approvals/${id}`, { body: { decision, ...(by && { by }), confirm } });
}

async function approvals(runId: string): Promise<ApprovalView[]> {
  return (await get<{ approvals: ApprovalView[] }>(`/runs/${runId}/approvals`)).approvals;
}

describe("an approval", () => {
  test("is stored before the runner hears of it, listed, and decided once", async () => {
    const { runId, link } = await running();
    await ask(link);
    expect(await approvals(runId)).toMatchObject([{ ...REQUEST, runId, attempt: 1, state: "pending" }]);
    expect(await runOf(runId)).toMatchObject({ status: "running", pendingApprovals: 1 });

    const { approval } = await expectJson<{ approval: ApprovalView }>(decide(runId, "accept", "Ada"), 200);
    expect(approval).toMatchObject({ state: "decided", decision: "accept", decidedBy: "api: Ada" });
    expect(await link.next("decided")).toEqual({
      type: "decided",
      id: "ap1",
      decision: "accept",
      by: "api: Ada",
    });
    expect(await runOf(runId)).not.toHaveProperty("pendingApprovals");
  });

  test("decided over HTTP cannot be recorded as a decision of a chat user, and is in the audit", async () => {
    const { runId, link } = await running();
    await ask(link);
    await expectJson(decide(runId, "accept", "discord:1 (boss)"), 200);
    expect((await approvals(runId))[0]?.decidedBy).toBe("api: discord:1 (boss)");
    const { audit } = await get<{ audit: AuditView[] }>(`/chat/audit?run=${runId}`);
    expect(audit).toMatchObject([
      {
        act: "approval accept",
        platform: "api",
        subject: runId,
        user: { id: "api", name: "api: discord:1 (boss)" },
        verdict: "allowed",
        outcome: "ap1",
      },
    ]);
  });

  test("asked at once by three people has one decision, and the others hear whose", async () => {
    const { runId, link } = await running();
    await ask(link);
    const answers = await Promise.all([
      decide(runId, "accept", "Ada"),
      decide(runId, "decline", "Bob"),
      decide(runId, "cancel", "Cyd"),
    ]);
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, 409, 409]);
    const [first] = await approvals(runId);
    for (const answer of answers.filter(({ status }) => status === 409))
      expect((await answer.json<{ error: { code: string; message: string } }>()).error).toMatchObject({
        code: "approval_over",
        message: expect.stringContaining(first?.decidedBy ?? "") as string,
      });
  });

  test("that is dangerous is not accepted before somebody says that it is meant; declined it is at once", async () => {
    const { runId, link } = await running();
    for (const id of ["ap1", "ap2"]) await ask(link, { id, dangerous: true });
    for (const decision of ["accept", "accept_for_session"])
      for (const confirm of [undefined, false])
        expect(await expectError(decide(runId, decision, "Ada", "ap1", confirm), 409)).toMatchObject({
          code: "confirmation_required",
          message: expect.stringContaining('"confirm": true') as string,
          details: [{ path: "/confirm" }],
        });
    expect(await approvals(runId)).toMatchObject([{ state: "pending" }, { state: "pending" }]);
    await expectJson(decide(runId, "decline", "Ada", "ap2"), 200);
    await expectJson(decide(runId, "accept", "Ada", "ap1", true), 200);
    expect(await link.next("decided")).toMatchObject({ id: "ap2", decision: "decline" });
    expect(await link.next("decided")).toMatchObject({ id: "ap1", decision: "accept" });
  });

  test("decided while the runner was away is the first thing that it hears on its next socket", async () => {
    const { runId, link } = await running();
    await ask(link);
    await link.close();
    await expectJson(decide(runId, "decline", "Ada"), 200);
    const { link: again } = await RunLink.resume(runId, 1, link.lease);
    expect(await again.next("decided")).toMatchObject({ id: "ap1", decision: "decline" });
  });

  test("survives a crash of its object", async () => {
    const { runId, link } = await running();
    await ask(link);
    await crash(runStub(runId));
    expect(await approvals(runId)).toMatchObject([{ id: "ap1", state: "pending" }]);
    const { link: again } = await RunLink.resume(runId, 1, link.lease);
    await expectJson(decide(runId, "accept"), 200);
    expect(await again.next("decided")).toMatchObject({ decision: "accept", by: "api" });
  });

  test("that nobody answers is declined when its time is over, and the runner hears it", async () => {
    const { runId, link } = await running();
    await ask(link);
    await rewriteRun(runId, (run) => ({
      ...run,
      approvals: (run.approvals ?? []).map((approval) => ({ ...approval, expiresAt: Date.now() })),
    }));
    await fireAlarm(runStub(runId));
    expect(await link.next("decided")).toMatchObject({ id: "ap1", decision: "decline" });
    expect(await approvals(runId)).toMatchObject([{ state: "expired", decision: "decline" }]);
    expect(await expectError(decide(runId, "accept"), 409)).toMatchObject({ code: "approval_over" });
  });

  test("is asked once however often the runner sends it", async () => {
    const { runId, link } = await running();
    await ask(link);
    link.tell({ type: "approval", seq: link.seq, request: REQUEST });
    await link.acked(link.seq);
    expect(await approvals(runId)).toHaveLength(1);
  });

  test("withdrawn by the step can no longer be answered", async () => {
    const { runId, link } = await running();
    await ask(link);
    link.seq += 1;
    link.tell({ type: "approval_withdrawn", seq: link.seq, id: "ap1" });
    await link.acked(link.seq);
    expect(await expectError(decide(runId, "accept"), 409)).toMatchObject({ code: "approval_over" });
  });

  test("is over with its attempt", async () => {
    const { runId, link } = await running();
    await ask(link);
    await link.complete();
    expect(await approvals(runId)).toMatchObject([{ state: "withdrawn" }]);
  });

  test("without the live lease is acknowledged and asks nobody", async () => {
    const { runId, link } = await running();
    await link.complete();
    link.seq += 1;
    link.tell({ type: "approval", seq: link.seq, request: REQUEST });
    await link.acked(link.seq);
    expect(await approvals(runId)).toEqual([]);
  });

  test(`beyond ${APPROVALS_PENDING_MAX} open ones is declined at once`, async () => {
    const { runId, link } = await running();
    for (let n = 1; n <= APPROVALS_PENDING_MAX + 1; n += 1) await ask(link, { id: `ap${n}` });
    expect(await link.next("decided")).toMatchObject({
      id: `ap${APPROVALS_PENDING_MAX + 1}`,
      decision: "decline",
    });
    expect((await runOf(runId)).pendingApprovals).toBe(APPROVALS_PENDING_MAX);
  });

  test("takes only what it offers, and ids that exist", async () => {
    const { runId, link } = await running();
    await ask(link, { decisions: ["accept", "decline"] });
    expect(await expectError(decide(runId, "cancel"), 409)).toMatchObject({ code: "decision_not_offered" });
    expect(await expectError(decide(runId, "accept", "Ada", "other"), 404)).toMatchObject({
      code: "approval_not_found",
    });
    expect(await expectError(decide(runId, "perhaps"), 422)).toMatchObject({ code: "invalid" });
    expect(await approvals(runId)).toMatchObject([{ state: "pending" }]);
  });
});

function say(runId: string, text: string): Promise<Response> {
  return call("POST", `/runs/${runId}/messages`, { body: { text, by: "Ada" } });
}

describe("a message", () => {
  test("reaches the running step, and the run says what became of it", async () => {
    const { runId, link } = await running();
    await expectJson(say(runId, "look at the tests first"), 202);
    const { id, text, by } = await link.next("message");
    expect({ text, by }).toEqual({ text: "look at the tests first", by: "api: Ada" });
    link.tell({ type: "delivered", id, fate: "steered" });
    await untilRun(runId, (run) => {
      expect(run.messages).toMatchObject([{ id, state: "steered", by: "api: Ada" }]);
    });
  });

  test("that was a hidden answer is kept without its text", async () => {
    const { runId, link } = await running();
    await expectJson(say(runId, "geheim"), 202);
    const { id } = await link.next("message");
    link.tell({ type: "delivered", id, fate: "steered", hidden: true });
    await untilRun(runId, (run) => {
      expect(run.messages).toMatchObject([{ id, state: "steered", text: "(hidden)" }]);
      expect(JSON.stringify(run)).not.toContain("geheim");
    });
  });

  test("said before the runner is there, or while it is away, is delivered when it comes", async () => {
    const { runId } = await startRun(deployStep({ runner: "codex" }).type);
    await expectJson(say(runId, "first"), 202);
    const link = await RunLink.claim(runId, 1, "runner-a");
    expect(await link.next("message")).toMatchObject({ text: "first" });
    await link.print("begun");
    await link.close();
    await expectJson(say(runId, "second"), 202);
    const { link: again } = await RunLink.resume(runId, 1, link.lease);
    // The first one too: nobody has said what became of it.
    expect([(await again.next("message")).text, (await again.next("message")).text]).toEqual([
      "first",
      "second",
    ]);
  });

  test("is refused by a step that listens to nobody, and by a run that is over", async () => {
    const script = await running({ runner: "bun" });
    expect(await expectError(say(script.runId, "hello"), 409)).toMatchObject({ code: "not_listening" });
    const { runId, link } = await running();
    await link.complete();
    expect(await expectError(say(runId, "hello"), 409)).toMatchObject({ code: "run_over" });
  });

  test("has bounds, and each answers a clear error", async () => {
    const { runId } = await running();
    expect(await expectError(say(runId, ""), 422)).toMatchObject({ code: "invalid" });
    expect(await expectError(say(runId, "x".repeat(MESSAGE_MAX_CHARS + 1)), 422)).toMatchObject({
      code: "invalid",
    });
    for (let n = 0; n < MESSAGES_PENDING_MAX; n += 1) await expectJson(say(runId, `${n}`), 202);
    expect(await expectError(say(runId, "one more"), 409)).toMatchObject({ code: "too_many_messages" });
  });
});

function raise(runId: string, body: Record<string, unknown>): Promise<Response> {
  return call("POST", `/runs/${runId}/budget`, { body });
}

describe("a budget", () => {
  const budget = { tokens: 1000, usd: 1 };

  test("stands in the claim, and what is added reaches the running step", async () => {
    const { runId, link } = await running({ budget });
    expect(link.context.budget).toEqual(budget);
    const { run } = await expectJson<{ run: RunView }>(raise(runId, { addTokens: 500 }), 202);
    expect(run.budget).toEqual({ tokens: 1500, usd: 1 });
    expect(await link.next("budget")).toEqual({ type: "budget", budget: { tokens: 1500, usd: 1 } });
  });

  test("that does not limit something cannot be raised there", async () => {
    const { runId } = await running({ budget });
    expect(await expectError(raise(runId, { addSeconds: 5 }), 409)).toMatchObject({ code: "not_limited" });
    expect(await expectError(raise(runId, {}), 422)).toMatchObject({ code: "invalid" });
    expect(await expectError(raise(runId, { addTokens: -1 }), 422)).toMatchObject({ code: "invalid" });
  });

  test("that stopped a run is raised by a new run in the same thread, on the same runner", async () => {
    const { pool, type } = deployStep({ runner: "codex", budget });
    const { runId } = await startRun(type);
    const runner = await FakeRunner.connect(pool);
    const other = await FakeRunner.connect(pool, { capacity: 8 });
    const first = await RunLink.claim(runId, 1, runner.id);
    const used = { tokens: 1010, usd: 0.5 };
    await first.complete({
      status: "needs_intervention",
      artifacts: { threadId: "t1", budget: { exceeded: "tokens", used } },
    });
    const { run } = await expectJson<{ run: RunView }>(raise(runId, { addTokens: 2000 }), 202);
    expect(run).toMatchObject({ origin: "continuation", continues: runId, budget: { tokens: 3000, usd: 1 } });

    const link = await runner.start(run.id);
    expect(link.context).toMatchObject({
      budget: { tokens: 3000, usd: 1 },
      continues: { runId, threadId: "t1", used },
    });
    expect(other.control.pending("offer")).toEqual([]);
    expect(await runOf(runId)).toMatchObject({ effectiveStatus: "needs_intervention" });
  });

  test("continued while the thread's runner is away: the run waits, and says for whom", async () => {
    const { pool, type } = deployStep({ runner: "codex", budget });
    const { runId } = await startRun(type);
    await FakeRunner.connect(pool);
    const first = await RunLink.claim(runId, 1, "runner-gone");
    await first.complete({
      status: "needs_intervention",
      artifacts: { threadId: "t1", budget: { exceeded: "tokens", used: {} } },
    });
    const { run } = await expectJson<{ run: RunView }>(raise(runId, { addTokens: 1 }), 202);
    await untilWaiting(pool, run.id);
    expect((await poolOf(pool)).waiting).toMatchObject([
      {
        runId: run.id,
        reason: { code: "runner_away", message: expect.stringContaining("runner-gone") as string },
      },
    ]);
  });

  test("of a run that ended otherwise is over with it", async () => {
    const { runId, link } = await running({ budget });
    await link.complete();
    expect(await expectError(raise(runId, { addTokens: 1 }), 409)).toMatchObject({ code: "run_over" });
  });
});

describe("an agent's thread has one writer", () => {
  async function held(
    pool: string,
    type: string,
    runner: FakeRunner,
  ): Promise<{ runId: string; link: RunLink }> {
    const { runId } = await startRun(type);
    await untilWaitingOrOffered(pool, runId);
    return { runId, link: await runner.start(runId) };
  }

  async function untilWaitingOrOffered(pool: string, runId: string): Promise<void> {
    await until(async () => {
      const view = await poolOf(pool);
      const known = [
        ...view.waiting.map((run) => run.runId),
        ...view.runners.flatMap(({ active }) => active),
      ];
      expect(known).toContain(runId);
    });
  }

  async function ask(link: RunLink, threadId: string): Promise<{ granted: boolean; heldBy?: string }> {
    link.tell({ type: "thread", threadId });
    return link.next("thread");
  }

  test("the second run hears who writes, until that one is over", async () => {
    const { pool, type } = deployStep({ runner: "codex" });
    const runner = await FakeRunner.connect(pool, { capacity: 2 });
    const first = await held(pool, type, runner);
    const second = await held(pool, type, runner);
    expect(await ask(first.link, "t1")).toMatchObject({ granted: true });
    expect(await ask(first.link, "t1")).toMatchObject({ granted: true });
    expect(await ask(second.link, "t1")).toMatchObject({ granted: false, heldBy: first.runId });
    expect(await ask(second.link, "t2")).toMatchObject({ granted: true });
    await first.link.complete();
    await until(async () => {
      expect(await ask(second.link, "t1")).toMatchObject({ granted: true });
    });
  });

  test("an attempt without the live lease is granted nothing", async () => {
    const { link } = await running();
    await link.complete();
    expect(await ask(link, "t1")).toMatchObject({ granted: false });
  });
});
