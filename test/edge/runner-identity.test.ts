/** A runner proves who it is: by the key of its journal at the pool, and by the proof of an offer at the event object. */
import { evictDurableObject } from "cloudflare:test";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { JOURNAL_COPIED, type RunUp } from "../../contract/runner-link.ts";
import { claimOf, poolOf, poolStub, runOf, startRun, until } from "./support/api.ts";
import { FakeRunner, RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets, Socket } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

const OTHER_KEY = "the key of another journal, as long as keys are";

/** Sends a hello that the pool refuses, and returns the error code of the refusal. */
async function refusedHello(pool: string, hello: Parameters<FakeRunner["hello"]>[0] & { runnerId: string }) {
  const runner = new FakeRunner(hello.runnerId, await Socket.to(`/runners/connect?pool=${pool}`));
  runner.hello(hello);
  const { code, message } = await runner.control.next("error");
  expect(await runner.control.closed).toMatchObject({ code: 4400, reason: code });
  return { code, message };
}

/** Sends a claim that is refused, and returns the code. */
async function refusedClaim(runId: string, claim: RunUp): Promise<string> {
  const link = await RunLink.attach(runId);
  link.tell(claim);
  return (await link.next("refused")).code;
}

describe("a runner id belongs to the key of the first hello", () => {
  test("a hello with another key is refused, and the runner keeps its socket, name and capacity", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool, { name: "box" });
    const refused = await refusedHello(pool, {
      runnerId: runner.id,
      key: OTHER_KEY,
      name: "thief",
      capacity: 9,
    });
    expect(refused.code).toBe("runner_key");
    expect(refused.message).toMatch(/--journal/);
    expect((await poolOf(pool)).runners).toMatchObject([{ id: runner.id, name: "box", capacity: 1 }]);
    const { runId } = await startRun(type);
    await (await runner.start(runId)).complete();
  });

  test("a hello of protocol 1, which carries no key, is refused for an id that has shown one", async () => {
    const { pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const old = { runnerId: runner.id, protocol: 1, key: undefined, process: undefined };
    expect((await refusedHello(pool, old)).code).toBe("runner_key");
  });

  test("the id stays bound after a goodbye and after a restart of the pool", async () => {
    const { pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    runner.tell({ type: "goodbye" });
    await runner.control.closed;
    await evictDurableObject(poolStub(pool));
    expect((await refusedHello(pool, { runnerId: runner.id, key: OTHER_KEY })).code).toBe("runner_key");
    await FakeRunner.connect(pool, { runnerId: runner.id });
  });

  test("a hello of protocol 2 without a key is no hello", async () => {
    const { pool } = deployStep();
    expect((await refusedHello(pool, { runnerId: "keyless", key: undefined })).code).toBe("bad_frame");
  });
});

describe("a run is claimed only by the runner that it was offered to", () => {
  test("a claim by somebody who was offered nothing gets no payload, and the run stays queued", async () => {
    const { runId } = await startRun(deployStep().type);
    const claim = { type: "claim", attempt: 1, runnerId: "nobody", runnerName: "nobody" } as const;
    expect(await refusedClaim(runId, claim)).toBe("not_offered");
    expect(await refusedClaim(runId, { ...claim, proof: "guessed" })).toBe("not_offered");
    expect(await runOf(runId)).toMatchObject({ status: "queued", attemptCount: 0 });
  });

  test("a claim in the name of the runner that has the attempt does not get its lease", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    const link = await runner.start(runId);
    const claim = { type: "claim", attempt: 1, runnerId: runner.id, runnerName: "box" } as const;
    expect(await refusedClaim(runId, claim)).toBe("not_offered");
    // Even the proof does not help without the nonce of the claim that won.
    const proved = await claimOf(runId, 1, runner.id);
    expect(await refusedClaim(runId, { ...proved, nonce: crypto.randomUUID() })).toBe("not_claimable");
    await link.complete();
    expect(await runOf(runId)).toMatchObject({ status: "completed", attemptCount: 1 });
  });

  test("a runner cannot claim in another runner's name, nor a retry with the proof of the first attempt", async () => {
    const { type, pool } = deployStep({ retry: { attempts: 2, on: ["failed"], backoffMs: 0 } });
    const runner = await FakeRunner.connect(pool);
    const { runId } = await startRun(type);
    const { attempt, proof = "" } = await runner.control.next("offer");
    const claim = { type: "claim", attempt, runnerId: runner.id, runnerName: "box", proof } as const;
    expect(await refusedClaim(runId, { ...claim, runnerId: "somebody else" })).toBe("not_offered");

    const link = await RunLink.attach(runId);
    link.tell(claim);
    await link.next("claimed");
    await link.end({ exit: { code: 1, signal: null } });
    await until(async () => {
      expect(await runOf(runId)).toMatchObject({ status: "queued", attemptCount: 1 });
    });
    expect(await refusedClaim(runId, { ...claim, attempt: 2 })).toBe("not_offered");
  });

  test("a runner of protocol 1 claims what it was offered without a proof, and nothing else", async () => {
    const { type, pool } = deployStep();
    const old = { protocol: 1, key: undefined, process: undefined };
    const runner = await FakeRunner.connect(pool, { ...old, name: "old" });
    const { runId } = await startRun(type);
    const { attempt } = await runner.take(runId);
    const claim = { type: "claim", attempt, runnerId: runner.id, runnerName: "old" } as const;
    expect(await refusedClaim(runId, { ...claim, runnerId: "somebody else" })).toBe("not_offered");
    const link = await RunLink.attach(runId);
    link.tell(claim);
    await link.next("claimed");
    await link.complete();
    expect(await runOf(runId)).toMatchObject({ status: "completed" });
  });
});

describe("two machines with copies of one journal", () => {
  test("the agent that was replaced is told so at its next hello, and the other one stays connected", async () => {
    const { pool } = deployStep();
    const first = await FakeRunner.connect(pool, { name: "original" });
    const copy = await FakeRunner.connect(pool, { runnerId: first.id, name: "copy" });
    expect(await first.control.closed).toMatchObject({ code: 4409 });
    const refused = await refusedHello(pool, { runnerId: first.id, process: first.process });
    expect(refused).toMatchObject({ code: JOURNAL_COPIED });
    expect(refused.message).toMatch(/another running agent .* --journal/);
    await copy.control.ping();
    expect((await poolOf(pool)).runners).toMatchObject([{ id: first.id, name: "copy", state: "connected" }]);
  });

  test("an agent that is restarted again and again is no copy, nor is one whose replacement has left", async () => {
    const { pool } = deployStep();
    const first = await FakeRunner.connect(pool);
    await FakeRunner.connect(pool, { runnerId: first.id });
    const third = await FakeRunner.connect(pool, { runnerId: first.id });
    await third.control.close();
    await until(async () => {
      expect((await poolOf(pool)).runners).toMatchObject([{ state: "disconnected" }]);
    });
    await FakeRunner.connect(pool, { runnerId: first.id, process: first.process });
  });
});
