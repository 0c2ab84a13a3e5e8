/** Codex steps over an app-server that answers some things and never others: no answer is waited for without bound. */
import { setImmediate } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { AgentItem } from "../../contract/agent-item.ts";
import { codexBox, startCodexStep } from "../support/codex-step-life.ts";
import { deafCodex } from "../support/deaf-codex.ts";
import { command, held, structured, withUsage } from "../support/fake-model/answers.ts";
import { processesWith } from "../support/run-processes.ts";
import { until } from "../support/until.ts";

const DONE = structured({ status: "completed", message: "done" });
const PROMPT = "---\napproval_policy: never\n---\nDo it.";

function isTurnOver({ type, state }: AgentItem): boolean {
  return type === "turn" && state !== "started";
}

describe("a message that Codex neither takes nor refuses", () => {
  test("holds up no cancel when the turn is over: the turn that completed counts", async () => {
    const at = await codexBox([{ answers: [held(DONE)] }], { command: deafCodex("turn/steer") });
    const life = await startCodexStep(at, { template: PROMPT });
    await until(() => at.model.requests[0]);
    void life.watchers.say("And look at the tests.");
    at.model.release();
    await life.until(() => life.items.some(isTurnOver));
    // The step goes on to what was said meanwhile.
    await setImmediate();
    life.step.cancel("canceled");
    expect(await life.step.ended).toMatchObject({ reason: "exited", tree: { empty: true } });
    expect(life.results).toMatchObject([{ status: "completed" }]);
  });

  test("lets no turn begin behind a cancel, though the budget that ended the last one was raised", async () => {
    const usage = { input: 400, cached: 0, output: 100, reasoning: 0 };
    const at = await codexBox([{ answers: [withUsage(command("true"), usage), held(DONE)] }], {
      command: deafCodex("turn/steer"),
    });
    const life = await startCodexStep(at, {
      template: PROMPT,
      request: { budget: { tokens: 400 } },
    });
    await life.until(() => life.items.some(({ type }) => type === "command"));
    void life.watchers.say("And look at the tests.");
    await life.until(() => life.items.some(isTurnOver));
    // The step goes on to what was said meanwhile.
    await setImmediate();
    life.watchers.raise({ tokens: 100_000 });
    const asked = at.model.requests.length;
    life.step.cancel("canceled");
    expect(await life.step.ended).toMatchObject({ reason: "canceled", tree: { empty: true } });
    expect(at.model.requests).toHaveLength(asked);
  });
});

test("an app-server that hangs in its start holds up no agent that stops", { timeout: 20_000 }, async () => {
  const at = await codexBox([], { command: deafCodex("initialize") });
  const life = await startCodexStep(at, { template: PROMPT });
  await until(() => processesWith("environ", `CODEX_HOME=${at.home}`)[0]);
  life.step.cancel("abandoned");
  expect(await life.step.ended).toMatchObject({ reason: "abandoned", tree: { empty: true } });
  await at.box.stop();
  expect(processesWith("environ", `CODEX_HOME=${at.home}`)).toEqual([]);
});
