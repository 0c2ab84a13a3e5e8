/** Which runner is offered which run, and why a run waits. What becomes of offers stands in offers.test.ts. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { PROTOCOL_OLDEST, PROTOCOL_VERSION, RUNNERS_PER_POOL_MAX } from "../../contract/limits.ts";
import type { ControlDown, HelloFrame, RunRoute } from "../../contract/runner-link.ts";
import {
  armedAt,
  call,
  expectError,
  fireAlarm,
  poolOf,
  poolStub,
  runOf,
  startRun,
  until,
  untilStatus,
  untilWaiting,
} from "./support/api.ts";
import type { RunnerPool } from "../../durable-objects/runner-pool/object.ts";
import { FakeRunner } from "./support/fake-runner.ts";
import { deployStep, packageFiles } from "./support/flow-catalog.ts";
import { closeSockets, Socket } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

/** Waits until the pool gives this reason, and finds the run giving the same one. */
async function expectReason(pool: string, runId: string, code: string, ...words: string[]): Promise<void> {
  const { reason } = await until(async () => {
    const waiting = (await poolOf(pool)).waiting.find((run) => run.runId === runId);
    expect(waiting?.reason.code).toBe(code);
    return waiting ?? { reason: undefined };
  });
  for (const word of words) expect(reason?.message).toContain(word);
  expect((await runOf(runId)).waiting).toEqual(reason);
}

async function untilActive(pool: string, runnerId: string, runIds: string[]): Promise<void> {
  await until(async () => {
    const runner = (await poolOf(pool)).runners.find((one) => one.id === runnerId);
    expect(runner?.active.toSorted()).toEqual(runIds.toSorted());
  });
}

test("a runner gets the files of every deployed flow behind its welcome", async () => {
  const { pool } = deployStep();
  const runner = await FakeRunner.connect(pool);
  const { files } = await runner.control.next("files", ({ flow }) => flow.name === "lab");
  expect(files).toEqual(packageFiles["lab"]);
  const release = await runner.control.next("files", ({ flow }) => flow.name === "release");
  expect(release).toEqual({
    type: "files",
    flow: { name: "release", version: 1, digest: "sha256:release" },
    files: [],
  });
});

test("what a pool could not write down it does not take for known", async () => {
  const { type, pool } = deployStep();
  const { runId } = await startRun(type);
  await untilWaiting(pool, runId);
  const route = await runInDurableObject(
    poolStub(pool),
    (_instance, { storage }) =>
      JSON.parse(storage.sql.exec<{ route: string }>("SELECT route FROM run").one().route) as RunRoute,
  );
  const later = { ...route, attempt: 2 };
  await runInDurableObject(poolStub(pool), (_instance, { storage }) => {
    storage.sql.exec(
      "CREATE TRIGGER refuse BEFORE UPDATE ON run BEGIN SELECT RAISE(ABORT, 'disk full'); END",
    );
  });
  const failed = await runInDurableObject(poolStub(pool), async (instance) =>
    (instance as unknown as RunnerPool).enqueue([later]).then(() => "stored", String),
  );
  expect(failed).toContain("disk full");
  await runInDurableObject(poolStub(pool), (_instance, { storage }) => {
    storage.sql.exec("DROP TRIGGER refuse");
  });
  expect(await env.POOLS.getByName(pool).enqueue([later])).toEqual({ refused: [] });
  const runner = await FakeRunner.connect(pool);
  expect(await runner.take(runId)).toMatchObject({ attempt: 2 });
});

describe("why a run waits", () => {
  test("no runner", async () => {
    const { type, pool } = deployStep();
    const { runId } = await startRun(type);
    await expectReason(pool, runId, "no_runner", pool);
    await (await FakeRunner.connect(pool)).take(runId);
    await until(async () => {
      expect((await poolOf(pool)).waiting).toEqual([]);
    });
  });

  test("none with these labels", async () => {
    const { type, pool } = deployStep({ labels: ["gpu", "linux"] });
    await FakeRunner.connect(pool, { labels: ["linux"] });
    const { runId } = await startRun(type);
    await expectReason(pool, runId, "no_labels", "gpu, linux");
    await (await FakeRunner.connect(pool, { labels: ["linux", "gpu", "ssd"] })).take(runId);
  });

  test("the flow differs: both digests are shown", async () => {
    const { type, pool } = deployStep();
    const other = { name: "lab", version: 2, digest: "sha256:other" };
    const runner = await FakeRunner.connect(pool, { name: "old-box", flows: [other] });
    await FakeRunner.connect(pool, { name: "bare-box", flows: [] });
    const { runId } = await startRun(type);
    await expectReason(
      pool,
      runId,
      "digest_differs",
      "sha256:lab",
      "old-box has sha256:other",
      "no such flow",
    );
    runner.tell({ type: "flows", flows: [{ ...other, digest: "sha256:lab" }] });
    await runner.take(runId);
  });

  test("the run is older than the deployment: it says so instead of a remedy that cannot help", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool, { name: "box" });
    runner.tell({ type: "flows", flows: [{ name: "lab", version: 2, digest: "sha256:newer" }] });
    const { runId } = await startRun(type);
    await expectReason(pool, runId, "digest_differs");
    await runInDurableObject(poolStub(pool), (_instance, { storage }) => {
      storage.sql.exec("UPDATE run SET route = replace(route, 'sha256:lab', 'sha256:of-last-week')");
    });
    await evictDurableObject(poolStub(pool));
    await expectReason(
      pool,
      runId,
      "not_deployed",
      "sha256:of-last-week",
      "sha256:lab",
      "codex-flow runs cancel",
    );
  });

  test("all are busy", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool, { name: "box" });
    await runner.take((await startRun(type)).runId);
    const { runId } = await startRun(type);
    await expectReason(pool, runId, "busy", "box 1/1");
  });

  test("a runner without capacity is busy", async () => {
    const { type, pool } = deployStep();
    await FakeRunner.connect(pool, { name: "box", capacity: 0 });
    const { runId } = await startRun(type);
    await expectReason(pool, runId, "busy", "box 0/0");
  });

  test("the concurrency key is held, by the run that is named", async () => {
    const { type, pool } = deployStep({ concurrency: { key: "{{payload.repo}}", limit: 1 } });
    const runner = await FakeRunner.connect(pool, { capacity: 3 });
    const first = await startRun(type, { repo: "a" });
    await runner.take(first.runId);
    const second = await startRun(type, { repo: "a" });
    await expectReason(pool, second.runId, "concurrency", '"a"', first.runId);
  });

  test("the runners drain", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool, { name: "box" });
    runner.tell({ type: "drain" });
    await until(async () => {
      expect((await poolOf(pool)).runners).toMatchObject([{ state: "draining" }]);
    });
    const { runId } = await startRun(type);
    await expectReason(pool, runId, "draining", "box");
  });

  test("a run that has not come to its pool yet is on its way", async () => {
    const { pool, type } = deployStep({
      retry: { attempts: 2, on: ["failed"], backoffMs: 60_000 },
    });
    const runner = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    await (await runner.start(runId)).end({ exit: { code: 1, signal: null } });
    expect((await untilStatus(runId, "queued")).waiting).toMatchObject({ code: "on_its_way" });
  });
});

describe("who gets what", () => {
  test("P1: higher priority first, then the longest wait", async () => {
    const { type, pool } = deployStep();
    const urgent = deployStep({ pool, priority: 10 });
    const runs: string[] = [];
    for (const each of [type, urgent.type, type, urgent.type]) {
      const { runId } = await startRun(each);
      await untilWaiting(pool, runId);
      runs.push(runId);
    }
    expect((await poolOf(pool)).waiting.map((run) => run.runId)).toEqual([1, 3, 0, 2].map((at) => runs[at]));
    const runner = await FakeRunner.connect(pool);
    for (const at of [1, 3, 0, 2]) await runner.complete(runs[at] ?? "", { status: "completed" });
  });

  test("P1: a run whose labels nobody has holds up nobody behind it", async () => {
    const { type, pool } = deployStep();
    const picky = deployStep({ pool, labels: ["gpu"], priority: 10 });
    await untilWaiting(pool, (await startRun(picky.type)).runId);
    const runner = await FakeRunner.connect(pool);
    await runner.take((await startRun(type)).runId);
  });

  test("P2: a runner is offered as many as it has capacity, counting what the edge counts", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool, { capacity: 2 });
    const [first, second, third] = [await startRun(type), await startRun(type), await startRun(type)];
    const link = await runner.start(first.runId);
    await runner.start(second.runId);
    await untilWaiting(pool, third.runId);
    expect(runner.control.pending("offer")).toEqual([]);

    runner.hello({ capacity: 2, active: [] });
    await runner.control.next("welcome");
    await untilActive(pool, runner.id, [first.runId, second.runId]);
    expect(runner.control.pending("offer")).toEqual([]);

    await link.complete();
    await runner.take(third.runId);
  });

  test("P2: more capacity is used at once, less takes nothing away", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool, { capacity: 1 });
    const [first, second, third] = [await startRun(type), await startRun(type), await startRun(type)];
    await runner.take(first.runId);
    runner.tell({ type: "capacity", capacity: 2 });
    await runner.take(second.runId);
    runner.tell({ type: "capacity", capacity: 1 });
    await until(async () => {
      expect((await poolOf(pool)).runners).toMatchObject([{ capacity: 1 }]);
    });
    await untilActive(pool, runner.id, [first.runId, second.runId]);
    await untilWaiting(pool, third.runId);
  });

  test("P2: the least loaded one, by its share", async () => {
    const { type, pool } = deployStep();
    const small = await FakeRunner.connect(pool, { capacity: 2 });
    const before = await startRun(type);
    await small.take(before.runId);
    const large = await FakeRunner.connect(pool, { capacity: 4 });
    const runs = [await startRun(type), await startRun(type)];
    for (const { runId } of runs) await large.take(runId);
    await untilActive(pool, small.id, [before.runId]);
  });

  test("P3: runs with one concurrency key never overlap, over all runners", async () => {
    const { type, pool } = deployStep({ concurrency: { key: "{{payload.repo}}", limit: 1 } });
    const [one, two] = [
      await FakeRunner.connect(pool, { capacity: 4 }),
      await FakeRunner.connect(pool, { capacity: 4 }),
    ];
    const runs: string[] = [];
    for (let at = 0; at < 4; at += 1) runs.push((await startRun(type, { repo: "a" })).runId);
    const seen: string[] = [];
    for (const _each of runs) {
      const holder = await until(async () => {
        const active = (await poolOf(pool)).runners.flatMap((runner) => runner.active);
        expect(active).toHaveLength(1);
        expect(seen).not.toContain(active[0]);
        return active[0] ?? "";
      });
      seen.push(holder);
      const runner = [one, two].find((each) =>
        each.control.pending("offer").some((offer) => offer.runId === holder),
      );
      await runner?.complete(holder, { status: "completed" });
      expect((await runOf(holder)).status).toBe("completed");
    }
    expect(seen).toEqual(runs);
  });

  test("P3: another key is not held up, and a limit above 1 lets that many run", async () => {
    const { type, pool } = deployStep({ concurrency: { key: "{{payload.repo}}", limit: 2 } });
    const runner = await FakeRunner.connect(pool, { capacity: 9 });
    const [a1, a2, a3, b1] = [
      await startRun(type, { repo: "a" }),
      await startRun(type, { repo: "a" }),
      await startRun(type, { repo: "a" }),
      await startRun(type, { repo: "b" }),
    ];
    for (const { runId } of [a1, a2, b1]) await runner.take(runId);
    await expectReason(pool, a3.runId, "concurrency");
  });

  test("invariant 7: a runner that is away keeps what it runs, its place and its key", async () => {
    const { type, pool } = deployStep({ concurrency: { key: "one", limit: 1 } });
    const runner = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    const link = await runner.start(runId);
    await runner.control.close();
    await until(async () => {
      expect((await poolOf(pool)).runners).toMatchObject([{ state: "disconnected", active: [runId] }]);
    });
    const other = await FakeRunner.connect(pool);
    const second = await startRun(type);
    await expectReason(pool, second.runId, "concurrency", runId);
    await link.complete();
    await other.take(second.runId);
  });
});

describe("hello", () => {
  test.each([PROTOCOL_OLDEST - 1, PROTOCOL_VERSION + 1])(
    "protocol %i is refused, with what to do",
    async (protocol) => {
      const control = await Socket.to<ControlDown>("/runners/connect?pool=refused");
      new FakeRunner("refused", control).hello({ protocol });
      const error = await control.next("error");
      expect(error.code).toBe("protocol");
      expect(error.message).toContain("update the older one");
      expect(await control.closed).toEqual({ code: 4400, reason: "protocol" });
      expect((await poolOf("refused")).runners).toEqual([]);
    },
  );

  test("a runner is shown as it said it is", async () => {
    const { pool } = deployStep();
    const said = { name: "box", version: "1.2.3", labels: ["linux", "gpu"], capacity: 3 };
    const runner = await FakeRunner.connect(pool, said);
    const [shown] = (await poolOf(pool)).runners;
    expect(shown).toMatchObject({ ...said, id: runner.id, pool, active: [], state: "connected" });
    expect(shown?.flows.map((flow) => flow.name)).toEqual(["release", "lab"]);
    expect(shown?.lastSeenAt).toBeDefined();
  });

  test("goodbye: it is forgotten", async () => {
    const { pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    runner.tell({ type: "goodbye" });
    expect(await runner.control.closed).toEqual({ code: 1000, reason: "goodbye" });
    expect((await poolOf(pool)).runners).toEqual([]);
  });

  test("invariant 12: a pool knows so many runners; one that was away for long makes room", async () => {
    const { pool } = deployStep();
    const known = await FakeRunner.connect(pool);
    const fill = async (leftAt: number): Promise<void> => {
      await runInDurableObject(poolStub(pool), (_instance, { storage }) => {
        for (let at = 1; at < RUNNERS_PER_POOL_MAX; at += 1) {
          const doc = {
            runnerId: `gone-${at}`,
            name: "gone",
            version: "",
            labels: [],
            capacity: 1,
            draining: false,
          };
          const row = JSON.stringify({ ...doc, flows: [], connectedAt: 0, leftAt });
          storage.sql.exec("INSERT OR REPLACE INTO runner VALUES (?, ?)", doc.runnerId, row);
        }
      });
      await evictDurableObject(poolStub(pool));
    };
    await fill(Date.now());
    const refused = await Socket.to<ControlDown>(`/runners/connect?pool=${pool}`);
    new FakeRunner("one-too-many", refused).hello();
    const error = await refused.next("error");
    expect(error.message).toContain(String(RUNNERS_PER_POOL_MAX));
    await fill(0);
    const welcome = await FakeRunner.connect(pool);
    expect((await poolOf(pool)).runners.map((runner) => runner.id).toSorted()).toEqual(
      [known.id, welcome.id].toSorted(),
    );
  });

  const bad: [string, string | ArrayBuffer, string][] = [
    ["no JSON", "{", "bad_frame"],
    ["a binary frame", new ArrayBuffer(2), "bad_frame"],
    ["an unknown type", JSON.stringify({ type: "x" }), "bad_frame"],
    ["a capacity that is none", JSON.stringify({ type: "capacity", capacity: -1 }), "bad_frame"],
    ["anything before hello", JSON.stringify({ type: "drain" }), "no_hello"],
  ];
  test.each(bad)("%s: an error frame and a close with 4400", async (_what, frame, code) => {
    const control = await Socket.to<ControlDown>("/runners/connect?pool=refused");
    control.sendRaw(frame);
    expect((await control.next("error")).code).toBe(code);
    expect((await control.closed).code).toBe(4400);
  });

  test.each(["UPPER", "a b", "-x", "x".repeat(65), "%2e%2e"])("a pool that is no name: %s", async (name) => {
    const headers = { upgrade: "websocket" };
    await expectError(call("GET", `/runners/connect?pool=${name}`, { headers }), 400);
    await expectError(call("GET", `/runners?pool=${name}`), 400);
  });
});

describe("hibernation and deploys (invariant 16)", () => {
  test("invariant 16: the backlog, what is held, and the sockets are kept", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const [first, second] = [await startRun(type), await startRun(type)];
    const link = await runner.start(first.runId);
    await untilWaiting(pool, second.runId);
    const before = await poolOf(pool);
    await evictDurableObject(poolStub(pool));
    expect(await poolOf(pool)).toEqual(before);
    await link.complete();
    await runner.take(second.runId);
  });

  test("invariant 16: a runner that says hello again goes on with what it has", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const [first, second] = [await startRun(type), await startRun(type)];
    const link = await runner.start(first.runId);
    await untilWaiting(pool, second.runId);
    await evictDurableObject(poolStub(pool), { webSockets: "close" });
    await runner.control.closed;
    const active: HelloFrame["active"] = [{ runId: first.runId, attempt: 1 }];
    const back = await FakeRunner.connect(pool, { runnerId: runner.id, active });
    await untilActive(pool, runner.id, [first.runId]);
    await link.complete();
    await back.take(second.runId);
  });
});

describe("a runner that was silent and comes back on the same socket", () => {
  /** The socket has shown no life for a minute, as that of a machine that sleeps. */
  async function fallSilent(pool: string): Promise<void> {
    await runInDurableObject(poolStub(pool), (_instance, state) => {
      for (const socket of state.getWebSockets()) {
        const attachment = socket.deserializeAttachment() as { openedAt: number };
        socket.serializeAttachment({ ...attachment, openedAt: attachment.openedAt - 60_000 });
      }
    });
  }

  test("is offered waiting work with the first look after its heartbeat, which comes within 15 s", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    await fallSilent(pool);
    const { runId } = await startRun(type);
    await untilWaiting(pool, runId);
    expect((await poolOf(pool)).waiting).toMatchObject([{ reason: { code: "no_runner" } }]);
    expect(await armedAt(poolStub(pool))).toBeLessThanOrEqual(Date.now() + 15_000);
    await runner.control.ping();
    await fireAlarm(poolStub(pool));
    await runner.take(runId);
  });

  test("is offered waiting work at once when its agent sends a frame", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    await fallSilent(pool);
    const { runId } = await startRun(type);
    await untilWaiting(pool, runId);
    await runner.control.ping();
    expect((await poolOf(pool)).waiting).toMatchObject([{ reason: { code: "offered_next" } }]);
    runner.tell({ type: "capacity", capacity: 1 });
    await runner.take(runId);
  });
});
