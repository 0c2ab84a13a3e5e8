/**
 * The REST side over HTTP. What happens to a request, in this order: it is recorded, suffers what a test ordered,
 * meets Cloudflare's ban, the User-Agent rule, the token, the rate limits, the schema, and then its route.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text as readAll } from "node:stream/consumers";
import { strictJson } from "../chat-fakes/strict-json.ts";
import { DiscordError, refusal } from "./errors.ts";
import { FaultOrders, type FaultOrder } from "./faults.ts";
import { withIntegerPermissions } from "./command-rules.ts";
import { RuleError } from "./posting.ts";
import { RateLimits, type RateReply } from "./rate-limits.ts";
import { matcher, type Matched, type Reply, type RequestRecord, type Route } from "./requests.ts";
import { bodyError } from "./schema.ts";
import type { World } from "./world.ts";

const BASE = "/api/v10";
const USER_AGENT = /^DiscordBot \(\S+, \S+\)/;
const EDIT = "PATCH /channels/{channel_id}/messages/{message_id}";
/** Codes for a body that no state of things would make right. */
const WRONG_FORM = new Set([40005, 50035, 50109]);
const BODY_BYTES = 25 * 1024 * 1024;

interface Answer extends Reply {
  headers?: Record<string, string>;
  /** Instead of a JSON body. */
  html?: string;
}

export class Rest {
  readonly requests: RequestRecord[] = [];
  readonly orders = new FaultOrders();
  readonly limits: RateLimits;
  readonly #world: World;
  readonly #match: (method: string, path: string) => Matched | "wrong method" | undefined;
  readonly #changed: () => void;
  readonly #server: Server;
  /** Connections that were left without an answer. */
  readonly #hanging = new Set<ServerResponse>();

  /** `changed` is called after every request that was dealt with. */
  constructor(world: World, routes: Route[], changed: () => void) {
    this.#world = world;
    this.#match = matcher(routes);
    this.#changed = changed;
    this.limits = new RateLimits(world.options.limits);
    this.#server = createServer((request, response) => {
      void this.#serve(request, response).finally(changed);
    });
  }

  async listen(port: number): Promise<void> {
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Resets the connections that hang; whoever waits on them learns of it. */
  dropHanging(): void {
    for (const response of this.#hanging) response.socket?.resetAndDestroy();
    this.#hanging.clear();
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const raw = await readAll(incoming).catch(() => undefined);
    if (raw === undefined) return;
    const { request, matched } = this.#record(incoming, raw);
    const order = this.orders.take(request.route, request);
    if (order?.with === "reset") {
      response.socket?.resetAndDestroy();
      return;
    }
    if (order?.with === "hang") {
      this.#hanging.add(response);
      this.#changed();
      return;
    }
    const answer = ordered(order) ?? (await this.#answer(request, matched, raw));
    if (order?.with === "done_then_reset") response.socket?.resetAndDestroy();
    else if (order?.with === "done_then_hang") this.#hanging.add(response);
    else {
      request.status = answer.status;
      this.limits.count(answer.status, answer.headers?.["x-ratelimit-scope"], this.#world.nowMs());
      send(response, answer);
    }
  }

  #record(incoming: IncomingMessage, raw: string): { request: RequestRecord; matched: Matched | Error } {
    const url = new URL(incoming.url ?? "/", "http://discord");
    const method = incoming.method ?? "";
    const path = url.pathname.startsWith(`${BASE}/`) ? url.pathname.slice(BASE.length) : undefined;
    const found = path === undefined ? undefined : this.#match(method, path);
    const matched = found === "wrong method" ? refusal("wrongMethod") : (found ?? refusal("noRoute"));
    const request: RequestRecord = {
      method,
      path: path ?? url.pathname,
      query: url.searchParams,
      headers: incoming.headers,
      body: parsed(raw),
      atMs: this.#world.nowMs(),
      route: matched instanceof Error ? undefined : matched.route.on,
      status: undefined,
    };
    this.requests.push(request);
    return { request, matched };
  }

  async #answer(request: RequestRecord, matched: Matched | Error, raw: string): Promise<Answer> {
    const now = this.#world.nowMs();
    if (this.limits.banned(now)) return blocked();
    let limited: RateReply | undefined;
    const report = (rule: string, message: string, tolerated: boolean): void => {
      this.#world.report({
        rule,
        message,
        where: `${request.method} ${request.path}`,
        tolerated,
        body: request.body,
      });
    };
    try {
      this.#checkSender(request, report);
      if (matched instanceof Error) throw matched;
      this.#checkToken(request, matched);
      limited = this.#limit(matched, (message) => report("asked_too_early", message, false));
      if (limited.body !== undefined) return { status: 429, ...limited };
      const body = this.#checkBody(request, matched, raw);
      const { world, params, query } = { world: this.#world, params: matched.params, query: request.query };
      const call = { world, params, query, body, request };
      const reply = await matched.route.handle({
        ...call,
        report: (rule, message) => report(rule, message, true),
      });
      return { ...reply, headers: limited.headers };
    } catch (error) {
      if (!(error instanceof DiscordError)) throw error;
      // What is gone, archived or forbidden meets a right sender too: only a wrong form is a fault of protocol.
      if (error instanceof RuleError) report(error.rule, describe(error), false);
      else if (WRONG_FORM.has(error.code) || error.status === 405) report("schema", describe(error), false);
      return { status: error.status, body: error.toBody(), headers: limited?.headers ?? {} };
    }
  }

  #checkSender(
    { headers }: RequestRecord,
    report: (rule: string, message: string, tolerated: boolean) => void,
  ): void {
    if (USER_AGENT.test(headers["user-agent"] ?? "")) return;
    report("user_agent", `"${headers["user-agent"] ?? ""}" is not DiscordBot (url, version)`, false);
    throw refusal("wrongUserAgent");
  }

  #checkToken({ headers }: RequestRecord, { route }: Matched): void {
    if (route.auth === "token" && headers.authorization === undefined) return;
    const right = headers.authorization === `Bot ${this.#world.options.botToken}`;
    if (!right || this.#world.tokenRevoked) throw refusal("unauthorized");
  }

  #limit({ route, params }: Matched, early: (message: string) => void): RateReply {
    const interaction = params["webhook_id"] === this.#world.app.id || params["interaction_id"] !== undefined;
    const webhook =
      params["webhook_id"] === undefined
        ? undefined
        : `${params["webhook_id"]}/${params["webhook_token"] ?? ""}`;
    const major = webhook ?? params["channel_id"] ?? params["guild_id"] ?? params["interaction_id"] ?? "";
    const now = this.#world.nowMs();
    const taken = this.limits.take(route.on, major, interaction, now, early);
    const message = this.#world.messages.get(params["message_id"] ?? "");
    if (taken.body !== undefined || route.on !== EDIT || message === undefined) return taken;
    const old = this.limits.takeEdit(route.on, message.channelId, now - message.createdAtMs, now);
    return old === undefined ? taken : { body: old.body, headers: { ...taken.headers, ...old.headers } };
  }

  #checkBody(request: RequestRecord, { template, route }: Matched, raw: string): unknown {
    if (raw === "") {
      if (["POST", "PATCH"].includes(request.method)) this.#refuseMissing(request, template);
      return undefined;
    }
    if (Buffer.byteLength(raw) > BODY_BYTES) throw new DiscordError(413, 40005, "Request entity too large");
    if (request.headers["content-type"]?.startsWith("application/json") !== true)
      throw new DiscordError(400, 50035, `expected "Content-Type" header to be one of {'application/json'}.`);
    if (request.body === undefined) throw refusal("invalidJson");
    const body = route.on.includes("/commands") ? withIntegerPermissions(request.body) : request.body;
    const error = bodyError(request.method, template, body);
    if (error !== undefined) throw error;
    return request.body;
  }

  #refuseMissing(request: RequestRecord, template: string): void {
    const error = bodyError(request.method, template, undefined);
    if (error !== undefined) throw error;
  }
}

function ordered(order: FaultOrder | undefined): Answer | undefined {
  if (order === undefined) return undefined;
  const { with: fault, retryAfter = 1 } = order;
  if (typeof fault === "number") return { status: fault, body: { message: "upstream error", code: 0 } };
  if (typeof fault === "object")
    return { status: fault.status, body: { message: fault.message, code: fault.code } };
  if (fault === "blocked") return blocked();
  if (fault !== "limited") return undefined;
  return {
    status: 429,
    body: { message: "The resource is being rate limited.", retry_after: retryAfter, global: false },
    headers: { "retry-after": String(Math.ceil(retryAfter)), "x-ratelimit-scope": "shared" },
  };
}

function blocked(): Answer {
  return { status: 429, html: "<!doctype html><title>Access denied</title><p>error code: 1015</p>" };
}

function send(response: ServerResponse, { status, body, headers, html }: Answer): void {
  const type = html === undefined ? "application/json" : "text/html";
  response.writeHead(status, { ...headers, ...(status === 204 ? {} : { "content-type": type }) });
  response.end(html ?? (body === undefined ? undefined : JSON.stringify(body)));
}

function parsed(raw: string): unknown {
  try {
    return strictJson(raw);
  } catch {
    return undefined;
  }
}

function describe({ message, errors }: DiscordError): string {
  return errors === undefined ? message : `${message} ${JSON.stringify(errors)}`;
}
