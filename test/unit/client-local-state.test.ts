/** File state of local mode: what is left of it when processes are killed, come in pairs, or find it damaged. */
import { once } from "node:events";
import { mkdir, readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text as readAll } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import type { FlowDispatchResult } from "../../client/index.ts";
import { createFlowClient } from "../../runner-agent/local/client-entry.ts";
import { RETENTION_DEFAULT_DAYS } from "../../contract/limits.ts";
import { processStart } from "../../runner-agent/steps/process-tree.ts";
import { workspaceWith, writeFiles } from "../support/flow-workspace.ts";
import { ENDLESS, killHard, nodePackage, otherProcess, RAW } from "../support/local-flows.ts";
import { until } from "../support/until.ts";

const STATE = ".codex/flow-client";
const file = { kind: "file" } as const;
const onDisk = (cwd: string) => createFlowClient({ mode: "local", cwd, state: file });

const COMPLETES = `${RAW} appendFileSync("../../diary", runtime.runId + "\\n"); result({ status: "completed" });`;

async function linesOf(path: string): Promise<string[]> {
  const text = await readFile(path, "utf8").catch(() => "");
  return text.split("\n").filter((line) => line !== "");
}

/** Paths of all files below a folder, sorted. */
async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

describe("kill -9 of the process", () => {
  test("in the middle of a step: the run has failed and says why, its processes are ended, its output is there", async () => {
    const cwd = await workspaceWith({
      ...nodePackage("endless", ENDLESS),
      ...nodePackage("later", COMPLETES),
    });
    await writeFiles(cwd, {
      "flows/later/flow.toml": `name = "later"\nversion = 1\n[[steps]]\nname = "run"\nrunner = "node"\nscript = "exec/run.mjs"\n[steps.trigger]\ntype = "endless.event"\n`,
    });
    const event = { id: "k:1", type: "endless.event" };
    const child = otherProcess({ cwd, state: file }, `await client.dispatchEvent(${JSON.stringify(event)});`);
    const [pid = 0] = await until(async () => {
      const pids = (await linesOf(join(cwd, "pids"))).map(Number);
      return pids.length > 0 ? pids : undefined;
    });
    const client = onDisk(cwd);
    const printed = await until(async () => {
      const run = (await client.listRuns({ status: "running" })).runs[0];
      return run && (await client.getRun(run.id)).latestOutput;
    });
    expect(printed.text).toContain("on and on");
    // Seen from here it runs, and is somebody else's.
    const before = (await client.getEvent(event.id)).runs.map((run) => [run.flowName, run.status]);
    expect(before).toEqual([
      ["later", "queued"],
      ["endless", "running"],
    ]);
    await expect(
      client.cancelRun((await client.listRuns({ status: "running" })).runs[0]?.id ?? ""),
    ).rejects.toMatchObject({ code: "run_elsewhere" });
    await killHard(child);

    const after = await onDisk(cwd).getEvent(event.id);
    expect(
      after.runs.map((run) => [run.flowName, run.status, (run.raw as { errorCode: string }).errorCode]),
    ).toEqual([
      ["later", "failed", "lost"],
      ["endless", "failed", "lost"],
    ]);
    expect(after.runs[0]?.error).toMatch(/process \d+ .* has died; replay the event/);
    // Undefined also for a zombie, which only waits to be noticed.
    expect(processStart(pid)).toBeUndefined();
    expect(await linesOf(join(cwd, "diary"))).toEqual([]);
    const again = await onDisk(cwd).dispatchEvent(event);
    expect(again).toMatchObject({ status: "duplicate", idempotent: true, matched: 0 });
    expect(again.runs.map(({ status }) => status)).toEqual(["failed", "failed"]);
  });

  test("behind a result: the result stands, and what it asked for is said not to be sent", async () => {
    const script = `${RAW} result({ status: "changed", next: [{ id: "k:3", type: "none" }] });
      appendFileSync("../../pids", process.pid + "\\n"); setInterval(() => {}, 1000);`;
    const cwd = await workspaceWith(nodePackage("said", script));
    const event = { id: "k:2", type: "said.event" };
    const child = otherProcess({ cwd, state: file }, `await client.dispatchEvent(${JSON.stringify(event)});`);
    await until(async () => {
      const run = (await onDisk(cwd).listRuns()).runs[0];
      return (run?.attempts[0]?.raw as { result?: unknown } | undefined)?.result;
    });
    await killHard(child);
    const [run] = (await onDisk(cwd).getEvent("k:2")).runs;
    expect(run).toMatchObject({
      status: "changed",
      raw: { chained: [{ state: "refused", reason: expect.stringContaining("not sent") as string }] },
    });
  });

  test("at any moment of a dispatch: the event is there with its runs, or not at all", async () => {
    const cwd = await workspaceWith(nodePackage("quick", COMPLETES));
    for (let round = 0; round < 6; round += 1) {
      const event = { id: `m:${round}`, type: "quick.event" };
      const child = otherProcess(
        { cwd, state: file },
        `say("ready"); await client.dispatchEvent(${JSON.stringify(event)}); say("over");`,
      );
      await once(child.stdout ?? child, "data");
      // No time is right or wrong here: each round is to hit another moment.
      await new Promise((go) => setTimeout(go, round * 15));
      await killHard(child);
      const answer = await onDisk(cwd).dispatchEvent(event);
      expect(answer.runs).toHaveLength(1);
      expect(["completed", "failed"]).toContain(answer.runs[0]?.status);
    }
    expect((await onDisk(cwd).listRuns()).runs).toHaveLength(6);
  });
});

describe("two processes on one folder", () => {
  test("send the same events at the same time: each event has one set of runs, and both are told of it", async () => {
    const cwd = await workspaceWith(nodePackage("both", COMPLETES));
    const body = `for (let n = 0; n < 8; n += 1) say(await client.dispatchEvent({ id: "b:" + n, type: "both.event" }));`;
    const texts = await Promise.all(
      [1, 2].map(async () => {
        const child = otherProcess({ cwd, state: file }, body);
        return child.stdout === null ? "" : readAll(child.stdout);
      }),
    );
    const [left = [], right = []] = texts.map((text) =>
      text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as FlowDispatchResult])),
    );
    expect([left.length, right.length]).toEqual([8, 8]);
    for (const [n, answer] of left.entries()) {
      const other = right[n];
      expect(other?.runIds).toEqual(answer.runIds);
      expect([answer.matched, other?.matched].sort()).toEqual([0, 1]);
      expect([answer.runs[0]?.status, other?.runs[0]?.status]).toEqual(["completed", "completed"]);
    }
    expect(new Set(await linesOf(join(cwd, "diary"))).size).toBe(8);
    expect(await linesOf(join(cwd, "diary"))).toHaveLength(8);
  });

  test("look at the same moment, and both find nothing: still only one starts the event", async () => {
    const cwd = await workspaceWith(nodePackage("tie", COMPLETES));
    const answers = await Promise.all(
      [1, 2, 3].map(() => onDisk(cwd).dispatchEvent({ id: "s:1", type: "tie.event" })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual(["accepted", "duplicate", "duplicate"]);
    expect(new Set(answers.flatMap(({ runIds }) => runIds)).size).toBe(1);
    expect(answers.map(({ runs }) => runs[0]?.status)).toEqual(["completed", "completed", "completed"]);
    expect(await linesOf(join(cwd, "diary"))).toHaveLength(1);
  });

  test("replay the same event at the same time: no run takes another's number", async () => {
    const cwd = await workspaceWith(nodePackage("twice", COMPLETES));
    await onDisk(cwd).dispatchEvent({ id: "t:1", type: "twice.event" });
    // Also within one process: both of a round ask for the same number.
    const body = `for (let n = 0; n < 2; n += 1) await Promise.all([client.replayEvent("t:1"), client.replayEvent("t:1")]);`;
    const children = [1, 2].map(() => otherProcess({ cwd, state: file }, body));
    expect(
      await Promise.all(children.map(async (child) => (await once(child, "exit"))[0] as number)),
    ).toEqual([0, 0]);
    const { runs } = await onDisk(cwd).getEvent("t:1");
    expect(runs.map(({ status }) => status)).toEqual(Array.from({ length: 9 }, () => "completed"));
    expect((await linesOf(join(cwd, "diary"))).sort()).toEqual(runs.map(({ id }) => id).sort());
  });
});

test("what another process has kept is there, output and replays included", async () => {
  const cwd = await workspaceWith(
    nodePackage("keep", `${RAW} console.log("word"); result({ status: "blocked" });`),
  );
  const [id = ""] = (await onDisk(cwd).dispatchEvent({ id: "p:1", type: "keep.event", payload: "x" })).runIds;
  await onDisk(cwd).dispatchEvent({ id: "p:2", type: "nobody" });
  const body = `say([await client.getRun(${JSON.stringify(id)}), await client.listEvents(), await client.replayEvent("p:1")]);`;
  const child = otherProcess({ cwd, state: file }, body);
  const [run, { events }, replayed] = JSON.parse(
    child.stdout === null ? "" : await readAll(child.stdout),
  ) as [
    { status: string; needsAttention: boolean; output: Array<{ text: string }> },
    { events: Array<{ id: string; payload: unknown }> },
    FlowDispatchResult,
  ];
  expect(run).toMatchObject({ status: "blocked", needsAttention: true });
  expect(run.output.map(({ text }) => text).join("")).toContain("word\n");
  expect(events.map((event) => [event.id, event.payload])).toEqual([
    ["p:2", {}],
    ["p:1", "x"],
  ]);
  expect(replayed.runs[0]).toMatchObject({ status: "blocked", raw: { replayOf: id } });
});

test("a damaged file is an error that names it, not an event that never was", async () => {
  const cwd = await workspaceWith(nodePackage("hurt", COMPLETES));
  const event = { id: "d:1", type: "hurt.event" };
  await onDisk(cwd).dispatchEvent(event);
  const files = await filesBelow(join(cwd, STATE, "events"));
  const damaged = files.find((path) => path.endsWith("event.json")) ?? "";
  const run = files.find((path) => /run_.*_1\.json$/.test(path)) ?? "";
  for (const [path, content] of [
    [run, "{"],
    [run, `{"v":9}`],
    [damaged, ""],
  ] as const) {
    const whole = await readFile(path, "utf8");
    await writeFile(path, content);
    for (const call of [
      () => onDisk(cwd).dispatchEvent(event),
      () => onDisk(cwd).listEvents(),
      () => onDisk(cwd).listRuns(),
      () => onDisk(cwd).getEvent(event.id),
    ])
      await expect(call()).rejects.toMatchObject({
        code: "state_corrupt",
        message: expect.stringContaining(path) as string,
      });
    await writeFile(path, whole);
  }
  expect(await linesOf(join(cwd, "diary"))).toHaveLength(1);
});

test("output that a kill has cut off in mid-line is read up to there", async () => {
  const cwd = await workspaceWith(
    nodePackage("torn", `${RAW} console.log("whole"); result({ status: "completed" });`),
  );
  const [id = ""] = (await onDisk(cwd).dispatchEvent({ id: "z:1", type: "torn.event" })).runIds;
  const output = (await filesBelow(join(cwd, STATE))).find((path) => path.endsWith(".output.jsonl")) ?? "";
  await writeFile(output, `${await readFile(output, "utf8")}{"attempt":1,"ki`);
  expect((await onDisk(cwd).getRun(id)).output[0]?.text).toContain("whole");
});

test("a folder that cannot be written is said at once, and nothing is started", async () => {
  const cwd = await workspaceWith({ ...nodePackage("ro", COMPLETES), ".codex/flow-client": "a file" });
  await expect(onDisk(cwd).dispatchEvent({ id: "f:1", type: "ro.event" })).rejects.toMatchObject({
    code: "state_unwritable",
  });
  expect(await linesOf(join(cwd, "diary"))).toEqual([]);
});

test("nothing is kept longer than the edge keeps it, and half-written files go too", async () => {
  const cwd = await workspaceWith(nodePackage("old", COMPLETES));
  await onDisk(cwd).dispatchEvent({ id: "old:1", type: "old.event" });
  const [folder = ""] = await readdir(join(cwd, STATE, "events"));
  await mkdir(join(cwd, STATE, "new", "left"), { recursive: true });
  const long = new Date(Date.now() - (RETENTION_DEFAULT_DAYS + 1) * 24 * 60 * 60 * 1000);
  await utimes(join(cwd, STATE, "events", folder), long, long);
  await utimes(join(cwd, STATE, "new", "left"), long, long);
  await onDisk(cwd).dispatchEvent({ id: "old:2", type: "old.event" });
  expect((await onDisk(cwd).listEvents()).events.map(({ id }) => id)).toEqual(["old:2"]);
  expect(await readdir(join(cwd, STATE, "new"))).toEqual([]);
});
