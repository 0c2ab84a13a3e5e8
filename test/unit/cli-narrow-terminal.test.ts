/** Lists and the status on a terminal of 80 columns, and the short ids that they show there. */
import { describe, expect, test } from "vitest";
import { EXIT } from "../../runner-agent/cli/exit-codes.ts";
import { renderEventList } from "../../runner-agent/cli/render/event.ts";
import { renderRunList } from "../../runner-agent/cli/render/run.ts";
import { renderStatus } from "../../runner-agent/cli/render/status.ts";
import { shortRun } from "../../runner-agent/cli/short-ids.ts";
import { access, codexFlow } from "../support/command-line.ts";
import { startFakeEdge } from "../support/fake-edge.ts";
import { endedRun, eventFixture, runningRun } from "../support/run-fixtures.ts";
import { PIPE, PLAIN_TERMINAL } from "../support/terminal-styles.ts";

const COLUMNS = 80;
const RUN = "run_0123456789abcdef_1";
const run = {
  ...endedRun("needs_intervention", "a message that is longer than what is left of a line of this terminal"),
  flowName: "a-flow-with-a-long-name",
};
const event = eventFixture({
  id: "cli-12adec36-6a3e-4a5e-9d6a-0c7d6a3e4a5e",
  type: "com.example.products.release.published",
});

function longestLine(text: string): number {
  return Math.max(...text.split("\n").map((line) => line.length));
}

describe("at 80 columns", () => {
  test("a list of runs has one line a run", () => {
    const text = renderRunList(PLAIN_TERMINAL, { runs: [run, run] }, "codex-flow runs list");
    expect(text.split("\n")).toHaveLength(3);
    expect(longestLine(text)).toBeLessThanOrEqual(COLUMNS);
    expect(text).toContain(shortRun(run.id));
  });

  test("a list of events has one line an event", () => {
    const text = renderEventList(PLAIN_TERMINAL, { events: [event, event] }, "codex-flow events list");
    expect(text.split("\n")).toHaveLength(3);
    expect(longestLine(text)).toBeLessThanOrEqual(COLUMNS);
    expect(text).toContain("cli-12adec36");
  });

  test("the status fits", () => {
    const text = renderStatus(PLAIN_TERMINAL, {
      runners: [],
      waiting: [],
      chats: [],
      attention: [run],
      events: [event],
    });
    expect(longestLine(text)).toBeLessThanOrEqual(COLUMNS);
  });

  test("a pipe still gets whole ids, for scripts", () => {
    expect(renderRunList(PIPE, { runs: [run] }, "")).toContain(run.id);
    expect(renderEventList(PIPE, { events: [event] }, "")).toContain(event.id);
  });
});

describe("a short id", () => {
  test.each(["01234567_1", "01234567", "run_01234567_1", "cdef-1", "0123…", "last"])(
    "%s names the run that it fits",
    async (typed) => {
      const edge = await startFakeEdge({ runs: [[runningRun(1)]] });
      const { code, out } = await codexFlow(["runs", "show", typed], access(edge));
      expect(code).toBe(EXIT.ok);
      expect(out).toContain(RUN);
      expect(edge.calls.map(({ path }) => path)).toContain(`/runs/${RUN}`);
    },
  );

  test("that fits several runs is refused, and the runs are named", async () => {
    const edge = await startFakeEdge({ runs: [[runningRun(1), runningRun(2)]] });
    const { code, err } = await codexFlow(["runs", "show", "01234567"], access(edge));
    expect(code).toBe(EXIT.usage);
    expect(err).toContain("run_0123456789abcdef_1, run_0123456789abcdef_2");
  });

  test("is not looked for when the whole id is given", async () => {
    const edge = await startFakeEdge({ runs: [[runningRun(1)]] });
    await codexFlow(["runs", "show", RUN], access(edge));
    expect(edge.calls.map(({ path }) => path)).toEqual([`/runs/${RUN}`]);
  });
});

test("runs show without an id shows the newest run", async () => {
  const edge = await startFakeEdge({ runs: [[runningRun(1)]] });
  const { out } = await codexFlow(["runs", "show"], access(edge));
  expect(out).toContain(RUN);
});

test("runs ack acknowledges each run that it is given, and says by whom", async () => {
  const edge = await startFakeEdge({ runs: [[endedRun("blocked")]] });
  const { code, out } = await codexFlow(["runs", "ack", RUN, RUN, "--by", "ada"], access(edge));
  expect(code).toBe(EXIT.ok);
  expect(out.match(/acknowledged by api: ada/g)).toHaveLength(2);
  expect(edge.calls.map(({ path, body }) => [path, body])).toEqual([
    [`/runs/${RUN}/ack`, '{"by":"ada"}'],
    [`/runs/${RUN}/ack`, '{"by":"ada"}'],
  ]);
});

test("runs list passes its filters on, and an age becomes a date", async () => {
  const edge = await startFakeEdge({ runs: [[]] });
  const words = ["--attention", "--pool", "gpu", "--runner", "box", "--since", "2026-03-01"];
  await codexFlow(["runs", "list", ...words], access(edge));
  expect(edge.calls[0]?.query).toEqual({
    attention: "true",
    pool: "gpu",
    runner: "box",
    since: "2026-03-01T00:00:00.000Z",
  });
  const before = Date.now();
  await codexFlow(["events", "list", "--since", "2h"], access(edge));
  const since = Date.parse(String(edge.calls[1]?.query["since"]));
  expect(since).toBeGreaterThanOrEqual(before - 2 * 3_600_000);
  expect(since).toBeLessThanOrEqual(Date.now() - 2 * 3_600_000);
  const { code } = await codexFlow(["runs", "list", "--since", "soon"], access(edge));
  expect(code).toBe(EXIT.usage);
});
