/**
 * One warm app-server for all codex steps of an agent: a start costs as much as a turn, a thread in a running one a
 * fifth of that. It is started by the first step, kept for some time behind the last one, and started anew when it has
 * died. Threads are told apart by their ids; whatever a step runs bears the step's own attempt in its environment.
 *
 * It owns the server: `stop` ends it, whoever still uses it.
 */
import type { AppServer } from "./app-server.ts";
import type { ServerMethod, ServerMethods } from "./protocol.ts";

/** Kept for this long without a step. */
const IDLE_STOP_MS = 10 * 60_000;

/** Answers what Codex asks about one thread. */
export type ThreadHandlers = {
  [Method in HandledMethod]: (
    params: ServerMethods[Method]["params"],
    withdrawn: AbortSignal,
  ) => Promise<ServerMethods[Method]["result"]>;
};

const HANDLED = [
  "item/commandExecution/requestApproval",
  "item/fileChange/requestApproval",
  "item/permissions/requestApproval",
  "mcpServer/elicitation/request",
  "item/tool/requestUserInput",
] as const satisfies ServerMethod[];
type HandledMethod = (typeof HANDLED)[number];

/** A server in use. */
export interface ServerLease {
  server: AppServer;
  /** From now on, this thread's requests go there. */
  handle(threadId: string, handlers: ThreadHandlers): void;
  /** Once. */
  release(): void;
}

interface Running {
  server: AppServer;
  handlers: Map<string, ThreadHandlers>;
}

export class SharedServer {
  readonly #start: () => Promise<AppServer>;
  readonly #idleStopMs: number;
  #running: Promise<Running> | undefined;
  #users = 0;
  #idle: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(start: () => Promise<AppServer>, idleStopMs = IDLE_STOP_MS) {
    this.#start = start;
    this.#idleStopMs = idleStopMs;
  }

  /** @throws CodexError when there is none and none can be started */
  async lease(): Promise<ServerLease> {
    this.#users += 1;
    clearTimeout(this.#idle);
    const threads: string[] = [];
    try {
      const { server, handlers } = await (this.#running ??= this.#begin());
      return {
        server,
        handle: (threadId, its) => {
          threads.push(threadId);
          handlers.set(threadId, its);
        },
        release: () => {
          for (const threadId of threads) handlers.delete(threadId);
          this.#left();
        },
      };
    } catch (error) {
      this.#left();
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#idle);
    await this.#end();
  }

  async #begin(): Promise<Running> {
    try {
      const server = await this.#start();
      const running: Running = { server, handlers: new Map() };
      for (const method of HANDLED) route(running, method);
      void server.ended.then(() => {
        this.#running = undefined;
      });
      return running;
    } catch (error) {
      this.#running = undefined;
      throw error;
    }
  }

  #left(): void {
    this.#users -= 1;
    if (this.#users > 0) return;
    if (this.#stopped) void this.#end();
    else
      this.#idle = setTimeout(() => {
        void this.#end();
      }, this.#idleStopMs).unref();
  }

  async #end(): Promise<void> {
    const running = await this.#running?.catch(() => undefined);
    await running?.server.stop();
  }
}

function route({ server, handlers }: Running, method: HandledMethod): void {
  server.onServerRequest(method, async (params, withdrawn) => {
    const its = handlers.get(params.threadId);
    if (its === undefined) throw new Error(`nobody answers ${method} for this thread any more`);
    return await its[method](params as never, withdrawn);
  });
}
