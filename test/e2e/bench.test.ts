/**
 * Every bench in its smallest form, so that a change of the product cannot break one unseen. Only whether it runs counts:
 * the figures of so little work mean nothing, and the suite asserts on no time.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { expect, test, type TestContext } from "vitest";
import { temporaryFolder } from "../support/flow-workspace.ts";
import { node } from "../support/program.ts";

const command = new URL("../../bench/run.ts", import.meta.url).pathname;
const bench = (...args: string[]) =>
  execa(node, [command, ...args], { reject: false, all: true, stdin: "ignore" });

interface Figure {
  name: string;
  value: number | null;
  bar?: unknown;
}

/** What each bench must have measured when it is over. */
const MEASURES: Record<string, string> = {
  ingest: "matched, share of the floor",
  latency: "event sent to step's code, p50",
  burst: "of 8 events, runs completed at the first attempt",
  list: "the second over the first",
  step: "node, module: step over it",
  codex: "product over it, warm",
  bundle: "start-up, busy",
  "dev-proxy": "unmatched, 16 at a time",
};
/** These wait most of their time, for objects to hibernate or for a chat's rate limit, so they run at the same time. */
const WAITING_MEASURES: Record<string, string> = {
  agent: "processor at rest",
  discord: "all of them answered in the end, p99",
  cost: "a million matched events",
  chat: "telegram-group: finals that are missing",
};
const WAITING_TIMEOUT_MS = 300_000;

async function expectRuns(
  name: string,
  measure: string,
  { onTestFinished }: Pick<TestContext, "onTestFinished">,
): Promise<void> {
  const file = join(await temporaryFolder(onTestFinished), "figures.json");
  const { exitCode, all } = await bench("--only", name, "--smallest", "--json", file);
  expect(exitCode, all).toBe(0);
  const figures = (JSON.parse(await readFile(file, "utf8")) as Record<string, Figure[]>)[name] ?? [];
  expect(figures.map((figure) => figure.name)).toContain(measure);
  for (const figure of figures) {
    expect(figure.value, `${figure.name} is a number`).toEqual(expect.any(Number));
    expect(figure, `${figure.name} is not judged`).not.toHaveProperty("bar");
  }
}

test.for(Object.entries(MEASURES))(
  "the bench %s runs from start to end in its smallest form",
  ([name, measure], context) => expectRuns(name, measure, context),
);

test.concurrent.for(Object.entries(WAITING_MEASURES))(
  "the bench %s runs from start to end in its smallest form",
  { timeout: WAITING_TIMEOUT_MS },
  ([name, measure], context) => expectRuns(name, measure, context),
);

test("every bench that exists is in this test", async () => {
  const { exitCode, all } = await bench("--only", "nonsense");
  expect(exitCode).toBe(2);
  const tested = Object.keys({ ...MEASURES, ...WAITING_MEASURES });
  expect(all.split("there are ")[1]?.trim().split(", ").sort()).toEqual(tested.sort());
});
