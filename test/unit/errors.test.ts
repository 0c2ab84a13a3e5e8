/** One class a kind of failure: its code, its status, and whether the same request may succeed later. */
import { Check } from "typebox/value";
import { expect, test } from "vitest";
import {
  BadRequestError,
  ConflictError,
  ErrorBody,
  FlowError,
  ForbiddenError,
  NotFoundError,
  OverloadedError,
  PayloadTooLargeError,
  UnauthorizedError,
  UnsupportedMediaTypeError,
  ValidationError,
} from "../../contract/errors.ts";
import { EVENT_MAX_BYTES } from "../../contract/limits.ts";

const DETAILS = [{ path: "/payload/tag", message: "is required" }];

test.each<[FlowError, { name: string; status: number; code: string; retryable: boolean; says: string }]>([
  [
    new BadRequestError("bad_json", "the body is not JSON", DETAILS),
    { name: "BadRequestError", status: 400, code: "bad_json", retryable: false, says: "not JSON" },
  ],
  [
    new ValidationError("invalid_event", "the event is not valid", DETAILS),
    { name: "ValidationError", status: 422, code: "invalid_event", retryable: false, says: "not valid" },
  ],
  [
    new UnauthorizedError("this token is not known here"),
    { name: "UnauthorizedError", status: 401, code: "unauthorized", retryable: false, says: "token" },
  ],
  [
    new ForbiddenError("this token lacks runs:write"),
    { name: "ForbiddenError", status: 403, code: "forbidden", retryable: false, says: "runs:write" },
  ],
  [
    new NotFoundError("run_not_found", "run not found: x"),
    { name: "NotFoundError", status: 404, code: "run_not_found", retryable: false, says: "run not found" },
  ],
  [
    new ConflictError("run_over", "the run is over"),
    { name: "ConflictError", status: 409, code: "run_over", retryable: false, says: "over" },
  ],
  [
    new PayloadTooLargeError("the event", EVENT_MAX_BYTES),
    {
      name: "PayloadTooLargeError",
      status: 413,
      code: "too_large",
      retryable: false,
      says: `the event is larger than the limit of ${EVENT_MAX_BYTES} bytes`,
    },
  ],
  [
    new UnsupportedMediaTypeError("text/html"),
    {
      name: "UnsupportedMediaTypeError",
      status: 415,
      code: "unsupported_media_type",
      retryable: false,
      says: "text/html",
    },
  ],
  [
    new OverloadedError("the backlog is full"),
    { name: "OverloadedError", status: 503, code: "overloaded", retryable: true, says: "backlog" },
  ],
])("$name", (error, { name, status, code, retryable, says }) => {
  expect(error).toBeInstanceOf(FlowError);
  expect(error).toBeInstanceOf(Error);
  expect([error.name, error.status, error.code, error.retryable]).toEqual([name, status, code, retryable]);
  expect(error.message).toContain(says);
  const body = error.toBody();
  expect(Check(ErrorBody, body)).toBe(true);
  expect(body).toEqual({ error: { code, message: error.message, details: error.details } });
  // Neither a stack nor a line of source ever leaves with an answer (invariant 13).
  expect(JSON.stringify(body)).not.toContain(".ts");
});

test("a message that quotes what was sent stays one line", () => {
  const error = new NotFoundError("event_not_found", "event not found: a\nb\u0000c");
  expect(error.message).toBe("event not found: a\uFFFDb\uFFFDc");
});
