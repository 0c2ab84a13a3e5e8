/** Whoever watches a run: its output from any cursor on, live over a socket or page by page, and never too much. */
import { evictDurableObject } from "cloudflare:test";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import {
  OUTPUT_CHUNK_MAX_BYTES,
  OUTPUT_FRAME_MAX_BYTES,
  OUTPUT_MAX_BYTES,
  OUTPUT_PAGE_MAX_BYTES,
  TAIL_MAX_BYTES,
  TAILS_PER_EVENT_MAX,
  TAILS_PER_RUN_MAX,
} from "../../contract/limits.ts";
import type { OutputChunkView, RunView } from "../../contract/run-view.ts";
import { TAIL_RESUME_CLOSE, type TailDown } from "../../contract/runner-link.ts";
import {
  call,
  expectError,
  freshId,
  replay,
  outputOf,
  runOf,
  runStub,
  send,
  startRun,
  TOKENS,
  untilRun,
  claimOf,
} from "./support/api.ts";
import { FakeRunner, RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets, Socket } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

type Tail = Socket<TailDown>;

/** The tail of a run, as whoever watches sees it. */
async function watch(runId: string, after = ""): Promise<Tail> {
  return Socket.to<TailDown>(`/runs/${runId}/tail?after=${after}`, TOKENS.read);
}

/** A run that its runner has claimed. */
async function running(more: Parameters<typeof deployStep>[0] = {}): Promise<{
  runId: string;
  link: RunLink;
  runner: FakeRunner;
}> {
  const { type, pool } = deployStep(more);
  const runner = await FakeRunner.connect(pool);
  const { runId } = await startRun(type);
  return { runId, runner, link: await runner.start(runId) };
}

/** A run that has printed these lines, one frame each, and has ended. */
async function finished(...lines: string[]): Promise<string> {
  const { runId, link } = await running();
  for (const line of lines) await link.print(line);
  await link.complete();
  return runId;
}

/** All output that a tail gets, frame by frame, until the run is over and the edge has closed. */
async function toTheEnd(tail: Tail): Promise<string[][]> {
  await tail.next("end");
  expect((await tail.closed).code).toBe(1000);
  return tail.pending("output").map((frame) => frame.chunks.map((chunk) => chunk.text));
}

/** Output frames of each tail in turn: one that is closed to be resumed is resumed, until the run's end. */
async function resumedToTheEnd(runId: string, first?: Tail): Promise<OutputChunkView[][][]> {
  const tails: OutputChunkView[][][] = [];
  for (let tail = first ?? (await watch(runId)); ;) {
    const { code } = await tail.closed;
    const frames = tail.pending("output").map(({ chunks }) => chunks);
    tails.push(frames);
    if (code === 1000) return tails;
    expect(code).toBe(TAIL_RESUME_CLOSE);
    tail = await watch(runId, frames.at(-1)?.at(-1)?.cursor);
  }
}

function texts(chunks: { text: string }[]): string[] {
  return chunks.map((chunk) => chunk.text);
}

/** Every page of a run's output, from a cursor on. */
async function pagesOf(runId: string): Promise<OutputChunkView[][]> {
  const pages: OutputChunkView[][] = [];
  for (let after = ""; ;) {
    const { output, cursor, complete } = await outputOf(runId, `?after=${after}`);
    pages.push(output);
    if (complete) return pages;
    expect(cursor).not.toBe(after);
    after = cursor;
  }
}

describe("a tail", () => {
  test("gets the run, what is stored, what comes, the run's end, and a close", async () => {
    const { runId, link } = await running();
    await link.print("one", "two");
    const tail = await watch(runId);
    expect((await tail.next("run")).run).toMatchObject({ id: runId, status: "running" });
    expect(texts((await tail.next("output")).chunks)).toEqual(["one", "two"]);
    await link.print("three");
    const live = await tail.next("output");
    expect(live.chunks).toMatchObject([{ text: "three", kind: "stdout", attempt: 1, seq: 3, cursor: "1.3" }]);
    await link.complete({ status: "changed", message: "done" });
    await tail.next("run", ({ run }) => run["status"] === "completed" && run["resultStatus"] === "changed");
    expect(await toTheEnd(tail)).toEqual([]);
  });

  test("may come before anybody has claimed the run", async () => {
    const { type, pool } = deployStep();
    const { runId } = await startRun(type);
    const tail = await watch(runId);
    expect((await tail.next("run")).run).toMatchObject({ status: "queued" });
    const runner = await FakeRunner.connect(pool);
    const link = await runner.start(runId);
    await tail.next("run", ({ run }) => run["status"] === "running");
    await link.print("hello");
    await link.complete();
    expect(await toTheEnd(tail)).toEqual([["hello"]]);
  });

  test("sees stored and live chunks in one shape", async () => {
    const { runId, link } = await running();
    const live = await watch(runId);
    await link.print("a", "b");
    const fromLive = await live.next("output");
    const stored = await watch(runId);
    expect((await stored.next("output")).chunks).toEqual(fromLive.chunks);
    expect((await outputOf(runId)).output).toEqual(fromLive.chunks);
  });

  test("of a finished run gets all of it at once", async () => {
    const runId = await finished("one", "two");
    const tail = await watch(runId);
    expect((await tail.next("run")).run).toMatchObject({ status: "completed", outputBytes: 6 });
    expect((await toTheEnd(tail)).flat()).toEqual(["one", "two"]);
  });

  test("of a run that is canceled before it starts ends too", async () => {
    const { runId } = await startRun(deployStep().type);
    const tail = await watch(runId);
    await call("POST", `/runs/${runId}/cancel`, { body: {} });
    await tail.next("run", ({ run }) => run["status"] === "canceled");
    expect(await toTheEnd(tail)).toEqual([]);
  });

  test("goes on from any cursor, within a frame and between frames", async () => {
    const { runId, link } = await running();
    const lines = ["a", "b", "c", "d", "e", "f", "g"];
    await link.print("a", "b", "c");
    await link.print("d");
    await link.print("e", "f", "g");
    await link.complete();
    for (let from = 0; from <= lines.length; from += 1) {
      const cursor = from === 0 ? "" : `1.${from}`;
      const rest = lines.slice(from);
      expect((await toTheEnd(await watch(runId, cursor))).flat()).toEqual(rest);
      expect(texts((await outputOf(runId, `?after=${cursor}`)).output)).toEqual(rest);
    }
  });

  test("goes on from one attempt into the next", async () => {
    const retry = { attempts: 2, on: ["failed" as const], backoffMs: 1 };
    const { runId, runner, link } = await running({ retry });
    await link.print("first try");
    await link.end({ exit: { code: 1, signal: null } });
    await link.close();
    const again = await runner.start(runId);
    await again.print("second try");
    await again.complete();
    expect((await toTheEnd(await watch(runId))).flat()).toEqual(["first try", "second try"]);
    expect((await toTheEnd(await watch(runId, "1.1"))).flat()).toEqual(["second try"]);
    expect((await toTheEnd(await watch(runId, "1.2"))).flat()).toEqual(["second try"]);
    expect((await toTheEnd(await watch(runId, "2.1"))).flat()).toEqual([]);
    expect((await outputOf(runId)).output.map((chunk) => chunk.cursor)).toEqual(["1.1", "2.1"]);
  });

  test("gets much stored output in several frames", async () => {
    const line = "x".repeat(OUTPUT_FRAME_MAX_BYTES);
    const runId = await finished(line, line, "end");
    expect(await toTheEnd(await watch(runId))).toEqual([[line], [line], ["end"]]);
  });

  test("invariant 16: outlives the sleep of its object", async () => {
    const { runId, link } = await running();
    const tail = await watch(runId);
    await link.print("before");
    await evictDurableObject(runStub(runId));
    await link.print("after");
    await link.complete();
    expect((await toTheEnd(tail)).flat()).toEqual(["before", "after"]);
  });

  test("invariant 7: that goes changes no run, and none of the other tails", async () => {
    const { runId, link } = await running();
    const one = await watch(runId);
    const other = await watch(runId);
    const before = await runOf(runId);
    await one.close();
    expect(await runOf(runId)).toEqual(before);
    await link.print("still here");
    expect(texts((await other.next("output")).chunks)).toEqual(["still here"]);
  });

  test("may say what it likes: nobody listens", async () => {
    const { runId, link } = await running();
    const tail = await watch(runId);
    tail.sendRaw("{");
    tail.sendRaw(JSON.stringify({ type: "end", seq: 1, reason: "exited" }));
    await tail.ping();
    await link.print("on and on");
    expect(texts((await tail.next("output")).chunks)).toEqual(["on and on"]);
    expect((await runOf(runId)).status).toBe("running");
  });

  test("watches its own run only", async () => {
    const { type, pool } = deployStep();
    deployStep({ trigger: { type }, pool });
    const runner = await FakeRunner.connect(pool, { capacity: 2 });
    const [first = "", second = ""] = (await send({ id: freshId(), type })).runIds;
    const tail = await watch(first);
    const [mine, others] = [await runner.start(first), await runner.start(second)];
    await others.print("not mine");
    await others.complete();
    await mine.print("mine");
    await mine.complete();
    expect((await toTheEnd(tail)).flat()).toEqual(["mine"]);
  });

  test.each(["x", "1", "1.2.3", "-1.0", "1.1e3"])("refuses the cursor %s", async (cursor) => {
    const { runId } = await startRun(deployStep().type);
    for (const route of ["tail", "output"]) {
      const error = await expectError(call("GET", `/runs/${runId}/${route}?after=${cursor}`), 400);
      expect(error.details).toEqual([{ path: "?after", message: "is not valid" }]);
    }
  });

  test("needs an upgrade, and a run that there is", async () => {
    const { runId } = await startRun(deployStep().type);
    expect((await expectError(call("GET", `/runs/${runId}/tail`), 400)).code).toBe("not_a_websocket");
    const upgrade = { headers: { upgrade: "websocket" } };
    for (const unknown of [runId.replace(/_1$/, "_2"), "run_zzzzzzzzzzzzzzzz_1", "nonsense"])
      await expectError(call("GET", `/runs/${unknown}/tail`, upgrade), 404);
  });
});

describe("follow", () => {
  test("tells the runner when the first tail comes and when the last one goes", async () => {
    const { runId, link } = await running();
    const one = await watch(runId);
    expect((await link.next("follow")).on).toBe(true);
    const other = await watch(runId);
    await one.close();
    await link.print("one still watches");
    expect(link.pending("follow").filter((frame) => !frame.on)).toEqual([]);
    await other.close();
    await link.next("follow", (frame) => !frame.on);
  });

  test("is part of the answer to a claim and to a resume", async () => {
    const { type, pool } = deployStep();
    const { runId } = await startRun(type);
    const tail = await watch(runId);
    const runner = await FakeRunner.connect(pool);
    const { attempt } = await runner.take(runId);
    const link = await RunLink.attach(runId);
    link.tell(await claimOf(runId, attempt, runner.id));
    const { lease, follow } = await link.next("claimed");
    expect(follow).toBe(true);
    const again = await RunLink.resume(runId, attempt, lease);
    expect(again.resumed.follow).toBe(true);
    await tail.close();
    await again.link.next("follow", (frame) => !frame.on);
    expect((await RunLink.resume(runId, attempt, lease)).resumed.follow).toBe(false);
  });

  test("is not said to anybody when nobody watches", async () => {
    const { link } = await running();
    await link.print("alone");
    expect(link.pending("follow")).toEqual([]);
  });
});

describe("output by pages", () => {
  test("is complete when the run is over and nothing follows", async () => {
    const { runId, link } = await running();
    expect(await outputOf(runId)).toEqual({ output: [], cursor: "0.0", complete: false });
    await link.print("one");
    expect(await outputOf(runId)).toMatchObject({
      output: [{ text: "one" }],
      cursor: "1.1",
      complete: false,
    });
    expect(await outputOf(runId, "?after=1.1")).toEqual({ output: [], cursor: "1.1", complete: false });
    await link.complete();
    expect(await outputOf(runId, "?after=1.1")).toEqual({ output: [], cursor: "1.1", complete: true });
    expect(await outputOf(runId)).toMatchObject({ output: [{ text: "one" }], complete: true });
  });

  test("of one stream: the cursor passes over the others", async () => {
    const { runId, link } = await running();
    link.tell({
      type: "output",
      chunks: [link.chunk("out"), link.chunk("err", "stderr"), link.chunk("said", "system")],
    });
    await link.acked(3);
    for (const [stream, text] of [
      ["stdout", "out"],
      ["stderr", "err"],
      ["system", "said"],
    ])
      expect(await outputOf(runId, `?stream=${stream ?? ""}`)).toMatchObject({
        output: [{ kind: stream, text }],
        cursor: "1.3",
      });
    const error = await expectError(call("GET", `/runs/${runId}/output?stream=stdin`), 400);
    expect(error.details).toEqual([{ path: "?stream", message: "is not known" }]);
  });

  test("invariant 12: a page is bounded, and the cursor leads through all of them", async () => {
    const line = "y".repeat(OUTPUT_FRAME_MAX_BYTES);
    const lines = Array.from({ length: 9 }, (_unused, n) => `${n}${line}`.slice(0, OUTPUT_FRAME_MAX_BYTES));
    const runId = await finished(...lines);
    const pages = await pagesOf(runId);
    expect(texts(pages.flat())).toEqual(lines);
    const sizes = pages.map((page) => page.reduce((sum, chunk) => sum + chunk.text.length, 0));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(OUTPUT_PAGE_MAX_BYTES);
    expect(pages.length).toBeGreaterThan(2);
    // A run's own view shows the beginning.
    expect(texts((await runOf(runId)).output ?? [])).toEqual([lines[0]]);
  });

  test("invariant 12: a page of an agent's small steps, which have no text, is as bounded", async () => {
    const { runId, link } = await running();
    const text = "ö".repeat(1000);
    const delta = JSON.stringify({ type: "message", id: "m", state: "delta", text });
    for (let frame = 0; frame < 9; frame += 1) {
      link.tell({ type: "output", chunks: Array.from({ length: 100 }, () => link.chunk(delta, "agent")) });
      await link.acked(link.seq);
    }
    await link.complete();
    const pages = await pagesOf(runId);
    expect(pages.flat()).toHaveLength(900);
    const sizes = pages.map((page) => new TextEncoder().encode(JSON.stringify(page)).length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(OUTPUT_PAGE_MAX_BYTES + 2 * OUTPUT_FRAME_MAX_BYTES);
    const frames = (await resumedToTheEnd(runId)).flat();
    expect(frames.flat()).toEqual(pages.flat());
    expect(Math.max(...frames.map((chunks) => chunks.length))).toBe(200);
  });

  test("of an unknown run is not found", async () => {
    for (const unknown of ["run_zzzzzzzzzzzzzzzz_1", "nonsense"])
      await expectError(call("GET", `/runs/${unknown}/output`), 404);
  });

  test("keeps every character", async () => {
    const line = 'é 😀 \u0000 \u001b[31m "quoted" \\ \r\n\t';
    const runId = await finished(line, line.repeat(100), "");
    expect(texts((await outputOf(runId)).output)).toEqual([line, line.repeat(100), ""]);
  });
});

describe("a run that prints too much", () => {
  test("invariant 12: what comes beyond the bound is counted, not kept, and the run says so", async () => {
    const { runId, link } = await running();
    const tail = await watch(runId);
    const chunk = "z".repeat(OUTPUT_CHUNK_MAX_BYTES);
    const perFrame = OUTPUT_FRAME_MAX_BYTES / OUTPUT_CHUNK_MAX_BYTES;
    const frames = OUTPUT_MAX_BYTES / OUTPUT_FRAME_MAX_BYTES;
    for (let frame = 1; frame < frames; frame += 1)
      await link.print(...Array.from({ length: perFrame }, () => chunk));
    for (let more = 1; more < perFrame; more += 1) await link.print(chunk);
    const kept = OUTPUT_MAX_BYTES - OUTPUT_CHUNK_MAX_BYTES + "all but".length;
    await link.print("all but");
    expect(await runOf(runId)).toMatchObject({ outputBytes: kept, outputDropped: 0 });

    await link.print(chunk);
    // It would still fit; but what is kept is the beginning, without a hole.
    await link.print("short");
    const full = {
      outputBytes: kept,
      outputDropped: chunk.length + "short".length,
    } satisfies Partial<RunView>;
    expect(await runOf(runId)).toMatchObject(full);

    // Acknowledged all the same: the runner's journal empties, and the result arrives (invariant 8).
    await link.complete({ status: "completed", message: "that was a lot" });
    const over = await untilRun(runId, (run) => {
      expect(run.status).toBe("completed");
    });
    expect(over).toMatchObject({ ...full, result: { message: "that was a lot" } });
    const stored = texts((await pagesOf(runId)).flat());
    expect(stored.reduce((sum, text) => sum + text.length, 0)).toBe(kept);
    expect(stored.at(-1)).toBe("all but");
    expect(texts((await resumedToTheEnd(runId, tail)).flat(2))).toEqual(stored);
  });
});

describe("what tails cost the object (security)", () => {
  const frame = "y".repeat(OUTPUT_FRAME_MAX_BYTES);
  const refused = (runId: string) =>
    expectError(call("GET", `/runs/${runId}/tail`, { headers: { upgrade: "websocket" } }), 503);
  const bytesOf = (frames: OutputChunkView[][]): number =>
    frames.reduce((sum, chunks) => sum + JSON.stringify(chunks).length, 0);

  test("a tail of much stored output is closed to be resumed, and misses nothing", async () => {
    const lines = Array.from({ length: 9 }, (_unused, n) => `${n}${frame}`.slice(0, OUTPUT_FRAME_MAX_BYTES));
    const runId = await finished(...lines);
    const tails = await resumedToTheEnd(runId);
    expect(texts(tails.flat(2))).toEqual(lines);
    expect(Math.max(...tails.map(bytesOf))).toBeLessThan(TAIL_MAX_BYTES + 2 * OUTPUT_FRAME_MAX_BYTES);
    expect(tails.length).toBeGreaterThan(2);
  });

  test("a tail of a run that goes on printing is closed to be resumed, also across a hibernation", async () => {
    const { runId, link } = await running();
    const tail = await watch(runId);
    await tail.next("run");
    await link.print(frame);
    await evictDurableObject(runStub(runId));
    for (let n = 0; n < 4; n += 1) await link.print(frame);
    expect((await tail.closed).code).toBe(TAIL_RESUME_CLOSE);
    const resumed = await watch(runId, tail.pending("output").at(-1)?.chunks.at(-1)?.cursor);
    await link.complete();
    expect((await toTheEnd(resumed)).flat()).toHaveLength(1);
  });

  test("a run has a bounded number of tails: one more is refused until another one has closed", async () => {
    const { runId, link } = await running();
    const tails: Tail[] = [];
    for (let n = 0; n < TAILS_PER_RUN_MAX; n += 1) tails.push(await watch(runId));
    const error = await refused(runId);
    expect(error).toMatchObject({
      code: "overloaded",
      message: expect.stringContaining(`/runs/${runId}/output`) as string,
    });
    await link.print("all of them get it");
    for (const tail of tails)
      expect(texts((await tail.next("output")).chunks)).toEqual(["all of them get it"]);
    await tails[0]?.close();
    expect((await (await watch(runId)).next("run")).run).toMatchObject({ id: runId });
  });

  test("all runs of one event have a bounded number of tails together", async () => {
    const { eventId, runId } = await startRun(deployStep().type);
    const runIds = [runId, ...(await replay(eventId)).runIds, ...(await replay(eventId)).runIds];
    const [first = "", second = "", third = ""] = [...new Set(runIds)];
    for (let n = 0; n < TAILS_PER_EVENT_MAX / 2; n += 1) {
      await watch(first);
      await watch(second);
    }
    expect((await refused(third)).code).toBe("overloaded");
  });
});
