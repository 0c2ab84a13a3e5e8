/** A relayed session at the edge: a run that no pool hears of, carried by whoever began it, behind the guard of its channel. */
import { env } from "cloudflare:workers";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { LOST_AFTER_MS, RELAY_CLAIM_MS, RELAY_LOST_AFTER_MS } from "../../contract/limits.ts";
import { CHAT_ACCESS } from "../../durable-objects/chat-access/naming.ts";
import type { GuardAnswer, RelaySessionAnswer, RelaySessionRequest } from "../../contract/relay.ts";
import { iso, type RunView } from "../../contract/run-view.ts";
import { dispatchEvent } from "../../worker/dispatch.ts";
import {
  armedAt,
  call,
  eventOf,
  eventStub,
  expectError,
  expectJson,
  fireAlarm,
  get,
  outputOf,
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
const MINUTES_MS = 5 * LOST_AFTER_MS;

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

/** The relay's socket is gone for so long that any other attempt is lost, and the alarm comes. Returns since when, epoch ms. */
async function beAway(runId: string, link: RunLink): Promise<number> {
  await link.close();
  await until(async () => {
    expect((await runOf(runId)).attempts[0]?.leaseExpiresAt).toBeDefined();
  });
  const since = Date.now() - LOST_AFTER_MS;
  await rewriteAttempt(runId, (attempt) => ({ ...attempt, unseenSince: since }));
  await fireAlarm(runStub(runId));
  return since;
}

/** The same goes on for so long. */
async function stayAway(runId: string, ms: number): Promise<void> {
  await rewriteAttempt(runId, (attempt) => ({ ...attempt, unseenSince: Date.now() - ms }));
  await fireAlarm(runStub(runId));
}

async function untilListed(runId: string, shown: Partial<RunView>): Promise<void> {
  const { eventId } = await runOf(runId);
  await until(async () => {
    const { runs } = await get<{ runs: RunView[] }>(`/runs?eventId=${encodeURIComponent(eventId)}`);
    expect(runs[0]).toMatchObject(shown);
  });
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

  test("an event that was stored under its id before such ids were reserved is no session", async () => {
    const { type } = deployStep();
    const id = crypto.randomUUID();
    const event = { id: `relay:${id}`, type, receivedAt: new Date().toISOString(), payload: {} };
    await dispatchEvent(env, event, { lineage: { rootId: event.id, depth: 0 }, origin: "event" });
    const answer = call("POST", "/relay/sessions", { body: request({ id }) });
    expect((await expectError(answer, 409)).code).toBe("session_differs");
  });

  test("one that nobody claims is over soon", async () => {
    const { runId } = await begin(request());
    await rewriteRun(runId, (run) => ({ ...run, queuedAt: run.queuedAt - RELAY_CLAIM_MS }));
    await fireAlarm(runStub(runId));
    expect(await runOf(runId)).toMatchObject({ status: "failed", errorCode: "queue_timeout" });
  });

  test("a relay that is away for minutes has lost nothing: that is shown, and it goes on where it was", async () => {
    const { runId } = await begin(request());
    const link = await RunLink.claim(runId, 1, "relay-1");
    await link.print("before\n");
    const awaySince = await beAway(runId, link);
    expect(await runOf(runId)).toMatchObject({ status: "running", awaySince: iso(awaySince) });
    await untilListed(runId, { status: "running", awaySince: iso(awaySince) });
    await stayAway(runId, MINUTES_MS);
    const run = await runOf(runId);
    expect(run).toMatchObject({ status: "running", attempts: [{ status: "running" }] });
    // As long as the listing is under way, the alarm stands by to do it again.
    await until(async () => {
      await fireAlarm(runStub(runId));
      expect(await armedAt(runStub(runId))).toBe(run.attempts[0]?.leaseExpiresAt);
    });

    const { link: back, resumed } = await RunLink.resume(runId, 1, link.lease);
    expect(resumed).toMatchObject({ live: true, ackedSeq: 1, cancel: false });
    expect(await runOf(runId)).not.toHaveProperty("awaySince");
    await back.print("meanwhile\n");
    await back.complete({ status: "changed" });
    expect(await runOf(runId)).toMatchObject({ effectiveStatus: "changed", attemptCount: 1 });
    expect((await outputOf(runId)).output.map(({ text }) => text)).toEqual(["before\n", "meanwhile\n"]);
  });

  test("back behind its timeout it is not ended: its box may have slept, and keeps its clocks itself", async () => {
    const { runId } = await begin(request({ timeoutMs: 1_000 }));
    const link = await RunLink.claim(runId, 1, "relay-1");
    await rewriteAttempt(runId, (attempt) => ({ ...attempt, startedAt: attempt.startedAt - MINUTES_MS }));
    await beAway(runId, link);
    await stayAway(runId, MINUTES_MS);
    const { link: back } = await RunLink.resume(runId, 1, link.lease);
    await fireAlarm(runStub(runId));
    expect((await runOf(runId)).status).toBe("running");
    await back.complete({ status: "completed" });
    expect((await runOf(runId)).effectiveStatus).toBe("completed");
  });

  test("one whose socket only seemed dead is there again with the next frame on it", async () => {
    const { runId } = await begin(request());
    const link = await RunLink.claim(runId, 1, "relay-1");
    await rewriteAttempt(runId, (attempt) => ({
      ...attempt,
      unseenSince: Date.now() - 2 * LOST_AFTER_MS,
      awaySince: Date.now() - 2 * LOST_AFTER_MS,
    }));
    expect(await runOf(runId)).toHaveProperty("awaySince");
    await link.print("here\n");
    expect(await runOf(runId)).not.toHaveProperty("awaySince");
    await link.complete();
  });

  test("canceled while its box is away, it is told so when it is back, and proves it", async () => {
    const { runId } = await begin(request());
    const link = await RunLink.claim(runId, 1, "relay-1");
    await beAway(runId, link);
    await expectJson(call("POST", `/runs/${runId}/cancel`, { body: {} }), 202);
    expect(await runOf(runId)).toMatchObject({ status: "running", cancel: { state: "cancel_requested" } });
    const { link: back, resumed } = await RunLink.resume(runId, 1, link.lease);
    expect(resumed).toMatchObject({ live: true, cancel: true });
    await back.end({ reason: "canceled", exit: { code: null, signal: "SIGTERM" } });
    expect(await runOf(runId)).toMatchObject({ status: "canceled", cancel: { state: "canceled" } });
  });

  test("said while its box is away, it hears it when it is back", async () => {
    const { runId } = await begin(request({ listens: true }));
    const link = await RunLink.claim(runId, 1, "relay-1");
    await beAway(runId, link);
    await expectJson(call("POST", `/runs/${runId}/messages`, { body: { text: "yes" } }), 202);
    const { link: back } = await RunLink.resume(runId, 1, link.lease);
    expect(await back.next("message")).toMatchObject({ text: "yes" });
  });

  test("a relay that never comes back has lost it in the end, with the reason, and it is not tried again", async () => {
    const { runId } = await begin(request());
    const link = await RunLink.claim(runId, 1, "relay-1");
    const awaySince = await beAway(runId, link);
    await stayAway(runId, RELAY_LOST_AFTER_MS);
    const run = await runOf(runId);
    expect(run).toMatchObject({ status: "failed", errorCode: "lost", attemptCount: 1 });
    expect(run.error).toContain(`was not seen for 24 h, since ${iso(awaySince)}`);
    expect(run).not.toHaveProperty("awaySince");
    expect((await RunLink.resume(runId, 1, link.lease)).resumed).toMatchObject({ live: false });
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
