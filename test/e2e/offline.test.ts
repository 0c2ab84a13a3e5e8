/** Nobody is there for a while: the runner, then the edge. What was acknowledged waits; what was printed arrives. */
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { RunView } from "../../contract/run-view.ts";
import { atEndOfFile, temporaryFolder } from "../support/flow-workspace.ts";
import { Edge, startRunner, type Daemon } from "../support/program.ts";
import {
  storyWorkspace,
  WORK_LINES,
  type DiaryEntry,
  type StoryWorkspace,
} from "../support/story-workspace.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";

const atEnd = atEndOfFile();

let state: string;
let edge: Edge;
let workspace: StoryWorkspace;

beforeAll(async () => {
  state = await temporaryFolder(atEnd);
  workspace = await storyWorkspace(atEnd);
  edge = await Edge.start({ state, workspace: workspace.root });
  atEnd(() => edge.stop());
});

// A pool keeps what a runner that is gone has of it; each story has its own runner, and leaves nothing that waits.
let name = 0;
beforeEach(() => {
  name += 1;
});

async function start(url?: string): Promise<Daemon> {
  const box = `box-${name}`;
  const runner = await startRunner(edge, {
    name: box,
    workspace: workspace.root,
    journal: join(state, box),
    ...(url === undefined ? {} : { url }),
  });
  onTestFinished(() => runner.kill());
  return runner;
}

async function runsOver(ids: string[]): Promise<RunView[]> {
  return until(async () => {
    const runs = await Promise.all(ids.map((id) => edge.client().getRun(id)));
    return runs.every((run) => run.completedAt !== undefined) ? runs : undefined;
  });
}

async function marks(what: DiaryEntry["what"], ids: string[]): Promise<DiaryEntry[]> {
  return (await workspace.diary()).filter((entry) => entry.what === what && ids.includes(entry.run));
}

/** Starts runs of the `work` step, and waits until all of them have begun. */
async function begin(prefix: string, count: number, pauseMs: number): Promise<string[]> {
  const answers = await Promise.all(
    Array.from({ length: count }, (_unused, n) =>
      edge.client().dispatch({ id: `${prefix}:${n}`, type: "story.work", payload: { pauseMs } }),
    ),
  );
  const ids = answers.map(({ runIds }) => runIds[0] ?? "");
  await until(async () => ((await marks("start", ids)).length === count ? true : undefined));
  return ids;
}

function expectWhole(run: RunView): void {
  expect(run).toMatchObject({ status: "completed", attemptCount: 1 });
  const printed = (run.output ?? []).flatMap(({ kind, text }) => (kind === "stdout" ? [text] : [])).join("");
  const lines = Array.from({ length: WORK_LINES }, (_unused, n) => `line ${n + 1} of ${run.id}\n`);
  expect(printed.startsWith(lines.join(""))).toBe(true);
}

describe("the runner is offline", () => {
  test("while 200 events arrive: when it comes all of them run once, and those of one key in the order of their arrival", async () => {
    const KEYS = ["red", "green", "blue", "white"];
    const EVENTS_PER_KEY = 50;
    const arrived = await Promise.all(
      KEYS.map(async (repo) => {
        const ids: string[] = [];
        for (let n = 0; n < EVENTS_PER_KEY; n += 1) {
          const event = { id: `offline:${repo}:${n}`, type: "story.keyed", payload: { repo } };
          ids.push((await edge.client().dispatch(event)).runIds[0] ?? "");
        }
        return ids;
      }),
    );
    const all = arrived.flat();
    expect(await edge.client().getRun(all[0] ?? "")).toMatchObject({ waiting: { code: "no_runner" } });
    // All have to be in the backlog: one that is still on its way to it cannot be in its place there.
    await until(async () => {
      const { waiting } = await edge.client().listRunners();
      return waiting.length === all.length ? true : undefined;
    });
    await start();
    await until(async () => ((await marks("end", all)).length === all.length ? true : undefined));
    const runs = await runsOver(all);
    expect(runs.filter((run) => run.status !== "completed" || run.attemptCount !== 1)).toEqual([]);
    const started = (await marks("start", all)).map((entry) => entry.run);
    for (const ids of arrived) expect(started.filter((id) => ids.includes(id))).toEqual(ids);
  });
});

describe("the edge is away", () => {
  test("until the steps that run have ended: their output and their results arrive whole, and none started again", async () => {
    await start();
    const ids = await begin("away", 4, 2_000);
    await edge.kill();
    await until(async () => ((await marks("end", ids)).length === ids.length ? true : undefined));
    await edge.restart();
    for (const run of await runsOver(ids)) expectWhole(run);
    expect(await marks("start", ids)).toHaveLength(ids.length);
  });

  test("and so is the agent, killed with -9 when its steps had ended: what its journal holds arrives", async () => {
    const runner = await start();
    const ids = await begin("journaled", 2, 300);
    await edge.kill();
    await runner.line(/control socket lost/);
    await until(() => {
      const ended = runner.output.split("\n").filter((line) => line.includes("step ended"));
      return ids.every((id) => ended.some((line) => line.includes(id))) ? true : undefined;
    });
    await runner.kill();
    await edge.restart();
    await start();
    for (const run of await runsOver(ids)) expectWhole(run);
    expect(await marks("start", ids)).toHaveLength(ids.length);
  });
});

describe("the network is away", () => {
  test("inngest-py#287, #384: for more tries than anybody counts, the agent tries on, and is shown as disconnected until it is back", async () => {
    const TRIES = 6;
    const proxy = await TcpProxy.start(Number(new URL(edge.info.url).port));
    onTestFinished(() => proxy.close());
    await start(proxy.url);
    const shown = async (): Promise<string | undefined> =>
      (await edge.client().listRunners()).runners.find((runner) => runner.name === `box-${name}`)?.state;
    expect(await shown()).toBe("connected");
    proxy.refuse();
    await until(async () => ((await shown()) === "disconnected" ? true : undefined));
    await until(() => (proxy.refusals >= TRIES ? true : undefined));
    proxy.admit();
    await until(async () => ((await shown()) === "connected" ? true : undefined));
    const sent = await edge
      .client()
      .dispatch({ id: "back", type: "story.work", payload: { pauseMs: 1 } }, { wait: true });
    expect(sent.runs).toMatchObject([{ status: "completed" }]);
  });
});
