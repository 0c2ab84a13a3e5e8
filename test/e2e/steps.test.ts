/** Steps that go wrong, over the real edge and the real agent: each test is named after what the step does. */
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { OUTPUT_CHUNK_MAX_BYTES, OUTPUT_MAX_BYTES, RESULT_MAX_BYTES } from "../../contract/limits.ts";
import type { RunView } from "../../contract/run-view.ts";
import { Journal } from "../../runner-agent/journal/journal.ts";
import { faultyWorkspace, LONG_LINE_BYTES, LOUD_BYTES } from "../support/faulty-workspace.ts";
import { fillDisk, freeDisk } from "../support/full-disk.ts";
import { atEndOfFile, temporaryFolder } from "../support/flow-workspace.ts";
import { Edge, startRunner, type Daemon } from "../support/program.ts";
import { processesOfRun } from "../support/run-processes.ts";
import { until } from "../support/until.ts";

const atEnd = atEndOfFile();

const MIB = 1024 * 1024;
/** What an agent may take for a step that prints 50 MB: far less than that output, whose bound alone is 16 MB. */
const AGENT_GROWTH_MAX_BYTES = 120 * MIB;
const RESULT_LINE = `FLOW_RESULT {"status":"completed","message":"said"}\n`;
const GONE = { empty: true, survivors: [] };

let edge: Edge;
/** Takes the loud step and nothing else, so that its memory can be looked at. */
let measured: Daemon;
/** Takes the runs whose journal has no room. */
let full: Daemon;
let state: string;

beforeAll(async () => {
  state = await temporaryFolder(atEnd);
  const workspace = await faultyWorkspace(atEnd);
  edge = await Edge.start({ state, workspace });
  atEnd(() => edge.stop());
  const start = async (name: string, pool: string): Promise<Daemon> => {
    const runner = await startRunner(edge, {
      name,
      workspace,
      journal: join(state, name),
      pool,
      capacity: 12,
    });
    atEnd(() => runner.kill());
    return runner;
  };
  await start("box", "default");
  measured = await start("measured", "loud");
  full = await start("full", "full");
});

/** Sends the event of one faulty step and resolves with its run's id. */
async function send(step: string): Promise<string> {
  const { runIds } = await edge.client().dispatch({ id: `${step}:1`, type: `fault.${step}` });
  return runIds[0] ?? "";
}

async function over(id: string): Promise<RunView> {
  return until(async () => {
    const run = await edge.client().getRun(id);
    return run.completedAt === undefined ? undefined : run;
  });
}

async function run(step: string): Promise<RunView> {
  return over(await send(step));
}

/** All that is stored of one stream, page after page. */
async function printed(id: string, stream: "stdout" | "stderr" | "system"): Promise<string> {
  let text = "";
  let after: string | undefined;
  for (;;) {
    const page = await edge.client().getOutput(id, { after, stream });
    if (page.cursor === after) return text;
    text += page.output.map((chunk) => chunk.text).join("");
    after = page.cursor;
  }
}

function peakBytesOf(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}

describe.concurrent("a step that", () => {
  test("prints FLOW_RESULT and never exits: the result is stored at once, the process reaped, the run completed", async () => {
    const id = await send("lingers");
    const stored = await until(async () => {
      const found = await edge.client().getRun(id);
      return found.attempts[0]?.result === undefined ? undefined : found;
    });
    expect(stored).toMatchObject({ status: "running", attempts: [{ result: { message: "said" } }] });
    expect(processesOfRun(id)).not.toEqual([]);
    expect(await over(id)).toMatchObject({
      status: "completed",
      resultStatus: "completed",
      attempts: [{ endReason: "reaped", exit: { signal: "SIGTERM" }, tree: GONE }],
    });
    expect(processesOfRun(id)).toEqual([]);
  });

  test("prints 50 MB: the agent stays small, what is kept is the beginning and says how much is missing, the result counts", async () => {
    const before = peakBytesOf(measured.pid);
    const { id, ...ended } = await run("loud");
    expect(peakBytesOf(measured.pid) - before).toBeLessThan(AGENT_GROWTH_MAX_BYTES);
    expect(ended).toMatchObject({ status: "completed", result: { message: "said" } });
    expect(ended.outputBytes).toBeLessThanOrEqual(OUTPUT_MAX_BYTES);
    const kept = await printed(id, "stdout");
    expect(kept.length).toBeGreaterThan(OUTPUT_MAX_BYTES - 3 * OUTPUT_CHUNK_MAX_BYTES);
    const lines = Array.from(
      { length: LOUD_BYTES / 1024 },
      (_unused, n) => `${String(n).padStart(1023, "x")}\n`,
    );
    const whole = `loud\n${lines.join("")}${RESULT_LINE}`;
    expect(whole.startsWith(kept), "what is kept is the beginning").toBe(true);
    expect(await printed(id, "system")).toContain(`${whole.length - kept.length} bytes of output`);
  });

  test("prints a line of 8 MB: it is stored whole, and the result behind it counts", async () => {
    const { id, result } = await run("long-line");
    expect(result).toMatchObject({ message: "said" });
    const [line] = (await printed(id, "stdout")).split("\n");
    expect(line?.length).toBe(LONG_LINE_BYTES);
  });

  test("prints a FLOW_RESULT of 8 MB: the run fails and names the bound", async () => {
    expect(await run("long-result")).toMatchObject({
      status: "failed",
      errorCode: "invalid_result",
      error: `FLOW_RESULT is larger than ${RESULT_MAX_BYTES} bytes`,
      attempts: [{ exit: { code: 0 } }],
    });
  });

  test("prints bytes that are no text: they arrive as text, NUL included, and the run goes on as ever", async () => {
    const { id, status } = await run("binary");
    expect(status).toBe("completed");
    const ascii = String.fromCharCode(...Array.from({ length: 128 }, (_unused, byte) => byte));
    const stdout = await printed(id, "stdout");
    expect(stdout.startsWith(`${ascii}\uFFFD`)).toBe(true);
    expect(stdout).toContain("\uFFFD\nbehind\n");
    expect(await printed(id, "stderr")).toBe("\0\uFFFD\0\n");
  });

  test("closes its output and hangs: the silence ends it, and nothing of it is left", async () => {
    const { id, ...ended } = await run("mute");
    expect(ended).toMatchObject({ status: "failed", errorCode: "silence", attempts: [{ tree: GONE }] });
    expect(processesOfRun(id)).toEqual([]);
  });

  test("is killed with -9 from outside: the attempt says by which signal, and is tried again where the step says failed", async () => {
    const id = await send("killed");
    await until(async () => ((await printed(id, "stdout")) === "up\n" ? true : undefined));
    for (const pid of processesOfRun(id)) process.kill(Number(pid), "SIGKILL");
    expect(await over(id)).toMatchObject({
      status: "completed",
      attempts: [
        {
          status: "failed",
          errorCode: "killed",
          error: "the step was killed by SIGKILL",
          exit: { signal: "SIGKILL" },
        },
        { status: "completed" },
      ],
    });
  });
});

describe.concurrent("a full disk under the journal", () => {
  test("stops nothing that runs: output, result and end reach the edge, new runs wait and say why until there is room", async () => {
    const go = join(state, "go");
    const { runIds } = await edge
      .client()
      .dispatch({ id: "waits:1", type: "fault.waits", payload: { until: go } });
    const id = runIds[0] ?? "";
    await until(async () => ((await printed(id, "stdout")) === "up\n" ? true : undefined));
    fillDisk(full.pid);
    await writeFile(go, "");
    const { status, result } = await over(id);
    expect({ status, result }).toMatchObject({ status: "completed", result: { message: "said" } });
    expect(await printed(id, "stdout")).toMatch(/^up\nfreed\nFLOW_RESULT .*\nbehind\n$/);

    await full.line(/"level":"error".*journal cannot be written/);
    const { runners } = await edge.client().listRunners({ pool: "full" });
    expect(runners).toMatchObject([
      { state: "connected", capacity: 0, trouble: expect.stringContaining("journal") as string },
    ]);
    const later = await edge
      .client()
      .dispatch({ id: "waits:2", type: "fault.waits", payload: { until: go } });
    const waiting = await until(async () => {
      const found = await edge.client().getRun(later.runIds[0] ?? "");
      return found.waiting?.code === "on_its_way" ? undefined : found;
    });
    expect(waiting).toMatchObject({ status: "queued", waiting: { code: "runner_trouble" } });

    freeDisk(full.pid);
    expect(await over(waiting.id)).toMatchObject({ status: "completed", attemptCount: 1 });
    await full.line(/journal can be written again/);
    const [well] = (await edge.client().listRunners({ pool: "full" })).runners;
    expect(well).toMatchObject({ state: "connected", capacity: 12 });
    expect(well).not.toHaveProperty("trouble");
    full.signal("SIGTERM");
    expect(await full.over()).toBe(0);
    const journal = new Journal(join(state, "full", "journal.sqlite"));
    expect(journal.attempts()).toEqual([]);
    journal.close();
  });
});

describe.concurrent("invariant 11: each clock has a reason of its own", () => {
  test("queue_ms: nobody takes the run, which is not tried again", async () => {
    const ended = await run("unwanted");
    expect(ended).toMatchObject({ status: "failed", errorCode: "queue_timeout", attempts: [] });
    expect(ended.error).toContain("500 ms");
  });

  test("silence_ms: the attempt is tried again where the step says timeout", async () => {
    expect(await run("silent")).toMatchObject({
      status: "completed",
      attempts: [{ status: "timeout", errorCode: "silence", endReason: "silence" }, { status: "completed" }],
    });
  });

  test("timeout_ms: printing does not help, and the attempt is tried again where the step says timeout", async () => {
    expect(await run("endless")).toMatchObject({
      status: "completed",
      attempts: [{ status: "timeout", errorCode: "timeout", endReason: "timeout" }, { status: "completed" }],
    });
  });
});

describe.concurrent("what the ancestor got wrong", () => {
  test("ancestor 8.1-8 and 1.5: a step that ignores SIGTERM is killed behind its timeout, and the text says timeout", async () => {
    const { id, ...ended } = await run("stubborn");
    expect(ended).toMatchObject({
      status: "failed",
      errorCode: "timeout",
      error: "the step ran longer than its timeout_ms of 1500 ms",
      attempts: [{ status: "timeout", exit: { signal: "SIGKILL" }, tree: GONE }],
    });
    expect(await printed(id, "stdout")).toBe("SIGTERM came\n");
    expect(processesOfRun(id)).toEqual([]);
  });

  test("ancestor 8.1-9: stdout and stderr of a step that succeeds are kept", async () => {
    const { id, status } = await run("chatty");
    expect(status).toBe("completed");
    expect(await printed(id, "stdout")).toContain("to stdout\n");
    expect(await printed(id, "stderr")).toBe("to stderr\n");
  });
});
