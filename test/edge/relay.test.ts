/** A relayed session at the edge: a run that no pool hears of, carried by whoever began it, behind the guard of its channel. */
import { env } from "cloudflare:workers";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { LOST_AFTER_MS, RELAY_CLAIM_MS } from "../../contract/limits.ts";
import { CHAT_ACCESS } from "../../durable-objects/chat-access/naming.ts";
import type { GuardAnswer, RelaySessionAnswer, RelaySessionRequest } from "../../contract/relay.ts";
import {
  call,
  eventOf,
  eventStub,
  expectError,
  expectJson,
  fireAlarm,
  poolOf,
  poolStub,
  rewriteAttempt,
  rewriteRun,
  runOf,
  runStub,
  startRun,
  stored,
  TOKENS,
  until,
  untilStatus,
} from "./support/api.ts";
import { answered, command, newServer } from "./support/discord.ts";
import { openGuard } from "./support/guard.ts";
import { RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets, Socket } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

const CHANNEL = "1001";

function request(more: Partial<RelaySessionRequest> = {}): RelaySessionRequest {
  return {
    id: crypto.randomUUID(),
    place: { platform: "discord", channel: CHANNEL },
    mode: "run",
    agent: "Codex",
    title: "fix the tests",
    workdir: "/home/ada/app",
    by: "ada@box",
    timeoutMs: 60_000,
    silenceMs: 60_000,
    ...more,
  };
}

async function begin(body: RelaySessionRequest, token: string = TOKENS.runner): Promise<RelaySessionAnswer> {
  return expectJson<RelaySessionAnswer>(call("POST", "/relay/sessions", { body, token }), 202);
}

describe("behind an open guard", () => {
  beforeEach(async () => openGuard({ platform: "discord", channel: CHANNEL }));

  test("it is a run of its own, shown in its channel, and no pool has heard of it", async () => {
    const body = request();
    const { runId, attempt } = await begin(body);
    expect(await runOf(runId)).toMatchObject({
      flowName: "relay",
      stepName: "session",
      runner: "relay",
      status: "queued",
      waiting: { code: "relay_not_connected" },
      requestedBy: "discord:0 (ada@box)",
    });
    const link = await RunLink.claim(runId, attempt, "relay-1");
    expect(link.context).toMatchObject({ step: "session", timeoutMs: 60_000 });
    await link.print("hello\n");
    await link.complete({ status: "changed" });
    await untilStatus(runId, "completed");
    expect(await poolOf("relay")).toMatchObject({ waiting: [] });
    expect((await stored(poolStub("relay"))).keys).toEqual([]);
    expect((await eventOf(`relay:${body.id}`)).event).toMatchObject({
      type: "relay.session",
      source: "relay",
      payload: { mode: "run", agent: "Codex", title: "fix the tests", workdir: "/home/ada/app" },
    });
  });

  test("the same request again is the same run; another one under its id is refused", async () => {
    const body = request();
    const first = await begin(body);
    expect(await begin(body)).toEqual(first);
    const other = call("POST", "/relay/sessions", { body: { ...body, title: "something else" } });
    expect((await expectError(other, 409)).code).toBe("session_differs");
  });

  test("an event that somebody sent under its id is no session", async () => {
    const { type } = deployStep();
    const id = crypto.randomUUID();
    await expectJson(call("POST", "/events", { body: { id: `relay:${id}`, type } }), 202);
    const answer = call("POST", "/relay/sessions", { body: request({ id }) });
    expect((await expectError(answer, 409)).code).toBe("session_differs");
  });

  test("one that nobody claims is over soon", async () => {
    const { runId } = await begin(request());
    await rewriteRun(runId, (run) => ({ ...run, queuedAt: run.queuedAt - RELAY_CLAIM_MS }));
    await fireAlarm(runStub(runId));
    expect(await runOf(runId)).toMatchObject({ status: "failed", errorCode: "queue_timeout" });
  });

  test("a relay that is gone has lost it, and it is not tried again", async () => {
    const { runId } = await begin(request());
    const link = await RunLink.claim(runId, 1, "relay-1");
    await link.close();
    await until(async () => {
      expect((await runOf(runId)).attempts[0]?.leaseExpiresAt).toBeDefined();
    });
    await rewriteAttempt(runId, (attempt) => ({
      ...attempt,
      unseenSince: Date.now() - LOST_AFTER_MS - 1,
    }));
    await fireAlarm(runStub(runId));
    expect(await runOf(runId)).toMatchObject({ status: "failed", errorCode: "lost", attemptCount: 1 });
  });

  test.each([
    [true, 202],
    [false, 409],
  ])("what is said to an agent that hears: %s, is answered %d", async (listens, status) => {
    const { runId } = await begin(request({ listens }));
    const link = await RunLink.claim(runId, 1, "relay-1");
    const answer = await call("POST", `/runs/${runId}/messages`, { body: { text: "yes" } });
    expect(answer.status).toBe(status);
    if (listens) expect(await link.next("message")).toMatchObject({ text: "yes" });
  });

  test("a cancel reaches the relay, and is over when that has proved it", async () => {
    const { runId } = await begin(request());
    const link = await RunLink.claim(runId, 1, "relay-1");
    await expectJson(call("POST", `/runs/${runId}/cancel`, { body: {} }), 202);
    await link.next("cancel");
    await link.end({ reason: "canceled", exit: { code: null, signal: "SIGTERM" } });
    expect(await runOf(runId)).toMatchObject({ status: "canceled", cancel: { state: "canceled" } });
  });

  test("whoever may write may carry it, and no other run", async () => {
    const { runId } = await begin(request(), TOKENS.write);
    const headers = { upgrade: "websocket" };
    await Socket.to(`/runs/${runId}/attach`, TOKENS.write);
    const { type } = deployStep();
    const other = await startRun(type);
    const answer = call("GET", `/runs/${other.runId}/attach`, { token: TOKENS.write, headers });
    expect((await expectError(answer, 403)).message).toContain("runner");
  });
});

describe("behind a closed guard", () => {
  test("nothing is begun and nothing is stored", async () => {
    const body = request({ place: { platform: "discord", channel: "1999" } });
    const error = await expectError(call("POST", "/relay/sessions", { body }), 403);
    expect(error).toMatchObject({
      code: "guard_closed",
      message: expect.stringContaining("/codeflow on") as string,
    });
    expect(await stored(await eventStub(`relay:${body.id}`))).toEqual({ keys: [], tables: [] });
  });
});

describe("/codeflow from a box", () => {
  const control = (action: string, more: object = {}) =>
    expectJson<{ guard: string; message: string; posted: boolean }>(
      call("POST", "/relay/control", {
        body: { id: crypto.randomUUID(), place: { platform: "discord", channel: "1002" }, action, ...more },
      }),
      200,
    );

  test("on, status, off: the guard is what was said last, and who asked says so where no bot can", async () => {
    const place = { platform: "discord" as const, channel: "1002" };
    expect(await control("status")).toMatchObject({ guard: "off", posted: false });
    expect(await control("on", { by: "ada" })).toMatchObject({ guard: "on" });
    expect(await control("status")).toMatchObject({
      guard: "on",
      message: expect.stringContaining("on here") as string,
    });
    await begin(request({ place }));
    expect(await control("off")).toMatchObject({ guard: "off" });
    await expectError(call("POST", "/relay/sessions", { body: request({ place }) }), 403);
  });

  test("opened in a thread of Discord by somebody there, it is open for a relay that names both; else it says so", async () => {
    const server = await newServer();
    const thread = "1234567890123456789";
    const here = { server, by: server.owner, thread };
    const { text } = await answered(command("codeflow on", {}, here));
    expect(text).toContain(`--channel ${server.channel} --discord-thread ${thread}`);
    const place = { platform: "discord" as const, channel: server.channel, thread };
    await begin(request({ place }));
    const wrong = request({ place: { platform: "discord" as const, channel: thread } });
    const { message } = await expectError(call("POST", "/relay/sessions", { body: wrong }), 403);
    expect(message).toContain("--channel <channel> --discord-thread <thread>");
  });

  test("opened for one session, another one that is turned on or off takes nothing from it", async () => {
    const place = { platform: "discord" as const, channel: "1004" };
    const may = async (sessionKey: string): Promise<string> =>
      (await control("status", { place, sessionKey })).guard;
    for (const sessionKey of ["a", "b"]) await control("on", { place, sessionKey });
    expect([await may("a"), await may("b")]).toEqual(["on", "on"]);
    await control("off", { place, sessionKey: "b" });
    expect([await may("a"), await may("b")]).toEqual(["on", "off"]);
    await control("off", { place });
    expect(await may("a")).toBe("off");
  });

  test("opened for one session, it lets no other in; and says what would", async () => {
    const place = { platform: "telegram" as const, channel: "-1003", thread: "7" };
    const ask = (more: object) =>
      expectJson<GuardAnswer>(
        call("POST", "/relay/guard", { body: { place, mode: "review", ...more }, token: TOKENS.runner }),
        200,
      );
    expect(await ask({})).toMatchObject({ allowed: false, reason: "not_set" });
    await control("on", { place, sessionKey: "main" });
    expect(await ask({ sessionKey: "main" })).toEqual({ allowed: true, reason: "on" });
    expect(await ask({ sessionKey: "other" })).toMatchObject({
      allowed: false,
      reason: "other_session",
      how: expect.stringContaining("CODEFLOW_SESSION_KEY") as string,
    });
    const audit = await env.CHAT_ACCESS.getByName(CHAT_ACCESS).audit({}, undefined, 2);
    expect(audit).toMatchObject([
      { act: "guard review", place: "telegram:-1003:7", verdict: "denied", outcome: "other_session" },
      { act: "guard review", verdict: "allowed", subject: "main" },
    ]);
  });
});
