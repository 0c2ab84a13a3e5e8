/** The rules below the command line's views: texts, colours, logs, exit codes, events from flags, retries. */
import fc from "fast-check";
import picocolors from "picocolors";
import { describe, expect, test } from "vitest";
import { runView, type OutputChunkView } from "../../contract/run-view.ts";
import { composeEvent } from "../../runner-agent/cli/event-input.ts";
import { EXIT, exitCodeHelp, exitCodeOfRuns, exitCodeOfStatus } from "../../runner-agent/cli/exit-codes.ts";
import { createLogPrinter } from "../../runner-agent/cli/log-printer.ts";
import { createOutput, type TextStream } from "../../runner-agent/cli/output.ts";
import { failuresAfter, MAX_FAILURES, retryDelayMs } from "../../runner-agent/cli/retry-delay.ts";
import { table } from "../../runner-agent/cli/render/table.ts";
import {
  bytesText,
  argumentWord,
  columnsOf,
  commandLine,
  cutText,
  durationText,
  nextSteps,
  outputText,
  shellWord,
  statusText,
  timeText,
  visible,
  visibleLines,
  type Style,
} from "../../runner-agent/cli/render/text.ts";
import { BEGIN_MS, chunks, endedRun, runRecord } from "../support/run-fixtures.ts";

const ESC = String.fromCharCode(27);
const PIPE: Style = {
  colors: picocolors.createColors(false),
  terminal: false,
  width: 80,
  now: BEGIN_MS + 60_000,
};
const TERMINAL: Style = { ...PIPE, colors: picocolors.createColors(true), terminal: true };
/** A terminal whose colours are left out, so that its text can be read. */
const PLAIN_TERMINAL: Style = { ...PIPE, terminal: true };

describe("single things", () => {
  test.each([
    [0, "0 ms"],
    [840, "840 ms"],
    [12_340, "12.3 s"],
    [59_999, "59.9 s"],
    [250_000, "4 min 10 s"],
    [7_500_000, "2 h 5 min"],
    [-5, "0 ms"],
  ])("%d ms are %s", (ms, text) => {
    expect(durationText(ms)).toBe(text);
  });

  test.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1536, "1.5 KiB"],
    [3 * 1024 * 1024, "3.0 MiB"],
  ])("%d bytes are %s", (bytes, text) => {
    expect(bytesText(bytes)).toBe(text);
  });

  test.each([
    [0, "now"],
    [5000, "5 s ago"],
    [125_000, "2 min ago"],
    [2 * 3_600_000, "2 h ago"],
    [3 * 86_400_000, "3 d ago"],
    [-7000, "in 7 s"],
  ])("a terminal says of a time %d ms back: %s", (distance, text) => {
    expect(timeText(TERMINAL, new Date(TERMINAL.now - distance).toISOString())).toBe(text);
  });

  test("a pipe gets the time itself", () => {
    expect(timeText(PIPE, "2026-03-01T12:00:00.000Z")).toBe("2026-03-01T12:00:00.000Z");
    expect(timeText(TERMINAL, "no date")).toBe("no date");
  });

  test("a status has its colour, and attention is marked without colours too", () => {
    expect(statusText(TERMINAL, "completed")).toBe(`${ESC}[32mcompleted${ESC}[39m`);
    expect(statusText(TERMINAL, "queued")).not.toBe(statusText(TERMINAL, "running"));
    expect(statusText(PIPE, "blocked", true)).toBe("! blocked");
    expect(statusText(PIPE, "skipped")).toBe("skipped");
  });

  test("a word is quoted for a shell only where it must be", () => {
    expect(shellWord("upstream:release/1.2")).toBe("upstream:release/1.2");
    expect(shellWord("it's $HOME")).toBe(`'it'\\''s $HOME'`);
    expect(shellWord("")).toBe("''");
    expect(commandLine("codex-flow runs list", { flow: "a b", status: undefined, limit: 5 })).toBe(
      "codex-flow runs list --flow 'a b' --limit 5",
    );
  });

  test("an id that looks like an option is printed so that it cannot be read as one", () => {
    const id = "--url=http://127.0.0.1:9/";
    expect(argumentWord(id)).toBe(`-- ${id}`);
    expect(argumentWord("release:1.2")).toBe("release:1.2");
    expect(commandLine("codex-flow runs list", { event: id })).toBe(`codex-flow runs list --event=${id}`);
  });

  test("nothing that others wrote can steer the terminal", () => {
    expect(visible(`a${ESC}[2Jb\u0007\nc\u202ed`)).toBe("a\ufffd[2Jb\ufffd c\ufffdd");
    expect(visibleLines(`a\tb\r\nc${ESC}c`)).toBe("a  b\nc\ufffdc");
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(visible(text)).not.toMatch(/\p{Cc}/u);
        expect(visibleLines(text).replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
      }),
    );
  });

  test("a step's output keeps its lines and colours on a terminal, and no other sequence", () => {
    const red = `${ESC}[31mred${ESC}[0m`;
    expect(outputText(`${red}\r\n\t${ESC}]52;c;aGk=\u0007${ESC}[2J`)).toBe(
      `${red}\r\n\t\ufffd]52;c;aGk=\ufffd\ufffd[2J`,
    );
  });

  test("a table's last column is cut on a terminal and whole in a pipe", () => {
    const rows = [["run_1", "x".repeat(200)]];
    expect(
      table(PLAIN_TERMINAL, ["run", "message"], rows)
        .split("\n")
        .map((line) => line.length),
    ).toEqual([14, 78]);
    expect(table(PIPE, ["run", "message"], rows)).toContain("x".repeat(200));
  });
});

describe("logs", () => {
  function recorder(terminal: boolean) {
    const written: Array<[string, string]> = [];
    const stream = (name: string): TextStream => ({
      write: (text) => written.push([name, text]),
      isTTY: terminal,
    });
    const output = createOutput({
      out: stream("out"),
      err: stream("err"),
      json: false,
      color: false,
      environment: {},
    });
    return { written, printer: createLogPrinter(output) };
  }
  function print(terminal: boolean, given: OutputChunkView[]): Array<[string, string]> {
    const { written, printer } = recorder(terminal);
    for (const chunk of given) printer.chunk(chunk);
    return written;
  }

  test("what an agent says goes into a pipe without escape sequences and invisible characters", () => {
    const item = { type: "message", id: "1", state: "completed", role: "agent", text: "x" } as const;
    const text = `${ESC}[31mred${ESC}[0m ${ESC}]0;title\u0007 a\u202eb\n`;
    expect(print(false, [{ ...chunks(["agent", text])[0], item } as OutputChunkView])).toEqual([
      ["out", "red \ufffd]0;title\ufffd a\ufffdb\n"],
    ]);
  });

  test("a step's own output cannot change its order or hide on a terminal", () => {
    expect(outputText("a\u202eb\u200b\u{e0041}\r\n\t")).toBe("a\ufffdb\ufffd\ufffd\r\n\t");
  });

  test("a pipe gets each stream byte for byte", () => {
    expect(print(false, chunks(["stdout", `a${ESC}[2J`], ["stderr", "b\u0007"], ["stdout", "c\n"]))).toEqual([
      ["out", `a${ESC}[2J`],
      ["err", "b\u0007"],
      ["out", "c\n"],
    ]);
  });

  test("a terminal gets nothing that steers it, and a remark on a line of its own", () => {
    expect(print(true, chunks(["stdout", `a${ESC}[2J`], ["system", "killed\n"], ["stdout", "c\n"]))).toEqual([
      ["out", "a\ufffd[2J"],
      ["err", "\n── killed\n"],
      ["out", "c\n"],
    ]);
  });

  test("a second attempt is announced", () => {
    const [first, second] = chunks(["stdout", "a\n"], ["stdout", "b\n"]) as [
      OutputChunkView,
      OutputChunkView,
    ];
    expect(print(false, [first, { ...second, attempt: 2 }])).toEqual([
      ["out", "a\n"],
      ["err", "── attempt 2\n"],
      ["out", "b\n"],
    ]);
  });
});

describe("colours", () => {
  const stream = (isTTY: boolean): TextStream => ({ write: () => true, isTTY });
  test.each([
    [true, {}, true, true],
    [false, {}, true, false],
    [true, { NO_COLOR: "1" }, true, false],
    [true, { TERM: "dumb" }, true, false],
    [true, {}, false, false],
    [false, { FORCE_COLOR: "1" }, true, true],
    [false, { FORCE_COLOR: "1" }, false, false],
    [true, { FORCE_COLOR: "0" }, true, false],
  ])("terminal %s, environment %j, allowed by flags %s: %s", (terminal, environment, color, expected) => {
    const output = createOutput({
      out: stream(terminal),
      err: stream(false),
      json: false,
      color,
      environment,
    });
    expect(output.style().colors.red("x") !== "x").toBe(expected);
  });
});

describe("exit codes", () => {
  test.each([
    [400, EXIT.rejected],
    [401, EXIT.denied],
    [403, EXIT.denied],
    [404, EXIT.notFound],
    [409, EXIT.conflict],
    [413, EXIT.rejected],
    [422, EXIT.rejected],
    [500, EXIT.edgeFailed],
    [503, EXIT.edgeFailed],
  ])("status %d ends with %d", (status, code) => {
    expect(exitCodeOfStatus(status)).toBe(code);
  });

  test.each([
    ["completed", EXIT.ok],
    ["changed", EXIT.ok],
    ["skipped", EXIT.ok],
    ["blocked", EXIT.bad],
    ["needs_intervention", EXIT.bad],
  ] as const)("a run that reports %s ends with %d", (status, code) => {
    expect(exitCodeOfRuns([endedRun("completed"), endedRun(status)])).toBe(code);
  });

  test("a canceled run is no success", () => {
    expect(exitCodeOfRuns([runView(runRecord({ status: "canceled" }))])).toBe(EXIT.bad);
  });

  test("each code is in the help, once", () => {
    for (const code of Object.values(EXIT))
      expect(
        exitCodeHelp()
          .split("\n")
          .filter((line) => line.trim().startsWith(`${code} `)),
      ).toHaveLength(1);
  });
});

describe("an event from flags", () => {
  test("without an id gets one from type, source and payload, whatever the order of keys", () => {
    const one = composeEvent({}, { type: "t", payload: '{"a":1,"b":[2]}' });
    const other = composeEvent(
      { payload: { b: [2], a: 1 }, type: "t", occurredAt: "2026-03-01T12:00:00Z" },
      {},
    );
    expect(one.id).toMatch(/^cli-[0-9a-f]{32}$/);
    expect(other.id).toBe(one.id);
    expect(composeEvent({}, { type: "t", payload: '{"a":2,"b":[2]}' }).id).not.toBe(one.id);
    expect(composeEvent({}, { type: "t", source: "s", payload: '{"a":1,"b":[2]}' }).id).not.toBe(one.id);
  });

  test("flags stand over what the file says, and the rest is kept", () => {
    const base = { id: "1", type: "a", source: "s", extra: true, payload: 1 };
    expect(composeEvent(base, { id: "2", type: "b", payload: "null" })).toEqual({
      id: "2",
      type: "b",
      source: "s",
      extra: true,
      payload: null,
    });
  });

  test.each([
    [{}, { payload: "1" }, /has no type/],
    [{}, { type: "t", payload: "{a:1}" }, /--payload is not JSON/],
    [
      {},
      { type: "t", payload: '{"id":9007199254740993}' },
      /--payload: \/id is an integer that would arrive as/,
    ],
    [{ type: 5 }, {}, /has no type/],
  ])("%j with %j is refused", (base, flags, message) => {
    expect(() => composeEvent(base, flags)).toThrow(message);
  });
});

test("a retry waits longer each time, up to a bound, and never not at all", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: MAX_FAILURES }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (failures, random) => {
        const delay = retryDelayMs(failures, random);
        expect(delay).toBeGreaterThanOrEqual(250);
        expect(delay).toBeLessThanOrEqual(15_000);
        expect(retryDelayMs(failures + 1, random)).toBeGreaterThanOrEqual(delay);
      },
    ),
  );
});

test("a connection that lasted, and over which nothing came, is no failure of a row; one that drops at once is", () => {
  const ends = Array.from({ length: 2 * MAX_FAILURES });
  expect(ends.reduce<number>((failures) => failuresAfter(failures, 10 * 60_000), 0)).toBe(1);
  expect(ends.reduce<number>((failures) => failuresAfter(failures, 100), 0)).toBeGreaterThan(MAX_FAILURES);
});

test.each([
  ["8", true],
  ["08", true],
  ["31;8", true],
  ["48;5;8;8", true],
  ["38;5;8", false],
  ["38;2;8;8;8", false],
  ["38:5:8", false],
  ["28", false],
])(
  "the sequence ESC[%sm in output is replaced on a terminal if it conceals text: %s",
  (codes, isReplaced) => {
    expect(outputText(`${ESC}[${codes}mhidden`)).toBe(`${isReplaced ? "\ufffd" : ESC}[${codes}mhidden`);
  },
);

describe("texts with wide characters", () => {
  const style = { colors: picocolors.createColors(false), terminal: true, width: 80, now: 0 };

  test("the purposes of next steps stand in one column when a command has wide characters", () => {
    const text = nextSteps(style, [
      ["codex-flow runs say 日本語", "wide"],
      ["codex-flow runs say ABCDEF", "narrow"],
    ]);
    const [wide = "", narrow = ""] = text.split("\n").slice(1);
    expect(columnsOf(wide.slice(0, wide.indexOf("wide")))).toBe(narrow.indexOf("narrow"));
  });

  test("a text is cut by the columns that it takes, and never inside of a character", () => {
    expect(cutText("日本語", 6)).toBe("日本語");
    expect(cutText("日本語", 5)).toBe("日本…");
    expect(cutText("👩‍🚀👩‍🚀👩‍🚀", 5)).toBe("👩‍🚀👩‍🚀…");
    expect(cutText("plain", 4)).toBe("pla…");
  });
});
