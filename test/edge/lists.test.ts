/** Lists over the days' ledgers: order, filters, pages; what a look leaves behind, and what retention takes. */
import { env } from "cloudflare:workers";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { parseRunId } from "../../contract/ids.ts";
import { LIST_DEFAULT_ITEMS, LIST_MAX_ITEMS, RETENTION_DEFAULT_DAYS } from "../../contract/limits.ts";
import type { EventView, RunSummary } from "../../contract/run-view.ts";
import { dayOf, ledgerExpiry, ledgersOfDay } from "../../durable-objects/day-ledger/naming.ts";
import {
  armedAt,
  call,
  eventOf,
  eventStub,
  expectError,
  freshId,
  get,
  ledgerStub,
  runStub,
  send,
  startRun,
  stored,
  until,
} from "./support/api.ts";
import { FakeRunner } from "./support/fake-runner.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { DAY_MS, seedEvent, seedRun, type SeededEvent } from "./support/ledgers.ts";

afterEach(closeSockets);
afterAll(endObjects);

const today = dayOf(Date.now());
const noon = (daysAgo: number): number => today - daysAgo * DAY_MS + DAY_MS / 2;

interface EventPage {
  events: EventView[];
  nextCursor?: string;
}
interface RunPage {
  runs: RunSummary[];
  nextCursor?: string;
}

async function events(query: Record<string, string>): Promise<EventPage> {
  return get(`/events?${new URLSearchParams(query).toString()}`);
}
async function runs(query: Record<string, string>): Promise<RunPage> {
  return get(`/runs?${new URLSearchParams(query).toString()}`);
}

/** All pages of a list, from a cursor on. */
async function walk(query: Record<string, string>, cursor?: string): Promise<string[]> {
  const ids: string[] = [];
  for (let next = cursor; ;) {
    const page = await events({ ...query, ...(next === undefined ? {} : { cursor: next }) });
    ids.push(...page.events.map((event) => event.id));
    if (page.nextCursor === undefined) return ids;
    next = page.nextCursor;
  }
}

/** Ids as a list must have them: newest first. Those of one millisecond may stand in any order. */
function newestFirst(seeded: SeededEvent[]): string[] {
  return seeded.toSorted((a, b) => b.createdMs - a.createdMs).map((event) => event.id);
}

describe("limit", () => {
  const type = freshId("limit");
  beforeAll(async () => {
    for (let at = 0; at <= LIST_MAX_ITEMS; at += 1) await seedEvent(noon(2) + at, type);
  });

  test.each([
    ["", LIST_DEFAULT_ITEMS],
    ["0", LIST_DEFAULT_ITEMS],
    ["many", LIST_DEFAULT_ITEMS],
    ["NaN", LIST_DEFAULT_ITEMS],
    ["0.9", LIST_DEFAULT_ITEMS],
    ["-3", 1],
    ["1", 1],
    ["2.9", 2],
    [String(LIST_MAX_ITEMS), LIST_MAX_ITEMS],
    [String(LIST_MAX_ITEMS + 1), LIST_MAX_ITEMS],
    ["1e9", LIST_MAX_ITEMS],
    ["Infinity", LIST_MAX_ITEMS],
  ])("limit=%s gives %i", async (limit, count) => {
    expect((await events({ type, limit })).events).toHaveLength(count);
  });

  test("absent gives the default", async () => {
    expect((await events({ type })).events).toHaveLength(LIST_DEFAULT_ITEMS);
    expect((await runs({ flow: "no-such-flow" })).runs).toEqual([]);
  });
});

describe("pages", () => {
  test.each([1, 2, 3, 4, 5, 7, 50])("of %i walk over three days without gaps or doubles", async (size) => {
    const type = freshId("pages");
    const seeded: SeededEvent[] = [];
    for (const daysAgo of [1, 4, 20])
      for (let at = 0; at < 3; at += 1) seeded.push(await seedEvent(noon(daysAgo) + at * 1000, type));
    expect(await walk({ type, limit: String(size) })).toEqual(newestFirst(seeded));
  });

  test("of rows with one and the same time lose none", async () => {
    const type = freshId("pages");
    const seeded = await Promise.all(Array.from({ length: 7 }, () => seedEvent(noon(1), type)));
    const walked = await walk({ type, limit: "2" });
    expect(walked.toSorted()).toEqual(seeded.map((event) => event.id).toSorted());
  });

  test("are not shifted by an event that comes in between", async () => {
    const type = freshId("pages");
    const seeded = [
      await seedEvent(noon(3), type),
      await seedEvent(noon(2), type),
      await seedEvent(noon(1), type),
    ];
    const first = await events({ type, limit: "1" });
    expect(first.events.map((event) => event.id)).toEqual([seeded[2]?.id]);
    await send({ id: freshId(), type });
    expect(await walk({ type, limit: "1" }, first.nextCursor)).toEqual([seeded[1]?.id, seeded[0]?.id]);
  });

  test("of runs go on in the same way", async () => {
    const flow = freshId("flow");
    const seeded: string[] = [];
    for (const daysAgo of [9, 5, 1])
      seeded.unshift((await seedRun(noon(daysAgo), flow, { status: "queued" })).id);
    const first = await runs({ flow, limit: "2" });
    expect(first.runs.map((run) => run.id)).toEqual(seeded.slice(0, 2));
    const second = await runs({ flow, limit: "2", cursor: first.nextCursor ?? "" });
    expect(second.runs.map((run) => run.id)).toEqual(seeded.slice(2));
    expect(second.nextCursor).toBeUndefined();
  });

  test("an event in a list names the runs that it started, and one that matched nothing names none", async () => {
    const { type } = deployStep();
    const sent = await send({ id: freshId(), type });
    await until(async () => {
      const { events: listed } = await events({ type });
      expect(listed.map((event) => event.runIds)).toEqual([sent.runIds]);
    });
    const other = freshId("pages");
    await send({ id: freshId(), type: other });
    expect((await events({ type: other })).events.map((event) => event.runIds)).toEqual([[]]);
  });

  test("what is older than the retention is not listed", async () => {
    const type = freshId("pages");
    await seedEvent(noon(RETENTION_DEFAULT_DAYS + 1), type);
    const kept = await seedEvent(noon(RETENTION_DEFAULT_DAYS), type);
    expect(await walk({ type })).toEqual([kept.id]);
  });

  test.each(["x", "AAAA", "%00", btoa("1 ../x"), btoa(`1 ${"a".repeat(65)}`), btoa("-1 a"), btoa("1e3 a")])(
    "a cursor that is none of ours: %s",
    async (cursor) => {
      for (const list of ["events", "runs"]) {
        const error = await expectError(call("GET", `/${list}?cursor=${encodeURIComponent(cursor)}`), 400);
        expect(error).toMatchObject({ code: "invalid_cursor", details: [{ path: "?cursor" }] });
      }
    },
  );
});

describe("filters", () => {
  test("events by type and by source", async () => {
    const [type, source] = [freshId("type"), freshId("source")];
    const both = await seedEvent(noon(1), type, source);
    const onlyType = await seedEvent(noon(2), type);
    const onlySource = await seedEvent(noon(3), freshId("type"), source);
    expect(await walk({ type })).toEqual([both.id, onlyType.id]);
    expect(await walk({ source })).toEqual([both.id, onlySource.id]);
    expect(await walk({ type, source })).toEqual([both.id]);
  });

  test("runs by flow, and by process or effective status", async () => {
    const flow = freshId("flow");
    const changed = await seedRun(noon(1), flow, { status: "completed", result: { status: "changed" } });
    const blocked = await seedRun(noon(2), flow, { status: "completed", result: { status: "blocked" } });
    const failed = await seedRun(noon(3), flow, { status: "failed" });
    const ids = async (status: string): Promise<string[]> =>
      (await runs({ flow, status })).runs.map((run) => run.id);
    expect(await ids("completed")).toEqual([changed.id, blocked.id]);
    expect(await ids("changed")).toEqual([changed.id]);
    expect(await ids("blocked")).toEqual([blocked.id]);
    expect(await ids("failed")).toEqual([failed.id]);
    expect(await ids("skipped")).toEqual([]);
  });

  test("a status that there is not", async () => {
    const error = await expectError(call("GET", "/runs?status=done"), 400);
    expect(error).toMatchObject({ code: "invalid_status", details: [{ path: "?status" }] });
  });

  test("runs of one event, newest first, also by flow and status", async () => {
    const id = freshId();
    const { runIds } = await send({ id, type: "upstream.release", payload: { tag: "v1" } });
    const of = async (more: Record<string, string>): Promise<string[]> =>
      (await runs({ eventId: id, ...more })).runs.map((run) => run.id);
    expect(await of({})).toEqual(runIds.toReversed());
    expect(await of({ flow: "release", status: "queued" })).toEqual(runIds.toReversed());
    expect(await of({ status: "completed" })).toEqual([]);
    expect(await of({ flow: "lab" })).toEqual([]);
    expect(await of({ limit: "1" })).toEqual([runIds[1]]);
  });

  test("a run is listed as it is now", async () => {
    const { type, pool } = deployStep();
    const runner = await FakeRunner.connect(pool);
    const { eventId, runId } = await startRun(type);
    await runner.complete(runId, { status: "completed" });
    await until(async () => {
      const listed = (await runs({ status: "completed" })).runs.find((run) => run.id === runId);
      expect(listed).toMatchObject({ eventId, status: "completed", attemptCount: 1 });
      expect(listed).not.toHaveProperty("attempts");
    });
  });
});

describe("a look leaves nothing behind", () => {
  test("an unknown event", async () => {
    const id = freshId();
    const days = Array.from({ length: RETENTION_DEFAULT_DAYS + 1 }, (_unused, ago) => today - ago * DAY_MS);
    const ledgers = days.flatMap((day) => ledgersOfDay(env, day)).map(ledgerStub);
    const before = await Promise.all(ledgers.map(stored));
    await expectError(call("GET", `/events/${encodeURIComponent(id)}`), 404);
    await expectError(call("POST", `/events/${encodeURIComponent(id)}/replay`), 404);
    expect((await runs({ eventId: id })).runs).toEqual([]);
    expect(await stored(await eventStub(id))).toEqual({ keys: [], tables: [] });
    expect(await Promise.all(ledgers.map(stored))).toEqual(before);
    expect(before.some((ledger) => ledger.tables.length === 0)).toBe(true);
  });

  test("an unknown run", async () => {
    const runId = "run_0000000000000000_1";
    for (const path of ["", "/output"])
      expect((await expectError(call("GET", `/runs/${runId}${path}`), 404)).code).toBe("run_not_found");
    await expectError(call("POST", `/runs/${runId}/cancel`), 404);
    for (const socket of ["tail", "attach"])
      await expectError(call("GET", `/runs/${runId}/${socket}`, { headers: { upgrade: "websocket" } }), 404);
    expect(await stored(runStub(runId))).toEqual({ keys: [], tables: [] });
  });

  test("a run that its event does not have", async () => {
    const { runId } = await startRun(deployStep().type);
    const { eventKey } = parseRunId(runId) ?? { eventKey: "" };
    await expectError(call("GET", `/runs/run_${eventKey}_2`), 404);
    await expectError(call("POST", `/runs/run_${eventKey}_2/cancel`), 404);
  });

  test.each([
    "run_x_1",
    "run_0000000000000000_0",
    "run_0000000000000000",
    "x",
    "RUN_0000000000000000_1",
    "%2F",
  ])("a text that is no run id: %s", async (id) => {
    await expectError(call("GET", `/runs/${id}`), 404);
  });
});

describe("retention", () => {
  test("a ledger goes as a whole when its last moment has reached the age, and can be used again", async () => {
    const old = noon(RETENTION_DEFAULT_DAYS + 1);
    const [name = ""] = ledgersOfDay(env, old);
    const ledger = env.LEDGERS.getByName(name);
    await seedEvent(old, "old");
    await seedRun(old, "old", { status: "queued" });
    await until(async () => {
      expect(await stored(ledgerStub(name))).toEqual({ keys: [], tables: [] });
    });
    expect(await ledger.listEvents({}, undefined, LIST_MAX_ITEMS)).toEqual([]);
    expect(await ledger.listRuns({}, undefined, LIST_MAX_ITEMS)).toEqual([]);
    expect(await ledger.unmatched("0000000000000000")).toBeUndefined();
  });

  test("one that has not reached it stays, and wakes when it has", async () => {
    const young = noon(RETENTION_DEFAULT_DAYS);
    const [name = ""] = ledgersOfDay(env, young);
    await seedEvent(young, "young");
    expect(await armedAt(ledgerStub(name))).toBe(ledgerExpiry(env, dayOf(young)));
    expect((await stored(ledgerStub(name))).tables).not.toEqual([]);
  });

  test("an event that matches nothing is gone with its day", async () => {
    const body = { id: freshId(), type: freshId("nobody") };
    await send(body);
    expect((await eventOf(body.id)).event.id).toBe(body.id);
    const [name = ""] = ledgersOfDay(env, today);
    expect(await armedAt(ledgerStub(name))).toBe(ledgerExpiry(env, today));
  });
});
