/** A relayed session as its channel reads it: whose it is, what its agent says, and what it came to in the end. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { AgentItem } from "../../contract/agent-item.ts";
import type { RunView } from "../../contract/run-view.ts";
import { runButtons } from "../../durable-objects/chat-outbox/board/buttons.ts";
import { changesOf } from "../../durable-objects/chat-outbox/board/changes.ts";
import { runCard } from "../../durable-objects/chat-outbox/board/cards.ts";
import { itemMessages } from "../../durable-objects/chat-outbox/board/items.ts";
import { firstCursor, planLook, threadName } from "../../durable-objects/chat-outbox/board/plan.ts";
import { finalMessage, threadOpening } from "../../durable-objects/chat-outbox/board/posts.ts";
import { claudeCode } from "../../runner-agent/relay/agents/claude-code.ts";
import { codexExec } from "../../runner-agent/relay/agents/codex-exec.ts";
import { sessionTitle } from "../../runner-agent/relay/run-command.ts";
import { SessionSummary } from "../../runner-agent/relay/session-summary.ts";
import { projectPath } from "../../scripts/project.ts";
import { followsOf, glanceOf, itemChunks, saidItem, showingOf, shownRun } from "../support/chat-runs.ts";
import { BEGIN_MS, endedRun, runningRun } from "../support/run-fixtures.ts";

const VIEW = { output: "balanced", safe: false } as const;
const SESSION = { agent: "Codex", title: "fix the tests", workdir: "/home/ada/app" };
const relayed = (run: RunView): RunView => ({
  ...run,
  flowName: "relay",
  stepName: "session",
  runner: "relay",
});

/** What the relay makes of a recorded stream. */
function recorded(name: "codex-exec/work" | "claude-code/work"): {
  items: AgentItem[];
  summary: SessionSummary;
} {
  const agent = name.startsWith("codex") ? codexExec : claudeCode;
  const reader = agent.reader?.("/checkout", { file: "", args: [], terminal: false, input: "" });
  const summary = new SessionSummary("agent");
  const items: AgentItem[] = [];
  for (const line of readFileSync(projectPath(`test/fixtures/${name}.jsonl`), "utf8")
    .trim()
    .split("\n")) {
    const said = reader?.event(JSON.parse(line));
    items.push(...(said?.items ?? []));
    if (said?.facts !== undefined) summary.learn(said.facts);
  }
  for (const item of items) summary.note(item);
  return { items, summary };
}

const field = (message: { fields?: { name: string; value: string }[] }, name: string): string | undefined =>
  message.fields?.find((one) => one.name === name)?.value;

describe("what its agent says is in its thread", () => {
  test.each([
    ["codex-exec/work", "done: two files"],
    ["claude-code/work", undefined],
  ] as const)("%s, by the channel's output", (name, last) => {
    const { items } = recorded(name);
    const words = items.flatMap((item) =>
      item.type === "message" && item.state === "completed" && item.role === "agent" ? [item.text] : [],
    );
    expect(words.length).toBeGreaterThan(0);
    if (last !== undefined) expect(words.at(-1)).toBe(last);
    const said = (output: "minimal" | "balanced" | "verbose") =>
      itemMessages(itemChunks(items), { output, safe: false }, {}, { now: BEGIN_MS, over: true }).posts.map(
        ({ message }) => message,
      );
    const bodyOf = (output: "balanced" | "verbose") =>
      said(output)
        .map(({ body = "" }) => body)
        .join("\n\n");
    for (const text of words) {
      expect(bodyOf("balanced")).toContain(text.trim());
      expect(bodyOf("verbose")).toContain(text.trim());
    }
    expect(said("minimal").every(({ title }) => title !== "")).toBe(true);
    expect(said("balanced").every(({ code }) => code === undefined)).toBe(true);
    expect(said("verbose").some(({ code }) => code?.text.includes("$ ") === true)).toBe(true);
  });

  test("and in the chat itself where it has no thread: its relay was pointed there", () => {
    const place = { place: "telegram:5", thread: false, via: "origin" } as const;
    const ask = (flow: string) =>
      planLook({
        run: shownRun({ flow }),
        showings: [showingOf(place)],
        glance: glanceOf({ ...runningRun(), flowName: flow }),
        page: { after: "0.0", chunks: itemChunks([saidItem("I fix it")]), more: false },
        viewOf: () => followsOf(),
        due: new Set(),
        again: false,
        now: BEGIN_MS,
      })?.effects.filter(({ kind }) => kind === "post");
    expect(ask("relay")).toMatchObject([{ message: { body: "I fix it" } }]);
    expect(ask("release")).toEqual([]);
    const wanted = (flow: string) => firstCursor([showingOf(place)], () => followsOf(), flow);
    expect(wanted("relay")).toBe("0.0");
    expect(wanted("release")).toBeUndefined();
  });
});

test("a relayed program that leaves no answer ends with what it printed last, and says once how long it took", () => {
  const run = relayed({
    ...endedRun("completed"),
    result: { status: "completed", message: "Finished in 0 s" },
  });
  const end = finalMessage(run, { ...VIEW, lines: ["***", "all done"] }, [], SESSION);
  expect(end.code).toEqual({ text: "***\nall done" });
  expect(end).not.toHaveProperty("body");
  expect(
    finalMessage(run, { ...VIEW, isAnswered: true, lines: ["all done"] }, [], SESSION),
  ).not.toHaveProperty("code");
});

describe("its header", () => {
  test("names agent, title and folder on card, end, thread and opening, and no flow", () => {
    const run = relayed(runningRun());
    const card = runCard(glanceOf(run, { session: SESSION }), VIEW);
    expect(card).toMatchObject({ title: "Codex · running", lines: ["fix the tests"] });
    expect(field(card, "In")).toBe("/home/ada/app");
    expect(field(card, "Step")).toBeUndefined();
    const end = finalMessage(relayed(endedRun("changed")), VIEW, [], SESSION);
    expect(end.title).toMatch(/^Codex finished in /);
    expect(threadName({ run, session: SESSION }, VIEW)).toBe("Codex · fix the tests · 01234567_1");
    expect(threadOpening({ run, session: SESSION }, VIEW)).toMatchObject({ title: "Codex" });
  });

  test("says a folder once when the title is nothing but that", () => {
    const session = { ...SESSION, title: "Codex in /home/ada/app" };
    expect(runCard(glanceOf(relayed(runningRun()), { session }), VIEW).lines).toEqual([]);
    expect(threadName({ run: relayed(runningRun()), session }, VIEW)).toBe(
      "Codex · /home/ada/app · 01234567_1",
    );
  });

  test("of a whole prompt is one short line of it, without secrets", () => {
    const prompt = `use s3cr3t-token-of-the-box\nand then ${"do more ".repeat(100)}`;
    const title = sessionTitle(prompt, [{ name: "TOKEN", value: "s3cr3t-token-of-the-box" }]);
    expect(title).toMatch(/^use \*\*\*.*and then do more/);
    expect(title.length).toBeLessThanOrEqual(120);
    expect(title).not.toMatch(/s3cr3t|\n/);
  });
});

describe("while its box is away", () => {
  const awaySince = new Date(BEGIN_MS + 60_000).toISOString();
  const away = { ...relayed(runningRun()), awaySince };
  const look = (run: RunView) =>
    planLook({
      run: shownRun({ flow: "relay", phase: "running" }),
      showings: [showingOf()],
      glance: glanceOf(run, { session: SESSION }),
      viewOf: () => followsOf(),
      due: new Set(),
      again: false,
      now: BEGIN_MS,
    });

  test("its card says so, since when, and that the rest comes; also of one that is being canceled", () => {
    const card = runCard(glanceOf(away, { session: SESSION }), VIEW);
    expect(card).toMatchObject({ title: "Codex · machine offline", since: BEGIN_MS + 60_000 });
    const said = expect.stringMatching(
      / is offline since \d\d:\d\d UTC; the agent may still be working$/,
    ) as string;
    expect(card.lines).toContainEqual(said);
    const cancel = { state: "cancel_requested", by: "ada", requestedAt: awaySince };
    const canceled = runCard(glanceOf({ ...away, cancel }, { session: SESSION }), VIEW);
    expect(canceled.title).toBe("Codex · stopping…");
    expect(canceled.lines).toContainEqual(said);
  });

  test("nobody looks at it for its own sake, and somebody does when it is back", () => {
    expect(look(away)?.run).toMatchObject({ phase: "running", away: true });
    expect(look(relayed(runningRun()))?.run).not.toHaveProperty("away");
  });
});

describe("its end", () => {
  test.each(["codex-exec/work", "claude-code/work"] as const)(
    "of %s sums up tokens, files, commands and delivery",
    (name) => {
      const result = recorded(name).summary.result(61_000);
      const delivery = { sent: 1_234, acknowledged: 1_200, resent: 30, outages: 1 };
      const artifacts = { ...result.artifacts, delivery };
      const run = relayed({ ...endedRun("changed"), result: { ...result, artifacts } });
      const card = runCard(glanceOf(run, { session: SESSION }), VIEW);
      expect(field(card, "Tokens")).toMatch(/^[\d,]+ in.*, [\d,]+ out$/);
      expect(field(card, "Files")).toMatch(/^\d+ files?/);
      expect(field(card, "Files")).not.toContain("+0 -0");
      expect(field(card, "Commands")).toMatch(/^\d+/);
      expect(field(card, "Delivery")).toBe("1 outage, 30 sent again");
      if (name.startsWith("claude")) expect(field(card, "Cost")).toMatch(/^(?:\$\d|under \$0\.01)/);
      expect(finalMessage(run, VIEW, [], SESSION).title).toMatch(
        /^Codex finished in .* · \d+ files? · \d+ commands?/,
      );
    },
  );

  test("shows the answer once: not where it was posted already, nor on the card above the end message", () => {
    const run = relayed({ ...endedRun("completed"), result: { status: "completed", message: "**done**" } });
    expect(finalMessage(run, VIEW, [], SESSION).body).toBe("**done**");
    expect(finalMessage(run, { ...VIEW, answer: "**done**, and more" }, [], SESSION).body).toBe(
      "**done**, and more",
    );
    expect(finalMessage(run, { ...VIEW, isAnswered: true }, [], SESSION)).not.toHaveProperty("body");
    const card = runCard(glanceOf(run, { session: SESSION, lines: ["done"] }), { ...VIEW, endIsBelow: true });
    expect([card.lines, card.code]).toEqual([["fix the tests"], undefined]);
  });

  test("of a failed agent has the agent's reason in the message that rings", () => {
    const failed = relayed({
      ...endedRun("completed"),
      ...{ status: "failed", effectiveStatus: "failed" },
      ...{ error: "the step exited with code 1", errorCode: "exit_code" },
    });
    delete (failed as Partial<RunView>).result;
    const end = finalMessage(
      failed,
      { ...VIEW, failure: "Invalid API key · Please run /login" },
      ["7"],
      SESSION,
    );
    expect(end.title).toBe("Codex failed (exit code 1): Invalid API key · Please run /login");
    expect(end).toMatchObject({ mention: ["7"] });
    const unexplained = finalMessage(failed, { ...VIEW, lines: ["a", "no such file"] }, [], SESSION);
    expect(unexplained).toMatchObject({
      title: "Codex failed (exit code 1)",
      code: { text: "a\nno such file" },
    });
  });

  test("without a result says what it had said of itself", () => {
    const summary = "duration: 3 s, commands: 2, 0 failed";
    const item: AgentItem = {
      ...{ type: "activity", id: "summary", state: "completed" },
      kind: "summary",
      text: summary,
    };
    const { result: _result, ...run } = relayed({ ...endedRun("completed"), status: "canceled" });
    const plan = planLook({
      run: shownRun({ flow: "relay", phase: "running" }),
      showings: [showingOf({ opened: true })],
      glance: glanceOf(run, { session: SESSION }),
      page: { after: "0.0", chunks: itemChunks([item]), more: false },
      viewOf: () => followsOf(),
      due: new Set(),
      again: false,
      now: BEGIN_MS,
    });
    const end = plan?.effects.at(-1);
    expect(end !== undefined && "message" in end ? field(end.message, "Summary") : undefined).toBe(summary);
  });

  test("whatever stands in artifacts of other steps breaks nothing", () => {
    const artifacts = {
      tokens: "many",
      costUsd: null,
      commands: [],
      tools: 3,
      delivery: {},
      diff: 7,
      changedFiles: [3],
    };
    const run = { ...endedRun("completed"), result: { status: "completed", artifacts } } as RunView;
    expect(finalMessage(run, VIEW, []).fields?.map(({ name }) => name)).not.toContain("Tokens");
    expect(changesOf(run)).toBeUndefined();
  });
});

describe("what it has changed", () => {
  test("is offered and told as files with their lines", () => {
    const { summary } = recorded("codex-exec/work");
    const run = { ...endedRun("changed"), result: summary.result(1) };
    expect(
      runButtons(run)
        .flat()
        .map(({ label }) => label),
    ).toContain("Diff");
    const changes = changesOf(run);
    expect(changes?.summary[0]).toMatch(/^2 files/);
    expect(changes?.code?.text).toBe("update keep.txt\nadd new.txt");
  });

  test("is a diff where a step leaves one; and not offered where there is none", () => {
    const withDiff = {
      ...endedRun("changed"),
      result: { status: "changed", artifacts: { diff: "-a\n+b" } },
    } as RunView;
    expect(changesOf(withDiff)?.code).toEqual({ text: "-a\n+b", language: "diff" });
    expect(
      runButtons(endedRun("completed"))
        .flat()
        .map(({ label }) => label),
    ).not.toContain("Diff");
  });
});
