/**
 * The edge as a client sees it: every call goes through the Worker's own front door. Where a test has to look behind
 * it (an object's storage, its alarm, its eviction), it gets the object's stub here and nowhere else.
 */
import { env, exports } from "cloudflare:workers";
import { expect, vi } from "vitest";
import { claimProof } from "../../../contract/claim-proof.ts";
import type { ErrorBody } from "../../../contract/errors.ts";
import { eventKey, parseRunId } from "../../../contract/ids.ts";
import type { EventView, OutputChunkView, RunView } from "../../../contract/run-view.ts";
import type { RunRecord } from "../../../contract/run-record.ts";
import type { RunUp } from "../../../contract/runner-link.ts";
import type { PoolView } from "../../../durable-objects/runner-pool/view.ts";
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";

export const TOKENS = {
  admin: "test-admin-token",
  read: "test-read-only-token",
  write: "test-write-token",
  runner: "test-runner-token",
  event: "test-event-token",
} as const;

/** Counts in the path alone: `/t/<token>/…`. */
export const PATH_TOKEN = "test-path-token-of-a-client";

/** How much of an unexpected answer a failing test shows. */
const ANSWER_SHOWN_CHARS = 500;
const ORIGIN = "https://edge";

export interface CallOptions {
  token?: string | null;
  headers?: Record<string, string>;
  /** Sent as JSON, unless it is a text or bytes already. */
  body?: unknown;
}

/** One request to the Worker; with the admin token when nothing else is said, `null` for none. */
export async function call(method: string, path: string, options: CallOptions = {}): Promise<Response> {
  const { token = TOKENS.admin, headers = {}, body } = options;
  return exports.default.fetch(`${ORIGIN}${path}`, {
    method,
    headers: { ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...headers },
    ...(body === undefined ? {} : { body: asBody(body) }),
  });
}

function asBody(body: unknown): string | Uint8Array {
  return typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
}

/** The answer's JSON, after its status was found right. */
export async function expectJson<T>(answer: Response | Promise<Response>, status: number): Promise<T> {
  const settled = await answer;
  const text = await settled.text();
  expect(settled.status, text.slice(0, ANSWER_SHOWN_CHARS)).toBe(status);
  return JSON.parse(text) as T;
}

export async function get<T>(path: string): Promise<T> {
  return expectJson<T>(call("GET", path), 200);
}

/** An error answer in the one form that all have (invariant 13). */
export async function expectError(
  answer: Response | Promise<Response>,
  status: number,
): Promise<ErrorBody["error"]> {
  const body = await expectJson<ErrorBody>(answer, status);
  expect(Object.keys(body)).toEqual(["error"]);
  expect(Object.keys(body.error)).toEqual(["code", "message", "details", "requestId"]);
  expect(body.error.message).not.toMatch(/\n|\bat .*\.ts/);
  return body.error;
}

export interface DispatchBody {
  status: "accepted" | "duplicate";
  eventId: string;
  runIds: string[];
  matched: number;
  runs: RunView[];
  idempotent: boolean;
  conflict?: boolean;
}

let serial = 0;
/** An id that no other test uses. */
export function freshId(prefix = "event"): string {
  serial += 1;
  return `${prefix}:${serial}:${crypto.randomUUID()}`;
}

export async function send(event: unknown, query = ""): Promise<DispatchBody> {
  return expectJson<DispatchBody>(call("POST", `/events${query}`, { body: event }), 202);
}

/** Sends a new event that starts one run, and returns that run's id. */
export async function startRun(
  type: string,
  payload: unknown = {},
): Promise<{ eventId: string; runId: string }> {
  const eventId = freshId();
  const { runIds } = await send({ id: eventId, type, payload });
  expect(runIds).toHaveLength(1);
  return { eventId, runId: runIds[0] ?? "" };
}

export async function replay(eventId: string, body: unknown = {}): Promise<DispatchBody> {
  return expectJson<DispatchBody>(
    call("POST", `/events/${encodeURIComponent(eventId)}/replay`, { body }),
    202,
  );
}

export async function eventOf(eventId: string): Promise<{ event: EventView; runs: RunView[] }> {
  return get(`/events/${encodeURIComponent(eventId)}`);
}

export async function runOf(runId: string): Promise<RunView> {
  return (await get<{ run: RunView }>(`/runs/${runId}`)).run;
}

export async function outputOf(
  runId: string,
  query = "",
): Promise<{ output: OutputChunkView[]; cursor: string; complete: boolean }> {
  return get(`/runs/${runId}/output${query}`);
}

export async function poolOf(pool: string): Promise<PoolView> {
  return get(`/runners?pool=${pool}`);
}

/** Waits for a condition that something on its way makes true. */
export async function until<T>(condition: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(condition, { timeout: 10_000, interval: 10 });
}

export async function untilRun(runId: string, fits: (run: RunView) => void): Promise<RunView> {
  return until(async () => {
    const run = await runOf(runId);
    fits(run);
    return run;
  });
}

export async function untilStatus(runId: string, status: RunView["status"]): Promise<RunView> {
  return untilRun(runId, (run) => {
    expect(run.status).toBe(status);
  });
}

/** Waits until the run stands in its pool's backlog. */
export async function untilWaiting(pool: string, runId: string): Promise<void> {
  await until(async () => {
    expect((await poolOf(pool)).waiting.map((run) => run.runId)).toContain(runId);
  });
}

/** The test helpers know the platform's stubs; the bindings have types of ours. */
function stub(remote: object): DurableObjectStub {
  return remote as DurableObjectStub;
}

export async function eventStub(eventId: string): Promise<DurableObjectStub> {
  return stub(env.EVENTS.getByName(await eventKey(eventId)));
}

export function runStub(runId: string): DurableObjectStub {
  return stub(env.EVENTS.getByName(parseRunId(runId)?.eventKey ?? ""));
}

export function poolStub(pool: string): DurableObjectStub {
  return stub(env.POOLS.getByName(pool));
}

export function ledgerStub(name: string): DurableObjectStub {
  return stub(env.LEDGERS.getByName(name));
}

/** What an object has stored: entries of its key-value store, and tables of its own. */
export async function stored(object: DurableObjectStub): Promise<{ keys: string[]; tables: string[] }> {
  return runInDurableObject(object, (_instance, state) => ({
    keys: [...state.storage.kv.list()].map(([key]) => key),
    tables: [
      ...state.storage.sql.exec<{ name: string }>(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\'",
      ),
    ].map((table) => table.name),
  }));
}

/** Changes the stored record of a run, as the passing of time would: tests wait for no clock. */
export async function rewriteRun(runId: string, change: (run: RunRecord) => RunRecord): Promise<void> {
  const n = parseRunId(runId)?.n ?? 0;
  await runInDurableObject(runStub(runId), (_instance, state) => {
    const key = `run/${String(n).padStart(6, "0")}`;
    const made = state.storage.kv.get<{ newRuns?: RunRecord[] }>("event")?.newRuns;
    const run = state.storage.kv.get<RunRecord>(key) ?? made?.find((one) => one.n === n);
    if (run === undefined) throw new Error(`${key} is not stored`);
    state.storage.kv.put(key, change(run));
  });
}

/** What a run's claims are checked against; undefined for a run that has none. */
async function claimKeyOf(runId: string): Promise<string | undefined> {
  const n = parseRunId(runId)?.n ?? 0;
  return runInDurableObject(runStub(runId), (_instance, state) => {
    const made = state.storage.kv.get<{ newRuns?: RunRecord[] }>("event")?.newRuns;
    const run = state.storage.kv.get<RunRecord>(`run/${String(n).padStart(6, "0")}`);
    return (run ?? made?.find((one) => one.n === n))?.claimKey;
  });
}

/** The claim of a runner that the attempt was offered to. */
export async function claimOf(
  runId: string,
  attempt: number,
  runnerId: string,
): Promise<Extract<RunUp, { type: "claim" }>> {
  const key = await claimKeyOf(runId);
  const proved =
    key === undefined
      ? {}
      : { proof: claimProof(key, attempt, runnerId), nonce: `the nonce of ${runnerId}`.slice(0, 64) };
  return { type: "claim", attempt, runnerId, runnerName: runnerId, ...proved };
}

export async function rewriteAttempt(
  runId: string,
  change: (attempt: RunRecord["attempts"][number]) => RunRecord["attempts"][number],
): Promise<void> {
  await rewriteRun(runId, (run) => ({
    ...run,
    attempts: run.attempts.map((attempt, index) =>
      index === run.attempts.length - 1 ? change(attempt) : attempt,
    ),
  }));
}

/** Fires the object's alarm now; fails when none is armed. */
export async function fireAlarm(object: DurableObjectStub): Promise<void> {
  expect(await runDurableObjectAlarm(object), "an alarm was armed").toBe(true);
}

/** When the object will wake by itself, epoch ms. */
export async function armedAt(object: DurableObjectStub): Promise<number | null> {
  return runInDurableObject(object, (_instance, state) => state.storage.getAlarm());
}

/** The object's process dies: its memory and its sockets are gone, what was committed stays. */
export async function crash(object: DurableObjectStub): Promise<void> {
  await runInDurableObject(object, (_instance, state) => {
    state.abort("crash of the test");
  }).catch(() => undefined);
}
