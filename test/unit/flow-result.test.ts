/** Lines that say FLOW_RESULT: the ancestor's rules, and its words for what is wrong. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkResult, readResultLine, RESULT_STATUSES } from "../../contract/flow-result.ts";
import { RESULT_MAX_BYTES } from "../../contract/limits.ts";

describe("a line of output", () => {
  test.each(RESULT_STATUSES)("may say %s", (status) => {
    expect(readResultLine(`FLOW_RESULT {"status":"${status}"}`)).toEqual({
      kind: "result",
      result: { status },
    });
  });

  test.each([
    "",
    "FLOW_RESULT",
    'FLOW_RESULT{"status":"completed"}',
    'flow_result {"status":"completed"}',
    'FLOW RESULT {"status":"completed"}',
    'x FLOW_RESULT {"status":"completed","message":"all tests passed"}',
    ' FLOW_RESULT {"status":"completed"}',
  ])("says nothing without the marker at its beginning: %j", (line) => {
    expect(readResultLine(line)).toEqual({ kind: "none" });
  });

  test("may have white space around the JSON", () => {
    expect(readResultLine('FLOW_RESULT   {"status" : "completed"} \r')).toEqual({
      kind: "result",
      result: { status: "completed" },
    });
  });

  test.each([
    ["FLOW_RESULT ", "FLOW_RESULT is not JSON"],
    ["FLOW_RESULT {", "FLOW_RESULT is not JSON"],
    ['FLOW_RESULT {"status":"completed"} done', "FLOW_RESULT is not JSON"],
    ["FLOW_RESULT null", "FLOW_RESULT must be a JSON object"],
    ["FLOW_RESULT []", "FLOW_RESULT must be a JSON object"],
    ['FLOW_RESULT "completed"', "FLOW_RESULT must be a JSON object"],
    ["FLOW_RESULT {}", "FLOW_RESULT status is invalid"],
    ['FLOW_RESULT {"status":"done"}', "FLOW_RESULT status is invalid"],
    ['FLOW_RESULT {"status":["completed"]}', "FLOW_RESULT status is invalid"],
    ['FLOW_RESULT {"status":"toString"}', "FLOW_RESULT status is invalid"],
    ['FLOW_RESULT {"status":"completed","message":1}', "FLOW_RESULT message must be a string"],
    ['FLOW_RESULT {"status":"completed","artifacts":[]}', "FLOW_RESULT artifacts must be an object"],
    ['FLOW_RESULT {"status":"completed","artifacts":null}', "FLOW_RESULT artifacts must be an object"],
    ['FLOW_RESULT {"status":"completed","next":{}}', "FLOW_RESULT next must be an array of events"],
    [
      'FLOW_RESULT {"status":"completed","artifacts":{"id":9007199254740993}}',
      "FLOW_RESULT /artifacts/id is an integer that would arrive as 9007199254740992: send it as a string",
    ],
    [
      'FLOW_RESULT {"status":"completed","next":[{"id":"a","type":"b","payload":{"ratio":1e400}}]}',
      "FLOW_RESULT /next/0/payload/ratio is greater than the largest number",
    ],
  ])("%j is no result, and says why", (line, message) => {
    const read = readResultLine(line);
    expect(read.kind).toBe("invalid");
    expect(read.kind === "invalid" && read.message).toContain(message);
  });

  test("says anything at all without an exception", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.json(),
      fc
        .record({ status: fc.constantFrom(...RESULT_STATUSES) }, { requiredKeys: [] })
        .map((v) => JSON.stringify(v)),
    );
    fc.assert(
      fc.property(text, (given) => {
        const read = readResultLine(`FLOW_RESULT ${given}`);
        if (read.kind === "result") expect(RESULT_STATUSES).toContain(read.result.status);
        else expect(read.kind).toBe("invalid");
      }),
    );
  });

  test("is bounded in bytes, not in characters", () => {
    const line = (fill: string, count: number): string =>
      `FLOW_RESULT ${JSON.stringify({ status: "completed", message: fill.repeat(count) })}`;
    const room = RESULT_MAX_BYTES - JSON.stringify({ status: "completed", message: "" }).length;
    expect(readResultLine(line("x", room)).kind).toBe("result");
    const tooLarge = { kind: "invalid", message: `FLOW_RESULT is larger than ${RESULT_MAX_BYTES} bytes` };
    expect(readResultLine(line("x", room + 1))).toEqual(tooLarge);
    expect(readResultLine(line("é", room / 2 + 1))).toEqual(tooLarge);
  });
});

describe("a result", () => {
  test("keeps every field, known or not", () => {
    const result = {
      status: "changed",
      message: "two files",
      artifacts: { pr: 7 },
      next: [{ id: "a" }, "not an event: that is seen when it is acted on"],
      extra: { nested: [1] },
    };
    expect(readResultLine(`FLOW_RESULT ${JSON.stringify(result)}`)).toEqual({ kind: "result", result });
  });

  test.each([[undefined], [null], ["completed"], [1], [[]]])("is no %j", (value) => {
    expect(checkResult(value).kind).toBe("invalid");
  });
});
