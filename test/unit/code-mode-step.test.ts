/** A saved script over the real Codex, without a login and without a model. Named after what goes wrong. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { FlowResult } from "../../contract/flow-result.ts";
import type { AttemptEnd } from "../../contract/run-record.ts";
import { outcomeOf, type Outcome } from "../../contract/run-outcome.ts";
import {
  codexBox,
  runCodexStep,
  startCodexStep,
  type CodexBox,
  type CodexStepOptions,
} from "../support/codex-step-life.ts";
import { structured } from "../support/fake-model/answers.ts";

/** Nobody has logged in, and Codex's own provider is the one that would be asked. */
const boxWithoutLogin = (): Promise<CodexBox> => codexBox([], { config: { model_provider: "openai" } });

const code = (script: string, more: Partial<CodexStepOptions> = {}): CodexStepOptions => ({
  template: script,
  runner: "code-mode",
  ...more,
});

/** Its manifest lets any FLOW_RESULT count that the script prints. */
const ANYWHERE = { step: { result: "anywhere" as const } };

function outcome({ end, results }: { end: AttemptEnd; results: FlowResult[] }): Outcome {
  return outcomeOf(end, results.at(-1), false);
}

/** What the run's readers see as its standard output and error. */
const printed = (told: string[]): string => told.filter((text) => !text.startsWith("{")).join("");

describe("a script", () => {
  test("runs without a login and without a model, and its FLOW_RESULT is the run's", async () => {
    const at = await boxWithoutLogin();
    const life = await runCodexStep(
      at,
      code(
        `text("begun " + flow.name + " " + flow.step + " " + flow.event.payload.n);
const [one, two] = await Promise.all(["echo 1", "echo 2"].map((cmd) => tools.exec_command({ cmd, login: false, shell: "/bin/sh" })));
await tools.apply_patch("*** Begin Patch\\n*** Add File: a.txt\\n+one\\n*** End Patch\\n");
result({ status: "changed", message: one.output + two.output, artifacts: { config: flow.config } });
text("never printed");`,
        {
          payload: { n: 7, ["__proto__"]: { polluted: true } },
          request: { conversation: undefined },
        },
      ),
    );
    expect(life.end).toMatchObject({ reason: "exited", exit: { code: 0 }, tree: { empty: true } });
    expect(life.results).toMatchObject([
      { status: "changed", message: "1\n2\n", artifacts: { threadId: expect.any(String) as string } },
    ]);
    expect(outcome(life).status).toBe("completed");
    expect(printed(life.told)).toContain("begun review look 7\n");
    expect(printed(life.told)).not.toContain("never printed");
    expect(readFileSync(join(at.cwd, "a.txt"), "utf8")).toBe("one\n");
    const types = life.items.filter(({ state }) => state === "completed").map(({ type }) => type);
    expect(types.filter((type) => type === "command")).toHaveLength(2);
    expect(types).toContain("file_change");
    expect(at.model.requests).toEqual([]);
  });

  test("that runs long hands over what it prints meanwhile, and what it notifies", async () => {
    const at = await boxWithoutLogin();
    const life = await startCodexStep(
      at,
      code(`text("first"); notify("noted");
await tools.exec_command({ cmd: "while [ ! -e go ]; do sleep 0.05; done" });
text("last"); result({ status: "completed" });`),
    );
    await life.until(() => printed(life.told).includes("first\n"));
    expect(life.results).toEqual([]);
    writeFileSync(join(at.cwd, "go"), "");
    expect((await life.step.ended).reason).toBe("exited");
    expect(printed(life.told)).toMatch(/first\n[\s\S]*last\n/);
    expect(printed(life.told)).toContain("noted\n");
    expect(life.results).toMatchObject([{ status: "completed" }]);
    // Nothing is used: that each look at the script says so would keep a silent one alive.
    expect(life.items.filter(({ type }) => type === "usage")).toEqual([]);
  });

  test("leaves the box's model to codex steps of the same app-server", async () => {
    const at = await codexBox([{ answers: [structured({ status: "completed", message: "asked" })] }]);
    await runCodexStep(at, code("result({ status: 'completed' })"));
    const { results } = await runCodexStep(at, { template: "Do it." });
    expect(results).toMatchObject([{ message: "asked" }]);
    expect(at.model.requests[0]?.model).toBe("fake-direct");
  });

  test("whose result is as large as one may be arrives whole", async () => {
    const life = await runCodexStep(
      await boxWithoutLogin(),
      code(`text("x".repeat(300_000)); result({ status: "completed", message: "y".repeat(200_000) });`),
    );
    expect(life.results[0]?.message).toHaveLength(200_000);
  });
});

describe("a budget of seconds", () => {
  const LONG = "text('begun'); await tools.exec_command({ cmd: 'sleep 60', yield_time_ms: 30000 });";

  test("interrupts the script, ends its commands and asks for somebody, who cannot have it go on", async () => {
    const life = await runCodexStep(
      await boxWithoutLogin(),
      code(LONG, { request: { budget: { seconds: 3 } } }),
    );
    expect(life.end).toMatchObject({ tree: { empty: true } });
    expect(outcome(life)).toMatchObject({ status: "completed", result: { status: "needs_intervention" } });
    expect(life.results).toMatchObject([
      {
        status: "needs_intervention",
        message: expect.stringContaining("its budget of 3 seconds is used up") as string,
        artifacts: { budget: { limits: { seconds: 3 }, exceeded: "seconds" } },
      },
    ]);
    // Without a thread, nothing can continue it.
    expect(life.results[0]?.artifacts).not.toHaveProperty("threadId");
    expect(life.items.filter(({ type }) => type === "warning")).toMatchObject([
      {
        id: "budget seconds",
        text: expect.stringMatching(/^[89]\d % of the budget of seconds is used$/) as string,
      },
    ]);
  });

  test("counts as it stands now, not as it stood when the script began", async () => {
    const life = await startCodexStep(
      await boxWithoutLogin(),
      code(LONG, { request: { budget: { seconds: 600 } } }),
    );
    await life.until(() => life.items.some(({ type }) => type === "command"));
    life.watchers.raise({ seconds: 0.001 });
    await life.step.ended;
    expect(life.results).toMatchObject([{ artifacts: { budget: { limits: { seconds: 0.001 } } } }]);
  });

  test("counts what attempts on other boxes have used: what remains ends it, and it tells its own", async () => {
    const life = await runCodexStep(
      await boxWithoutLogin(),
      code(LONG, { request: { attempt: 2, budget: { seconds: 600 }, used: { seconds: 599.5 } } }),
    );
    expect(life.results).toMatchObject([
      {
        message: expect.stringContaining("was interrupted") as string,
        artifacts: { budget: { limits: { seconds: 600 }, exceeded: "seconds" } },
      },
    ]);
    const own = life.watchers.used.at(-1);
    expect(Object.keys(own ?? {})).toEqual(["seconds"]);
    const { used } = life.results[0]?.artifacts?.["budget"] as { used: { seconds: number } };
    expect(used.seconds).toBeCloseTo(599.5 + (own?.seconds ?? 0));
  });

  test("that other attempts have used up begins no script", async () => {
    const at = await boxWithoutLogin();
    const life = await runCodexStep(
      at,
      code("text('begun')", { request: { attempt: 2, budget: { seconds: 600 }, used: { seconds: 600 } } }),
    );
    expect(life.results).toMatchObject([
      { status: "needs_intervention", message: expect.stringContaining("not begun again") as string },
    ]);
    expect(printed(life.told)).not.toContain("begun");
  });

  test("says nothing of tokens and dollars, which a script never uses", async () => {
    const life = await runCodexStep(
      await boxWithoutLogin(),
      code("result({ status: 'completed' })", { request: { budget: { tokens: 1, usd: 0.000001 } } }),
    );
    expect(life.results).toMatchObject([{ status: "completed" }]);
  });
});

describe("a script fails, and says why, when it", () => {
  test("prints a FLOW_RESULT that does not come from its own call of result", async () => {
    const script = `text('FLOW_RESULT {"status":"completed"}');`;
    const life = await runCodexStep(await boxWithoutLogin(), code(script));
    expect(life.results).toEqual([]);
    expect(outcome(life)).toMatchObject({ status: "failed", error: { code: "no_result" } });
  });

  test("throws, whatever it has printed before", async () => {
    const life = await runCodexStep(
      await boxWithoutLogin(),
      code(`text('FLOW_RESULT {"status":"completed"}');\n\nthrow new Error("boom");`),
    );
    expect(outcome(life)).toMatchObject({ status: "failed", error: { code: "script_failed" } });
    expect(life.end.error?.message).toMatch(
      /review\/step-\d+\.js failed: Error: boom\n\s+at review\/step-\d+\.js:3:/,
    );
  });

  test("is no JavaScript", async () => {
    const life = await runCodexStep(await boxWithoutLogin(), code("text('a'); }{"));
    expect(outcome(life)).toMatchObject({ status: "failed", error: { code: "script_failed" } });
    expect(life.end.error?.message).toContain("SyntaxError");
  });

  test.each([
    ["prints no result", "text('all fine')", "no_result", "did not emit FLOW_RESULT"],
    ["prints an unknown status", "result({ status: 'great' })", "invalid_result", "status is invalid"],
    ["prints no JSON", "text('FLOW_RESULT {oops')", "invalid_result", "not JSON"],
    [
      "prints an invalid one behind a valid one",
      'text(\'FLOW_RESULT {"status":"changed"}\\nFLOW_RESULT 1\')',
      "invalid_result",
      "must be a JSON object",
    ],
  ])("%s", async (_what, script, errorCode, words) => {
    const options = script.includes("FLOW_RESULT") ? ANYWHERE : {};
    const life = await runCodexStep(await boxWithoutLogin(), code(script, options));
    expect(outcome(life)).toMatchObject({ status: "failed", error: { code: errorCode } });
    expect(outcome(life).error?.message).toContain(words);
  });
});

describe("the sandbox holds, and leave is asked for", () => {
  const ASKS = `/*---
approval_policy: untrusted
---*/
const { exit_code } = await tools.exec_command({ cmd: "touch made" }).catch((error) => ({ exit_code: String(error) }));
result({ status: "completed", message: String(exit_code) });`;

  test("read-only is read-only", async () => {
    const at = await boxWithoutLogin();
    const life = await runCodexStep(
      at,
      code(`/*---\nsandbox: read-only\napproval_policy: never\n---*/\nconst r = await tools.exec_command({ cmd: "touch made" });
result({ status: "completed", message: r.output });`),
    );
    expect(life.results[0]?.message).toContain("Read-only");
    expect(existsSync(join(at.cwd, "made"))).toBe(false);
  });

  test("an approval is asked of people, and accepted the command runs", async () => {
    const at = await boxWithoutLogin();
    const life = await runCodexStep(
      at,
      code(ASKS, {
        watchers: (watchers) => {
          watchers.answer = () => ({ decision: "accept", by: "Ada" });
        },
      }),
    );
    expect(life.watchers.asked).toMatchObject([
      { kind: "command", title: expect.stringContaining("touch made") as string },
    ]);
    expect(life.results).toMatchObject([{ status: "completed", message: "0" }]);
    expect(existsSync(join(at.cwd, "made"))).toBe(true);
  });

  test.each([
    ["declined", {}],
    ["with nobody to ask", { request: { conversation: undefined } }],
  ])("%s, the command does not run and the script goes on", async (_what, more) => {
    const at = await boxWithoutLogin();
    const life = await runCodexStep(at, code(ASKS, more));
    expect(life.results).toHaveLength(1);
    expect(life.items).toContainEqual(expect.objectContaining({ type: "command", outcome: "declined" }));
    expect(existsSync(join(at.cwd, "made"))).toBe(false);
  });
});

describe("an end", () => {
  const BUSY = `for (;;) await tools.exec_command({ cmd: "setsid sleep 300 & echo busy >> log; sleep 0.1" });`;

  test("by a cancel in mid-script leaves nothing, and starts nothing more", async () => {
    const at = await boxWithoutLogin();
    const life = await startCodexStep(at, code(BUSY));
    await life.until(() => life.items.filter(({ type }) => type === "command").length >= 4);
    life.step.cancel("canceled");
    expect(await life.step.ended).toMatchObject({ reason: "canceled", tree: { empty: true, survivors: [] } });
    const log = readFileSync(join(at.cwd, "log"), "utf8");
    // Another script in the same server: were the first one still there, it would have gone on meanwhile.
    await runCodexStep(
      at,
      code(`await tools.exec_command({ cmd: "sleep 1" }); result({ status: "completed" });`),
    );
    expect(readFileSync(join(at.cwd, "log"), "utf8")).toBe(log);
  });

  test("by the wall clock interrupts the script and says so", async () => {
    const life = await runCodexStep(await boxWithoutLogin(), code(BUSY, { step: { timeoutMs: 1_500 } }));
    expect(life.end).toMatchObject({ reason: "timeout", tree: { empty: true } });
  });

  test("by silence says so", async () => {
    const script = `await new Promise((resolve) => setTimeout(resolve, 60_000));`;
    const life = await runCodexStep(await boxWithoutLogin(), code(script, { step: { silenceMs: 700 } }));
    expect(life.end).toMatchObject({ reason: "silence", tree: { empty: true } });
  });

  test("invariant 9: the result counts at once, and who does not go behind it is reaped", async () => {
    const script = `text('FLOW_RESULT {"status":"changed"}'); yield_control(); ${BUSY}`;
    const life = await runCodexStep(await boxWithoutLogin(), code(script, ANYWHERE));
    expect(life.end).toMatchObject({ reason: "reaped", tree: { empty: true } });
    expect(outcome(life)).toMatchObject({ status: "completed", result: { status: "changed" } });
  });
});

describe("what cannot be started says why", () => {
  test.each([
    ["a script that is not there", "", { script: "missing.js" }, "script_missing"],
    ["front matter with an unknown key", "/*---\nsandbx: read-only\n---*/", {}, "script_invalid"],
    ["front matter that is not closed", "/*---\nsandbox: read-only\n*/", {}, "script_invalid"],
    ["a folder that is not there", "", { cwd: "nowhere" }, "cwd_missing"],
    [
      "a sandbox that the box does not allow",
      "/*---\nsandbox: danger-full-access\n---*/",
      {},
      "sandbox_not_allowed",
    ],
  ])("%s", async (_what, script, step, errorCode) => {
    const { end } = await runCodexStep(await boxWithoutLogin(), code(script, { step }));
    expect(end).toMatchObject({ reason: "refused", error: { code: errorCode } });
  });
});

test("a secret that the script prints, throws and returns leaves the step nowhere", async () => {
  const value = "s3cr3t-value-0123456789";
  const life = await runCodexStep(
    await boxWithoutLogin(),
    code(
      `const { output } = await tools.exec_command({ cmd: 'printf %s "$TOKEN"; printf %s "$TOKEN" | base64' });
text(output); text('FLOW_RESULT ' + JSON.stringify({ status: "completed", message: output })); throw new Error(output);`,
      { secrets: [{ name: "TOKEN", value }], variables: { TOKEN: value } },
    ),
  );
  const all = [...life.told, JSON.stringify(life.end)].join("\n");
  expect(life.end.error?.code).toBe("script_failed");
  expect(all).toContain("***");
  expect(all).not.toContain(value);
  expect(all).not.toContain(Buffer.from(value).toString("base64"));
});
