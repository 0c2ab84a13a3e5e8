/** Sessions whose box is cut off: what they say meanwhile is told later, once, in their own run; also when they end before, or their relay is killed. */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { isTerminal } from "../../contract/run-record.ts";
import type { RunView } from "../../contract/run-view.ts";
import { processesOfRun } from "../support/run-processes.ts";
import { codexFlow, Daemon, Edge } from "../support/program.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { atEndOfFile } from "../support/flow-workspace.ts";

const atEnd = atEndOfFile();

const CHANNEL = "4001";
/** Says its first word, and the last one when it is told to go. */
const AGENT = "echo first word; until [ -e go ]; do sleep 0.05; done; echo last word; exit 3";
/** Works on behind it. */
const AT_WORK =
  "echo first word; until [ -e go ]; do sleep 0.05; done; echo meanwhile; until [ -e on ]; do sleep 0.05; done; echo last word; exit 3";

let edge: Edge;
/** Between all boxes and the edge. */
let network: TcpProxy;
let root: string;

/** One relay, on a box of its own as far as its temporary directory goes. */
interface Box {
  relay: Daemon;
  runId: string;
  home: string;
  folder: string;
}

let told: Box;
let resumed: Box;
let carried: Box;
let killed: Box;
let working: Box;
let canceled: Box;

beforeAll(async () => {
  root = await mkdtemp(join("/var/tmp", "relay-untold-story-"));
  atEnd(() => rm(root, { recursive: true, force: true }));
  await mkdir(join(root, "workspace"));
  edge = await Edge.start({ state: join(root, "edge"), workspace: join(root, "workspace") });
  atEnd(() => edge.stop());
  network = await TcpProxy.start(Number(new URL(edge.info.url).port));
  atEnd(() => network.close());
  expect((await codexFlow(edge, "guard", "activate", "--channel", CHANNEL)).code).toBe(0);
  [told, resumed, carried, killed, working, canceled] = await Promise.all([
    box("told"),
    box("resumed"),
    box("carried"),
    box("killed"),
    box("working", AT_WORK),
    box("canceled", AT_WORK),
  ]);
  network.refuse();
  await killed.relay.kill();
  const boxes = [told, resumed, carried, killed, working, canceled];
  await Promise.all(boxes.map(({ home }) => writeFile(join(home, "go"), "")));
  await edge.client().cancel(canceled.runId, { by: "ada" });
  for (const { relay } of [working, canceled]) await relay.line(/meanwhile/);
  for (const { relay } of [told, resumed, carried]) {
    await relay.line(/ended: sh failed/);
    relay.signal("SIGINT");
    expect(await relay.over()).toBe(3);
  }
  network.admit();
});

function launch(home: string, ...args: string[]): Daemon {
  const env = {
    CODEX_FLOW_URL: network.url,
    CODEX_FLOW_TOKEN: edge.info.tokens.runner,
    HOME: home,
    XDG_STATE_HOME: join(home, "state"),
    TMPDIR: join(home, "tmp"),
  };
  const daemon = new Daemon(args, env, home);
  atEnd(() => daemon.kill());
  return daemon;
}

const relay = (home: string, script: string): Daemon =>
  launch(home, "relay", "run", "--channel", CHANNEL, "-w", home, "--", "sh", "-c", script);

async function box(of: string, agent = AGENT): Promise<Box> {
  const home = join(root, of);
  await mkdir(join(home, "tmp"), { recursive: true });
  const started = relay(home, agent);
  const line = await started.line(/running relay\/session/);
  const runId = /run_[0-9a-z]+_1/.exec(line)?.[0] ?? "";
  await until(async () => ((await outputOf(runId)).includes("first word\n") ? true : undefined));
  const [name = ""] = (await readdir(join(home, "tmp"))).filter((each) => each.startsWith("dev-relay."));
  return { relay: started, runId, home, folder: join(home, "tmp", name) };
}

async function outputOf(id: string): Promise<string> {
  const { output } = await edge.client().getOutput(id);
  return output.flatMap(({ kind, text }) => (kind === "stdout" ? [text] : [])).join("");
}

function over(id: string): Promise<RunView> {
  return until(async () => {
    const run = await edge
      .client()
      .getRun(id)
      .catch(() => undefined);
    return run !== undefined && isTerminal(run.status) ? run : undefined;
  });
}

/** It ended as it did on its box, everything of it is there once, and nothing is owed any more. */
async function isWhole({ runId, folder }: Box): Promise<void> {
  expect(await over(runId)).toMatchObject({
    status: "failed",
    errorCode: "exit_code",
    error: expect.stringContaining("3") as string,
    attemptCount: 1,
  });
  expect(await outputOf(runId)).toBe("first word\nlast word\n");
  await until(() => (existsSync(join(folder, "journal.sqlite")) ? undefined : true));
  const summary = JSON.parse(await readFile(join(folder, "delivery-summary.json"), "utf8")) as object;
  expect(summary).toMatchObject({ runId, handedOver: true });
}

test("a session that works on while its box is cut off goes on as the same run when that is back", async () => {
  const { relay: its, runId, home } = working;
  await until(async () => ((await outputOf(runId)).includes("meanwhile\n") ? true : undefined));
  expect((await edge.client().getRun(runId)).status).toBe("running");
  await writeFile(join(home, "on"), "");
  expect(await its.over()).toBe(3);
  expect(await over(runId)).toMatchObject({ errorCode: "exit_code", attemptCount: 1 });
  expect(await outputOf(runId)).toBe("first word\nmeanwhile\nlast word\n");
});

test("one that was canceled meanwhile is stopped when its box is back, and proves it", async () => {
  const { relay: its, runId } = canceled;
  expect(await its.over()).toBe(130);
  expect(await over(runId)).toMatchObject({
    status: "canceled",
    cancel: { state: "canceled", by: "api: ada", survivors: [] },
    attempts: [{ tree: { empty: true } }],
  });
  expect(await outputOf(runId)).toBe("first word\nmeanwhile\n");
  expect(processesOfRun(runId)).toEqual([]);
});

test("a relay that gives up says where the rest is kept, and what tells it: its own resume, once", async () => {
  const { folder } = resumed;
  const line = await resumed.relay.line(/codex-flow relay resume/);
  expect(line).toContain(folder);
  const resume = launch(resumed.home, "relay", "resume", folder);
  expect(await resume.over()).toBe(0);
  expect(resume.output).toContain(`Session ${resumed.runId} is complete at the edge now`);
  await isWhole(resumed);
});

test("the next relay tells it, whatever it is about", async () => {
  const next = relay(told.home, "true");
  expect(await next.over()).toBe(0);
  await isWhole(told);
});

test("a runner agent on the same box tells it", async () => {
  const workspace = ["--workspace", carried.home, "--journal", join(carried.home, "journal")];
  launch(carried.home, "runner", "start", "--name", "box", ...workspace);
  await isWhole(carried);
});

test("of a relay that was killed, the next one tells what it had said, and that it was", async () => {
  const next = relay(killed.home, "true");
  expect(await next.over()).toBe(0);
  expect(await over(killed.runId)).toMatchObject({
    status: "failed",
    errorCode: "lost",
    error: expect.stringContaining("the relay was killed") as string,
  });
  expect(await outputOf(killed.runId)).toContain("first word\n");
});
