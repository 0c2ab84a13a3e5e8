/** The budget of a codex step over the real Codex and a fake model. Named after what goes wrong. */
import { describe, expect, test } from "vitest";
import { command, held, slow, structured, withUsage } from "../support/fake-model/answers.ts";
import { processesWith } from "../support/run-processes.ts";
import { codexBox, runCodexStep, startCodexStep, type CodexBox } from "../support/codex-step-life.ts";

const DONE = structured({ status: "completed", message: "done" });
const PROMPT = "---\napproval_policy: never\n---\nDo it.";

describe("a budget", () => {
  const usage = { input: 400, cached: 0, output: 100, reasoning: 0 };

  test("warns at 80 %, stops at 100 %, and says what was used", async () => {
    const at = await codexBox([
      { answers: [withUsage(command("true"), usage), withUsage(command("true"), usage), held(DONE)] },
    ]);
    const life = await runCodexStep(at, { template: PROMPT, request: { budget: { tokens: 600 } } });
    expect(life.items).toContainEqual(expect.objectContaining({ type: "warning", code: "budget" }));
    expect(life.results).toMatchObject([
      {
        status: "needs_intervention",
        artifacts: {
          threadId: expect.any(String) as string,
          budget: { exceeded: "tokens", used: { tokens: 1000 } },
        },
      },
    ]);
    expect(life.end.reason).toBe("exited");
  });

  test("that the last call overran keeps the answer which Codex had completed, and notes the overrun", async () => {
    const at = await codexBox([{ answers: [withUsage(command("true"), usage), withUsage(DONE, usage)] }]);
    const life = await runCodexStep(at, { template: PROMPT, request: { budget: { tokens: 900 } } });
    expect(life.results).toMatchObject([
      {
        status: "completed",
        message: "done",
        artifacts: { budget: { limits: { tokens: 900 }, used: { tokens: 1000 } } },
      },
    ]);
    expect(life.items).toContainEqual(
      expect.objectContaining({
        type: "warning",
        text: "The answer was complete when the budget was met: 1,000 of 900 tokens are used.",
      }),
    );
    expect(life.end.reason).toBe("exited");
  });

  test("of a run that goes on counts what the one before has used, in the same thread", async () => {
    const at = await codexBox([
      // Both runs are given the same: in the first one the interrupt comes before the answer is complete.
      { answers: [withUsage(command("true"), usage), slow(DONE, 300)] },
    ]);
    const first = await runCodexStep(at, { template: PROMPT, request: { budget: { tokens: 400 } } });
    const artifacts = first.results[0]?.artifacts as {
      threadId: string;
      budget: { used: { tokens: number } };
    };
    const second = await runCodexStep(at, {
      template: PROMPT,
      request: {
        budget: { tokens: 5_000 },
        continues: { runId: "run_x_1", threadId: artifacts.threadId, used: artifacts.budget.used },
      },
    });
    expect(second.results).toMatchObject([
      {
        status: "completed",
        artifacts: { threadId: artifacts.threadId, budget: { limits: { tokens: 5_000 } } },
      },
    ]);
    const { used } = second.results[0]?.artifacts?.["budget"] as { used: { tokens: number } };
    expect(used.tokens).toBeGreaterThan(artifacts.budget.used.tokens);
  });
});

describe("a budget of money", () => {
  const usage = { input: 400, cached: 0, output: 100, reasoning: 0 };
  const budget = { usd: 1 };

  test("counts for the model that Codex chooses by itself, too", async () => {
    const at = await codexBox([{ answers: [withUsage(command("true"), usage), held(DONE)] }], {
      prices: { "fake-direct": { input: 2_000, output: 8_000 } },
    });
    const { results } = await runCodexStep(at, { template: PROMPT, request: { budget } });
    expect(results).toMatchObject([
      { status: "needs_intervention", artifacts: { budget: { exceeded: "usd", used: { usd: 1.6 } } } },
    ]);
  });

  test("of less than a cent says of how much it is that it is used up", async () => {
    const at = await codexBox([{ answers: [withUsage(command("true"), usage), held(DONE)] }], {
      prices: { "fake-direct": { input: 2, output: 8 } },
    });
    const { results } = await runCodexStep(at, {
      template: PROMPT,
      request: { budget: { usd: 0.001 + 0.0002 } },
    });
    expect(results[0]?.message).toContain("the budget of 0.0012 usd is used up (0.0016)");
  });

  test("is refused before a turn where the box knows no price of the model, and says what to write where", async () => {
    const at = await codexBox([{ answers: [DONE] }], { prices: { other: { input: 2, output: 8 } } });
    const { end, results } = await runCodexStep(at, { template: PROMPT, request: { budget } });
    expect(end).toMatchObject({ reason: "refused", error: { code: "price_unknown" } });
    expect(end.error?.message).toContain('[codex.prices."fake-direct"]');
    expect(results).toEqual([]);
    expect(at.model.requests).toEqual([]);
  });
});

describe("a budget, when more than one thing happens", () => {
  const usage = { input: 400, cached: 0, output: 100, reasoning: 0 };

  test("raised while its turn is being interrupted for it: the run goes on in the same thread", async () => {
    const at = await codexBox([
      { answers: [withUsage(command("true"), usage), held(DONE)] },
      { prompt: "You were interrupted", answers: [DONE] },
    ]);
    const life = await startCodexStep(at, { template: PROMPT, request: { budget: { tokens: 400 } } });
    // The report that spends it: Codex is asked to interrupt in the same breath, and has not answered yet.
    await life.until(() => life.items.some((item) => item.type === "usage"));
    life.watchers.raise({ tokens: 5_000 });
    expect((await life.step.ended).reason).toBe("exited");
    expect(life.results).toMatchObject([{ status: "completed" }]);
    expect(life.results[0]?.artifacts?.["turnIds"]).toHaveLength(2);
    expect(new Set(at.model.requests.map(({ threadId }) => threadId)).size).toBe(1);
  });

  test("of which a lost attempt has used a part: the next attempt counts on from there", async () => {
    const at = await codexBox([
      { prompt: "was cut off", answers: [withUsage(DONE, usage)] },
      { answers: [withUsage(command("true"), usage), command("sleep 60")] },
    ]);
    const budget = { tokens: 1_500 };
    const life = await startCodexStep(at, { template: PROMPT, request: { budget } });
    await life.until(() => life.items.some((item) => item.type === "usage"));
    for (const pid of processesWith("environ", `CODEX_HOME=${at.home}`))
      if (processesWith("cmdline", "app-server").includes(pid)) process.kill(Number(pid), "SIGKILL");
    expect((await life.step.ended).reason).toBe("abandoned");
    const again = await runCodexStep(at, {
      template: PROMPT,
      request: { runId: life.runId, attempt: 2, budget },
    });
    expect(again.results).toMatchObject([
      { status: "completed", artifacts: { budget: { used: { tokens: 1_000 } } } },
    ]);
  });
});

describe("a budget of which attempts on another box have used a part", () => {
  const usage = { input: 400, cached: 0, output: 100, reasoning: 0 };
  const ANOTHER = { attempt: 2, budget: { tokens: 1_500 } };
  const spends = (): Promise<CodexBox> =>
    codexBox([{ answers: [withUsage(command("true"), usage), held(DONE)] }]);

  test("stops the next one at what remains; each tells its own use while it works", async () => {
    const first = await startCodexStep(await spends(), {
      template: PROMPT,
      request: { budget: { tokens: 1_500 } },
    });
    await first.until(() => first.watchers.used.length > 0);
    expect(first.watchers.used).toMatchObject([{ tokens: 500 }]);
    first.step.cancel("abandoned");
    await first.step.ended;
    expect(first.watchers.used.at(-1)).toMatchObject({ tokens: 500, seconds: expect.any(Number) as number });

    const second = await runCodexStep(await spends(), {
      template: PROMPT,
      request: { ...ANOTHER, runId: first.runId, used: { tokens: 1_000 } },
    });
    expect(second.results).toMatchObject([
      {
        status: "needs_intervention",
        artifacts: { budget: { exceeded: "tokens", used: { tokens: 1_500 } } },
      },
    ]);
    expect(second.watchers.used.at(-1)).toMatchObject({ tokens: 500 });
  });

  test("counts that of the runs before once, whoever says it", async () => {
    const at = await codexBox([{ answers: [withUsage(DONE, usage)] }]);
    const before = await runCodexStep(at, { template: PROMPT });
    const threadId = String(before.results[0]?.artifacts?.["threadId"]);
    const { results } = await runCodexStep(at, {
      template: PROMPT,
      request: {
        budget: { tokens: 5_000 },
        used: { tokens: 1_100 },
        continues: { runId: "run_x_1", threadId, used: { tokens: 1_000 } },
      },
    });
    expect(results).toMatchObject([{ artifacts: { budget: { used: { tokens: 1_100 + 500 } } } }]);
  });

  test("that was all of it: no turn begins, and nothing pretends that it could go on", async () => {
    const at = await spends();
    const { end, results, watchers } = await runCodexStep(at, {
      template: PROMPT,
      request: { ...ANOTHER, used: { tokens: 1_500 } },
    });
    expect(end.reason).toBe("exited");
    expect(results).toMatchObject([
      {
        status: "needs_intervention",
        message: expect.stringContaining("in its flow.toml") as string,
        artifacts: { budget: { exceeded: "tokens", used: { tokens: 1_500 } } },
      },
    ]);
    expect(results[0]?.artifacts).not.toHaveProperty("threadId");
    expect([at.model.requests, watchers.used]).toEqual([[], []]);
  });
});
