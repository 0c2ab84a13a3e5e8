/**
 * JSON-RPC with an app-server over any transport: which answer belongs to which request, who is told what.
 *
 * C1. Every promise given out settles: by the answer, by its time limit, or by the end of the connection.
 * C2. Every request of the server is answered once, unless the server has withdrawn it: one that nobody handles by
 *     an error, since Codex waits for ever.
 * C3. Nothing queues without bound: neither requests without an answer, nor requests of the server, nor what the peer
 *     does not read. Notifications are handed on as they are read; who cannot keep up pauses the transport.
 * C4. What is no message of the protocol ends the connection: it may have been an answer.
 */
import { setTimeout as sleep } from "node:timers/promises";
import {
  AppServerGarbledError,
  AppServerOverloadedError,
  type CodexError,
  RequestFailedError,
  RequestTimeoutError,
} from "./errors.ts";
import type {
  ClientMethod,
  ClientMethods,
  ServerMethod,
  ServerMethods,
  ServerNotification,
} from "./protocol.ts";
import type { Transport } from "./transport.ts";

/** Most requests are answered in milliseconds; resuming a long thread or starting MCP servers takes longer. */
const REQUEST_TIMEOUT_MS = 60_000;
const PENDING_MAX_REQUESTS = 1_024;
/** Codex answers a burst of more than about a hundred with -32001, and some of it never: it drops what it cannot queue. */
const IN_FLIGHT_MAX_REQUESTS = 64;
const SERVER_REQUESTS_MAX = 256;
const BUFFERED_MAX_BYTES = 64 * 1024 * 1024;

/** "Server overloaded; retry later." Nothing was done. */
const OVERLOADED = -32001;
const METHOD_NOT_FOUND = -32601;
const INTERNAL_ERROR = -32603;
const OVERLOAD_TRIES = 6;
const OVERLOAD_PAUSE_FIRST_MS = 100;
/** How much of a garbled message is quoted. */
const QUOTE_CHARS = 200;

interface RpcError {
  code: number;
  message: string;
  data?: unknown;
}

type Answer = { result: unknown } | { error: RpcError };
type RequestId = string | number;

interface Pending {
  settle: PromiseWithResolvers<Answer>;
  timer: NodeJS.Timeout;
  sent: boolean;
}

export interface RequestOptions {
  /** In all, tries included. */
  timeoutMs?: number;
}

export type NotificationListener = (notification: ServerNotification) => void;
/** `withdrawn` is aborted when the answer does not count any more: another client gave it, the turn or server ended. */
export type ServerRequestHandler<Method extends ServerMethod> = (
  params: ServerMethods[Method]["params"],
  withdrawn: AbortSignal,
) => Promise<ServerMethods[Method]["result"]>;
type AnyHandler = (params: never, withdrawn: AbortSignal) => Promise<unknown>;

export class Connection {
  readonly #transport: Transport;
  readonly #pending = new Map<number, Pending>();
  /** Requests that wait for others to be answered, in their order. */
  #unsent: Array<{ id: number; method: string; params: unknown }> = [];
  #inFlight = 0;
  readonly #serverRequests = new Map<RequestId, AbortController>();
  readonly #handlers = new Map<string, AnyHandler>();
  /** By thread id; undefined for those who hear everything. */
  readonly #listeners = new Map<string | undefined, Set<NotificationListener>>();
  readonly #closing = new AbortController();
  #error: CodexError | undefined;
  #lastId = 0;

  constructor(transport: Transport) {
    this.#transport = transport;
    transport.listen({
      message: (text) => {
        this.#received(text);
      },
      closed: (error) => {
        this.#close(error);
      },
    });
  }

  /** Why it is over; undefined while it is not. */
  get error(): CodexError | undefined {
    return this.#error;
  }

  /** An overloaded server is asked again, with jittered backoff, until the time is over. @throws CodexError */
  async request<Method extends ClientMethod>(
    method: Method,
    params: ClientMethods[Method]["params"],
    { timeoutMs = REQUEST_TIMEOUT_MS }: RequestOptions = {},
  ): Promise<ClientMethods[Method]["result"]> {
    const due = performance.now() + timeoutMs;
    for (let tries = 1; ; tries += 1) {
      const answer = await this.#ask(method, params, due);
      if ("result" in answer) return answer.result;
      if (answer.error.code !== OVERLOADED) throw new RequestFailedError(method, answer.error);
      if (tries === OVERLOAD_TRIES)
        throw new AppServerOverloadedError(`Codex was too busy for ${method}, ${tries} times`);
      const pause = Math.min(overloadPauseMs(tries, Math.random()), due - performance.now());
      // Cut short by the end of the connection, which the next try reports.
      await sleep(Math.max(0, pause), undefined, { signal: this.#closing.signal }).catch(() => undefined);
    }
  }

  notify(method: "initialized"): void {
    this.#send({ method });
  }

  /** With a thread id: only what is about that thread. Returns the way to stop listening. */
  onNotification(listener: NotificationListener, threadId?: string): () => void {
    const listeners = this.#listeners.get(threadId) ?? new Set();
    this.#listeners.set(threadId, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(threadId) === listeners)
        this.#listeners.delete(threadId);
    };
  }

  /** One handler a method; what it throws is the answer's error. */
  onServerRequest<Method extends ServerMethod>(method: Method, handler: ServerRequestHandler<Method>): void {
    this.#handlers.set(method, handler);
  }

  async #ask(method: string, params: unknown, due: number): Promise<Answer> {
    if (this.#error !== undefined) throw this.#error;
    if (this.#pending.size >= PENDING_MAX_REQUESTS)
      throw new AppServerOverloadedError(`${PENDING_MAX_REQUESTS} requests to Codex wait for an answer`);
    if (this.#transport.bufferedBytes > BUFFERED_MAX_BYTES)
      throw new AppServerOverloadedError(`Codex does not read: ${BUFFERED_MAX_BYTES} bytes wait for it`);
    const id = (this.#lastId += 1);
    const settle = Promise.withResolvers<Answer>();
    const late = (): void => {
      this.#taken(id)?.settle.reject(new RequestTimeoutError(`Codex did not answer ${method} in time`));
      this.#sendNext();
    };
    const timer = setTimeout(late, Math.max(0, due - performance.now()));
    this.#pending.set(id, { settle, timer, sent: false });
    this.#unsent.push({ id, method, params });
    this.#sendNext();
    return await settle.promise;
  }

  #sendNext(): void {
    while (this.#inFlight < IN_FLIGHT_MAX_REQUESTS) {
      const next = this.#unsent.shift();
      if (next === undefined) return;
      const pending = this.#pending.get(next.id);
      // It waited for longer than it may.
      if (pending === undefined) continue;
      pending.sent = true;
      this.#inFlight += 1;
      this.#send(next);
    }
  }

  /** Takes a request out of those that wait for an answer. */
  #taken(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    if (pending === undefined) return undefined;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    if (pending.sent) this.#inFlight -= 1;
    return pending;
  }

  #send(message: object): void {
    this.#transport.send(JSON.stringify(message));
  }

  #received(text: string): void {
    if (this.#error !== undefined) return;
    const message = parse(text);
    const id =
      typeof message?.["id"] === "number" || typeof message?.["id"] === "string" ? message["id"] : undefined;
    if (typeof message?.["method"] === "string") {
      if (id === undefined) this.#told(message as unknown as ServerNotification);
      else void this.#asked(id, message["method"], message["params"]);
    } else if (message !== undefined && id !== undefined && isAnswer(message)) this.#answered(id, message);
    else {
      this.#close(new AppServerGarbledError(`Codex sent what is no message: ${text.slice(0, QUOTE_CHARS)}`));
      void this.#transport.stop();
    }
  }

  #answered(id: RequestId, answer: Answer): void {
    if (typeof id !== "number") return;
    // None is there when it came too late.
    this.#taken(id)?.settle.resolve(answer);
    this.#sendNext();
  }

  #told(notification: ServerNotification): void {
    if (notification.method === "serverRequest/resolved")
      this.#serverRequests.get(notification.params.requestId)?.abort();
    const about = threadOf(notification.params);
    for (const thread of about === undefined ? [undefined] : [undefined, about])
      for (const listener of [...(this.#listeners.get(thread) ?? [])]) listener(notification);
  }

  async #asked(id: RequestId, method: string, params: unknown): Promise<void> {
    const handler = this.#handlers.get(method);
    if (handler === undefined || this.#serverRequests.size >= SERVER_REQUESTS_MAX) {
      const message = handler === undefined ? `this client does not answer ${method}` : "too many requests";
      this.#send({ id, error: { code: handler === undefined ? METHOD_NOT_FOUND : OVERLOADED, message } });
      return;
    }
    const withdrawn = new AbortController();
    this.#serverRequests.set(id, withdrawn);
    const answer = await answerOf(handler, params, withdrawn.signal);
    this.#serverRequests.delete(id);
    if (!withdrawn.signal.aborted) this.#send({ id, ...answer });
  }

  #close(error: CodexError): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#closing.abort();
    this.#unsent = [];
    for (const id of [...this.#pending.keys()]) this.#taken(id)?.settle.reject(error);
    for (const withdrawn of this.#serverRequests.values()) withdrawn.abort();
  }
}

/** Doubles with each try, from half of it to all of it. `random` is in [0, 1). */
export function overloadPauseMs(tries: number, random: number): number {
  return OVERLOAD_PAUSE_FIRST_MS * 2 ** (tries - 1) * (0.5 + random / 2);
}

async function answerOf(handler: AnyHandler, params: unknown, withdrawn: AbortSignal): Promise<Answer> {
  try {
    return { result: await handler(params as never, withdrawn) };
  } catch (error) {
    return {
      error: { code: INTERNAL_ERROR, message: error instanceof Error ? error.message : String(error) },
    };
  }
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function isAnswer(message: object): message is Answer {
  if (!("error" in message)) return "result" in message;
  const { error } = message;
  return typeof error === "object" && error !== null && "code" in error && typeof error.code === "number";
}

function threadOf(params: object): string | undefined {
  if ("threadId" in params && typeof params.threadId === "string") return params.threadId;
  const thread = "thread" in params ? params.thread : undefined;
  return typeof thread === "object" && thread !== null && "id" in thread && typeof thread.id === "string"
    ? thread.id
    : undefined;
}
