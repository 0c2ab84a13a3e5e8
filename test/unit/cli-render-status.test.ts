/** What the program draws of runners, of the edge as a whole and of faults. Pure. */
import { describe, expect, test } from "vitest";
import type { RunnersAnswer } from "../../client/http.ts";
import { renderCheck } from "../../runner-agent/cli/render/flows.ts";
import { renderRunners } from "../../runner-agent/cli/render/runners.ts";
import { renderReachable, renderStatus } from "../../runner-agent/cli/render/status.ts";
import { endedRun, eventFixture } from "../support/run-fixtures.ts";
import { PIPE, PLAIN_TERMINAL } from "../support/terminal-styles.ts";

describe("runners and status", () => {
  const answer: RunnersAnswer = {
    runners: [
      {
        id: "runner_1",
        name: "box",
        pool: "default",
        version: "0.1.0",
        labels: ["linux", "gpu"],
        capacity: 4,
        active: ["run_1"],
        state: "connected",
        paused: false,
        lastSeenAt: "2026-03-01T12:00:30.000Z",
        flows: [],
      },
    ],
    waiting: [
      {
        runId: "run_2",
        pool: "default",
        flow: "release",
        step: "rebase",
        attempt: 1,
        queuedAt: "2026-03-01T12:00:00.000Z",
        reason: { code: "busy", message: "all runners of the pool are busy" },
      },
    ],
  };

  test("runners show what they do, and each waiting run why it waits", () => {
    const text = renderRunners(PLAIN_TERMINAL, answer);
    expect(text).toMatch(/box +runner_1 +default +connected +1\/4 +30 s ago +0\.1\.0 +0 +linux gpu/);
    expect(text).toMatch(/run_2 +release\/rebase +1 min ago +all runners of the pool are busy/);
    expect(renderRunners(PIPE, { runners: [], waiting: [] })).toMatch(/^no runner is connected; start one/);
  });

  test("the status names edge, token, places, waiting runs, attention and events", () => {
    const connection = { url: { value: "https://a.dev", from: "CODEX_FLOW_URL" } };
    expect(renderReachable(PIPE, connection, 12.4)).toBe(
      "  edge     https://a.dev (CODEX_FLOW_URL)\n  answers  in 12 ms\n  token    none",
    );
    const token = { value: "secret-token", from: "profile default" };
    expect(renderReachable(PIPE, { ...connection, token }, 1)).not.toContain("secret-token");
    const view = { ...answer, attention: [endedRun("blocked", "look")], events: [eventFixture()], chats: [] };
    const text = renderStatus(PIPE, view);
    expect(text).toContain("1 connected, 1 of 4 places busy");
    expect(text).toMatch(/needs attention\n[\s\S]*! blocked[\s\S]*latest events\n[\s\S]*upstream:1/);
    const idle = { runners: [], waiting: [], attention: [], events: [], chats: [] };
    expect(renderStatus(PIPE, idle)).toMatch(
      /none connected[\s\S]*needs attention\n {2}nothing[\s\S]*events\n {2}none/,
    );
  });

  test("the status says what waits for a chat, and why it does not go out", () => {
    const quiet = {
      waiting: { final: 0, event: 0, state: 0 },
      sent: 3,
      edited: 4,
      retried: 0,
      refused: 0,
      limited: 0,
      parked: [],
      shownRuns: 2,
    };
    const parked = {
      place: "telegram:-5",
      code: "kicked",
      message: "the bot was kicked",
      at: 0,
      waiting: 4,
    };
    const view = { runners: [], waiting: [], attention: [], events: [] };
    const text = renderStatus(PIPE, {
      ...view,
      chats: [
        { ...quiet, platform: "discord" },
        {
          ...quiet,
          platform: "telegram",
          waiting: { final: 1, event: 3, state: 0 },
          halted: { code: "token", message: "the token was refused" },
          parked: [parked],
        },
      ],
    });
    expect(text).toMatch(
      /discord +nothing waits, 2 runs shown; 3 sent, 4 edited, 0 tried again, 0 refused\n/,
    );
    expect(text).toMatch(/telegram +4 messages to be sent, 2 runs shown, see below/);
    expect(text).toContain("telegram: nothing is sent: the token was refused (token)");
    expect(text).toContain("telegram:-5: the bot was kicked (kicked), 4 messages held");
  });

  test("faults are lines that an editor can jump to", () => {
    const fault = {
      file: `${process.cwd()}/flows/a/flow.toml`,
      line: 3,
      column: 7,
      path: "steps[0].runner",
      message: "is required",
    };
    expect(renderCheck(PIPE, [], [fault])).toBe("flows/a/flow.toml:3:7 steps[0].runner is required");
    expect(renderCheck(PIPE, [], [])).toBe("0 flows, 0 steps: no faults");
  });
});
