/** One app-server for many steps, over the real Codex: who gets it, who does not any more, and who writes to a thread. */
import { setImmediate as breath } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { startAppServer, type AppServer } from "../../runner-agent/codex/app-server.ts";
import {
  AppServerExitedError,
  AppServerUnavailableError,
  RequestTimeoutError,
} from "../../runner-agent/codex/errors.ts";
import { SharedServer, type ServerLease } from "../../runner-agent/codex/shared-server.ts";
import { codexEnvironment, codexHome, fakeModel } from "../support/codex.ts";
import { processesWith } from "../support/run-processes.ts";

/** `starts` counts. */
async function shared(
  idleStopMs?: number,
): Promise<{ servers: SharedServer; home: string; starts: AppServer[] }> {
  const home = codexHome(await fakeModel([]));
  const starts: AppServer[] = [];
  const servers = new SharedServer(async () => {
    const server = await startAppServer({ cwd: home, env: codexEnvironment(home), version: "0.0.0" });
    starts.push(server);
    return server;
  }, idleStopMs);
  onTestFinished(() => servers.stop());
  return { servers, home, starts };
}

async function answers({ server }: ServerLease): Promise<boolean> {
  const { data } = await server.request("thread/loaded/list", {}, { timeoutMs: 5_000 });
  return Array.isArray(data);
}

test("steps at the same time share one start", async () => {
  const { servers, starts } = await shared();
  const leases = await Promise.all(Array.from({ length: 20 }, () => servers.lease()));
  expect(new Set(leases.map(({ server }) => server)).size).toBe(1);
  expect(starts).toHaveLength(1);
});

test("a step that comes while the server is being stopped for idleness gets one that answers", async () => {
  const { servers } = await shared(0);
  for (let n = 0; n < 10; n += 1) {
    const lease = await servers.lease();
    expect(await answers(lease)).toBe(true);
    lease.release();
    for (let turns = 0; turns < n; turns += 1) await breath();
  }
});

test("a step that comes when the server has just died gets a new one, although the dead one's processes are still ended", async () => {
  const { servers, home } = await shared();
  const first = await servers.lease();
  const waiting = first.server.request("command/exec", { command: ["sleep", "60"] });
  for (const pid of processesWith("environ", `CODEX_HOME=${home}`))
    if (processesWith("cmdline", "app-server").includes(pid)) process.kill(Number(pid), "SIGKILL");
  await expect(waiting).rejects.toBeInstanceOf(AppServerExitedError);
  const second = await servers.lease();
  expect(second.server).not.toBe(first.server);
  expect(await answers(second)).toBe(true);
});

test("a retired server stays with those who have it, goes with the last of them, and nobody new gets it", async () => {
  const { servers } = await shared();
  const [one, other] = [await servers.lease(), await servers.lease()];
  one.retire();
  one.retire();
  const next = await servers.lease();
  expect(next.server).not.toBe(other.server);
  one.release();
  expect(await answers(other)).toBe(true);
  other.release();
  expect((await other.server.ended).tree?.empty).toBe(true);
  expect(await answers(next)).toBe(true);
});

test("a start that fails is said to each who waits, and the next one is tried anew", async () => {
  const { servers: good } = await shared();
  let fails = true;
  const servers = new SharedServer(async () => {
    if (fails) throw new AppServerUnavailableError("not yet");
    return (await good.lease()).server;
  });
  const waiting = await Promise.allSettled([servers.lease(), servers.lease()]);
  expect(waiting.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  fails = false;
  expect(await answers(await servers.lease())).toBe(true);
});

test("a thread has one writer on this box: another run is told who, the same run waits for its attempt before", async () => {
  const { servers } = await shared();
  const first = await servers.lease();
  expect(await first.claim("thread", "run_a")).toBeUndefined();
  expect(await first.claim("thread", "run_a")).toBeUndefined();
  const other = await servers.lease();
  expect(await other.claim("thread", "run_b")).toBe("run_a");
  const again = await servers.lease();
  let told = false;
  const claimed = again.claim("thread", "run_a").then((holder) => {
    told = true;
    return holder;
  });
  await breath();
  expect(told).toBe(false);
  first.release();
  expect(await claimed).toBeUndefined();
  expect(await other.claim("thread", "run_b")).toBe("run_a");
  again.release();
  expect(await other.claim("thread", "run_b")).toBeUndefined();
});

test("a thread is nobody's before what its last writer has left is gone; the server is everybody's by then", async () => {
  const { servers } = await shared();
  const first = await servers.lease();
  await first.claim("t", "run_1");
  const gone = Promise.withResolvers<undefined>();
  first.release(Promise.resolve(), gone.promise);
  const second = await servers.lease();
  const order: string[] = [];
  const claimed = second.claim("t", "run_2").then(() => order.push("claimed"));
  expect(await answers(second)).toBe(true);
  order.push("gone");
  gone.resolve(undefined);
  await claimed;
  expect(order).toEqual(["gone", "claimed"]);
});

test("who waits for a thread and has to end gets it never: it is free for the next", async () => {
  const { servers } = await shared();
  const first = await servers.lease();
  await first.claim("t", "run_1");
  const gone = Promise.withResolvers<undefined>();
  first.release(Promise.resolve(), gone.promise);
  const second = await servers.lease();
  const stopped = new AbortController();
  const claim = second.claim("t", "run_2", stopped.signal);
  stopped.abort(new Error("canceled"));
  await expect(claim).rejects.toThrow("canceled");
  second.release();
  gone.resolve(undefined);
  const third = await servers.lease();
  expect(await third.claim("t", "run_3")).toBeUndefined();
});

test("a step that comes while a start hangs gets the next one, and only who has begun it hears that it hung", async () => {
  const home = codexHome(await fakeModel([]));
  const hung = Promise.withResolvers<AppServer>();
  let starts = 0;
  const servers = new SharedServer(async () => {
    starts += 1;
    return await (starts === 1
      ? hung.promise
      : startAppServer({ cwd: home, env: codexEnvironment(home), version: "0.0.0" }));
  });
  onTestFinished(() => servers.stop());
  const first = servers.lease();
  const others = [servers.lease(), servers.lease()];
  hung.reject(new RequestTimeoutError("Codex did not answer initialize in time"));
  await expect(first).rejects.toBeInstanceOf(RequestTimeoutError);
  for (const lease of await Promise.all(others)) expect(await answers(lease)).toBe(true);
  expect(starts).toBe(2);
});
