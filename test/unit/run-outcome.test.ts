/** What an end means: invariant 9 (the terminal event wins over the process) and 10 (cancel is proved), case by case. */
import { describe, expect, test } from "vitest";
import { RESULT_STATUSES, type FlowResult } from "../../contract/flow-result.ts";
import { outcomeOf } from "../../contract/run-outcome.ts";
import { END_REASONS, type AttemptEnd, type EndReason } from "../../contract/run-record.ts";

const GONE = { empty: true, survivors: [] };
const LEFT = { empty: false, survivors: [12, 34] };
const FINE = { code: 0, signal: null };
const CRASHED = { code: 3, signal: null };
const KILLED = { code: null, signal: "SIGKILL" };
const CHANGED: FlowResult = { status: "changed", message: "two files" };
const FAILED: FlowResult = { status: "failed" };
const INVALID = { code: "invalid_result", message: "FLOW_RESULT is not JSON" };

describe("an end that nobody asked for (invariant 9)", () => {
  test.each<[string, AttemptEnd, FlowResult | undefined, object]>([
    [
      "exit 0 with a result",
      { reason: "exited", exit: FINE },
      CHANGED,
      { status: "completed", result: CHANGED },
    ],
    [
      "exit 0 with a result that says failed",
      { reason: "exited", exit: FINE },
      FAILED,
      { status: "completed", result: FAILED, retry: "failed" },
    ],
    [
      "exit 0 without a result",
      { reason: "exited", exit: FINE },
      undefined,
      {
        status: "failed",
        retry: "failed",
        error: { code: "no_result", message: "Step did not emit FLOW_RESULT" },
      },
    ],
    [
      "exit 0, and the last result line was none",
      { reason: "exited", exit: FINE, error: INVALID },
      CHANGED,
      { status: "failed", retry: "failed", error: INVALID },
    ],
    [
      "another exit code, whatever it printed",
      { reason: "exited", exit: CRASHED },
      CHANGED,
      {
        status: "failed",
        retry: "failed",
        error: { code: "exit_code", message: "the step exited with code 3" },
      },
    ],
    [
      "killed by somebody else, whatever it printed",
      { reason: "exited", exit: KILLED },
      CHANGED,
      {
        status: "failed",
        retry: "failed",
        error: { code: "killed", message: "the step was killed by SIGKILL" },
      },
    ],
    [
      "an exit that nobody saw",
      { reason: "exited" },
      CHANGED,
      {
        status: "failed",
        retry: "failed",
        error: { code: "exit_code", message: "the step exited with code unknown" },
      },
    ],
    [
      "reaped after its result, whatever the signal left as exit",
      { reason: "reaped", exit: KILLED, tree: GONE },
      CHANGED,
      { status: "completed", result: CHANGED },
    ],
    [
      "reaped after a result line that was none",
      { reason: "reaped", error: INVALID },
      undefined,
      { status: "failed", retry: "failed", error: INVALID },
    ],
    [
      "reaped, and a later result line was none",
      { reason: "reaped", error: INVALID },
      CHANGED,
      { status: "failed", retry: "failed", error: INVALID },
    ],
    [
      "out of time after its result",
      { reason: "timeout", exit: KILLED },
      CHANGED,
      { status: "completed", result: CHANGED },
    ],
    [
      "silent after its result",
      { reason: "silence", exit: KILLED },
      CHANGED,
      { status: "completed", result: CHANGED },
    ],
    ["lost after its result", { reason: "abandoned" }, CHANGED, { status: "completed", result: CHANGED }],
    [
      "out of time",
      { reason: "timeout", exit: KILLED },
      undefined,
      {
        status: "timeout",
        retry: "timeout",
        error: { code: "timeout", message: "the step ran longer than its timeout_ms" },
      },
    ],
    [
      "out of time, in the runner's words",
      { reason: "timeout", error: { code: "timeout", message: "longer than 5 ms" } },
      undefined,
      { status: "timeout", retry: "timeout", error: { code: "timeout", message: "longer than 5 ms" } },
    ],
    [
      "silent",
      { reason: "silence", exit: KILLED },
      undefined,
      {
        status: "timeout",
        retry: "timeout",
        error: { code: "silence", message: "the step was silent for longer than its silence_ms" },
      },
    ],
    [
      "lost",
      { reason: "abandoned" },
      undefined,
      { status: "lost", retry: "lost", error: { code: "lost", message: "the runner lost the step" } },
    ],
    [
      "never started",
      { reason: "refused" },
      undefined,
      {
        status: "failed",
        retry: "failed",
        error: { code: "refused", message: "the runner could not start the step" },
      },
    ],
    [
      "never started, and the runner says why",
      { reason: "refused", error: { code: "script_missing", message: "no script" } },
      undefined,
      { status: "failed", retry: "failed", error: { code: "script_missing", message: "no script" } },
    ],
    [
      "never started since the checkout differs, said as a result",
      { reason: "refused", tree: GONE },
      { status: "blocked" },
      { status: "completed", result: { status: "blocked" } },
    ],
  ])("%s", (_case, end, result, outcome) => {
    expect(outcomeOf(end, result, false)).toEqual(outcome);
  });
});

describe("the end of a run that somebody canceled (invariant 10)", () => {
  test.each<[string, AttemptEnd, FlowResult | undefined]>([
    ["signalled and gone", { reason: "canceled", exit: KILLED, tree: GONE }, undefined],
    ["signalled and gone after a result", { reason: "canceled", exit: KILLED, tree: GONE }, CHANGED],
    ["exited by itself without a result", { reason: "exited", exit: FINE, tree: GONE }, undefined],
    ["exited with another code", { reason: "exited", exit: CRASHED, tree: GONE }, CHANGED],
    [
      "exit 0, but what it said last was no result",
      { reason: "exited", exit: FINE, error: INVALID, tree: GONE },
      CHANGED,
    ],
    ["reaped after its result", { reason: "reaped", exit: KILLED, tree: GONE }, CHANGED],
    ["out of time meanwhile", { reason: "timeout", exit: KILLED, tree: GONE }, undefined],
    ["never started", { reason: "refused" }, undefined],
    ["the runner is declared lost", { reason: "abandoned" }, undefined],
    ["the runner is declared lost after a result", { reason: "abandoned" }, CHANGED],
  ])("canceled: %s", (_case, end, result) => {
    expect(outcomeOf(end, result, true)).toEqual({ status: "canceled" });
  });

  test("a step that ends well by itself has won the race", () => {
    expect(outcomeOf({ reason: "exited", exit: FINE, tree: GONE }, CHANGED, true)).toEqual({
      status: "completed",
      result: CHANGED,
    });
  });

  test.each<[string, AttemptEnd, string]>([
    ["processes that would not go", { reason: "canceled", tree: LEFT }, "12, 34"],
    ["left behind by a former life of the runner", { reason: "abandoned", tree: LEFT }, "12, 34"],
    ["nobody has looked", { reason: "canceled" }, "nobody has seen them go"],
    ["the edge only knows that the time is over", { reason: "timeout" }, "nobody has seen them go"],
  ])("not proved, so not canceled: %s", (_case, end, says) => {
    for (const result of [undefined, CHANGED]) {
      const { error, ...outcome } = outcomeOf(end, result, true);
      expect(outcome).toEqual({ status: "failed" });
      expect(error?.code).toBe("cancel_unproved");
      expect(error?.message).toContain(says);
    }
  });
});

test("whatever comes together, an outcome never contradicts itself", () => {
  const results = [undefined, ...RESULT_STATUSES.map((status): FlowResult => ({ status }))];
  const retries = { failed: "failed", lost: "lost", timeout: "timeout" } as const;
  for (const reason of END_REASONS)
    for (const exit of [undefined, FINE, CRASHED, KILLED])
      for (const tree of [undefined, GONE, LEFT])
        for (const error of [undefined, INVALID])
          for (const result of results)
            for (const canceled of [false, true]) {
              const end: AttemptEnd = { reason, exit, tree, error };
              const outcome = outcomeOf(end, result, canceled);
              const about = JSON.stringify({ end, result, canceled, outcome });
              // A result counts exactly where the attempt is completed by it, and an error says why it is not.
              expect(outcome.result, about).toBe(outcome.status === "completed" ? result : undefined);
              expect(outcome.error === undefined, about).toBe(
                outcome.status === "completed" || outcome.status === "canceled",
              );
              if (wentWrong(reason, exit)) expect(outcome.status, about).not.toBe("completed");
              if (canceled && outcome.status !== "completed") expect(outcome.retry, about).toBeUndefined();
              else if (outcome.status === "completed")
                expect(outcome.retry, about).toBe(result?.status === "failed" ? "failed" : undefined);
              else if (outcome.status !== "canceled")
                expect(outcome.retry, about).toBe(retries[outcome.status]);
            }
});

/** The process went on its own account, and not well. */
function wentWrong(reason: EndReason, exit: AttemptEnd["exit"]): boolean {
  return reason === "exited" && exit?.code !== 0;
}
