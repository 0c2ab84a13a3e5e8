/**
 * One warm app-server for all codex steps of an agent: a start costs as much as a turn, a thread in a running one a
 * fifth of that. It is started by the first step, kept for some time behind the last one, and started anew when it has
 * died. Threads are told apart by their ids; whatever a step runs bears the step's own attempt in its environment.
 *
 * S1. Who leases gets a server that answers: one that has died, that is being stopped or that was retired is nobody's
 *     any more, and the next lease starts another.
 * S2. A thread has one writer on this box, whatever the edge knows: Codex itself lets two steps of one server write to
 *     one thread, and the second one's turn would only steer the first one's.
 *
 * It owns the servers: `stop` ends them, whoever still uses them.
 */
import type { AppServer } from "./app-server.ts";
import { RequestTimeoutError } from "./errors.ts";
import type { ServerMethod, ServerMethods } from "./protocol.ts";
import { unlessStopped } from "../unless-stopped.ts";

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
  /**
   * Makes the holder of this lease the one writer of a thread, until `release`. Returns the run that is it already, if
   * that is another; one that is ending is waited for. Rejects with the reason of `stopped` when that is aborted meanwhile.
   */
  claim(threadId: string, runId: string, stopped?: AbortSignal): Promise<string | undefined>;
  /** From now on, this thread's requests go there. */
  handle(threadId: string, handlers: ThreadHandlers): void;
  /** It does not answer in time: those who have it keep it, the next step gets another. */
  retire(): void;
  /** It goes on with what nobody can stop in it: it is ended, for all who have it. Resolves when nothing is left of it. */
  end(): Promise<unknown>;
  /**
   * Once. `left`: its last request, which shows whether the server still answers. Its threads are free when `gone` is over,
   * too; who claims one before that waits for it. Neither may reject.
   */
  release(left?: Promise<unknown>, gone?: Promise<unknown>): void;
}

interface Running {
  server: AppServer;
  handlers: Map<string, ThreadHandlers>;
  users: number;
  /** Last requests of those who are leaving. */
  leaving: Set<Promise<unknown>>;
  /** Nobody new gets it. */
  retired: boolean;
}

interface Writer {
  runId: string;
  /** Its step is over, and only the thread's own end is waited for. */
  leaving: boolean;
  gone: PromiseWithResolvers<undefined>;
}

export class SharedServer {
  readonly #start: (stopped: AbortSignal) => Promise<AppServer>;
  readonly #idleStopMs: number;
  /** The one that is given to who asks. */
  #current: Promise<Running> | undefined;
  /** All that are not over, retired ones too. */
  readonly #all = new Set<Running>();
  readonly #writers = new Map<string, Writer>();
  #idle: NodeJS.Timeout | undefined;
  /** Of those that are being started. */
  #starting = new AbortController();

  /** @param start given up when its signal is aborted */
  constructor(start: (stopped: AbortSignal) => Promise<AppServer>, idleStopMs = IDLE_STOP_MS) {
    this.#start = start;
    this.#idleStopMs = idleStopMs;
  }

  /** A step is about to ask: begins what its `lease` would wait for. What fails here fails there. */
  warm(ready: (server: AppServer) => void): void {
    const waits = this.#living().then((running) => {
      ready(running.server);
      if (running.users === 0) this.#rest(running);
    });
    waits.catch(() => undefined);
  }

  /** @throws CodexError when there is none and none can be started */
  async lease(): Promise<ServerLease> {
    clearTimeout(this.#idle);
    const running = await this.#living();
    running.users += 1;
    clearTimeout(this.#idle);
    const threads: string[] = [];
    return {
      server: running.server,
      claim: async (threadId, runId, stopped) => {
        if (threads.includes(threadId)) return undefined;
        for (;;) {
          const writer = this.#writers.get(threadId);
          if (writer === undefined) break;
          if (writer.runId !== runId && !writer.leaving) return writer.runId;
          await unlessStopped(writer.gone.promise, stopped);
        }
        this.#writers.set(threadId, { runId, leaving: false, gone: Promise.withResolvers() });
        threads.push(threadId);
        return undefined;
      },
      handle: (threadId, its) => {
        running.handlers.set(threadId, its);
      },
      retire: () => {
        this.#retire(running);
      },
      end: async () => {
        this.#retire(running);
        await running.server.stop();
      },
      release: (left = Promise.resolve(), gone = Promise.resolve()) => {
        for (const threadId of threads) {
          const writer = this.#writers.get(threadId);
          if (writer !== undefined) writer.leaving = true;
        }
        running.leaving.add(left);
        void left.finally(() => {
          running.leaving.delete(left);
          this.#left(running, threads);
        });
        void Promise.all([left, gone]).finally(() => {
          this.#free(threads);
        });
      },
    };
  }

  /** Idempotent. Whoever leases afterwards begins anew. */
  async stop(): Promise<void> {
    clearTimeout(this.#idle);
    this.#starting.abort();
    this.#starting = new AbortController();
    await this.#current?.catch(() => undefined);
    for (const running of this.#all) this.#retire(running);
    await Promise.all([...this.#all].map(({ server }) => server.stop()));
  }

  async #living(): Promise<Running> {
    const running = await (this.#current?.catch(async (error: unknown) => {
      // It hung before this one came, and may have been the only one that does.
      if (!(error instanceof RequestTimeoutError)) throw error;
      return await (this.#current ?? this.#begin());
    }) ?? this.#begin());
    // Some milliseconds, which show whether it still answers.
    await Promise.all(running.leaving);
    if (!running.retired && running.server.error === undefined) return running;
    // Dead, but its processes are still being looked after.
    this.#retire(running);
    return await (this.#current ?? this.#begin());
  }

  #begin(): Promise<Running> {
    const begun = this.#begun();
    this.#current = begun;
    begun.catch(() => {
      if (this.#current === begun) this.#current = undefined;
    });
    return begun;
  }

  async #begun(): Promise<Running> {
    const server = await this.#start(this.#starting.signal);
    const running: Running = { server, handlers: new Map(), users: 0, leaving: new Set(), retired: false };
    for (const method of HANDLED) route(running, method);
    this.#all.add(running);
    void server.ended.then(() => {
      this.#retire(running);
      this.#all.delete(running);
    });
    return running;
  }

  /** Nobody new gets it; it goes with the last who has it. */
  #retire(running: Running): void {
    if (running.retired) return;
    running.retired = true;
    this.#current = undefined;
    if (running.users === 0) void running.server.stop();
  }

  #free(threads: string[]): void {
    for (const threadId of threads) {
      this.#writers.get(threadId)?.gone.resolve(undefined);
      this.#writers.delete(threadId);
    }
  }

  #left(running: Running, threads: string[]): void {
    for (const threadId of threads) running.handlers.delete(threadId);
    running.users -= 1;
    if (running.users > 0) return;
    if (running.retired) void running.server.stop();
    else this.#rest(running);
  }

  #rest(running: Running): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      this.#retire(running);
    }, this.#idleStopMs).unref();
  }
}

function route({ server, handlers }: Running, method: HandledMethod): void {
  server.onServerRequest(method, async (params, withdrawn) => {
    const its = handlers.get(params.threadId);
    if (its === undefined) throw new Error(`nobody answers ${method} for this thread any more`);
    return await its[method](params as never, withdrawn);
  });
}
