/** The control socket against a pool that drops, refuses and falls silent: it comes back for ever, or says why not. */
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import {
  CONTROL_STALE_MS,
  PING_INTERVAL_MS,
  PONG_TIMEOUT_MS,
  PROTOCOL_VERSION,
} from "../../contract/limits.ts";
import { JOURNAL_COPIED } from "../../contract/runner-link.ts";
import { ControlLink } from "../../runner-agent/link/control-link.ts";
import { startFakePool, type FakePool } from "../support/fake-pool.ts";
import { serveHttp, serveSelfSigned } from "../support/plain-servers.ts";

const IDENTITY = {
  runnerId: "runner_1",
  key: "a key of a journal of the test suite",
  process: "one start of the agent",
  name: "box",
  version: "0.1.0",
  labels: ["linux"],
  capacity: 2,
};
const FLOWS = [{ name: "release", version: 1, digest: "sha256:1" }];
const RUN = { runId: "run_0123456789abcdef_1", attempt: 1 };

afterEach(() => {
  vi.useRealTimers();
});

interface ControlLife {
  pool: FakePool;
  link: ControlLink;
  /** `welcomed`, `offered <run>`, `lost`, `rejected <message>`, in their order. */
  told: string[];
  active: Array<typeof RUN>;
  draining: boolean;
  trouble: string | undefined;
  until(isSo: () => boolean): Promise<void>;
  /** Resolves when the link has told this so often. */
  tells(what: string, times?: number): Promise<void>;
}

async function startLink(prepare: (pool: FakePool) => void = () => undefined): Promise<ControlLife> {
  const pool = await startFakePool();
  prepare(pool);
  const { signal } = pool.server;
  const told: string[] = [];
  const tell = (what: string): void => {
    told.push(what);
    signal.notify();
  };
  const link = new ControlLink({
    url: pool.server.url,
    token: "token-of-the-test",
    pool: "gpu & more",
    identity: IDENTITY,
    flows: () => FLOWS,
    active: () => life.active,
    draining: () => life.draining,
    trouble: () => life.trouble,
    offered: (offer) => {
      tell(`offered ${offer.runId}`);
    },
    drainAsked: () => {
      tell("drain asked");
    },
    onDeployedFiles: ({ flow, files }) => {
      tell(`files of ${flow.name}: ${files.map(({ path }) => path).join(", ")}`);
    },
    welcomed: () => {
      tell("welcomed");
    },
    lost: () => {
      tell("lost");
    },
    rejected: (message) => {
      // As the runner does: there is nothing more to try.
      link.close();
      tell(`rejected ${message}`);
    },
  });
  onTestFinished(() => {
    link.close();
  });
  const life: ControlLife = {
    pool,
    link,
    told,
    active: [],
    draining: false,
    trouble: undefined,
    until: (isSo) => signal.until(isSo),
    tells: (what, times = 1) =>
      signal.until(() => told.filter((one) => one.startsWith(what)).length >= times),
  };
  return life;
}

async function welcomedLink(): Promise<ControlLife> {
  const life = await startLink();
  await life.tells("welcomed");
  return life;
}

describe("a hello", () => {
  test("says who the runner is, what it has, and what it runs", async () => {
    const { pool } = await welcomedLink();
    expect(pool.faults).toEqual([]);
    expect(pool.server.sockets[0]).toMatchObject({
      url: "/runners/connect?pool=gpu%20%26%20more",
      authorization: "Bearer token-of-the-test",
    });
    expect(pool.received).toEqual([
      {
        socket: 1,
        frame: {
          type: "hello",
          protocol: PROTOCOL_VERSION,
          ...IDENTITY,
          flows: FLOWS,
          active: [],
          draining: false,
        },
      },
    ]);
  });

  test("is said on every new connection, with what is true by then (invariant 16)", async () => {
    const life = await welcomedLink();
    life.active = [RUN];
    life.pool.drop();
    await life.tells("welcomed", 2);
    life.draining = true;
    life.pool.drop();
    await life.tells("welcomed", 3);
    expect(life.pool.received.map(({ socket }) => socket)).toEqual([1, 2, 3]);
    expect(life.pool.received[1]?.frame).toMatchObject({ type: "hello", active: [RUN], draining: false });
    expect(life.pool.received[2]?.frame).toMatchObject({ type: "hello", active: [RUN], draining: true });
    expect(life.told).toEqual(["welcomed", "lost", "welcomed", "lost", "welcomed"]);
  });
});

test("a runner that can take nothing says so at once and on every new connection, and that it can again", async () => {
  const life = await welcomedLink();
  life.trouble = "the disk is full";
  life.link.announceCapacity();
  await life.until(() => life.pool.received.length === 2);
  life.pool.drop();
  await life.tells("welcomed", 2);
  life.trouble = undefined;
  life.link.announceCapacity();
  life.link.leave();
  await life.until(() => life.pool.server.sockets[1]?.closed !== undefined);
  expect(life.pool.faults).toEqual([]);
  expect(life.pool.received.slice(1).map(({ frame }) => frame)).toMatchObject([
    { type: "capacity", capacity: 0, trouble: "the disk is full" },
    { type: "hello", capacity: 0, trouble: "the disk is full" },
    { type: "capacity", capacity: IDENTITY.capacity },
    { type: "goodbye" },
  ]);
});

test("offers come in; answers, changes and the goodbye go out, in order", async () => {
  const life = await welcomedLink();
  const { pool, link } = life;
  pool.say({
    type: "offer",
    ...RUN,
    flow: { name: "release", version: 1, digest: "sha256:1" },
    step: "rebase",
  });
  await life.tells(`offered ${RUN.runId}`);
  link.accept(RUN);
  link.decline(RUN, "digest_differs");
  link.announceFlows([]);
  link.announceDrain();
  link.leave();
  await life.until(() => pool.server.sockets[0]?.closed !== undefined);
  expect(pool.faults).toEqual([]);
  expect(pool.received.slice(1).map(({ frame }) => frame)).toEqual([
    { type: "accept", ...RUN },
    { type: "decline", ...RUN, reason: "digest_differs" },
    { type: "flows", flows: [] },
    { type: "drain" },
    { type: "goodbye" },
  ]);
  expect(pool.server.sockets[0]?.closed?.code).toBe(1000);
  expect(life.told).toEqual(["welcomed", `offered ${RUN.runId}`]);
});

test("a drain is passed on; a frame that this agent does not know is ignored", async () => {
  const { pool, told, tells } = await welcomedLink();
  pool.say({ type: "invented_later", code: undefined } as never);
  pool.say({ type: "drain" });
  await tells("drain asked");
  expect(told).toEqual(["welcomed", "drain asked"]);
});

test.each([
  ["no JSON", "<html>"],
  ["null", "null"],
  ["a list", "[]"],
  ["a frame without a type", "{}"],
  ["an offer without a run", '{"type":"offer","attempt":1}'],
])("a frame from the edge that is %s does not end the agent: it connects again", async (_what, text) => {
  const life = await welcomedLink();
  life.pool.server.sockets[0]?.sendText(text);
  await life.tells("welcomed", 2);
  expect(life.told).toEqual(["welcomed", "lost", "welcomed"]);
});

test("a field that a newer edge adds to a frame is ignored", async () => {
  const life = await welcomedLink();
  const flow = { name: "f", version: 1, digest: "d", later: true };
  life.pool.say({ type: "offer", ...RUN, flow, step: "s", later: 1 } as never);
  await life.tells(`offered ${RUN.runId}`);
});

test("the list of a deployed flow's files reaches the runner", async () => {
  const life = await welcomedLink();
  const flow = { name: "f", version: 1, digest: "d" };
  life.pool.say({ type: "files", flow, files: [{ path: "flow.toml", hash: "0" }] });
  await life.tells("files of f: flow.toml");
});

describe("an edge that does not take the runner", () => {
  test.each([
    [401, "token"],
    [403, "token"],
    [404, "--url"],
    [400, "--pool"],
  ])("from the start (%i) is told once, with what to do", async (status, says) => {
    const life = await startLink((pool) => {
      pool.server.refuseWith = status;
    });
    await life.tells("rejected");
    expect(life.told).toHaveLength(1);
    expect(life.told[0]).toContain(says);
    expect(life.pool.server.refusals).toBe(1);
  });

  test.each(["protocol", "bad_frame", "too_many_runners", "runner_key", JOURNAL_COPIED])(
    "for good (%s) is told in its words",
    async (code) => {
      const life = await startLink((pool) => {
        pool.rejects = code;
      });
      await life.tells("rejected");
      expect(life.told.filter((what) => what !== "lost")).toEqual([`rejected this pool says ${code}`]);
    },
  );

  test("because it was set back to protocol 1 gets a hello of protocol 1, and later one of protocol 2", async () => {
    const life = await startLink((pool) => {
      pool.speaks = 1;
    });
    await life.tells("welcomed");
    life.pool.speaks = PROTOCOL_VERSION;
    life.pool.drop();
    await life.tells("welcomed", 2);
    const { key, process } = IDENTITY;
    expect(life.pool.received.map(({ frame }) => frame)).toMatchObject([
      { protocol: PROTOCOL_VERSION, key, process },
      { protocol: 1 },
      { protocol: PROTOCOL_VERSION, key, process },
    ]);
    expect(life.pool.received[1]?.frame).not.toHaveProperty("key");
    expect(life.pool.received[1]?.frame).not.toHaveProperty("process");
    expect(life.told.filter((what) => what.startsWith("rejected"))).toEqual([]);
  });

  test("for a reason that may pass is asked again", async () => {
    const life = await startLink((pool) => {
      pool.rejects = "unknown_runner";
    });
    await life.until(() => life.pool.received.length === 1);
    life.pool.rejects = undefined;
    await life.tells("welcomed");
    expect(life.told).toEqual(["lost", "welcomed"]);
  });

  test.each([429, 500, 503])("for now (%i) is asked again", async (status) => {
    const life = await startLink((pool) => {
      pool.server.refuseWith = status;
    });
    await life.until(() => life.pool.server.refusals === 1);
    life.pool.server.refuseWith = undefined;
    await life.tells("welcomed");
    expect(life.told.filter((what) => what.startsWith("rejected"))).toEqual([]);
  });

  test.each([401, 404])("after it has taken it (%i: a rotation, a deploy) is asked again", async (status) => {
    const life = await welcomedLink();
    life.pool.server.refuseWith = status;
    life.pool.drop();
    await life.until(() => life.pool.server.refusals === 1);
    life.pool.server.refuseWith = undefined;
    await life.tells("welcomed", 2);
    expect(life.told.filter((what) => what.startsWith("rejected"))).toEqual([]);
  });
});

describe("an agent that cannot connect says why:", () => {
  async function reasonAt(url: string): Promise<string> {
    const told = Promise.withResolvers<string>();
    const nothing = (): void => undefined;
    const link = new ControlLink({
      url,
      token: "a-runner-token",
      pool: "default",
      identity: IDENTITY,
      flows: () => [],
      active: () => [],
      draining: () => false,
      trouble: () => undefined,
      offered: nothing,
      drainAsked: nothing,
      onDeployedFiles: nothing,
      welcomed: nothing,
      lost: told.resolve,
      rejected: nothing,
    });
    onTestFinished(() => {
      link.close();
    });
    return told.promise;
  }

  test("the name does not exist", async () => {
    expect(await reasonAt("ws://nowhere.invalid")).toMatch(
      /getaddrinfo (ENOTFOUND|EAI_AGAIN) nowhere\.invalid/,
    );
  });

  test("nothing listens on the port", async () => {
    expect(await reasonAt("ws://127.0.0.1:9")).toContain("ECONNREFUSED");
  });

  test("the certificate is not trusted", async () => {
    const { url } = await serveSelfSigned();
    expect(await reasonAt(url)).toMatch(/self-signed certificate/);
  });

  test.each([
    [502, {}, "answered 502 instead of opening a WebSocket"],
    [
      302,
      { location: "https://login.example/now?next=x" },
      "answered 302 instead of opening a WebSocket and redirects to https://login.example",
    ],
    [200, {}, "as a log-in page or another service does"],
  ])("something else answers with %i", async (status, headers, says) => {
    const { url } = await serveHttp((_request, response) => {
      response.writeHead(status, headers).end("<html>");
    });
    expect(await reasonAt(url.replace(/^http/, "ws"))).toContain(says);
  });
});

describe("a heartbeat", () => {
  /** From here on only the test moves the clock; the network goes its own way. */
  async function quietLink(): Promise<ControlLife> {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] });
    const life = await startLink();
    await vi.advanceTimersByTimeAsync(0);
    await life.tells("welcomed");
    return life;
  }

  test("that is answered keeps the connection, for as long as one likes", async () => {
    const life = await quietLink();
    const [socket] = life.pool.server.sockets;
    for (let n = 1; n <= 5; n += 1) {
      await vi.advanceTimersByTimeAsync(PING_INTERVAL_MS);
      await life.until(() => socket?.pings === n);
      // The answer stands before this frame, so it has been read when this has.
      life.pool.say({ type: "offer", ...RUN, flow: { name: "f", version: 1, digest: "d" }, step: "s" });
      await life.tells("offered", n);
    }
    expect(life.pool.server.sockets).toHaveLength(1);
    expect(life.told.filter((what) => what === "lost")).toEqual([]);
  });

  test("that nobody answers ends the connection, and a new one says hello", async () => {
    const life = await quietLink();
    life.pool.server.answersPings = false;
    await vi.advanceTimersByTimeAsync(PING_INTERVAL_MS);
    await life.until(() => life.pool.server.sockets[0]?.pings === 1);
    expect(life.told).toEqual(["welcomed"]);
    await vi.advanceTimersByTimeAsync(PONG_TIMEOUT_MS);
    expect(life.told).toEqual(["welcomed", "lost"]);
    await vi.advanceTimersByTimeAsync(1);
    await life.tells("welcomed", 2);
    expect(life.pool.received.map(({ socket, frame }) => [socket, frame.type])).toEqual([
      [1, "hello"],
      [2, "hello"],
    ]);
  });

  test("after a sleep of the machine is followed by a frame, so that the pool offers waiting work at once", async () => {
    const life = await quietLink();
    await vi.advanceTimersByTimeAsync(PING_INTERVAL_MS);
    await life.until(() => life.pool.server.sockets[0]?.pings === 1);
    expect(life.pool.received.map(({ frame }) => frame.type)).toEqual(["hello"]);
    vi.setSystemTime(Date.now() + 2 * CONTROL_STALE_MS);
    await vi.advanceTimersByTimeAsync(PING_INTERVAL_MS);
    await life.until(() => life.pool.received.length === 2);
    expect(life.pool.server.sockets[0]?.pings).toBe(2);
    expect(life.pool.received[1]).toMatchObject({ socket: 1, frame: { type: "capacity", capacity: 2 } });
  });
});
