/** The Bot API over HTTP: a request is recorded, suffers what a test ordered, and meets token, schema and method. */
import { once } from "node:events";
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { text as readAll } from "node:stream/consumers";
import { strictJson } from "../chat-fakes/strict-json.ts";
import { RuleError, TelegramError, type ResponseParameters } from "./errors.ts";
import { METHODS } from "./methods.ts";
import { RateLimits } from "./rate-limits.ts";
import { isMethod, parametersError } from "./schema.ts";
import type { Webhook } from "./webhook.ts";
import type { World } from "./world.ts";

export interface RequestRecord {
  /** As `sendMessage`. */
  method: string;
  parameters: Record<string, unknown>;
  headers: IncomingHttpHeaders;
  /** By the fake's clock. */
  atMs: number;
  /** Undefined until answered, and for good when it never is. */
  status: number | undefined;
}

/**
 * - a number: that status with Telegram's form; `reset`: the connection goes before anything is done; `hang`: it stays;
 * - `done_then_reset`, `done_then_hang`: the same, after everything was done: the client cannot know it;
 * - an object: an error of Telegram's.
 */
export type Misbehaviour =
  | number
  | "reset"
  | "hang"
  | "done_then_reset"
  | "done_then_hang"
  | { code: number; description: string; parameters?: ResponseParameters };

export interface FaultOrder {
  /** As `sendMessage`; absent: any. */
  method?: string;
  when?: (request: RequestRecord) => boolean;
  /** How many requests; 1 when absent. */
  times?: number;
  with: Misbehaviour;
}

const PATH = /^\/bot([^/]+)\/(\w+)$/;

export class BotApi {
  readonly requests: RequestRecord[] = [];
  readonly limits: RateLimits;
  readonly #world: World;
  readonly #webhook: Webhook;
  readonly #server: Server;
  readonly #hanging = new Set<ServerResponse>();
  #orders: Array<FaultOrder & { left: number }> = [];
  readonly #changed: () => void;

  /** `changed` is called after every request that was dealt with. */
  constructor(world: World, webhook: Webhook, changed: () => void) {
    this.#world = world;
    this.#webhook = webhook;
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

  misbehave(order: FaultOrder): void {
    this.#orders.push({ ...order, left: order.times ?? 1 });
  }

  behave(): void {
    this.#orders = [];
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
    const [, token = "", method = ""] = PATH.exec(incoming.url ?? "") ?? [];
    const parameters = parsed(raw);
    const request: RequestRecord = {
      method,
      parameters: parameters ?? {},
      headers: incoming.headers,
      atMs: this.#world.nowMs(),
      status: undefined,
    };
    this.requests.push(request);
    const order = this.#ordered(request);
    if (order === "reset") {
      response.socket?.resetAndDestroy();
      return;
    }
    if (order === "hang") {
      this.#hanging.add(response);
      this.#changed();
      return;
    }
    const { status, body } = this.#answer(request, token, parameters, order);
    if (order === "done_then_reset") response.socket?.resetAndDestroy();
    else if (order === "done_then_hang") this.#hanging.add(response);
    else {
      request.status = status;
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    }
  }

  #ordered(request: RequestRecord): Misbehaviour | undefined {
    const order = this.#orders.find(
      (one) =>
        one.left > 0 &&
        (one.method === undefined || one.method === request.method) &&
        (one.when === undefined || one.when(request)),
    );
    if (order === undefined) return undefined;
    order.left -= 1;
    return order.with;
  }

  #answer(
    request: RequestRecord,
    token: string,
    parameters: Record<string, unknown> | undefined,
    order: Misbehaviour | undefined,
  ): { status: number; body: unknown } {
    const report = (rule: string, message: string, tolerated: boolean): void => {
      const { method } = request;
      this.#world.faults.push({ rule, message, method, tolerated, parameters: request.parameters });
    };
    try {
      if (typeof order === "number") throw new TelegramError(order, "Internal Server Error");
      if (typeof order === "object") throw new TelegramError(order.code, order.description, order.parameters);
      if (token !== this.#world.options.token) throw new TelegramError(401, "Unauthorized");
      return { status: 200, body: { ok: true, result: this.#call(request, parameters, report) } };
    } catch (error) {
      if (!(error instanceof TelegramError)) throw error;
      if (error instanceof RuleError) report(error.rule, error.message, false);
      return { status: error.code, body: error.toBody() };
    }
  }

  #call(
    { method, headers }: RequestRecord,
    parameters: Record<string, unknown> | undefined,
    report: (rule: string, message: string, tolerated: boolean) => void,
  ): unknown {
    const handle = METHODS[method];
    if (handle === undefined || !isMethod(method)) throw new TelegramError(404, "Not Found");
    if (parameters === undefined) throw new RuleError("json", "the body is not JSON");
    if (
      Object.keys(parameters).length > 0 &&
      headers["content-type"]?.startsWith("application/json") !== true
    )
      throw new RuleError("content_type", "the body is not said to be application/json");
    const wrong = parametersError(method, parameters);
    if (wrong !== undefined) throw new RuleError("schema", wrong);
    return handle({
      world: this.#world,
      webhook: this.#webhook,
      parameters,
      limit: (chat) =>
        this.limits.take(method, chat, this.#world.nowMs(), (message) =>
          report("asked_too_early", message, false),
        ),
      report: (rule, message) => report(rule, message, true),
    });
  }
}

/** Undefined when it is no JSON object; no body at all means no parameters. */
function parsed(raw: string): Record<string, unknown> | undefined {
  if (raw === "") return {};
  try {
    const value = strictJson(raw);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
