/**
 * How a call to the edge can fail, as named classes: the edge answered with an error, it could not be reached, it
 * did not answer in time, or the request could not be built. Nothing here holds a token or a secret.
 */
import type { ErrorDetail } from "../contract/errors.ts";

/** What the edge said when it refused or failed; `message` is the edge's own. */
export interface EdgeAnswerFacts {
  /** Method and path of the call, without the url: "GET /runs/run_…". */
  call: string;
  /** HTTP status. */
  status: number;
  /** The edge's code ("not_found"); "http_<status>" or "not_an_edge" when the answer is not the edge's. */
  code: string;
  message: string;
  details?: ErrorDetail[];
  /** For whoever reads the edge's logs. */
  requestId?: string | undefined;
}

const TOO_MANY_REQUESTS = 429;
const SERVER_ERRORS_FROM = 500;

/** The edge answered, and the answer is no success. */
export class EdgeAnswerError extends Error {
  override readonly name = "EdgeAnswerError";
  readonly call: string;
  readonly status: number;
  readonly code: string;
  readonly details: ErrorDetail[];
  readonly requestId: string | undefined;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;

  constructor(facts: EdgeAnswerFacts) {
    super(facts.message);
    this.call = facts.call;
    this.status = facts.status;
    this.code = facts.code;
    this.details = facts.details ?? [];
    this.requestId = facts.requestId;
    this.retryable = facts.status === TOO_MANY_REQUESTS || facts.status >= SERVER_ERRORS_FROM;
  }
}

/** An address without a token that stands in its path, `/t/<token>/…`: messages are logged and shown. */
export function withoutPathToken(url: string): string {
  return url.replace(/\/t\/[^/?#]+/, "/t/…");
}

/** No answer: refused, reset, no such host, a bad certificate. The request may or may not have arrived. */
export class EdgeUnreachableError extends Error {
  override readonly name: string = "EdgeUnreachableError";
  readonly retryable = true;
  /** For programs: "edge_unreachable", or "edge_timeout" of EdgeTimeoutError. */
  readonly code: string = "edge_unreachable";
  /** The url that the client was made with, without a token in its path. */
  readonly url: string;
  /** In a few words: "ECONNREFUSED 127.0.0.1:8787". */
  readonly reason: string;

  constructor(address: string, reason: string, cause?: unknown) {
    const url = withoutPathToken(address);
    super(
      `cannot reach the edge at ${url}: ${reason}; check the url, and that the edge is up and can be reached from here`,
      { cause },
    );
    this.url = url;
    this.reason = reason;
  }
}

/**
 * The connection was made, and the answer did not come in time. The edge may have carried out the request all the same: an
 * event may be stored. Sending it again with the same id is safe, since an id starts nothing twice.
 */
export class EdgeTimeoutError extends EdgeUnreachableError {
  override readonly name = "EdgeTimeoutError";
  override readonly code = "edge_timeout";
  /** Method and path of the call, without the url: "POST /events". */
  readonly call: string;
  /** What the caller must know and do, as a sentence. */
  readonly advice: string;

  constructor(url: string, call: string, timeoutMs: number, cause?: unknown) {
    super(url, `no answer to ${call} within ${timeoutMs} ms`, cause);
    this.call = call;
    this.advice = adviceAfterTimeout(call);
    this.message = `${this.reason} from the edge at ${this.url}; ${this.advice}`;
  }
}

function adviceAfterTimeout(call: string): string {
  if (/^POST \/(flow-)?events(\?|$)/.test(call))
    return "the event may have been stored; sending it again with the same id is safe, since an id starts nothing twice";
  if (call.startsWith("GET ")) return "nothing was changed; try again, and check that the edge is up";
  return "the edge may have carried it out; look at what is stored before you send it again";
}

/** The url, or an id that must stand in it, cannot be used. Nothing was sent. */
export class EdgeUrlError extends Error {
  override readonly name = "EdgeUrlError";
  /** For programs. */
  readonly code = "bad_url";
}
