/** A codex step over the real Codex and a fake model: its answers and ends. Named after what goes wrong. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { resultFault } from "../../contract/flow-result.ts";
import { KILL_GRACE_MS, RESULT_MAX_BYTES } from "../../contract/limits.ts";
import { outcomeOf } from "../../contract/run-outcome.ts";
import { folder } from "../support/codex.ts";
import {
  command,
  failed,
  held,
  message,
  patch,
  slow,
  structured,
  toolCall,
} from "../support/fake-model/answers.ts";
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

describe("approvals and messages", () => {
  const ASKS = "---\napproval_policy: untrusted\n---\nDo it.";

  test("a command waits for leave, and its silence meanwhile does not count", async () => {
    const at = await codexBox([{ answers: [command("touch made-by-codex"), DONE] }]);
    const decided = Promise.withResolvers<{ decision: "accept"; by: string }>();
    const life = await startCodexStep(at, {
      template: ASKS,
      step: { silenceMs: 1_500 },
      watchers: (watchers) => {
        watchers.answer = () => decided.promise;
      },
    });
    await life.until(() => life.watchers.asked.length === 1);
    expect(life.watchers.asked).toMatchObject([
      { id: "a1-1", kind: "command", title: expect.stringContaining("touch made-by-codex") as string },
    ]);
    // Longer than the step may be silent.
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    decided.resolve({ decision: "accept", by: "Ada" });
    expect((await life.step.ended).reason).toBe("exited");
    expect(readFileSync(join(at.cwd, "made-by-codex"), "utf8")).toBe("");
  });

  test("a change of files shows its diff, without the box's secrets", async () => {
    const value = "s3cr3t-value-0123456789";
    const at = await codexBox([
      {
        answers: [
          patch("*** Add File: a.txt", `+token ${value}`, "*** Update File: step.txt", "@@", "-old", "+new"),
          DONE,
        ],
      },
    ]);
    await writeFile(join(at.cwd, "step.txt"), "old\n");
    const { watchers } = await runCodexStep(at, {
      template: ASKS,
      secrets: [{ name: "TOKEN", value }],
    });
    expect(watchers.asked).toMatchObject([{ kind: "file_change", title: "change a.txt, step.txt" }]);
    const detail = watchers.asked[0]?.detail ?? "";
    expect(detail).toContain("add a.txt\n+token ***\n");
    expect(detail).toMatch(/update step\.txt\n[^]*-old\n\+new/);
    expect(detail).not.toContain(value);
  });

  test("a command that is allowed leaves the sandbox, whether or not it has said so, and is told as dangerous", async () => {
    const escape = { sandbox_permissions: "require_escalated" };
    const outside = join(folder("outside"), "made");
    const at = await codexBox([
      { answers: [command(`touch ${outside}-1`), command(`touch ${outside}-2`, escape), DONE] },
    ]);
    const { watchers } = await runCodexStep(at, {
      template: ASKS,
      watchers: (all) => {
        all.answer = () => ({ decision: "accept", by: "Ada" });
      },
    });
    expect([existsSync(`${outside}-1`), existsSync(`${outside}-2`)]).toEqual([true, true]);
    expect(watchers.asked.map(({ dangerous }) => dangerous)).toEqual([true, true]);
  });

  test("a change of files outside is named first, also where one is moved to, and is dangerous", async () => {
    const outside = join(folder("outside"), "moved");
    const many = Array.from({ length: 60 }, (_, n) => [`*** Add File: harmless-${n}.txt`, "+x"]).flat();
    const at = await codexBox([
      {
        answers: [
          patch("*** Add File: in.txt", "+x"),
          patch(...many, "*** Update File: step.txt", `*** Move to: ${outside}`, "@@", "-old", "+new"),
          DONE,
        ],
      },
    ]);
    await writeFile(join(at.cwd, "step.txt"), "old\n");
    const { watchers } = await runCodexStep(at, { template: ASKS });
    expect(watchers.asked).toMatchObject([
      { title: "change in.txt" },
      { title: expect.stringContaining(outside) as string, dangerous: true },
    ]);
    expect(watchers.asked[0]).not.toHaveProperty("dangerous");
    expect(watchers.asked[1]?.detail).toContain(outside);
  });

  test("of a command with a secret across the cut shows no part of it", async () => {
    const value = "s3cr3t-across-the-cut-0123456789";
    const at = await codexBox([{ answers: [command(`echo ${"x".repeat(480)} ${value}`), DONE] }]);
    const life = await runCodexStep(at, { template: ASKS, secrets: [{ name: "TOKEN", value }] });
    expect(life.watchers.asked).toHaveLength(1);
    const told = JSON.stringify([life.watchers.asked, life.told]);
    expect(told).toContain("***");
    expect(told).not.toContain(value.slice(0, 6));
  });

  test("a declined command is not run, and the turn goes on", async () => {
    const at = await codexBox([{ answers: [command("touch not-made"), DONE] }]);
    const life = await runCodexStep(at, { template: ASKS });
    expect(life.results).toMatchObject([{ status: "completed" }]);
    expect(life.items).toContainEqual(expect.objectContaining({ type: "command", outcome: "declined" }));
    expect(() => readFileSync(join(at.cwd, "not-made"))).toThrow();
  });

  test("an answer that ends the turn is the reason that the run has for its end", async () => {
    const at = await codexBox([{ answers: [command("touch not-made"), DONE] }]);
    const { end } = await runCodexStep(at, {
      template: ASKS,
      watchers: (watchers) => {
        watchers.answer = () => ({ decision: "cancel", by: "Ada" });
      },
    });
    expect(end.error?.code).toBe("turn_interrupted");
    expect(end.error?.message).toMatch(/Ada answered cancel to approval a1-1 \(.*touch not-made/);
  });

  test("an answer that ends the turn ends it, also where Codex has no word for that", async () => {
    const wants = toolCall("request_permissions", {
      reason: "to look it up",
      permissions: { network: { enabled: true } },
    });
    const at = await codexBox([{ answers: [wants, slow(DONE, 1_000)] }], {
      config: {
        features: { request_permissions_tool: true, plugins: false, apps: false, shell_snapshot: false },
      },
    });
    const life = await runCodexStep(at, {
      template: "---\napproval_policy: on-request\n---\nDo it.",
      watchers: (watchers) => {
        watchers.answer = () => ({ decision: "cancel", by: "Ada" });
      },
    });
    expect(life.watchers.asked).toMatchObject([{ kind: "permissions" }]);
    expect(life.end.error).toMatchObject({ code: "turn_interrupted" });
    expect(life.results).toEqual([]);
  });

  test("without anybody to ask, nothing is allowed", async () => {
    const at = await codexBox([{ answers: [command("touch not-made"), DONE] }]);
    const life = await runCodexStep(at, { template: ASKS, request: { conversation: undefined } });
    expect(life.items).toContainEqual(expect.objectContaining({ type: "command", outcome: "declined" }));
  });

  test("what is said to an active turn steers it", async () => {
    const at = await codexBox([{ answers: [command("sleep 1"), DONE] }]);
    const life = await startCodexStep(at, { template: PROMPT });
    await life.until(() => life.items.some((item) => item.type === "command"));
    expect(await life.watchers.say("look at the tests, too")).toBe("steered");
    await life.step.ended;
    expect(JSON.stringify(at.model.requests.at(-1)?.input)).toContain("look at the tests, too");
    expect(life.results).toHaveLength(1);
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
