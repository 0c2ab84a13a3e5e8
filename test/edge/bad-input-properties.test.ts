/**
 * What is right, changed at random (invariant 13): taken when the contract's own checks say that it is still right;
 * else an error in the one form that names what is wrong, and nothing stored. Never a 5xx, never an exception.
 *
 * A failure prints its seed: put it beside `numRuns` to see the same again.
 */
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { HTTP_ROUTES } from "../../contract/http.ts";
import type { ControlDown } from "../../contract/runner-link.ts";
import {
  checkCancelRequest,
  checkFlowEvent,
  checkReplayRequest,
  readControlFrame,
  readRunFrame,
  type Checked,
} from "../../contract/validate.ts";
import {
  call,
  eventOf,
  eventStub,
  expectError,
  freshId,
  get,
  outputOf,
  poolOf,
  runOf,
  startRun,
  stored,
} from "./support/api.ts";
import { FakeRunner, RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { CONTROL_FRAMES, RUN_FRAMES } from "./support/malformed-frames.ts";
import { mutated, textOf } from "./support/mutations.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

const REQUESTS = { numRuns: 200 };
const SOCKETS = { numRuns: 60 };
const TEST_TIMEOUT_MS = 120_000;

let target = { eventId: "", runId: "" };
beforeAll(async () => {
  target = await startRun(deployStep().type);
});

/** A body as it is read: a mark of the byte order in front of UTF-8 says nothing, and is no part of the text. */
function read(body: string): string {
  return body.replace(/^\ufeff/, "");
}

/** What the contract says of a body. */
function verdict<T>(text: string, check: (value: unknown) => Checked<T>): Checked<T> {
  try {
    return check(JSON.parse(read(text)));
  } catch {
    return { ok: false, faults: [] };
  }
}

/** The id that a body would be stored under, right or wrong. */
function idIn(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(read(text));
    return value !== null && typeof value === "object" && "id" in value && typeof value.id === "string"
      ? value.id
      : undefined;
  } catch {
    return undefined;
  }
}

async function expectRefusal(answer: Response): Promise<void> {
  expect(answer.status).toBeGreaterThanOrEqual(400);
  expect(answer.status).toBeLessThan(500);
  expect((await expectError(answer, answer.status)).details).not.toEqual([]);
}

test(
  "an event, changed at random",
  async () => {
    const { type } = deployStep();
    const event = fc.record(
      {
        id: fc.uuid(),
        type: fc.constantFrom(type, "nobody.waits", "upstream.release"),
        source: fc.string({ maxLength: 20 }),
        occurredAt: fc.constant("2026-01-01T00:00:00Z"),
        receivedAt: fc.constant("2026-01-01T00:00:00+02:00"),
        payload: fc.oneof(fc.jsonValue(), fc.record({ tag: fc.string() })),
        extra: fc.jsonValue(),
      },
      { requiredKeys: ["id", "type"] },
    );
    await fc.assert(
      fc.asyncProperty(textOf(mutated(event)), async (body) => {
        const answer = await call("POST", "/events", { body });
        const expected = verdict(body, checkFlowEvent);
        if (expected.ok) {
          expect(answer.status).toBe(202);
          await answer.body?.cancel();
          expect((await eventOf(expected.value.id)).event.id).toBe(expected.value.id);
          return;
        }
        await expectRefusal(answer);
        const id = idIn(body);
        if (id === undefined) return;
        expect(await stored(await eventStub(id))).toEqual({ keys: [], tables: [] });
        if (id.isWellFormed() && id !== "" && id !== "." && id !== "..")
          await expectError(call("GET", `/events/${encodeURIComponent(id)}`), 404);
      }),
      REQUESTS,
    );
    // What was taken spoils no list (ancestor 8.1-4).
    await get("/events?limit=500");
    await get("/runs?limit=500");
  },
  TEST_TIMEOUT_MS,
);

test(
  "a replay and a cancel, changed at random",
  async () => {
    const nobody = fc.record({ flow: fc.constant("nobody"), step: fc.string(), wait: fc.constant(0) });
    await fc.assert(
      fc.asyncProperty(textOf(mutated(nobody)), async (body) => {
        const before = await eventOf(target.eventId);
        const path = `/events/${encodeURIComponent(target.eventId)}/replay`;
        const expected = body === "" ? checkReplayRequest({}) : verdict(body, checkReplayRequest);
        if (!expected.ok) {
          await expectRefusal(await call("POST", path, { body }));
          expect(await eventOf(target.eventId)).toEqual(before);
        }
        const cancel = body === "" ? checkCancelRequest({}) : verdict(body, checkCancelRequest);
        if (!cancel.ok) {
          await expectRefusal(await call("POST", `/runs/${target.runId}/cancel`, { body }));
          expect(await eventOf(target.eventId)).toEqual(before);
        }
      }),
      REQUESTS,
    );
  },
  TEST_TIMEOUT_MS,
);

test(
  "paths and queries of every route, changed at random",
  async () => {
    const odd = fc.oneof(
      fc.string({ maxLength: 30 }),
      fc.string({ unit: "binary", maxLength: 10 }),
      fc.constantFrom("%", "%00", "%E0%A4%A", "..", "%2e%2e", "%2F", "1e999", "-1", "NaN", "x".repeat(2_000)),
    );
    const escaped = odd.map((text) => (/^[%.]/.test(text) ? text : encodeURIComponent(text.toWellFormed())));
    const request = fc.constantFrom(...HTTP_ROUTES).chain((route) =>
      fc.record({
        route: fc.constant(route),
        id: fc.oneof(escaped, fc.constantFrom("{event}", "{run}", "run_0000000000000000_1")),
        query: fc.dictionary(fc.constantFrom(...Object.keys(route.query ?? {}), "token", "x"), escaped),
      }),
    );
    await fc.assert(
      fc.asyncProperty(request, async ({ route, id, query }) => {
        // A wait that is right would be waited for, and a socket that is right would stay open.
        const asked = Object.entries(query).filter(([name]) => name !== "wait");
        const known = id
          .replace("{event}", encodeURIComponent(target.eventId))
          .replace("{run}", target.runId);
        const path = `${route.path.replace(/\{\w+\}/, known)}?${asked.map(([name, value]) => `${name}=${value}`).join("&")}`;
        const answer = await call(route.method.toUpperCase(), path, {
          ...(route.method === "post" ? { body: "[]" } : {}),
        });
        expect(answer.status, path).toBeLessThan(500);
        if (answer.status >= 400) await expectError(answer, answer.status);
        else await answer.body?.cancel();
      }),
      REQUESTS,
    );
  },
  TEST_TIMEOUT_MS,
);

test(
  "a frame of the control socket, changed at random",
  async () => {
    const { pool } = deployStep();
    const frame = textOf(mutated(fc.constantFrom<unknown>(...Object.values(CONTROL_FRAMES))));
    await fc.assert(
      fc.asyncProperty(frame, async (text) => {
        const runner = await FakeRunner.connect(pool, { capacity: 0 });
        runner.control.sendRaw(text);
        if (readControlFrame(text).ok) runner.control.sendRaw("not a frame any more");
        const { code } = await lastError(runner);
        expect(["bad_frame", "protocol", "no_hello", "goodbye"]).toContain(code);
        await poolOf(pool);
        await runner.control.close();
      }),
      SOCKETS,
    );
  },
  TEST_TIMEOUT_MS,
);

/** How the edge sent a runner away: with an error frame, or by its own goodbye. */
async function lastError({ control }: FakeRunner): Promise<{ code: string }> {
  const { code, reason } = await control.closed;
  const [error] = control.pending("error" satisfies ControlDown["type"]);
  expect([1000, 4400]).toContain(code);
  return error ?? { code: reason };
}

test(
  "a frame of the run socket, changed at random",
  async () => {
    const { type } = deployStep();
    const frame = textOf(mutated(fc.constantFrom<unknown>(...Object.values(RUN_FRAMES))));
    await fc.assert(
      fc.asyncProperty(frame, async (text) => {
        const { runId } = await startRun(type, { id: freshId() });
        const link = await RunLink.claim(runId, 1, "runner-a");
        link.sendRaw(text);
        const checked = readRunFrame(text);
        if (checked.ok) link.sendRaw("not a frame any more");
        const { code } = await link.closed;
        expect([1000, 4400]).toContain(code);
        if (!checked.ok) {
          expect(link.pending("error")).toMatchObject([{ code: "bad_frame" }]);
          expect(await runOf(runId)).toMatchObject({ status: "running", output: [] });
          expect((await runOf(runId)).attempts[0]).not.toHaveProperty("result");
        }
        // Whatever was taken can be shown.
        await runOf(runId);
        await outputOf(runId);
      }),
      SOCKETS,
    );
  },
  TEST_TIMEOUT_MS,
);
