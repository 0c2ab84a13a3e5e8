/** A step's standard streams are streams that it can open by their path, as under a shell. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { openStandardStreams } from "../../runner-agent/steps/standard-streams.ts";
import { launchRequest, removePackages, requestFor, run } from "./step-harness.ts";

afterAll(removePackages);

const PATHS = `
  import { spawnSync } from "node:child_process";
  import { readFileSync, writeFileSync } from "node:fs";
  const outcome = (act) => { try { return act() ?? "ok"; } catch (error) { return error.code ?? error.message; } };
  const shell = (command) => () => {
    const { status } = spawnSync("sh", ["-c", command], { stdio: "inherit" });
    return status === 0 ? "ok" : "exit code " + status;
  };
  const artifacts = {
    warn: outcome(shell("echo a warning > /dev/stderr")),
    tee: outcome(shell("echo a line | tee /dev/stderr > /dev/null")),
    echo: outcome(shell("echo out of a shell > /dev/stdout")),
    write: outcome(() => writeFileSync("/dev/stdout", "out of the script\\n")),
    read: outcome(() => readFileSync("/dev/stdin", "utf8").startsWith("{") ? "ok" : "empty"),
    again: outcome(shell("head -c 1 /dev/stdin > /dev/null")),
  };
  console.log("FLOW_RESULT " + JSON.stringify({ status: "completed", artifacts }));
`;
const ALL_OK = { warn: "ok", tee: "ok", echo: "ok", write: "ok", read: "ok", again: "ok" };

describe.each(["bun", "node"] as const)("%s", (runner) => {
  test("a step and its programs open /dev/stdin, /dev/stdout and /dev/stderr by their path", async () => {
    const { results, text, end } = await run(PATHS, { runner });
    expect(results).toMatchObject([{ artifacts: ALL_OK }]);
    expect(text("stdout")).toContain("out of a shell\nout of the script\n");
    expect(text("stderr")).toBe("a warning\na line\n");
    expect(end).toMatchObject({ reason: "exited", exit: { code: 0 } });
  });
});

test("more steps at once than pipes are kept ready have streams of their own", async () => {
  const steps = Array.from({ length: 12 }, async (_, n) =>
    run(
      `console.log("out ${n}"); console.error("err ${n}"); console.log('FLOW_RESULT {"status":"skipped"}');`,
    ),
  );
  for (const [n, { text, results }] of (await Promise.all(steps)).entries()) {
    expect(text("stdout")).toBe(`out ${n}\nFLOW_RESULT {"status":"skipped"}\n`);
    expect(text("stderr")).toBe(`err ${n}\n`);
    expect(results).toHaveLength(1);
  }
});

test("the streams of a step leave no file behind", () => {
  const folder = mkdtempSync(join(tmpdir(), "flow-streams-"));
  const before = process.env["TMPDIR"];
  try {
    process.env["TMPDIR"] = folder;
    const streams = openStandardStreams("{}");
    streams?.started();
    streams?.stdout.destroy();
    streams?.stderr.destroy();
    expect(streams).toBeDefined();
    expect(readdirSync(folder)).toEqual([]);
  } finally {
    if (before === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = before;
    rmSync(folder, { recursive: true, force: true });
  }
});

test("where no temporary file can be made, a step gets Node's own pipes and runs as before", async () => {
  const request = await requestFor(
    `process.stdin.resume().on("end", () => console.log('FLOW_RESULT {"status":"completed"}'));`,
  );
  const before = process.env["TMPDIR"];
  process.env["TMPDIR"] = "/nonexistent";
  const { step, results } = launchRequest(request);
  if (before === undefined) delete process.env["TMPDIR"];
  else process.env["TMPDIR"] = before;
  await step.ended;
  expect(results).toEqual([{ status: "completed" }]);
});
