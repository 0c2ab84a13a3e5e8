/** A codex step over the real Codex and a fake model: its answers and ends. Named after what goes wrong. */
import { readdirSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { resultFault } from "../../contract/flow-result.ts";
import { KILL_GRACE_MS, RESULT_MAX_BYTES } from "../../contract/limits.ts";
import { outcomeOf } from "../../contract/run-outcome.ts";
import { folder } from "../support/codex.ts";
import { command, failed, held, message, patch, structured } from "../support/fake-model/answers.ts";
import { processesWith } from "../support/run-processes.ts";
import { until } from "../support/until.ts";
import { codexBox, runCodexStep, startCodexStep } from "../support/codex-step-life.ts";

const DONE = structured({ status: "completed", message: "done" });
const PROMPT = "---\napproval_policy: never\n---\nDo it.";

describe("the answer", () => {
  test("is asked for in the form of a FLOW_RESULT, and comes with what was done", async () => {
    const at = await codexBox([{ answers: [patch("*** Add File: a.txt", "+one", "+two"), DONE] }]);
    const { results, end } = await runCodexStep(at, { template: PROMPT });
    expect(end).toMatchObject({ reason: "exited", exit: { code: 0 }, tree: { empty: true, survivors: [] } });
    expect(results).toMatchObject([
      {
        status: "completed",
        message: "done",
        artifacts: {
          threadId: expect.any(String) as string,
          turnIds: [expect.any(String)],
          usage: { inputTokens: 200, outputTokens: 40 },
          changedFiles: [{ path: "a.txt", kind: "add", addedLines: 2, removedLines: 0 }],
          diff: { files: 1, addedLines: 2, removedLines: 0 },
        },
      },
    ]);
    expect(at.model.requests[0]?.text?.format).toMatchObject({ type: "json_schema" });
    expect(readFileSync(join(at.cwd, "a.txt"), "utf8")).toBe("one\ntwo\n");
  });

  test("that is none gets one correcting turn, in which it may be right", async () => {
    const at = await codexBox([
      { answers: [message("All fine!")] },
      { prompt: "could not be read", answers: [DONE] },
    ]);
    const { results, end } = await runCodexStep(at, { template: PROMPT });
    expect(results).toMatchObject([{ status: "completed" }]);
    expect(results[0]?.artifacts?.["turnIds"]).toHaveLength(2);
    expect(end.reason).toBe("exited");
  });

  test("that is none twice fails the step, and says what was wrong", async () => {
    const at = await codexBox([
      { answers: [message("All fine!")] },
      { prompt: "could not be read", answers: [structured({ status: "great", message: "" })] },
    ]);
    const { results, end } = await runCodexStep(at, { template: PROMPT });
    expect(results).toEqual([]);
    expect(outcomeOf(end, undefined, false)).toMatchObject({
      status: "failed",
      error: { code: "invalid_result", message: expect.stringContaining("/status") as string },
    });
  });

  test("that is as large as a result may be arrives, without what the runner would add", async () => {
    const bare = JSON.stringify({ status: "completed", message: "" });
    const largest = structured({
      status: "completed",
      message: "x".repeat(RESULT_MAX_BYTES - bare.length - 100),
    });
    const at = await codexBox([{ answers: [patch("*** Add File: a.txt", "+one"), largest] }]);
    const { results } = await runCodexStep(at, { template: PROMPT });
    expect(results).toMatchObject([{ artifacts: { threadId: expect.any(String) as string } }]);
    expect(results[0]?.artifacts).not.toHaveProperty("changedFiles");
    expect(resultFault(results[0])).toBeUndefined();
  });

  test("that is larger than a result may be gets its correcting turn", async () => {
    const at = await codexBox([
      { answers: [structured({ status: "completed", message: "x".repeat(RESULT_MAX_BYTES) })] },
      { prompt: "it is larger than", answers: [DONE] },
    ]);
    const { results } = await runCodexStep(at, { template: PROMPT });
    expect(results).toMatchObject([{ message: "done" }]);
  });

  test("has the form that the step's own schema demands", async () => {
    const at = await codexBox([
      { answers: [structured({ status: "completed", message: "", output: { findings: "none" } })] },
      {
        prompt: "could not be read",
        answers: [structured({ status: "completed", message: "", output: { findings: [1] } })],
      },
    ]);
    await writeFile(
      join(at.cwd, "out.json"),
      JSON.stringify({
        type: "object",
        additionalProperties: false,
        required: ["findings"],
        properties: { findings: { type: "array", items: { type: "number" } } },
      }),
    );
    const { results } = await runCodexStep(at, { template: "---\noutput: out.json\n---\nLook." });
    expect(results).toMatchObject([{ artifacts: { output: { findings: [1] } } }]);
  });

  test("a turn that fails says why, in Codex's own word", async () => {
    const at = await codexBox([{ answers: [failed("context_length_exceeded", "too long")] }]);
    const { end } = await runCodexStep(at, { template: PROMPT });
    expect(end.error).toMatchObject({ code: "turn_failed" });
    expect(end.error?.message).toContain("contextWindowExceeded");
  });
});

describe("an end", () => {
  test("by a cancel leaves nothing of what commands have started, in sessions of their own either", async () => {
    const script = "setsid sleep 300 & setsid nohup sleep 300 >/dev/null 2>&1 & echo begun; sleep 300";
    const at = await codexBox([{ answers: [command(script)] }]);
    const life = await startCodexStep(at, { template: PROMPT });
    await life.until(() => life.items.some((item) => item.type === "command"));
    life.step.cancel("canceled");
    expect(await life.step.ended).toMatchObject({ reason: "canceled", tree: { empty: true, survivors: [] } });
  });

  test("by a cancel: also what ignores its signals is gone within 5 s, and the run says so", async () => {
    const script = `(trap "" TERM INT HUP; setsid setsid sleep 300 & setsid setsid sleep 300 & ) ; echo begun; sleep 300`;
    const at = await codexBox([{ answers: [command(script)] }], { allowDangerFullAccess: true });
    const template = PROMPT.replace("never", "never\nsandbox: danger-full-access");
    const life = await startCodexStep(at, { template, clocks: { killGraceMs: KILL_GRACE_MS } });
    const mark = `CODEX_FLOW_RUN_ID=${life.runId}`;
    await until(() => (processesWith("environ", mark).length >= 3 ? true : undefined));
    life.step.cancel("canceled");
    expect(await life.step.ended).toMatchObject({ reason: "canceled", tree: { empty: true, survivors: [] } });
    expect(processesWith("environ", mark)).toEqual([]);
    const [, count, ms] = /its (\d+) processes were gone after (\d+) ms/.exec(life.told.join("\n")) ?? [];
    expect(Number(count)).toBeGreaterThan(0);
    expect(Number(ms)).toBeLessThan(5_000);
  });

  test("by the wall clock interrupts the turn and says so", async () => {
    const at = await codexBox([{ answers: [held(DONE)] }]);
    const life = await runCodexStep(at, { template: PROMPT, step: { timeoutMs: 700 } });
    expect(life.end).toMatchObject({ reason: "timeout", error: { code: "timeout" } });
  });

  test("by silence says so", async () => {
    const at = await codexBox([{ answers: [held(DONE)] }]);
    const life = await runCodexStep(at, { template: PROMPT, step: { silenceMs: 700 } });
    expect(life.end).toMatchObject({ reason: "silence" });
  });

  test("of the app-server in mid-turn is a lost attempt; the next one goes on in the same thread", async () => {
    const at = await codexBox([
      { prompt: "was cut off", answers: [DONE] },
      { answers: [command("sleep 60")] },
    ]);
    const template = "---\napproval_policy: never\nsession: auto\n---\nDo it.";
    const life = await startCodexStep(at, { template });
    await life.until(() => life.items.some((item) => item.type === "command"));
    for (const pid of processesWith("environ", `CODEX_HOME=${at.home}`))
      if (processesWith("cmdline", "app-server").includes(pid)) process.kill(Number(pid), "SIGKILL");
    const end = await life.step.ended;
    expect(outcomeOf(end, undefined, false)).toMatchObject({ status: "lost", retry: "lost" });
    const [threadId] = life.watchers.leased;
    expect(threadId).toBeDefined();
    const again = await runCodexStep(at, { template, request: { runId: life.runId, attempt: 2 } });
    expect(again.results).toMatchObject([{ status: "completed", artifacts: { threadId } }]);
    expect(JSON.stringify(at.model.requests.at(-1)?.input)).toContain("was cut off");
  });
});

describe("what cannot be started says why", () => {
  test.each([
    ["a template that is not there", "", { script: "missing.md" }, "script_missing"],
    ["front matter with an unknown key", "---\nmodle: x\n---\nDo it.", {}, "template_invalid"],
    ["a placeholder that leads nowhere", "Do {{payload.nothing}}.", {}, "template_invalid"],
    ["an output schema that is not there", "---\noutput: none.json\n---\nDo it.", {}, "template_invalid"],
    [
      "a sandbox that the box does not allow",
      "---\nsandbox: danger-full-access\n---\nDo it.",
      {},
      "sandbox_not_allowed",
    ],
  ])("%s", async (_what, template, step, code) => {
    const at = await codexBox([]);
    const { end } = await runCodexStep(at, { template, step });
    expect(end).toMatchObject({ reason: "refused", error: { code } });
  });

  test("a Codex that is not there", async () => {
    const at = await codexBox([], { command: "/nowhere/codex" });
    const { end } = await runCodexStep(at, { template: PROMPT });
    expect(end).toMatchObject({ reason: "refused", error: { code: "app_server_unavailable" } });
  });
});

test("a secret that a command prints, whole, in pieces and encoded, leaves the step nowhere", async () => {
  const value = "s3cr3t-value-0123456789";
  const script = [
    `printf %s "$TOKEN"`,
    `for c in $(printf %s "$TOKEN" | fold -w 4); do printf %s "$c"; sleep 0.05; done; echo`,
    `printf %s "$TOKEN" | base64`,
  ].join("; ");
  const at = await codexBox([
    { answers: [command(script), structured({ status: "completed", message: value })] },
  ]);
  const life = await runCodexStep(at, {
    template: PROMPT,
    secrets: [{ name: "TOKEN", value }],
    variables: { TOKEN: value },
  });
  expect(life.results).toHaveLength(1);
  const all = life.told.join("\n");
  expect(all).toContain("***");
  expect(all).not.toContain(value);
  expect(all).not.toContain(Buffer.from(value).toString("base64"));
});

test("the login that a command can read leaves the step nowhere, also when another one has taken its place", async () => {
  const own = folder("of-the-user");
  const auth = join(own, "auth.json");
  const raw = folder("raw");
  const answers = [command(`cat ${auth}; base64 ${auth}`), DONE];
  const at = await codexBox([{ answers: [...answers, ...answers] }], {
    environment: { CODEX_HOME: own },
    raw,
  });
  for (const login of ["first", "second"]) {
    const tokens = ["id", "access", "refresh"].map((of) => [
      `${of}_token`,
      `${login}-${of}-0123456789abcdef`,
    ]);
    await writeFile(
      auth,
      JSON.stringify({ OPENAI_API_KEY: null, tokens: Object.fromEntries(tokens) as unknown }),
    );
    const life = await runCodexStep(at, {
      template: PROMPT,
      secrets: [{ name: "TOKEN", value: "of-the-box" }],
    });
    expect(life.results).toHaveLength(1);
    const kept = readdirSync(raw).map((file) => readFileSync(join(raw, file), "utf8"));
    const all = [...life.told, ...kept].join("\n");
    expect(all).toContain("***");
    for (const [, value = ""] of tokens) {
      expect(all).not.toContain(value);
      expect(all).not.toContain(Buffer.from(value).toString("base64").slice(4, 24));
    }
  }
});
