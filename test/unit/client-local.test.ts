/** Local mode of the client: what a product sees when its flows run in its own process. Steps are real processes. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { FlowLocalClientOptions, FlowProgress } from "../../client/index.ts";
import { createFlowClient } from "../../runner-agent/local/client-entry.ts";
import { CHAIN_MAX_DEPTH, OUTPUT_MAX_BYTES } from "../../contract/limits.ts";
import { writeFiles, workspaceWith } from "../support/flow-workspace.ts";
import { ENDLESS, nodePackage, RAW } from "../support/local-flows.ts";
import { until } from "../support/until.ts";

const local = (cwd: string, options: FlowLocalClientOptions = {}) =>
  createFlowClient({ mode: "local", cwd, ...options });

const COMPLETES = `${RAW} result({ status: "completed", message: "did " + flow.event.id });`;

describe("an event that is dispatched", () => {
  test("runs its steps one after another, and shows the views of http mode", async () => {
    const noted = (name: string) =>
      `${RAW} appendFileSync("../../diary", "${name} starts\\n"); await new Promise((go) => setTimeout(go, 30));
       appendFileSync("../../diary", "${name} ends\\n"); result({ status: "changed", artifacts: { by: "${name}" } });`;
    const cwd = await workspaceWith({
      ...nodePackage("a", noted("a")),
      ...nodePackage("b", noted("b")),
      "flows/b/flow.toml": `name = "b"\nversion = 2\n[[steps]]\nname = "run"\nrunner = "node"\nscript = "exec/run.mjs"\n[steps.trigger]\ntype = "a.event"\n`,
    });
    const client = local(cwd);
    const answer = await client.dispatchEvent({ id: "e:1", type: "a.event", source: "test" });
    expect(answer).toMatchObject({ status: "accepted", eventId: "e:1", matched: 2, idempotent: false });
    expect(answer.runs.map((run) => [run.flowName, run.flowVersion, run.stepName, run.status])).toEqual([
      ["a", 1, "run", "changed"],
      ["b", 2, "run", "changed"],
    ]);
    expect(answer.runs[0]).toMatchObject({
      eventId: "e:1",
      runner: "node",
      backend: "local",
      processStatus: "completed",
      resultStatus: "changed",
      resultPayload: { status: "changed", artifacts: { by: "a" } },
      attemptCount: 1,
      attempts: [{ status: "completed", attemptNumber: 1 }],
    });
    expect(await readFile(join(cwd, "diary"), "utf8")).toBe("a starts\na ends\nb starts\nb ends\n");
    expect((await client.getEvent("e:1")).runs.map((run) => run.flowName)).toEqual(["b", "a"]);
  });

  test("gives the step the context and the variables that an agent gives", async () => {
    const cwd = await workspaceWith(
      nodePackage(
        "ctx",
        `${RAW} const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith("CODEX_FLOW_")));
         result({ status: "completed", artifacts: { flow, runtime, own } });`,
      ),
    );
    const client = local(cwd, { env: { ...process.env, CODEX_FLOW_URL: "https://flows.example" } });
    const { runs } = await client.dispatchEvent({ id: "c:1", type: "ctx.event", payload: { k: 1 } });
    const id = runs[0]?.id ?? "";
    const runtime = {
      eventId: "c:1",
      runId: id,
      attemptId: `${id}_a1`,
      replay: false,
      workspaceBackendUrl: "wss://flows.example",
      launchedBy: "codex-flow-edge",
    };
    expect(runs[0]?.resultPayload).toMatchObject({
      artifacts: {
        flow: {
          name: "ctx",
          version: 1,
          root: join(cwd, "flows/ctx"),
          step: "run",
          event: { payload: { k: 1 } },
        },
        runtime,
        own: {
          CODEX_FLOW_EVENT_ID: "c:1",
          CODEX_FLOW_RUN_ID: id,
          CODEX_FLOW_ATTEMPT_ID: `${id}_a1`,
          CODEX_FLOW_REPLAY: "0",
          CODEX_FLOW_LAUNCHED_BY: "codex-flow-edge",
          CODEX_FLOW_URL: "https://flows.example",
        },
      },
    });
  });

  test("again is a duplicate with its runs, also while they run; a differing one is a conflict", async () => {
    const cwd = await workspaceWith(nodePackage("once", COMPLETES));
    const client = local(cwd);
    const event = { id: "o:1", type: "once.event" };
    const [first, second] = await Promise.all([client.dispatchEvent(event), client.dispatchEvent(event)]);
    const [accepted, duplicate] = first.idempotent === true ? [second, first] : [first, second];
    expect([accepted.matched, duplicate.matched]).toEqual([1, 0]);
    expect(duplicate).toMatchObject({ status: "duplicate", idempotent: true, runIds: accepted.runIds });
    expect(duplicate.runs[0]?.status).toBe("completed");
    expect((await client.dispatchEvent({ ...event, payload: 7 })).raw).toMatchObject({ conflict: true });
    expect((await client.listRuns()).runs).toHaveLength(1);
  });

  test("that matches nothing starts its steps when a package for it is added, without a restart", async () => {
    const cwd = await workspaceWith({});
    const client = local(cwd);
    const event = { id: "late:1", type: "late.event", payload: { n: "no number" } };
    expect(await client.dispatchEvent(event)).toMatchObject({ status: "accepted", matched: 0, runs: [] });
    await writeFiles(
      cwd,
      nodePackage("late", COMPLETES, { schema: { properties: { n: { type: "integer" } } } }),
    );
    expect(await client.dispatchEvent(event)).toMatchObject({ status: "duplicate", matched: 0 });
    await writeFile(join(cwd, "flows/late/schema.json"), "true");
    expect(await client.dispatchEvent(event)).toMatchObject({ status: "accepted", matched: 1 });
    expect(await client.dispatchEvent(event)).toMatchObject({
      status: "duplicate",
      runs: [{ status: "completed" }],
    });
  });

  test("runs although another package is broken, and the answer names the fault", async () => {
    const cwd = await workspaceWith({
      ...nodePackage("good", COMPLETES),
      "flows/bad/flow.toml": `name = "bad"\nversion = 1\nsteps = "none"\n`,
    });
    const answer = await local(cwd).dispatchEvent({ id: "g:1", type: "good.event" });
    expect(answer.runs[0]?.status).toBe("completed");
    expect(answer.faults).toEqual([expect.stringMatching(/^flows\/bad\/flow\.toml:3:\d+ steps /)]);
  });

  test("that is none is refused with the edge's code and paths, and leaves nothing behind", async () => {
    const client = local(await workspaceWith({}));
    const bad = { id: "", type: "x" };
    await expect(client.dispatchEvent(bad)).rejects.toMatchObject({
      code: "invalid",
      status: 422,
      details: [{ path: "/id" }],
    });
    await expect(
      client.dispatchEvent({ id: "x", type: "x", payload: "x".repeat(1 << 20) }),
    ).rejects.toMatchObject({
      code: "too_large",
    });
    expect((await client.listEvents()).events).toEqual([]);
    await expect(client.getEvent("x")).rejects.toMatchObject({ code: "event_not_found", status: 404 });
    await expect(client.replayEvent("x")).rejects.toMatchObject({ code: "event_not_found" });
    await expect(client.getRun("nonsense")).rejects.toMatchObject({ code: "run_not_found" });
  });
});

describe("the options of codex-flows", () => {
  test("dataDir is the folder of file state", async () => {
    const cwd = await workspaceWith(nodePackage("kept", COMPLETES));
    await local(cwd, { state: { kind: "file", dataDir: "here" } }).dispatchEvent({
      id: "k:1",
      type: "kept.event",
    });
    const again = local(cwd, { state: { kind: "file", path: "here" } });
    expect((await again.getEvent("k:1")).runs).toHaveLength(1);
  });

  test.each<[string, object]>([
    ["codex", { codex: {} }],
    ["state.folder", { state: { kind: "file", folder: "x" } }],
    ["state: false", { state: false }],
  ])("the option %s is refused with its name instead of being ignored", (name, options) => {
    expect(() => local("/", options as FlowLocalClientOptions)).toThrow(
      expect.objectContaining({
        code: "unknown_option",
        message: expect.stringContaining(`no option ${name}:`) as string,
      }) as Error,
    );
  });
});

describe("a step that ends badly", () => {
  test.each([
    ["an exit code", `${RAW} result({ status: "completed" }); process.exit(3);`, "exit_code"],
    ["no result", `${RAW} console.log("nothing to say");`, "no_result"],
    ["an invalid result", `${RAW} console.log("FLOW_RESULT {");`, "invalid_result"],
  ])("by %s is a failed run with its code", async (_name, script, code) => {
    const client = local(await workspaceWith(nodePackage("ends", script)));
    const { runs } = await client.dispatchEvent({ id: "b:1", type: "ends.event" });
    expect(runs[0]).toMatchObject({ status: "failed", processStatus: "failed", raw: { errorCode: code } });
  });

  test("by a clock is ended, and tried again as its retry says", async () => {
    const toml = `timeout_ms = 300\n[steps.retry]\nattempts = 2\non = ["timeout"]\nbackoff_ms = 1\n`;
    const client = local(
      await workspaceWith(nodePackage("slow", `${RAW} setInterval(() => {}, 1000);`, { toml })),
    );
    const { runs } = await client.dispatchEvent({ id: "s:1", type: "slow.event" });
    expect(runs[0]).toMatchObject({ status: "failed", attemptCount: 2, raw: { errorCode: "timeout" } });
    expect(runs[0]?.attempts.map(({ status }) => status)).toEqual(["timeout", "timeout"]);
  });

  test("before it could start is refused with its code", async () => {
    const cwd = await workspaceWith({
      ...nodePackage("kind", COMPLETES),
      "flows/kind/flow.toml": `name = "kind"\nversion = 1\n[[steps]]\nname = "run"\nrunner = "node"\nscript = "exec/run.mjs"\ncwd = "nowhere"\n[steps.trigger]\ntype = "kind.event"\n`,
    });
    const { runs } = await local(cwd).dispatchEvent({ id: "k:1", type: "kind.event" });
    expect(runs[0]).toMatchObject({ status: "failed", raw: { errorCode: "cwd_missing" } });
  });
});

test("a secret that a step prints is in no output, no result and no progress", async () => {
  const secret = "s3cr3t-value-of-a-token";
  const script = `${RAW} console.log("token " + process.env.MY_TOKEN); console.error("again " + process.env.MY_TOKEN);
    result({ status: "completed", message: "with " + process.env.MY_TOKEN });`;
  const cwd = await workspaceWith({
    ...nodePackage("leak", script),
    ".codex/runner.toml": `[env]\npass = ["MY_TOKEN", "CODEX_FLOW_TOKEN"]\n`,
  });
  const told: FlowProgress[] = [];
  const client = local(cwd, {
    env: { ...process.env, MY_TOKEN: secret, CODEX_FLOW_TOKEN: "edge-token-of-mine", OTHER: "x" },
    onProgress: (progress) => told.push(progress),
  });
  const { runs } = await client.dispatchEvent({ id: "l:1", type: "leak.event" });
  const run = await client.getRun(runs[0]?.id ?? "");
  expect(run.output.map(({ text }) => text).join("")).toMatch(/token .+again /s);
  expect(run.resultPayload).toMatchObject({ message: expect.stringMatching(/^with /) as string });
  expect(JSON.stringify([run, told])).not.toContain(secret);
  expect(told.some((progress) => progress.kind === "output")).toBe(true);
});

test("output beyond the bound of a run is counted and not kept, and the run goes on", async () => {
  const mib = 1 << 20;
  const script = `${RAW} for (let n = 0; n < 17; n += 1) process.stdout.write("x".repeat(${mib - 1}) + "\\n");
    process.stdout.write("", () => result({ status: "completed" }));`;
  const client = local(await workspaceWith(nodePackage("loud", script)));
  const [id = ""] = (await client.dispatchEvent({ id: "big:1", type: "loud.event" })).runIds;
  const run = await client.getRun(id);
  const kept = run.output.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
  expect(kept).toBeLessThanOrEqual(OUTPUT_MAX_BYTES);
  expect(run).toMatchObject({ status: "completed", raw: { outputBytes: kept } });
  expect((run.raw as { outputDropped: number }).outputDropped).toBeGreaterThanOrEqual(mib);
});

describe("events that a result asks for", () => {
  test("are dispatched behind it, with their lineage, as deep as the edge lets them and no deeper", async () => {
    const script = `${RAW} const n = flow.event.payload.n;
      result({ status: "completed", next: [{ id: "deep:" + (n + 1), type: "deep.event", payload: { n: n + 1 } }] });`;
    const client = local(await workspaceWith(nodePackage("deep", script)));
    await client.dispatchEvent({ id: "deep:0", type: "deep.event", payload: { n: 0 } });
    const { events } = await client.listEvents();
    expect(events).toHaveLength(CHAIN_MAX_DEPTH + 1);
    const last = await client.getEvent(`deep:${CHAIN_MAX_DEPTH}`);
    expect(last.raw).toMatchObject({ rootId: "deep:0", depth: CHAIN_MAX_DEPTH });
    expect(last.runs[0]?.raw).toMatchObject({
      chained: [{ state: "refused", reason: expect.stringContaining("deep") as string }],
    });
    const first = await client.getEvent("deep:0");
    expect(first.runs[0]?.raw).toMatchObject({ chained: [{ state: "sent", eventId: "deep:1" }] });
  });

  test("that are none are refused on the run, and change nothing else", async () => {
    const script = `${RAW} result({ status: "completed", next: [{ type: "x" }, { id: "n:1", type: "x" }] });`;
    const client = local(await workspaceWith(nodePackage("some", script)));
    const { runs } = await client.dispatchEvent({ id: "n:0", type: "some.event" });
    const run = await client.getRun(runs[0]?.id ?? "");
    expect(run.raw).toMatchObject({
      status: "completed",
      chained: [
        { state: "refused", reason: "/id is required" },
        { state: "sent", eventId: "n:1", runIds: [] },
      ],
    });
  });
});

describe("replay", () => {
  test("makes a new run of the packages as they are now, linked to the one before", async () => {
    const cwd = await workspaceWith(nodePackage("again", COMPLETES));
    const client = local(cwd);
    const { runIds } = await client.dispatchEvent({ id: "r:1", type: "again.event" });
    const edited = `${RAW} result({ status: "changed", message: String(runtime.replay) });`;
    await writeFile(join(cwd, "flows/again/exec/run.mjs"), edited);
    const replayed = await client.replayEvent("r:1");
    expect(replayed).toMatchObject({ status: "accepted", matched: 1, runs: [{ status: "changed" }] });
    expect(replayed.runs[0]).toMatchObject({
      resultPayload: { message: "true" },
      raw: { origin: "replay", replayOf: runIds[0] },
    });
    // The answer to a duplicate are the runs that the event started when it came.
    expect((await client.dispatchEvent({ id: "r:1", type: "again.event" })).runIds).toEqual(runIds);
  });
});

describe("cancel", () => {
  test("ends the step with everything it started, and what waits behind it never starts", async () => {
    const cwd = await workspaceWith({
      ...nodePackage("hang", `${RAW} console.log("up"); setInterval(() => {}, 1000);`),
      ...nodePackage("next", COMPLETES),
    });
    const client = local(cwd);
    const hanging = await client.dispatchEvent({ id: "h:1", type: "hang.event" }, { wait: false });
    const waiting = await client.dispatchEvent({ id: "h:2", type: "next.event" }, { wait: false });
    const [running = "", queued = ""] = [...hanging.runIds, ...waiting.runIds];
    await until(async () => (await client.getRun(running)).latestOutput);
    expect((await client.cancelRun(queued)).run.status).toBe("canceled");
    expect((await client.cancelRun(running)).run.raw).toMatchObject({ cancel: { by: "local client" } });
    const over = await until(async () => {
      const run = await client.getRun(running);
      return run.status === "canceled" ? run : undefined;
    });
    expect(over.attempts[0]?.raw).toMatchObject({ tree: { empty: true } });
    expect((await client.getRun(queued)).attemptCount).toBe(0);
    await expect(client.cancelRun(running)).rejects.toMatchObject({ code: "run_over", status: 409 });
  });
});

test("a watcher that throws ends the step, and the dispatch says what it threw", async () => {
  const cwd = await workspaceWith(nodePackage("watched", ENDLESS.replace(/process\.on.*\n/, "")));
  const client = local(cwd, {
    onProgress: (progress) => {
      if (progress.kind === "output") throw new Error("nobody looks any more");
    },
  });
  await expect(client.dispatchEvent({ id: "w:1", type: "watched.event" })).rejects.toThrow(
    "nobody looks any more",
  );
});

test("lists are newest first, filtered, in pages; what is no status or cursor is said to be none", async () => {
  const cwd = await workspaceWith(nodePackage("item", COMPLETES));
  const client = local(cwd);
  for (const n of [1, 2, 3])
    await client.dispatchEvent({ id: `i:${n}`, type: n === 2 ? "other" : "item.event" });
  const first = await client.listEvents({ limit: 2 });
  expect(first.events.map(({ id }) => id)).toEqual(["i:3", "i:2"]);
  const second = await client.listEvents({ limit: 2, cursor: first.nextCursor });
  expect([second.events.map(({ id }) => id), second.nextCursor]).toEqual([["i:1"], undefined]);
  expect((await client.listEvents({ type: "other" })).events.map(({ id }) => id)).toEqual(["i:2"]);
  expect((await client.listRuns({ status: "completed" })).runs).toHaveLength(2);
  expect((await client.listRuns({ eventId: "i:1" })).runs.map(({ eventId }) => eventId)).toEqual(["i:1"]);
  expect((await client.listRuns({ status: "blocked" })).runs).toEqual([]);
  await expect(client.listRuns({ status: "nonsense" })).rejects.toMatchObject({ code: "invalid_status" });
  await expect(client.listRuns({ cursor: "nonsense" })).rejects.toMatchObject({ code: "invalid_cursor" });
});

test("other roots are looked into instead, relative or absolute", async () => {
  const cwd = await workspaceWith({ ...nodePackage("here", COMPLETES), ...nodePackage("there", COMPLETES) });
  const elsewhere = await workspaceWith({});
  const client = local(elsewhere, { roots: [join(cwd, "flows")] });
  expect((await client.dispatchEvent({ id: "x:1", type: "there.event" })).matched).toBe(1);
});

test("a mistyped key in runner.toml stops the dispatch with its name, and the event is not taken", async () => {
  const cwd = await workspaceWith({
    ...nodePackage("cfg", COMPLETES),
    ".codex/runner.toml": `[env]\npas = ["X"]\n`,
  });
  const client = local(cwd);
  await expect(client.dispatchEvent({ id: "y:1", type: "cfg.event" })).rejects.toMatchObject({
    code: "invalid_configuration",
    details: [{ path: "env.pas" }],
  });
  expect((await client.listEvents()).events).toEqual([]);
});
