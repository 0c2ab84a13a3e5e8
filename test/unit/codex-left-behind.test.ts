/** Work that Codex goes on with by itself, beside the turn that a step has asked for: none of it outlives the step. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { codexBox, runCodexStep, startCodexStep, type CodexBox } from "../support/codex-step-life.ts";
import { command, held, structured, toolCall } from "../support/fake-model/answers.ts";
import { AGENTS_MODEL, DIRECT_MODEL } from "../support/fake-model/codex-home.ts";
import type { Rule } from "../support/fake-model/fake-model.ts";
import { processesWith } from "../support/run-processes.ts";
import { until } from "../support/until.ts";

const DONE = structured({ status: "completed", message: "done" });
const PROMPT = "---\napproval_policy: never\n---\nDo it.";
const SUB_TASK = "Be a sub-agent.";
const KINDS = [
  [DIRECT_MODEL, "multi_agent_v1"],
  [AGENTS_MODEL, "collaboration"],
] as const;

/** The step's turn begins a sub-agent, which goes on when that is over. */
function spawning(namespace: string): Rule[] {
  const task =
    namespace === "collaboration" ? { message: SUB_TASK, task_name: "sub" } : { message: SUB_TASK };
  return [
    { prompt: "Do nothing", answers: [DONE] },
    {
      prompt: SUB_TASK,
      answers: [command("setsid sleep 300 & sleep 300"), command("touch by-a-sub-agent"), DONE],
    },
    { prompt: "Do it", answers: [toolCall("spawn_agent", task, namespace), held(DONE)] },
  ];
}

const GOAL: Rule[] = [
  { prompt: "Do nothing", answers: [DONE] },
  { answers: [toolCall("create_goal", { objective: "Go on." }), ...Array.from({ length: 50 }, () => DONE)] },
];

/** Another step in the same server, from its start to its end: what goes on by itself asks the model meanwhile. */
async function askedMeanwhile(at: CodexBox): Promise<unknown[]> {
  const before = at.model.requests.length;
  const life = await runCodexStep(at, { template: PROMPT.replace("Do it", "Do nothing") });
  const threadId = life.results[0]?.artifacts?.["threadId"];
  return at.model.requests.slice(before).filter((request) => request.threadId !== threadId);
}

describe("by default a model is not given the tools", () => {
  test.each(KINDS)("of sub-agents and goals: %s", async (model) => {
    const at = await codexBox([{ answers: [DONE] }], { config: { model } });
    const { items } = await runCodexStep(at, { template: PROMPT });
    expect(items.filter(({ type }) => type === "warning")).toEqual([]);
    const tools = at.model.requests[0]?.tools.map((tool) => tool["name"]);
    expect(tools).toContain("exec_command");
    for (const name of [...KINDS.map(([, namespace]) => namespace), "create_goal", "update_goal"])
      expect(tools).not.toContain(name);
  });

  test.each(KINDS)("and one that calls them gets nothing for it: %s", async (model, namespace) => {
    const at = await codexBox(spawning(namespace), { config: { model } });
    const life = await startCodexStep(at, { template: PROMPT });
    await until(() => (at.model.requests.length >= 2 ? true : undefined));
    at.model.release();
    expect(await life.step.ended).toMatchObject({ reason: "exited", tree: { empty: true } });
    expect(await askedMeanwhile(at)).toEqual([]);
    expect(JSON.stringify(at.model.requests[1]?.input.at(-1))).toContain("unsupported call");
  });

  test("a goal is not set", async () => {
    const at = await codexBox(GOAL);
    const { end } = await runCodexStep(at, { template: PROMPT });
    expect(end).toMatchObject({ reason: "exited", tree: { empty: true } });
    expect(await askedMeanwhile(at)).toEqual([]);
  });
});

describe("where the box's owner has them on", () => {
  const AGENTS = { agents: { enabled: true } };

  test.each(
    KINDS.flatMap(([model, namespace]) => ["is over", "is canceled"].map((how) => [model, how, namespace])),
  )(
    "a sub-agent of %s ends with a step that %s, with its commands",
    async (model = "", how, namespace = "") => {
      const at = await codexBox(spawning(namespace), { config: { model, ...AGENTS } });
      const life = await startCodexStep(at, { template: PROMPT });
      const mark = `CODEX_FLOW_RUN_ID=${life.runId}`;
      await until(() => (processesWith("environ", mark).length >= 2 ? true : undefined));
      if (how === "is canceled") life.step.cancel("canceled");
      else at.model.release();
      expect(await life.step.ended).toMatchObject({
        reason: how === "is canceled" ? "canceled" : "exited",
        tree: { empty: true, survivors: [] },
      });
      expect(processesWith("environ", mark)).toEqual([]);
      expect(await askedMeanwhile(at)).toEqual([]);
      expect(existsSync(join(at.cwd, "by-a-sub-agent"))).toBe(false);
    },
  );

  test("a goal of the agent's own ends with the step", async () => {
    const at = await codexBox(GOAL, { config: { features: { goals: true } } });
    const { end, results } = await runCodexStep(at, { template: PROMPT });
    expect(results).toMatchObject([{ status: "completed" }]);
    expect(end).toMatchObject({ reason: "exited", tree: { empty: true } });
    expect(await askedMeanwhile(at)).toEqual([]);
  });
});
