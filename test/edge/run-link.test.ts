/** The run socket: who may speak for an attempt, what is kept of what it says, and what an end means. */
import { runInDurableObject } from "cloudflare:test";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { FRAME_MAX_BYTES, OUTPUT_FRAME_MAX_BYTES, PROTOCOL_VERSION } from "../../contract/limits.ts";
import {
  call,
  eventStub,
  expectJson,
  crash,
  outputOf,
  runOf,
  runStub,
  startRun,
  untilStatus,
  claimOf,
} from "./support/api.ts";
import { FakeRunner, RunLink } from "./support/fake-runner.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";
import { deployStep } from "./support/flow-catalog.ts";

afterEach(closeSockets);
afterAll(endObjects);

/** A run that a runner has claimed. */
async function claimed(
  more: Parameters<typeof deployStep>[0] = {},
): Promise<{ runId: string; link: RunLink }> {
  const { runId } = await startRun(deployStep(more).type);
  return { runId, link: await RunLink.claim(runId, 1, "runner-a") };
}

function binary(text: string): ArrayBuffer {
  const bytes = new Uint8Array(text.length);
  new TextEncoder().encodeInto(text, bytes);
  return bytes.buffer;
}

async function texts(runId: string): Promise<string[]> {
  return (await outputOf(runId)).output.map((chunk) => chunk.text);
}

describe("the whole road", () => {
  test("hello, offer, claim, output, result, end", async () => {
    const { type, pool, name } = deployStep({ timeoutMs: 5_000, silenceMs: 4_000 });
    const runner = await FakeRunner.connect(pool, { name: "box", runnerId: `box-${pool}` });
    const { eventId, runId } = await startRun(type, { k: 1 });
    const link = await runner.start(runId);
    expect(link.lease).toMatch(/^lease_[0-9a-z]{26}$/);
    expect(link.context).toMatchObject({
      runId,
      attempt: 1,
      event: { id: eventId, type, payload: { k: 1 } },
      flow: { name: "lab", version: 2, digest: "sha256:lab" },
      step: name,
      timeoutMs: 5_000,
      silenceMs: 4_000,
      replay: false,
    });
    expect(await runOf(runId)).toMatchObject({ status: "running", attemptCount: 1 });

    await link.print("one\n", "two\n");
    await link.print("three ✓\n");
    expect(await runOf(runId)).toMatchObject({ outputBytes: 18 });
    await link.complete({ status: "changed", message: "done", artifacts: { pr: 7 }, extra: true });

    expect(await runOf(runId)).toMatchObject({
      status: "completed",
      resultStatus: "changed",
      effectiveStatus: "changed",
      needsAttention: false,
      result: { status: "changed", message: "done", artifacts: { pr: 7 }, extra: true },
      outputBytes: 18,
      outputDropped: 0,
      output: [
        { cursor: "1.1", kind: "stdout", text: "one\n", attempt: 1, seq: 1 },
        { cursor: "1.2", text: "two\n" },
        { cursor: "1.3", text: "three ✓\n" },
      ],
      attempts: [
        {
          id: `${runId}_a1`,
          status: "completed",
          workerId: `box-${pool}`,
          exit: { code: 0, signal: null },
          tree: { empty: true, survivors: [] },
        },
      ],
    });
  });

  test("heartbeats are answered", async () => {
    const { link } = await claimed();
    await link.ping();
    await link.ping();
  });
});

async function refusal(runId: string, attempt: number, runnerId: string): Promise<string> {
  const link = await RunLink.attach(runId);
  link.tell(await claimOf(runId, attempt, runnerId));
  const { code } = await link.next("refused");
  expect(await link.closed).toEqual({ code: 1000, reason: code });
  return code;
}

describe("claim (invariant 4)", () => {
  test("invariant 4: the first claim wins", async () => {
    const { runId } = await claimed();
    expect(await refusal(runId, 1, "runner-b")).toBe("not_claimable");
    expect((await runOf(runId)).attempts.map((attempt) => attempt.workerId)).toEqual(["runner-a"]);
  });

  test("invariant 4: of many claims at once, one wins", async () => {
    const { runId } = await startRun(deployStep().type);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 6 }, (_unused, at) => RunLink.claim(runId, 1, `runner-${at}`)),
    );
    expect(outcomes.filter((outcome) => outcome.status === "fulfilled")).toHaveLength(1);
    expect((await runOf(runId)).attemptCount).toBe(1);
  });

  test("the same runner, that has sent nothing, gets the same lease again", async () => {
    const { runId, link } = await claimed();
    const again = await RunLink.claim(runId, 1, "runner-a");
    expect(again.lease).toBe(link.lease);
    expect(await link.closed).toMatchObject({ code: 4409 });
    await again.complete();
    expect(await runOf(runId)).toMatchObject({ status: "completed", attemptCount: 1 });
  });

  test.each(["output", "a result"])("but not once it has sent %s: the step would run twice", async (what) => {
    const { runId, link } = await claimed();
    if (what === "output") await link.print("one");
    else await link.result({ status: "completed" });
    expect(await refusal(runId, 1, "runner-a")).toBe("not_claimable");
  });

  test("an attempt that is not the one that waits", async () => {
    const { runId } = await startRun(deployStep().type);
    expect(await refusal(runId, 2, "runner-a")).toBe("not_claimable");
    expect(await runOf(runId)).toMatchObject({ status: "queued", attemptCount: 0 });
  });

  test("a run that is over", async () => {
    const { runId, link } = await claimed();
    await link.complete();
    expect(await refusal(runId, 1, "runner-a")).toBe("not_claimable");
    expect(await refusal(runId, 2, "runner-b")).toBe("not_claimable");
  });
});

describe("a claim of what cannot be started", () => {
  test("ends the attempt with an error that says so when the event is too large for a frame", async () => {
    const { eventId, runId } = await startRun(deployStep().type);
    await runInDurableObject(await eventStub(eventId), (_instance, state) => {
      const stored = state.storage.kv.get<{ event: object }>("event");
      const event = { ...stored?.event, payload: { text: "é".repeat(FRAME_MAX_BYTES / 2) } };
      state.storage.kv.put("event", { ...stored, event });
    });
    await crash(runStub(runId));
    expect(await refusal(runId, 1, "runner-a")).toBe("context_too_large");
    const run = await runOf(runId);
    expect(run).toMatchObject({ status: "failed", errorCode: "context_too_large", attemptCount: 1 });
    expect(run.error).toMatch(/smaller payload/);
  });

  test("ends a canceled run whose runner never got the answer to its claim: nothing of it was started", async () => {
    const { runId } = await startRun(deployStep().type);
    const link = await RunLink.claim(runId, 1, "runner-a");
    await link.close();
    await expectJson(call("POST", `/runs/${runId}/cancel`, { body: { by: "Ada" } }), 202);
    expect((await runOf(runId)).cancel).toMatchObject({ state: "cancel_requested" });
    expect(await refusal(runId, 1, "runner-a")).toBe("canceled");
    expect(await runOf(runId)).toMatchObject({ status: "canceled", cancel: { state: "canceled" } });
  });
});

describe("resume (invariant 8)", () => {
  test("invariant 8: goes on behind what is committed; what comes twice is kept once", async () => {
    const { runId, link } = await claimed();
    await link.print("1", "2");
    await link.close();
    const { link: next, resumed } = await RunLink.resume(runId, 1, link.lease);
    expect(resumed).toEqual({ type: "resumed", live: true, ackedSeq: 2, cancel: false, follow: false });
    const at = Date.now();
    const chunks = ["1", "2", "3"].map((text, index) => ({
      seq: index + 1,
      stream: "stdout" as const,
      text,
      at,
    }));
    next.tell({ type: "output", chunks });
    await next.acked(3);
    next.tell({ type: "output", chunks });
    await next.acked(3);
    next.seq = 3;
    await next.complete();
    expect(await texts(runId)).toEqual(["1", "2", "3"]);
    expect(await runOf(runId)).toMatchObject({ status: "completed", outputBytes: 3, attemptCount: 1 });
  });

  test("invariant 8: what was acknowledged has survived a crash of the object", async () => {
    const { runId, link } = await claimed();
    await link.print("1");
    await link.result({ status: "completed", message: "kept" });
    await crash(runStub(runId));
    expect((await link.closed).code).toBe(1006);
    const { link: next, resumed } = await RunLink.resume(runId, 1, link.lease);
    expect(resumed).toMatchObject({ live: true, ackedSeq: 2 });
    await next.end();
    expect(await texts(runId)).toEqual(["1"]);
    expect(await runOf(runId)).toMatchObject({ status: "completed", result: { message: "kept" } });
  });

  test("a result or an end that comes twice counts once, and is acknowledged twice", async () => {
    const { runId, link } = await claimed();
    await link.result({ status: "completed", message: "first" });
    link.tell({ type: "result", seq: 1, result: { status: "failed" } });
    await link.acked(1);
    await link.end();
    const before = await runOf(runId);
    link.tell({ type: "end", seq: 2, reason: "exited", exit: { code: 1, signal: null } });
    await link.acked(2);
    expect(await runOf(runId)).toEqual(before);
    expect(before).toMatchObject({ status: "completed", result: { message: "first" } });
  });

  test.each([
    [
      "output",
      (link: RunLink) =>
        link.tell({ type: "output", chunks: [{ seq: 3, stream: "stdout", text: "3", at: 0 }] }),
    ],
    [
      "output with a hole inside",
      (link: RunLink) =>
        link.tell({
          type: "output",
          chunks: [2, 4].map((seq) => ({ seq, stream: "stdout" as const, text: String(seq), at: 0 })),
        }),
    ],
    ["a result", (link: RunLink) => link.tell({ type: "result", seq: 3, result: { status: "completed" } })],
    ["an end", (link: RunLink) => link.tell({ type: "end", seq: 3, reason: "exited" })],
  ])("a gap before %s: nothing of it is kept, and the runner has to resume", async (_what, send) => {
    const { runId, link } = await claimed();
    await link.print("1");
    send(link);
    expect(await link.next("error")).toMatchObject({ code: "gap" });
    expect(await link.closed).toEqual({ code: 4400, reason: "gap" });
    expect((await RunLink.resume(runId, 1, link.lease)).resumed).toMatchObject({ live: true, ackedSeq: 1 });
    expect(await texts(runId)).toEqual(["1"]);
  });

  test("inngest#2778, invariant 4: a lease that nobody gave out is refused for good", async () => {
    const { runId } = await claimed();
    for (const [attempt, lease] of [
      [1, "lease_wrong"],
      [2, "lease_wrong"],
    ] as const) {
      const link = await RunLink.attach(runId);
      link.tell({ type: "resume", attempt, lease });
      expect(await link.next("refused")).toMatchObject({ code: "unknown_lease" });
      expect((await link.closed).code).toBe(1000);
    }
  });

  test("a newer socket of the attempt replaces the older one", async () => {
    const { runId, link } = await claimed();
    const { link: next } = await RunLink.resume(runId, 1, link.lease);
    expect(await link.closed).toMatchObject({ code: 4409 });
    await next.print("1");
    expect((await runOf(runId)).attempts[0]).not.toHaveProperty("leaseExpiresAt");
  });
});

describe("the end (invariant 9)", () => {
  test("invariant 9: a result is provisional, a later one replaces it", async () => {
    const { runId, link } = await claimed();
    await link.result({ status: "completed", message: "first" });
    expect(await runOf(runId)).toMatchObject({
      status: "running",
      effectiveStatus: "running",
      attempts: [{ result: { message: "first" } }],
    });
    await link.result({ status: "needs_intervention", message: "second" });
    await link.end({ reason: "reaped", exit: { code: null, signal: "SIGTERM" } });
    expect(await runOf(runId)).toMatchObject({
      status: "completed",
      effectiveStatus: "needs_intervention",
      needsAttention: true,
      result: { message: "second" },
    });
  });

  test("invariant 9: a process that exits with another code than 0 has failed, whatever it printed", async () => {
    const { runId, link } = await claimed();
    await link.result({ status: "completed", message: "all is well" });
    await link.end({ exit: { code: 1, signal: null } });
    const run = await runOf(runId);
    expect(run).toMatchObject({ status: "failed", errorCode: "exit_code", needsAttention: true });
    expect(run).not.toHaveProperty("result");
    expect(run.attempts[0]).toMatchObject({ status: "failed", result: { message: "all is well" } });
  });

  test.each([
    ["no result", { reason: "exited" as const }, "failed", "no_result"],
    ["a signal", { exit: { code: null, signal: "SIGSEGV" } }, "failed", "killed"],
    ["its wall clock", { reason: "timeout" as const }, "timeout", "timeout"],
    ["silence", { reason: "silence" as const }, "timeout", "silence"],
    ["a restart of the agent", { reason: "abandoned" as const }, "lost", "lost"],
    [
      "a refusal",
      { reason: "refused" as const, error: { code: "no_script", message: "x" } },
      "failed",
      "no_script",
    ],
  ])("invariant 11: ended by %s, each with its own reason", async (_what, end, attempt, code) => {
    const { runId, link } = await claimed({ retry: { attempts: 1, on: [], backoffMs: 1 } });
    await link.end(end);
    const run = await untilStatus(runId, "failed");
    expect(run).toMatchObject({ errorCode: code, attempts: [{ status: attempt, errorCode: code }] });
  });
});

describe("bad frames", () => {
  const bad: [string, string | ArrayBuffer][] = [
    ["no JSON", "{"],
    ["a binary frame", binary('{"type":"end","seq":1,"reason":"exited"}')],
    ["no object", "7"],
    ["an unknown type", JSON.stringify({ type: "finish" })],
    ["a type of every object", JSON.stringify({ type: "toString" })],
    ["an unknown field", JSON.stringify({ type: "end", seq: 1, reason: "exited", run: "other" })],
    ["a number that is none", JSON.stringify({ type: "end", seq: "1", reason: "exited" })],
    [
      "a sequence that begins at 0",
      JSON.stringify({ type: "result", seq: 0, result: { status: "completed" } }),
    ],
    ["an unknown result status", JSON.stringify({ type: "result", seq: 1, result: { status: "done" } })],
    [
      "an unknown stream",
      JSON.stringify({ type: "output", chunks: [{ seq: 1, stream: "x", text: "", at: 0 }] }),
    ],
    ["no chunks", JSON.stringify({ type: "output", chunks: [] })],
    [
      "more output than a frame may hold",
      JSON.stringify({
        type: "output",
        chunks: [{ seq: 1, stream: "stdout", text: "x".repeat(OUTPUT_FRAME_MAX_BYTES + 1), at: 0 }],
      }),
    ],
  ];
  test.each(bad)("%s: an error frame, a close with 4400, and no change", async (_what, frame) => {
    const { runId, link } = await claimed();
    const before = await runOf(runId);
    link.sendRaw(frame);
    const error = await link.next("error");
    expect(error.code).toBe("bad_frame");
    expect(error.message).toContain(`protocol ${PROTOCOL_VERSION}`);
    expect((await link.closed).code).toBe(4400);
    const { link: next } = await RunLink.resume(runId, 1, link.lease);
    await next.close();
    expect(await runOf(runId)).toMatchObject({
      status: before.status,
      updatedAt: before.updatedAt,
      output: [],
    });
  });

  test.each([
    ["output", { type: "output", chunks: [{ seq: 1, stream: "stdout", text: "x", at: 0 }] }],
    ["result", { type: "result", seq: 1, result: { status: "completed" } }],
    ["end", { type: "end", seq: 1, reason: "exited" }],
    ["canceling", { type: "canceling", survivors: [] }],
  ])("invariant 4: %s before a claim", async (_what, frame) => {
    const { runId } = await claimed();
    const stranger = await RunLink.attach(runId);
    stranger.sendRaw(JSON.stringify(frame));
    expect(await stranger.next("error")).toMatchObject({ code: "no_lease" });
    expect((await stranger.closed).code).toBe(4400);
    expect(await runOf(runId)).toMatchObject({ status: "running", output: [] });
  });
});
