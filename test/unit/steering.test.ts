/** What a pause, a resume and a drain change of a runner, and above all what they leave alone: it costs no row. */
import { expect, test } from "vitest";
import { RUNNER_ACTIONS } from "../../contract/http-bodies.ts";
import { steered, type Steerable } from "../../durable-objects/runner-pool/steering.ts";

const plain: Steerable = { draining: false };

test.each(RUNNER_ACTIONS)("%s asked twice writes nothing the second time", (action) => {
  const once = steered(plain, action);
  if (once === "draining") throw new Error("it does not drain");
  expect(steered(once, action)).toBe(once);
  expect(once === plain).toBe(action === "resume");
});

test("a drain of a runner that drains by itself writes nothing, and a resume of it is refused", () => {
  const draining = { ...plain, draining: true };
  expect(steered(draining, "drain")).toBe(draining);
  expect(steered(draining, "resume")).toBe("draining");
});

test("a pause and a drain do not undo each other; a resume undoes both", () => {
  const both = steered({ ...plain, paused: true }, "drain");
  expect(both).toMatchObject({ paused: true, drainAsked: true });
  expect(steered(both as Steerable, "resume")).toEqual(plain);
});
