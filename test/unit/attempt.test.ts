/** One attempt at a fake edge, when what runs in it fails in a way that nobody has foreseen. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { RESULT_MAX_BYTES } from "../../contract/limits.ts";
import type { AttemptEnd } from "../../contract/run-record.ts";
import { RUN_NOT_FOUND } from "../../contract/runner-link.ts";
import { Attempt, type AttemptHost } from "../../runner-agent/attempt.ts";
import { Journal } from "../../runner-agent/journal/journal.ts";
import type { StepRequest } from "../../runner-agent/steps/step.ts";
import { CONTEXT, RUN_ID, startFakeRunEdge, type FakeRunEdge } from "../support/fake-run-edge.ts";
import { temporaryFolder } from "../support/flow-workspace.ts";
import { fillDisk, freeDisk } from "../support/full-disk.ts";
import { processesOfRun } from "../support/run-processes.ts";
import { until } from "../support/until.ts";

interface Around {
  making(): Promise<unknown>;
  fullDisk: boolean;
}

interface Life {
  edge: FakeRunEdge;
  attempt: Attempt;
  journal: Journal;
  /** Workspaces that were given back, and whether nothing worked in them any more. */
  released: boolean[];
  logged: string[];
}

/**
 * @param making what its workspace waits for
 * @param fullDisk the journal can be written no more as soon as it is there
 */
async function runAttempt(
  startStep: AttemptHost["startStep"],
  { making = () => Promise.resolve(), fullDisk = false }: Partial<Around> = {},
): Promise<Life> {
  const edge = await startFakeRunEdge();
  const folder = await temporaryFolder();
  const journal = new Journal(join(folder, "journal.sqlite"));
  if (fullDisk) {
    onTestFinished(() => {
      freeDisk(process.pid);
    });
    fillDisk(process.pid);
  }
  const released: boolean[] = [];
  const logged: string[] = [];
  const step = {
    name: CONTEXT.step,
    runner: "node" as const,
    script: "step.ts",
    pool: "default",
    labels: [],
    priority: 0,
    timeoutMs: 60_000,
    silenceMs: 60_000,
    queueMs: 60_000,
    retry: { attempts: 1, on: [], backoffMs: 1 },
  };
  const attempt = new Attempt(
    {
      edgeUrl: "http://127.0.0.1:1",
      linkUrl: edge.server.url,
      token: "token-of-the-test",
      runnerId: "runner_1",
      runnerName: "box",
      journal,
      log: (level, message) => logged.push(`${level} ${message}`),
      environment: { variables: {}, secrets: [] },
      startStep,
      executor: { kind: "direct" },
      workspaces: {
        prepare: async () => {
          await making();
          return {
            release: ({ processesGone }: { processesGone: boolean }) => {
              released.push(processesGone);
              return Promise.resolve(undefined);
            },
          };
        },
      },
      findPackage: () =>
        Promise.resolve({
          found: {
            root: folder,
            config: undefined,
            flow: { name: "release", version: 1, steps: [step] },
          },
        }),
    },
    { runId: RUN_ID, attempt: 1 },
  );
  onTestFinished(() => {
    attempt.detach();
    journal.close();
  });
  attempt.take();
  return { edge, attempt, journal, released, logged };
}

const never = { pid: undefined, cancel: () => undefined, pause: () => undefined, resume: () => undefined };

test.each([
  [
    "cannot be started",
    (): never => {
      throw new Error("ENOSPC: no space left on device");
    },
  ],
  [
    "ends with an error instead of an end",
    () => ({ ...never, ended: Promise.reject(new Error("ENOSPC: no space left on device")) }),
  ],
])("a step that %s ends its attempt, its processes, and nothing else", async (_what, begin) => {
  const life = await runAttempt(({ runId, attempt }: StepRequest) => {
    const env = { CODEX_FLOW_RUN_ID: runId, CODEX_FLOW_ATTEMPT_ID: `${runId}_a${attempt}` };
    spawn("/bin/sleep", ["300"], { env, detached: true, stdio: "ignore" }).unref();
    return begin();
  });
  expect(await life.attempt.over).toEqual({ kind: "handed_over" });
  await life.attempt.stepEnded();
  expect(life.edge.received.at(-1)?.frame).toMatchObject({
    type: "end",
    reason: "abandoned",
    tree: { empty: true, survivors: [] },
    error: { code: "internal_error", message: expect.stringContaining("no space left") as string },
  });
  expect(processesOfRun(RUN_ID)).toEqual([]);
  expect(life.released).toEqual([true]);
  expect(life.logged.join("\n")).toContain("error the runner agent failed: Error: ENOSPC");
});

test.each([
  ["larger", { message: "x".repeat(RESULT_MAX_BYTES) }, "larger than"],
  [
    "deeper",
    { artifacts: JSON.parse(`${'{"a":'.repeat(300)}1${"}".repeat(300)}`) as never },
    "nested deeper",
  ],
])("a result that is %s than one may be fails the run, and its end arrives", async (_what, more, word) => {
  const life = await runAttempt((_request, events) => {
    const ended = Promise.resolve().then(() => {
      events.result({ status: "completed", ...more });
      return {
        reason: "exited" as const,
        exit: { code: 0, signal: null },
        tree: { empty: true, survivors: [] },
      };
    });
    return { ...never, ended };
  });
  expect(await life.attempt.over).toEqual({ kind: "handed_over" });
  expect(life.edge.faults).toEqual([]);
  expect(life.edge.received.at(-1)?.frame).toMatchObject({
    type: "end",
    error: { code: "invalid_result", message: expect.stringContaining(word) as string },
  });
});

test("one that is canceled while the disk takes nothing ends, though its step may not begin", async () => {
  let started = false;
  const life = await runAttempt(
    () => {
      started = true;
      return { ...never, ended: new Promise(() => undefined) };
    },
    { fullDisk: true },
  );
  await until(() => life.journal.trouble);
  life.edge.say({ type: "cancel", reason: "canceled by Ada" });
  expect(await life.attempt.over).toEqual({ kind: "handed_over" });
  expect(life.edge.received.at(-1)?.frame).toMatchObject({ type: "end", reason: "canceled" });
  expect(started).toBe(false);
});

test("one that the edge knows no more while its workspace is made starts no step, and gives the workspace back", async () => {
  const asked = Promise.withResolvers<undefined>();
  const made = Promise.withResolvers<undefined>();
  let started = false;
  const life = await runAttempt(
    () => {
      started = true;
      return { ...never, ended: new Promise(() => undefined) };
    },
    {
      making: async () => {
        asked.resolve(undefined);
        await made.promise;
      },
    },
  );
  await asked.promise;
  Object.assign(life.edge.server, {
    refuseWith: 404,
    refusal: JSON.stringify({ error: { code: RUN_NOT_FOUND } }),
  });
  life.edge.drop();
  await until(() => life.logged.find((line) => line.includes("stopping: the edge has no such run")));
  made.resolve(undefined);
  expect(await life.attempt.over).toMatchObject({ kind: "refused" });
  await life.attempt.stepEnded();
  expect(started).toBe(false);
  expect(life.released).toEqual([true]);
});

test("one that the edge gives up in mid-step is over when its step is", async () => {
  const ended = Promise.withResolvers<AttemptEnd>();
  const life = await runAttempt(() => ({ ...never, ended: ended.promise }));
  await until(() => life.logged.find((line) => line.includes("running")));
  life.edge.drop();
  life.edge.resumes = { code: "unknown_lease", message: "no such lease" };
  let over = false;
  void life.attempt.over.then(() => {
    over = true;
  });
  await until(() => life.logged.find((line) => line.includes("stopping")));
  await setImmediate();
  expect(over).toBe(false);
  ended.resolve({ reason: "abandoned", tree: { empty: true, survivors: [] } });
  expect(await life.attempt.over).toMatchObject({ kind: "refused" });
  expect(life.released).toEqual([true]);
});
