/**
 * The ancestor's client of a flow backend: its options, its calls, its views and the words of its error, over this
 * project's transport. For products that move here; imports nothing of Node. It never tries again by itself.
 */
import { EdgeAnswerError, withoutPathToken } from "./edge-errors.ts";
import type { ErrorDetail } from "../contract/errors.ts";
import type { FlowClient } from "./flow-types.ts";
import { createTransport, holdMs, joinSegments, type Transport, type TransportRequest } from "./transport.ts";
import {
  normalizeCancelResult,
  normalizeDispatchResult,
  normalizeEvent,
  normalizeEventList,
  normalizeRun,
  normalizeRunList,
} from "./view-model.ts";

/** A backend seen through its own interface is a client like any other. */
export type FlowBackendClient = FlowClient;

export type FlowBackendFetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

export type FlowBackendHttpHeaders = Headers | Record<string, string> | Array<[string, string]>;

/** An empty text is the same as none, as environment variables have it. */
export interface FlowBackendHttpClientOptions {
  /** http or https; a path prefix is kept. */
  baseUrl: string;
  fetch?: FlowBackendFetch | undefined;
  /** Sent with every request, or made anew for each; the credentials below come after them. */
  headers?:
    FlowBackendHttpHeaders | (() => FlowBackendHttpHeaders | Promise<FlowBackendHttpHeaders>) | undefined;
  /** Sent as `authorization: Bearer …`. */
  bearerToken?: string | undefined;
  /** Sent as `x-api-key`. */
  apiKey?: string | undefined;
  /** Signs every request that has a body, as `x-flow-signature-256`. */
  hmacSecret?: string | undefined;
}

/**
 * The backend answered, and the answer is no success. The message begins with the words of the predecessor's client and ends
 * with the reason: "Flow backend POST /events failed with 422: /id is required".
 */
export class FlowBackendError extends Error {
  override readonly name = "FlowBackendError";
  /** HTTP status. */
  readonly status: number;
  /** The edge's code ("event_not_found"); "http_<status>" when the answer is not an edge's. */
  readonly code: string;
  /** What the backend said. */
  readonly reason: string;
  readonly details: ErrorDetail[];
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;

  constructor(method: string, path: string, answer: EdgeAnswerError) {
    super(`Flow backend ${method} ${path} failed with ${answer.status}: ${reasonOf(answer)}`, {
      cause: answer,
    });
    this.status = answer.status;
    this.code = answer.code;
    this.reason = answer.message;
    this.details = answer.details;
    this.retryable = answer.retryable;
  }
}

/** The edge's message with what it found wrong, in one line. */
function reasonOf({ message, details }: EdgeAnswerError): string {
  const found = details.map((detail) => `${detail.path} ${detail.message}`.trim());
  return [message, ...found].join("; ");
}

/**
 * A client for one backend. Throws EdgeUrlError at once for a url that cannot be used. A call throws FlowBackendError
 * for an answer that is no success, EdgeAnswerError for a success without JSON, EdgeUnreachableError or
 * EdgeTimeoutError when there is no answer.
 */
export function createFlowBackendHttpClient(options: FlowBackendHttpClientOptions): FlowBackendClient {
  const { baseUrl, fetch, headers, bearerToken = "", apiKey = "", hmacSecret = "" } = options;
  const transport = createTransport({
    url: baseUrl,
    fetch,
    eventSecret: hmacSecret === "" ? undefined : hmacSecret,
    headers: async () => {
      const given = new Headers(typeof headers === "function" ? await headers() : headers);
      if (bearerToken !== "") given.set("authorization", `Bearer ${bearerToken}`);
      if (apiKey !== "") given.set("x-api-key", apiKey);
      return Object.fromEntries(given);
    },
  });
  const ask = (request: TransportRequest): Promise<unknown> => exchange(transport, request);

  return {
    async listRuns(filter = {}) {
      return normalizeRunList(await ask({ method: "GET", path: ["runs"], query: { ...filter } }));
    },
    async getRun(runId) {
      return normalizeRun(await ask({ method: "GET", path: ["runs", runId] }));
    },
    async listEvents(filter = {}) {
      return normalizeEventList(await ask({ method: "GET", path: ["events"], query: { ...filter } }));
    },
    async getEvent(eventId) {
      return normalizeEvent(await ask({ method: "GET", path: ["events", eventId] }));
    },
    async dispatchEvent(event, { wait } = {}) {
      const query = { wait: wait === undefined ? undefined : String(wait) };
      return normalizeDispatchResult(
        await ask({ method: "POST", path: ["events"], query, body: event, holdMs: holdMs(wait) }),
      );
    },
    async replayEvent(eventId, { wait } = {}) {
      const path = ["events", eventId, "replay"];
      return normalizeDispatchResult(
        await ask({ method: "POST", path, body: { wait }, holdMs: holdMs(wait) }),
      );
    },
    async cancelRun(runId) {
      return normalizeCancelResult(await ask({ method: "POST", path: ["runs", runId, "cancel"], body: {} }));
    },
  };
}

/** The ancestor signs whatever has a body, and names the whole path when it fails. */
async function exchange(transport: Transport, request: TransportRequest): Promise<unknown> {
  try {
    return await transport.request({ ...request, signed: request.body !== undefined });
  } catch (error) {
    if (!(error instanceof EdgeAnswerError) || isSuccess(error.status)) throw error;
    const { pathname } = new URL(`${transport.url}${joinSegments(request.path)}`);
    throw new FlowBackendError(request.method, withoutPathToken(pathname), error);
  }
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}
