/**
 * The failures that this product tells anybody about: one class a kind, each with a code, an HTTP status and
 * whether trying the same thing again can help. Whatever is thrown and is none of these is a bug.
 */
import Type, { type Static } from "typebox";

export const ErrorDetail = Type.Object({
  /**
   * JSON pointer into what was sent ("/payload/tag"; "" is the whole body), a query name ("?limit"), a header name, or
   * a part of the request's path ("{id}").
   */
  path: Type.String(),
  message: Type.String(),
});
export type ErrorDetail = Static<typeof ErrorDetail>;

/** Body of every answer that is not a success (invariant 13). */
export const ErrorBody = Type.Object({
  error: Type.Object({
    code: Type.String(),
    message: Type.String(),
    details: Type.Array(ErrorDetail),
    requestId: Type.Optional(Type.String()),
  }),
});
export type ErrorBody = Static<typeof ErrorBody>;

/** Common to all failures: what happened, where, and whether a retry can help. */
export abstract class FlowError extends Error {
  abstract readonly status: number;
  readonly retryable: boolean = false;
  readonly code: string;
  readonly details: ErrorDetail[];

  constructor(code: string, message: string, details: ErrorDetail[] = []) {
    // It may quote what was sent: an id, a path.
    super(message.replace(/\p{Cc}/gu, "\uFFFD"));
    this.name = new.target.name;
    this.code = code;
    this.details = details;
  }

  toBody(): ErrorBody {
    return { error: { code: this.code, message: this.message, details: this.details } };
  }
}

/** The request cannot be read: not JSON, bad encoding, a malformed query. */
export class BadRequestError extends FlowError {
  readonly status = 400;
}
/** It can be read, and says something that the schema does not allow. */
export class ValidationError extends FlowError {
  readonly status = 422;
}
export class UnauthorizedError extends FlowError {
  readonly status = 401;
  constructor(message: string, details: ErrorDetail[] = []) {
    super("unauthorized", message, details);
  }
}
export class ForbiddenError extends FlowError {
  readonly status = 403;
  constructor(message: string, details: ErrorDetail[] = []) {
    super("forbidden", message, details);
  }
}
/** Why the guard of a channel refuses a relayed session, by its reason. */
const GUARD_CLOSED: Readonly<Record<string, string>> = {
  other_session: "Codeflow is on in this channel, but for another session only",
  unavailable: "The settings of this channel cannot be read now",
};
/** The guard of a channel does not let relayed sessions in. */
export class GuardClosedError extends FlowError {
  readonly status = 403;
  constructor(reason: string, how = "Send /codeflow on there") {
    super("guard_closed", `${GUARD_CLOSED[reason] ?? "Codeflow is off in this channel"}. ${how}.`, [
      { path: "/place", message: reason },
    ]);
  }
}
export class NotFoundError extends FlowError {
  readonly status = 404;
}
/** What is asked contradicts the state it meets. */
export class ConflictError extends FlowError {
  readonly status = 409;
}
export class PayloadTooLargeError extends FlowError {
  readonly status = 413;
  constructor(what: string, limitBytes: number) {
    super("too_large", `${what} is larger than the limit of ${limitBytes} bytes`, [
      { path: "", message: `is larger than ${limitBytes} bytes` },
    ]);
  }
}
export class UnsupportedMediaTypeError extends FlowError {
  readonly status = 415;
  constructor(contentType: string) {
    super("unsupported_media_type", `content-type ${contentType} is not JSON; send application/json`, [
      { path: "content-type", message: "is not JSON" },
    ]);
  }
}
/** The body is compressed in a way that the edge cannot unpack. */
export class UnsupportedEncodingError extends FlowError {
  readonly status = 415;
  readonly accepted: string;
  constructor(encoding: string, accepted: string) {
    super(
      "unsupported_content_encoding",
      `content-encoding ${encoding} cannot be unpacked here; send ${accepted} or no content-encoding`,
      [{ path: "content-encoding", message: `must be one of ${accepted}` }],
    );
    this.accepted = accepted;
  }
}
/** The edge cannot take it now; nothing was stored, and the same request may succeed later. */
export class OverloadedError extends FlowError {
  readonly status = 503;
  override readonly retryable = true;
  constructor(message: string) {
    super("overloaded", message);
  }
}
