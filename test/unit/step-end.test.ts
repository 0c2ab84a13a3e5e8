/** How steps end: results and grace (invariant 9), kills and their proof (invariant 10), the clocks (invariant 11). */
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { attemptId } from "../../contract/ids.ts";
import { reapAttempt } from "../../runner-agent/steps/process-tree.ts";
import { processesOfRun } from "../support/run-processes.ts";
import { freshRunId, launch, removePackages, run, SHORT } from "./step-harness.ts";

afterAll(removePackages);

const GONE = { empty: true, survivors: [] };
const HANG = `setInterval(() => undefined, 1000);`;
const STUBBORN = `process.on("SIGTERM", () => console.log("no"));`;

/** A step's way to leave something behind: in a session of its own, deaf to SIGTERM, its output the step's. */
const DAEMON = `
  import { spawn } from "node:child_process";
  const daemon = spawn(process.execPath, ["-e", ${JSON.stringify(`${STUBBORN}${HANG} console.log("daemon " + process.pid);`)}],
    { detached: true, stdio: ["ignore", "inherit", "inherit"] });
  daemon.unref();
`;

function say(result: string): string {
  return `console.log('FLOW_RESULT ${result}');`;
}

/** A zombie that nobody has waited for runs no more. */
function isRunning(pid: number | undefined): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid ?? "none"}/status`, "utf8"));
  } catch {
    return false;
  }
}

describe("what counts as the result", () => {
  test("noise before, around and behind it changes nothing", async () => {
    const source = `
      console.log("FLOW_RESULT_IS_NEAR"); console.log("FLOW_RESULT"); console.error('FLOW_RESULT {"status":"failed"}');
      console.log('FLOW_RESULT {"status":"changed","message":"done","extra":[1]}'); console.log('info: FLOW_RESULT {"status":"failed"}');
    `;
    const { results, end } = await run(source);
    expect(results).toEqual([{ status: "changed", message: "done", extra: [1] }]);
    expect(end).toEqual({ reason: "exited", exit: { code: 0, signal: null }, tree: GONE });
  });

  test("each is told at once, the last one stands", async () => {
    const { results, end } = await run(say(`{"status":"failed"}`) + say(`{"status":"completed"}`));
    expect(results.map((result) => result.status)).toEqual(["failed", "completed"]);
    expect(end.error).toBeUndefined();
  });

  test("it comes behind the output before it and before the output behind it", async () => {
    const { told } = await run(
      `process.stdout.write('first\\nFLOW_RESULT {"status":"completed"}\\nlast\\n');`,
    );
    expect(told.map((entry) => `${entry.kind} ${entry.text.split("\n").at(-2) ?? entry.text}`)).toEqual([
      `stdout FLOW_RESULT {"status":"completed"}`,
      "result completed",
      "stdout last",
    ]);
  });

  test("a last line that was never finished counts", async () => {
    const { results } = await run(`process.stdout.write('FLOW_RESULT {"status":"skipped"}');`);
    expect(results).toEqual([{ status: "skipped" }]);
  });

  test.each([
    ["{oops", /is not JSON/],
    ["[]", /must be a JSON object/],
    [`{"status":"great"}`, /status is invalid/],
    [`{"status":"completed","message":1}`, /message must be a string/],
    [`{"status":"completed","deep":${"[".repeat(300)}${"]".repeat(300)}}`, /nested deeper than 256/],
  ])("an invalid last one fails the run, a good one before it does not help: %s", async (bad, words) => {
    const { results, end } = await run(say(`{"status":"completed"}`) + say(bad));
    expect(results).toEqual([{ status: "completed" }]);
    expect(end.error?.code).toBe("invalid_result");
    expect(end.error?.message).toMatch(words);
  });

  test("one that is too large is invalid and names the bound", async () => {
    const { results, end } = await run(
      `console.log("FLOW_RESULT " + JSON.stringify({ status: "completed", message: "x".repeat(300_000) }));`,
    );
    expect(results).toEqual([]);
    expect(end.error).toEqual({ code: "invalid_result", message: "FLOW_RESULT is larger than 262144 bytes" });
  });

  test("a good one behind an invalid one heals it", async () => {
    const { results, end } = await run(say("{") + say(`{"status":"completed"}`));
    expect(results).toHaveLength(1);
    expect(end.error).toBeUndefined();
  });

  test("another exit code than 0 is kept, whatever was printed", async () => {
    const { results, end } = await run(`${say(`{"status":"completed"}`)} process.exitCode = 7;`);
    expect(results).toHaveLength(1);
    expect(end).toMatchObject({ reason: "exited", exit: { code: 7, signal: null } });
  });

  test("a step that dies by a signal says which", async () => {
    const { end } = await run(`process.kill(process.pid, "SIGKILL");`);
    expect(end).toMatchObject({ reason: "exited", exit: { code: null, signal: "SIGKILL" }, tree: GONE });
  });
});

describe("invariant 9: the terminal event wins over the process", () => {
  test("a process that hangs after its result is reaped", async () => {
    const { end, results, step } = await run(say(`{"status":"completed"}`) + HANG);
    expect(results).toHaveLength(1);
    expect(end).toEqual({ reason: "reaped", exit: { code: null, signal: "SIGTERM" }, tree: GONE });
    expect(isRunning(step.pid)).toBe(false);
  });

  test("silence does not end it before its grace does", async () => {
    const { end } = await run(say(`{"status":"completed"}`) + HANG, {
      silence_ms: 800,
      clocks: { ...SHORT, resultGraceMs: 1200 },
    });
    expect(end.reason).toBe("reaped");
  });

  test("a later result replaces it and begins the grace again", async () => {
    const source = `
      ${say(`{"status":"failed"}`)}
      setTimeout(() => { ${say(`{"status":"changed"}`)} }, 400);
      setTimeout(() => { ${say(`{"status":"completed"}`)} process.exit(0); }, 800);
    `;
    const { end, results } = await run(source, { clocks: { ...SHORT, resultGraceMs: 650 } });
    expect(results.map((result) => result.status)).toEqual(["failed", "changed", "completed"]);
    expect(end).toMatchObject({ reason: "exited", exit: { code: 0 } });
  });

  test("an invalid one alone gives no grace, one behind a valid one fails what is reaped", async () => {
    const invalid = await run(`${say("{")} ${HANG}`, { timeout_ms: 500 });
    expect(invalid.end.reason).toBe("timeout");
    const spoiled = await run(`${say(`{"status":"completed"}`)} ${say("{")} ${HANG}`);
    expect(spoiled.end).toMatchObject({ reason: "reaped", error: { code: "invalid_result" } });
  });

  test("a result that the kill itself brought still counts", async () => {
    const source = `process.on("SIGTERM", () => { ${say(`{"status":"blocked"}`)} process.exit(0); }); console.log("up"); ${HANG}`;
    const { says, step, results } = await launch(source);
    await says("stdout", "up");
    step.cancel("canceled");
    expect((await step.ended).reason).toBe("canceled");
    expect(results).toEqual([{ status: "blocked" }]);
  });
});

describe("invariant 11: the runner's clocks", () => {
  test("the wall clock names its limit", async () => {
    const { end } = await run(`setInterval(() => console.log("busy"), 20);`, { timeout_ms: 300 });
    expect(end).toEqual({
      reason: "timeout",
      exit: { code: null, signal: "SIGTERM" },
      tree: GONE,
      error: { code: "timeout", message: "the step ran longer than its timeout_ms of 300 ms" },
    });
  });

  test("a process that closes its standard output and hangs is ended by the silence", async () => {
    const source = `import { closeSync } from "node:fs"; closeSync(1); closeSync(2); ${HANG}`;
    const { end } = await run(source, { silence_ms: 300 });
    expect(end).toMatchObject({ reason: "silence", tree: GONE, error: { code: "silence" } });
    expect(end.error?.message).toContain("silence_ms of 300 ms");
  });

  test("any output on either stream breaks the silence", async () => {
    const source = `
      let n = 0;
      setInterval(() => { process.stderr.write("."); n += 1; if (n === 24) process.exit(0); }, 50);
    `;
    const { end } = await run(source, { silence_ms: 800 });
    expect(end).toMatchObject({ reason: "exited", exit: { code: 0 } });
  });

  test("silence is not counted while nobody reads", async () => {
    const { step, says } = await launch(
      `console.log("up"); process.on("SIGTERM", () => process.exit(4)); ${HANG}`,
      {
        silence_ms: 800,
      },
    );
    await says("stdout", "up");
    step.pause();
    const waiting = step.ended.then((end) => end.reason);
    expect(await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 1200, "paused"))])).toBe(
      "paused",
    );
    step.resume();
    expect(await waiting).toBe("silence");
  });
});

describe("invariant 10: a kill is proved", () => {
  test("a process that ignores SIGTERM gets SIGKILL, and who is left is told until nobody is", async () => {
    const { step, says, signalled } = await launch(`${STUBBORN} console.log("up"); ${HANG}`);
    await says("stdout", "up");
    step.cancel("canceled");
    step.cancel("abandoned");
    const end = await step.ended;
    expect(end).toEqual({ reason: "canceled", exit: { code: null, signal: "SIGKILL" }, tree: GONE });
    expect(signalled).toEqual([[step.pid], [step.pid]]);
    step.cancel("canceled");
    expect(await step.ended).toBe(end);
  });

  test("a daemon in a session of its own that ignores SIGTERM goes with the step", async () => {
    const { step, says, text, signalled, request } = await launch(`${DAEMON} ${HANG}`);
    await says("stdout", "daemon ");
    await says("stdout", "\n");
    const daemon = Number(/daemon (\d+)/.exec(text("stdout"))?.[1]);
    expect(processesOfRun(request.runId).sort()).toEqual([String(step.pid), String(daemon)].sort());
    step.cancel("canceled");
    expect((await step.ended).tree).toEqual(GONE);
    expect(signalled[0]).toContain(daemon);
    expect(isRunning(daemon)).toBe(false);
    expect(processesOfRun(request.runId)).toEqual([]);
  });

  test("a step that exits well leaves no daemon behind, and its open pipe holds nobody up", async () => {
    const source = `${DAEMON} daemon.once("spawn", () => { ${say(`{"status":"completed"}`)} process.exit(0); });`;
    const { end, request, text, results } = await run(source);
    expect(end).toEqual({ reason: "exited", exit: { code: 0, signal: null }, tree: GONE });
    expect(results).toHaveLength(1);
    expect(text("system")).toMatch(/^What the step left running is being ended: \d+\n$/);
    expect(processesOfRun(request.runId)).toEqual([]);
  });

  test("nothing slips through by forking while the step exits", async () => {
    const source = `
      import { spawn } from "node:child_process";
      for (let n = 0; n < 8; n += 1)
        spawn("setsid", ["sh", "-c", "setsid sh -c 'setsid sleep 60 &' &"], { detached: true, stdio: "ignore" });
      process.exit(0);
    `;
    const { end, request } = await run(source);
    expect(end.tree).toEqual(GONE);
    expect(processesOfRun(request.runId)).toEqual([]);
  });

  test("what a process starts to clean up has the grace, too", async () => {
    const source = `
      trap 'sh -c "sleep 0.1; echo cleaned"; exit 0' TERM
      echo up
      while true; do sleep 0.05; done
    `;
    const script = `
      import { spawn } from "node:child_process";
      process.on("SIGTERM", () => undefined);
      spawn("sh", ["-c", ${JSON.stringify(source)}], { stdio: "inherit" }).on("exit", () => process.exit(0));
    `;
    const { step, says, text } = await launch(script, { clocks: { ...SHORT, killGraceMs: 5000 } });
    await says("stdout", "up");
    step.cancel("canceled");
    expect((await step.ended).tree).toEqual(GONE);
    expect(text("stdout")).toContain("cleaned");
  });

  test("ending one attempt leaves the next attempt of the same run alone", async () => {
    const runId = await freshRunId();
    const first = await launch(`console.log("up"); ${HANG}`, { runId, attempt: 1 });
    const second = await launch(`console.log("up"); process.stdin.on("end", () => undefined); ${HANG}`, {
      runId,
      attempt: 2,
    });
    await Promise.all([first.says("stdout", "up"), second.says("stdout", "up")]);
    first.step.cancel("canceled");
    expect((await first.step.ended).tree).toEqual(GONE);
    expect(processesOfRun(runId)).toEqual([String(second.step.pid)]);
    second.step.cancel("abandoned");
    expect((await second.step.ended).reason).toBe("abandoned");
  });

  test("an agent that knows nothing but the attempt's id can end what its former life left", async () => {
    const { step, says, request } = await launch(`${DAEMON} ${STUBBORN} ${HANG}`);
    await says("stdout", "daemon ");
    expect(await reapAttempt(attemptId(request.runId, request.attempt), SHORT)).toEqual(GONE);
    expect((await step.ended).exit).toEqual({ code: null, signal: "SIGKILL" });
    expect(processesOfRun(request.runId)).toEqual([]);
  });
});
