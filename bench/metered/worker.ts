/**
 * The product's own Worker with a meter in it: a deployment for the bench `cost`, never for anybody else. The classes
 * are the product's, each call of theirs counted; `/bench/…` answers what was counted.
 */
import { DurableObject } from "cloudflare:workers";
import type { QueueMessage } from "../../contract/runner-link.ts";
import worker, * as product from "../../worker/index.ts";
import type { Env } from "../../worker/env.ts";
import { count, current, LOCAL_TABLE, meterStorage, ObjectMeter, reading, uncounted } from "./meter.ts";

/** One queue operation is counted for each 64 KB. */
const OPERATION_BYTES = 64 * 1024;

type ObjectClass = new (ctx: DurableObjectState, env: Env) => DurableObject<Env>;
type Method = (...given: unknown[]) => unknown;

/** What every metered object answers to the bench; none of it is counted. */
interface Metered {
  databaseSize(): number;
  fireAlarm(agedMs: number): Promise<number | null>;
}

/** Methods that the platform calls; all others are calls of the Worker or of another object. */
const HANDLERS: Record<string, string> = {
  fetch: "request $ fetch",
  alarm: "request $ alarm",
  webSocketMessage: "message $",
  // Not billed as requests; the object is awake for them all the same.
  webSocketClose: "closed $",
  webSocketError: "closed $",
};

function metered<Class extends ObjectClass>(name: string, base: Class): Class {
  const meters = new WeakMap<object, ObjectMeter>();
  const prepared = (ctx: DurableObjectState): DurableObjectState => {
    const meter = new ObjectMeter(name);
    meters.set(ctx, meter);
    meterStorage(ctx, meter);
    return ctx;
  };
  class MeteredObject extends (base as ObjectClass) implements Metered {
    constructor(ctx: DurableObjectState, env: Env) {
      super(prepared(ctx), meteredEnv(env));
    }

    /** Bytes, without what a local runtime has added. */
    databaseSize(): number {
      this.ctx.storage.sql.exec(`DROP TABLE IF EXISTS ${LOCAL_TABLE}`);
      return this.ctx.storage.sql.databaseSize;
    }

    /** Time passes until the armed alarm is due; the event, if there is one, is that much older. */
    async fireAlarm(agedMs: number): Promise<number | null> {
      const { storage } = this.ctx;
      if ((await storage.getAlarm()) === null) return null;
      await uncounted(() => {
        const event = storage.kv.get<{ createdAt: number }>("event");
        if (event !== undefined) storage.kv.put("event", { ...event, createdAt: event.createdAt - agedMs });
        return storage.deleteAlarm();
      });
      await (this as unknown as { alarm(): Promise<void> }).alarm();
      return storage.getAlarm();
    }
  }
  const prototype = base.prototype as unknown as Record<string, Method>;
  for (const method of Object.getOwnPropertyNames(prototype)) {
    const plain = prototype[method];
    if (method === "constructor" || typeof plain !== "function") continue;
    const counted = (HANDLERS[method] ?? `request $ rpc ${method}`).replace("$", name);
    Object.defineProperty(MeteredObject.prototype, method, {
      configurable: true,
      value(this: { ctx: DurableObjectState }, ...given: unknown[]) {
        const meter = meters.get(this.ctx);
        if (meter === undefined) throw new Error(`a ${name} has no meter`);
        count(counted);
        return current.run(meter, () => {
          meter.enter();
          const leave = (): void => {
            // What it has written holds back its answer until it is on disk.
            void meter.during(this.ctx.storage.sync());
            meter.leave();
          };
          try {
            const answer = plain.apply(this, given);
            if (answer instanceof Promise) return answer.finally(leave);
            leave();
            return answer;
          } catch (error) {
            leave();
            throw error;
          }
        });
      },
    });
  }
  return MeteredObject as unknown as Class;
}

export const FlowEventObject = metered("event", product.FlowEventObject);
export const RunnerPool = metered("pool", product.RunnerPool);
export const DayLedger = metered("ledger", product.DayLedger);
export const ChatOutbox = metered("outbox", product.ChatOutbox);
export const ChatAccess = metered("access", product.ChatAccess);
/** No meter: itty-durable calls its methods on a proxy. No event of the bench comes from a chat, so none is missed. */
export const { ChannelSettings } = product;

function meteredEnv(env: Env): Env {
  return { ...env, RUN_QUEUE: meteredQueue(env.RUN_QUEUE), DEAD_QUEUE: meteredQueue(env.DEAD_QUEUE) };
}

function meteredQueue(queue: Queue<QueueMessage>): Queue<QueueMessage> {
  const written = (body: unknown): void => {
    count("queue write", Math.ceil(JSON.stringify(body).length / OPERATION_BYTES));
  };
  return {
    metrics: () => queue.metrics(),
    send: (message, options) => {
      written(message);
      return queue.send(message, options);
    },
    sendBatch: (messages, options) => {
      const batch = [...messages];
      for (const { body } of batch) written(body);
      return queue.sendBatch(batch, options);
    },
  };
}

function meteredBatch(batch: MessageBatch<QueueMessage>): MessageBatch<QueueMessage> {
  const messages = batch.messages.map((message): Message<QueueMessage> => {
    count("queue read");
    return {
      id: message.id,
      timestamp: message.timestamp,
      body: message.body,
      attempts: message.attempts,
      ack: () => {
        count("queue delete");
        message.ack();
      },
      retry: (options) => {
        message.retry(options);
      },
    };
  });
  return {
    queue: batch.queue,
    metadata: batch.metadata,
    messages,
    ackAll: () => {
      for (const message of messages) message.ack();
    },
    retryAll: (options) => {
      batch.retryAll(options);
    },
  };
}

/**
 * What writes cost in a table of the shape that the runtime keeps keys and values in (workerd, `sqlite-kv.h`): rows of
 * the making of it, of a first put, of one over it, of a delete.
 */
export class RowProbe extends DurableObject {
  rows(): { table: number; put: number; putOver: number; delete: number } {
    const written = (query: string, ...given: string[]): number =>
      this.ctx.storage.sql.exec(query, ...given).rowsWritten;
    const put = "INSERT INTO probe VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value";
    return {
      table: written("CREATE TABLE probe (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID"),
      put: written(put, "a", "1"),
      putOver: written(put, "a", "2"),
      delete: written("DELETE FROM probe WHERE key = ?", "a"),
    };
  }
}

interface BenchEnv extends Env {
  PROBE: DurableObjectNamespace<RowProbe>;
}

async function answerBench(url: URL, env: BenchEnv): Promise<unknown> {
  const name = url.searchParams.get("name") ?? "";
  const binding = url.searchParams.get("binding");
  const object = (): Metered => {
    const namespace = binding === "EVENTS" ? env.EVENTS : binding === "POOLS" ? env.POOLS : env.LEDGERS;
    return namespace.getByName(name) as unknown as Metered;
  };
  switch (url.pathname) {
    case "/bench/reading":
      return reading();
    case "/bench/size":
      return object().databaseSize();
    case "/bench/alarm":
      return object().fireAlarm(Number(url.searchParams.get("aged") ?? 0));
    case "/bench/probe":
      return env.PROBE.getByName("probe").rows();
    default:
      throw new Error(`no ${url.pathname}`);
  }
}

export default {
  async fetch(request, env, context) {
    const url = new URL(request.url);
    if (url.pathname.startsWith("/bench/")) return Response.json(await answerBench(url, env));
    count("worker fetch");
    return worker.fetch(request, env, context);
  },
  async queue(batch, env) {
    count("worker queue");
    await worker.queue(meteredBatch(batch), meteredEnv(env));
  },
} satisfies ExportedHandler<BenchEnv, QueueMessage>;
