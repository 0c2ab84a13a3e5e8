/** What a card and Logs show of a run's event and output. */
import { describe, expect, test } from "vitest";
import type { AgentItem } from "../../contract/agent-item.ts";
import { itemText } from "../../contract/item-text.ts";
import { glanceAt } from "../../durable-objects/flow-event/glance.ts";
import { itemChunks, saidItem } from "../support/chat-runs.ts";
import { runningRun } from "../support/run-fixtures.ts";

const TEMPLATE = "Somebody asks you from a chat to do something.\nName the files that you have changed.\n\n";
const event = (payload: unknown) => ({
  id: "e1",
  type: "codex.ask",
  receivedAt: "2026-11-01T00:00:00.000Z",
  payload,
});
const toldAgent = (text: string): AgentItem => ({
  type: "message",
  id: "u1",
  state: "completed",
  role: "user",
  text,
});
const shown = (...items: AgentItem[]) =>
  itemChunks(items).map((chunk) =>
    chunk.item === undefined ? chunk : { ...chunk, text: itemText(chunk.item) },
  );

describe("what was asked for", () => {
  test.each([
    [{ prompt: "fix the tests" }, "fix the tests"],
    [{ prompt: "  fix\n\nthe tests ", title: "no" }, "fix the tests"],
    [{ text: "deploy it", title: "no" }, "deploy it"],
    [{ prompt: " ", title: "Node 30 is out" }, "Node 30 is out"],
    [{ prompt: 7 }, undefined],
    ["fix the tests", undefined],
    [null, undefined],
  ])("by the payload %j is %j", (payload, asked) => {
    expect(glanceAt(runningRun(), event(payload), []).asked).toBe(asked);
  });
});

describe("the output at a glance", () => {
  test("shows the words of the event in place of the flow's prompt template around them", () => {
    const prompt = "fix the tests\nand say how";
    const output = shown(toldAgent(TEMPLATE + prompt), saidItem("I look at them."));
    const { lines } = glanceAt(runningRun(), event({ prompt }), output);
    expect(lines).toEqual(["> fix the tests and say how", "I look at them."]);
  });

  test("keeps what somebody says to the agent later, and what quotes the event elsewhere", () => {
    const output = shown(toldAgent("look at a.ts, too"), saidItem("You said: fix the tests"));
    const { lines } = glanceAt(runningRun(), event({ prompt: "fix the tests" }), output);
    expect(lines).toEqual(["> look at a.ts, too", "You said: fix the tests"]);
  });
});
