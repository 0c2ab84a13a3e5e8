/** What the runner adds to a step's result, where there is little room. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { resultFault } from "../../contract/flow-result.ts";
import { RESULT_MAX_BYTES } from "../../contract/limits.ts";
import { withOwnArtifacts } from "../../runner-agent/steps/own-artifacts.ts";

test("a result that may be handed over still may be, keeps its own word, and gains the first of the runner's that fit", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2_000 }), fc.nat(1_500), fc.nat(1_500), (room, one, two) => {
      const bare = { status: "completed" as const, artifacts: { mine: 1 }, message: "" };
      const result = { ...bare, message: "x".repeat(RESULT_MAX_BYTES - JSON.stringify(bare).length - room) };
      const own = { mine: 2, one: "y".repeat(one), two: "z".repeat(two) };
      const whole = withOwnArtifacts(result, own);
      expect(resultFault(whole)).toBeUndefined();
      expect({ ...whole, artifacts: undefined }).toEqual({ ...result, artifacts: undefined });
      const { mine, ...added } = whole.artifacts ?? {};
      expect(mine).toBe(1);
      expect(["", "one", "one,two"]).toContain(Object.keys(added).join());
      if (room > one + two + 50) expect(added).toEqual({ one: own.one, two: own.two });
      else if (room > one + 50) expect(added).toHaveProperty("one");
    }),
  );
});

test("one that is nested as deep as it may be gets none that is nested deeper, and no fault", () => {
  const deep = JSON.parse(`${'{"a":'.repeat(253)}1${"}".repeat(253)}`) as Record<string, unknown>;
  const whole = withOwnArtifacts({ status: "completed", artifacts: deep }, { threadId: "t" });
  expect(resultFault(whole)).toBeUndefined();
  expect(whole.artifacts).toMatchObject({ threadId: "t" });
});
