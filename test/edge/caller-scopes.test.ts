/** What callers without `runs:read` learn from the answers to what they may do: send events and replay them. */
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { eventKey } from "../../contract/ids.ts";
import { call, eventOf, expectError, expectJson, freshId, send, TOKENS, untilStatus } from "./support/api.ts";
import { FakeRunner } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { flowSignature, standardWebhook } from "./support/sign.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

type Sign = (body: string) => Promise<Record<string, string>>;

const bearer = (token: string): Sign => {
  return async () => Promise.resolve({ authorization: `Bearer ${token}` });
};
const SENDERS: [string, Sign][] = [
  ["an event token", bearer(TOKENS.event)],
  ["a flow signature", async (body) => ({ "x-flow-signature-256": await flowSignature(body) })],
  ["a Standard Webhooks signature", async (body) => Promise.resolve(standardWebhook(body))],
];

async function post(path: string, value: unknown, sign: Sign): Promise<unknown> {
  const body = JSON.stringify(value);
  return expectJson(call("POST", path, { token: null, headers: await sign(body), body }), 202);
}

const RESULT = { status: "completed", message: "secret words", artifacts: { diff: "secret diff" } } as const;

/** A run that an administrator's event has started and that ended with a result. */
async function foreignRun(): Promise<{ eventId: string; runId: string; type: string; runner: FakeRunner }> {
  const { type, pool } = deployStep();
  const runner = await FakeRunner.connect(pool, { capacity: 2 });
  const eventId = freshId();
  const { runIds } = await send({ id: eventId, type, payload: { secret: "payload" } });
  const [runId = ""] = runIds;
  await runner.complete(runId, RESULT);
  await untilStatus(runId, "completed");
  return { eventId, runId, type, runner };
}

const STATUS_OF_FOREIGN_RUN = {
  status: "completed",
  resultStatus: "completed",
  effectiveStatus: "completed",
  needsAttention: false,
};

describe.each(SENDERS)("with %s", (_what, sign) => {
  test("a duplicate answers ids and status, and nothing else of another sender's runs", async () => {
    const { eventId, runId } = await foreignRun();
    expect(await post("/events?wait=1", { id: eventId, type: "guess" }, sign)).toEqual({
      status: "duplicate",
      eventId,
      runIds: [runId],
      matched: 0,
      runs: [{ id: runId, ...STATUS_OF_FOREIGN_RUN }],
      idempotent: true,
      conflict: true,
    });
  });

  test("an accepted event answers the result of its own run, and no more of that run", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const id = freshId();
    const runId = `run_${await eventKey(id)}_1`;
    const [answer] = await Promise.all([
      post("/events?wait=20", { id, type }, sign),
      runner.complete(runId, RESULT),
    ]);
    expect(answer).toEqual({
      status: "accepted",
      eventId: id,
      runIds: [runId],
      matched: 1,
      runs: [{ id: runId, ...STATUS_OF_FOREIGN_RUN, result: RESULT }],
      idempotent: false,
    });
  });

  test("an event whose id has a prefix of the edge's own events is refused", async () => {
    for (const prefix of ["telegram:", "discord:", "relay:", "schedule:", "workspace:"]) {
      const body = JSON.stringify({ id: `${prefix}${crypto.randomUUID()}`, type: deployStep().type });
      const answer = call("POST", "/events", { token: null, headers: await sign(body), body });
      const error = await expectError(answer, 422);
      expect(error.message).toContain(`${prefix}, which is reserved`);
      expect(error.details[0]?.path).toBe("/id");
    }
  });
});

test("a replay by an event token starts a run and answers with its id and status, without results", async () => {
  const { eventId, runId, runner } = await foreignRun();
  const newId = runId.replace(/_1$/, "_2");
  const path = `/events/${encodeURIComponent(eventId)}/replay`;
  const [answer] = await Promise.all([
    post(path, { wait: 20 }, bearer(TOKENS.event)),
    runner.complete(newId, RESULT),
  ]);
  expect(answer).toEqual({
    status: "accepted",
    eventId,
    runIds: [newId],
    matched: 1,
    runs: [{ id: newId, ...STATUS_OF_FOREIGN_RUN }],
    idempotent: false,
  });
});

test("a caller that may read gets whole runs from a duplicate and from a replay", async () => {
  const { eventId, type, runId } = await foreignRun();
  const whole = [{ id: runId, flowName: "lab", result: RESULT, attempts: [{ status: "completed" }] }];
  expect(await post("/events", { id: eventId, type }, bearer(TOKENS.write))).toMatchObject({ runs: whole });
  expect(await post(`/events/${encodeURIComponent(eventId)}/replay`, {}, bearer(TOKENS.write))).toMatchObject(
    { runs: [{ flowName: "lab" }] },
  );
});

test("an administrator cannot use a reserved id over HTTP either", async () => {
  await expectError(call("POST", "/events", { body: { id: "telegram:1:2", type: "lab.one" } }), 422);
  await expectError(call("POST", "/events?dry_run=1", { body: { id: "discord:1", type: "lab.one" } }), 422);
});

test("a chained event with a reserved id is refused, and its run says why", async () => {
  const { type, pool } = deployStep();
  const runner = await FakeRunner.connect(pool);
  const id = freshId();
  const { runIds } = await send({ id, type });
  const next = [{ id: "telegram:1:3", type: "lab.one" }];
  await runner.complete(runIds[0] ?? "", { status: "completed", next });
  await untilStatus(runIds[0] ?? "", "completed");
  const { runs } = await eventOf(id);
  expect(runs[0]?.chained).toMatchObject([{ index: 0, state: "refused" }]);
  expect(runs[0]?.chained?.[0]?.reason).toContain("telegram:, which is reserved");
});

test.each([".", ".."])("an event with the id %s, which no URL could name, is refused", async (id) => {
  const error = await expectError(call("POST", "/events", { body: { id, type: "lab.one" } }), 422);
  expect(error.details).toEqual([{ path: "/id", message: "must not be . or .." }]);
});

test("a replay by a flow signature answers with ids and status as well", async () => {
  const { eventId, runId, runner } = await foreignRun();
  const newId = runId.replace(/_1$/, "_2");
  const sign: Sign = async (body) => ({ "x-flow-signature-256": await flowSignature(body) });
  const [answer] = await Promise.all([
    post(`/events/${encodeURIComponent(eventId)}/replay`, { wait: 20 }, sign),
    runner.complete(newId, RESULT),
  ]);
  expect(answer).toMatchObject({ runs: [{ id: newId, ...STATUS_OF_FOREIGN_RUN }] });
  expect(JSON.stringify(answer)).not.toContain("secret");
});
