/** What a sender learns of an event that starts nothing. */
import { afterAll, expect, test } from "vitest";
import { call, expectError, freshId, send } from "./support/api.ts";
import { endObjects } from "./support/tidy.ts";

afterAll(endObjects);

/** The catalog of the tests has one step for this type, which wants a tag. */
const TYPE = "lab.picky";

test("an event that matches nothing is answered with the steps of its type and why each does not start", async () => {
  const answer = (await send({ id: freshId(), type: TYPE, payload: {} })) as unknown as {
    matched: number;
    misses: Array<{ errors: Array<{ path: string }> }>;
  };
  expect(answer.matched).toBe(0);
  expect(answer.misses.length).toBeGreaterThan(0);
  expect(answer.misses[0]?.errors[0]?.path).toMatch(/^\/payload/);
});

test.each([
  ["whose payload no step accepts", TYPE, /^\/payload/],
  ["whose type no step waits for", "nobody.waits", /^\/type$/],
])("must_match refuses an event %s, and stores nothing", async (_name, type, path) => {
  const id = freshId();
  const refused = call("POST", "/events?must_match=1", { body: { id, type, payload: {} } });
  const error = await expectError(refused, 422);
  expect(error.code).toBe("nothing_matched");
  expect(error.details[0]?.path).toMatch(path);
  await expectError(call("GET", `/events/${encodeURIComponent(id)}`), 404);
});

test("must_match takes an event that matches like any other", async () => {
  const event = { id: freshId(), type: TYPE, payload: { tag: "v1" } };
  expect((await send(event, "?must_match=1")).matched).toBeGreaterThan(0);
});
