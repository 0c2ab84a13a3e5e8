/**
 * What a deployment is billed for, counted where it happens: rows at the storage's own methods, requests at the
 * objects' own methods, and the time that an object keeps the platform from letting it sleep. All objects of a local
 * deployment live in one isolate, so one table of numbers holds everything.
 *
 * Awake is an object while a handler of it runs, while work that it handed to `waitUntil` does, while a timer of it is
 * pending and while its writes reach the disk. An idle object that could hibernate is not billed (Cloudflare's
 * "lifecycle of a Durable Object"), nor is a heartbeat that the runtime answers by itself.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { MeterReading } from "./reading.ts";

/** Table that only a local runtime makes in every object. */
export const LOCAL_TABLE = "__miniflare_do_name";

const amounts: Record<string, number> = {};
const cursors: { cursor: SqlStorageCursor<Record<string, SqlStorageValue>>; where: string }[] = [];

let paused = false;

export function count(name: string, amount = 1): void {
  if (paused) return;
  amounts[name] = (amounts[name] ?? 0) + amount;
}

/** What the bench itself does to an object is nobody's bill. Counting is asleep until `work` returns. */
export function uncounted<T>(work: () => T): T {
  paused = true;
  try {
    return work();
  } finally {
    paused = false;
  }
}

/** Everything counted so far. A cursor's rows are known when it has been read, which is after its statement. */
export function reading(): MeterReading {
  for (const { cursor, where } of cursors.splice(0)) {
    if (cursor.rowsWritten > 0) count(`written ${where}`, cursor.rowsWritten);
    count("read", cursor.rowsRead);
  }
  return { ...amounts };
}

/** The time that one object is awake. */
export class ObjectMeter {
  readonly name: string;
  #busy = 0;
  #since = 0;

  constructor(name: string) {
    this.name = name;
  }

  enter(): void {
    if (this.#busy === 0) this.#since = Date.now();
    this.#busy += 1;
  }

  leave(): void {
    this.#busy -= 1;
    if (this.#busy === 0) count(`awake ${this.name}`, Date.now() - this.#since);
  }

  async during(work: Promise<unknown>): Promise<void> {
    this.enter();
    await work.catch(() => undefined);
    this.leave();
  }
}

/** Whose handler is running. */
export const current = new AsyncLocalStorage<ObjectMeter>();

const kinds = new WeakMap<object, string>();
let patched = false;

/** Counts what this object's storage is asked for, under the name of its class. */
export function meterStorage(ctx: DurableObjectState, meter: ObjectMeter): void {
  const { storage } = ctx;
  for (const part of [storage, storage.sql, storage.kv]) kinds.set(part, meter.name);
  const waitUntil = ctx.waitUntil.bind(ctx);
  Object.defineProperty(ctx, "waitUntil", {
    value: (work: Promise<unknown>) => {
      void meter.during(work);
      waitUntil(work);
    },
  });
  if (patched) return;
  patched = true;
  patch(storage.sql, "exec", (kind, [query], answer) => {
    // The local runtime keeps each object's name in a table of its own; Cloudflare does not.
    if (String(query).includes(LOCAL_TABLE)) return;
    const where = `${kind} sql ${statementName(String(query))}`;
    cursors.push({ cursor: answer as (typeof cursors)[number]["cursor"], where });
  });
  // One row each, as `probeRows` measures on a table of the same shape.
  patch(storage.kv, "put", (kind, [key]) => {
    count(`written ${kind} put ${keyName(String(key))}`);
  });
  patch(storage.kv, "delete", (kind, [key]) => {
    count(`written ${kind} delete ${keyName(String(key))}`);
  });
  patch(storage.kv, "get", () => {
    count("read");
  });
  patch(storage.kv, "list", (_kind, _given, answer) => countedRows(answer as Iterable<unknown>));
  patch(storage, "setAlarm", (kind) => {
    count(`written ${kind} setAlarm`);
  });
  patch(storage, "deleteAlarm", (kind) => {
    count(`written ${kind} deleteAlarm`);
  });
  patchTimers();
}

/** Puts a look at each call of a method that all objects share. A look that returns something replaces the answer. */
function patch(
  shared: object,
  method: string,
  look: (kind: string, given: unknown[], answer: unknown) => unknown,
): void {
  const prototype = Object.getPrototypeOf(shared) as Record<string, (...given: unknown[]) => unknown>;
  const plain = prototype[method];
  if (plain === undefined) throw new Error(`the storage has no method ${method}`);
  prototype[method] = function (this: object, ...given: unknown[]) {
    const answer = plain.apply(this, given);
    return look(kinds.get(this) ?? "unknown", given, answer) ?? answer;
  };
}

function* countedRows(rows: Iterable<unknown>): Iterable<unknown> {
  for (const row of rows) {
    count("read");
    yield row;
  }
}

/** `INSERT INTO run …` → `INSERT run`. */
function statementName(query: string): string {
  const [verb = "", ...rest] = query.trim().split(/\s+/);
  return `${verb} ${rest.find((word) => !/^(OR|IGNORE|REPLACE|INTO|FROM|TABLE|IF|NOT|EXISTS)$/.test(word)) ?? ""}`;
}

/** `out/000001/…` → `out`. */
function keyName(key: string): string {
  return key.split("/")[0] ?? key;
}

/** A pending timer keeps its object awake. */
function patchTimers(): void {
  const set = globalThis.setTimeout;
  const clear = globalThis.clearTimeout;
  const pending = new Map<unknown, () => void>();
  const over = (timer: unknown): void => {
    pending.get(timer)?.();
    pending.delete(timer);
  };
  Object.assign(globalThis, {
    setTimeout: (callback: () => void, ms?: number): unknown => {
      const meter = current.getStore();
      const timer: unknown = set(() => {
        callback();
        over(timer);
      }, ms);
      if (meter !== undefined) {
        meter.enter();
        pending.set(timer, () => {
          meter.leave();
        });
      }
      return timer;
    },
    clearTimeout: (timer: unknown): void => {
      over(timer);
      clear(timer as never);
    },
  });
}
