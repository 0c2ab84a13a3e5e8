/**
 * One HTTP exchange with an edge: builds the url below the base's path prefix, signs, bounds the time, and turns
 * whatever goes wrong into a named error. Knows no route. Only `fetch`, `URL` and WebCrypto: it runs in Node,
 * Bun, browsers and Workers.
 *
 * It never tries again by itself: whoever calls knows whether a call may be repeated.
 */
import type { ErrorBody } from "../contract/errors.ts";
import { WAIT_MAX_SECONDS } from "../contract/limits.ts";
import { EdgeAnswerError, EdgeTimeoutError, EdgeUnreachableError, EdgeUrlError } from "./edge-errors.ts";
import { SIGNATURE_HEADER, signBody } from "./signature.ts";

/** From the request to the last byte of the answer. */
export const REQUEST_TIMEOUT_MS = 30_000;
const SECOND_MS = 1000;
/** How much of an answer that is not the edge's stands in the error. */
const EXCERPT_MAX_CHARS = 200;

/** Headers, or what makes them for each request (a token that expires; nothing where a signature stands in). */
export type HeaderSource =
  | Record<string, string>
  | ((about: { signed: boolean }) => Record<string, string> | Promise<Record<string, string>>);

export interface TransportOptions {
  /** http or https; a path prefix is kept. */
  url: string;
  headers?: HeaderSource;
  /** Signs the bodies of requests that ask for it. */
  eventSecret?: string | undefined;
  fetch?: typeof globalThis.fetch | undefined;
  /** Milliseconds for a whole exchange; REQUEST_TIMEOUT_MS when absent. */
  timeoutMs?: number | undefined;
}

export interface TransportRequest {
  method: "GET" | "POST";
  /** Segments, not yet encoded. */
  path: readonly string[];
  /** Undefined values are left out. */
  query?: Record<string, string | number | boolean | undefined>;
  /** Sent as JSON. */
  body?: unknown;
  /** Sign the body, if the transport has a secret. */
  signed?: boolean;
  /** Time that the edge may hold the answer back, on top of the timeout. Milliseconds. */
  holdMs?: number;
}

export interface Transport {
  /** The base url, without a slash at its end. */
  readonly url: string;
  /** The JSON of a 2xx answer. Throws EdgeAnswerError, EdgeUnreachableError, EdgeTimeoutError or EdgeUrlError. */
  request(request: TransportRequest): Promise<unknown>;
}

export function createTransport(options: TransportOptions): Transport {
  const base = parseBaseUrl(options.url);
  const send = options.fetch ?? ((input, init) => fetch(input, init));
  const timeoutMs = options.timeoutMs ?? REQUEST_TIMEOUT_MS;

  async function request(given: TransportRequest): Promise<unknown> {
    const path = joinSegments(given.path);
    const call = `${given.method} ${path}`;
    const body = given.body === undefined ? undefined : JSON.stringify(given.body);
    const secret = given.signed === true ? options.eventSecret : undefined;
    const { headers: source = {} } = options;
    const headers: Record<string, string> = {
      accept: "application/json",
      ...(typeof source === "function" ? await source({ signed: secret !== undefined }) : source),
    };
    if (body !== undefined) headers["content-type"] = "application/json";
    if (body !== undefined && secret !== undefined) headers[SIGNATURE_HEADER] = await signBody(secret, body);

    const allowedMs = timeoutMs + (given.holdMs ?? 0);
    const signal = AbortSignal.timeout(allowedMs);
    let status: number;
    let text: string;
    try {
      const response = await send(`${base}${path}${queryText(given.query)}`, {
        method: given.method,
        headers,
        signal,
        ...(body === undefined ? {} : { body }),
      });
      status = response.status;
      text = await response.text();
    } catch (error) {
      if (signal.aborted) throw new EdgeTimeoutError(base, call, allowedMs, error);
      throw new EdgeUnreachableError(base, connectionReason(error), error);
    }
    return readAnswer(base, call, status, text);
  }

  return { url: base, request };
}

/** The base url in its normal form, without a slash at its end. Throws EdgeUrlError. */
export function parseBaseUrl(text: string): string {
  if (!URL.canParse(text))
    throw new EdgeUrlError(`"${text}" is no url; write it whole, as in https://flows.example.workers.dev`);
  const url = new URL(text);
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new EdgeUrlError(`the url of an edge begins with http:// or https://, not ${url.protocol}//`);
  if (url.username !== "" || url.password !== "")
    throw new EdgeUrlError("the url of an edge holds no user or password; give the token by itself");
  if (url.search !== "" || url.hash !== "")
    throw new EdgeUrlError("the url of an edge ends with its path; leave out ? and # and what follows");
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

/**
 * A path from segments that may hold anything. "." and ".." (also percent-encoded) would lead to another route
 * when the url is parsed, and so would an empty one: they are refused.
 */
export function joinSegments(segments: readonly string[]): string {
  return segments
    .map((segment) => {
      if (segment === "" || segment === "." || segment === "..")
        throw new EdgeUrlError(`"${segment}" cannot stand in the path of a url, so it can be no id here`);
      return `/${encodeURIComponent(segment.toWellFormed())}`;
    })
    .join("");
}

/** "?a=1&b=2", or an empty text. */
export function queryText(query: TransportRequest["query"] = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value));
  const text = search.toString();
  return text === "" ? "" : `?${text}`;
}

/** How long the edge may hold an answer back because it was asked to wait (seconds, or true). Milliseconds. */
export function holdMs(wait: number | boolean | undefined): number {
  if (wait === undefined || wait === false) return 0;
  return (wait === true ? WAIT_MAX_SECONDS : Math.min(wait, WAIT_MAX_SECONDS)) * SECOND_MS;
}

/** The JSON of a success; an EdgeAnswerError for everything else. */
function readAnswer(base: string, call: string, status: number, text: string): unknown {
  const json = parseJson(text);
  const success = status >= 200 && status < 300;
  if (success && json !== undefined) return json.value;
  if (success)
    throw new EdgeAnswerError({
      call,
      status,
      code: "not_an_edge",
      message: `${call} at ${base} answered ${status} without JSON; is this the url of a codex-flow edge?`,
    });
  throw errorFromAnswer(call, status, text);
}

/** What a refusal says: the edge's own error body, or an excerpt of what somebody in between has sent. */
export function errorFromAnswer(call: string, status: number, text: string): EdgeAnswerError {
  const body = parseJson(text)?.value;
  if (isErrorBody(body)) return new EdgeAnswerError({ call, status, ...body.error });
  const excerpt = text.replace(/\s+/g, " ").trim().slice(0, EXCERPT_MAX_CHARS);
  return new EdgeAnswerError({
    call,
    status,
    code: `http_${status}`,
    message: `${call} answered ${status}${excerpt === "" ? "" : `: ${excerpt}`}`,
  });
}

function parseJson(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}

function isErrorBody(body: unknown): body is ErrorBody {
  if (body === null || typeof body !== "object" || !("error" in body)) return false;
  const { error } = body;
  return (
    error !== null &&
    typeof error === "object" &&
    "code" in error &&
    typeof error.code === "string" &&
    "message" in error &&
    typeof error.message === "string" &&
    "details" in error &&
    Array.isArray(error.details)
  );
}

/** The innermost thing that was said: `fetch` wraps what the socket knows in "fetch failed". */
export function connectionReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof AggregateError && error.errors.length > 0) return connectionReason(error.errors[0]);
  if (error.cause instanceof Error) return connectionReason(error.cause);
  return error.message === "" ? error.name : error.message;
}
