/** The part of itty-durable that is used here. Its own types say `any` for nearly all of it. */
declare module "itty-durable/itty-durable.js" {
  export function createDurable(options?: { autoPersist?: boolean; autoReturn?: boolean }): new (
    state: DurableObjectState,
    env: unknown,
  ) => {
    /** Stores the object's own properties as one value. */
    persist(): Promise<void>;
    fetch(request: Request): Promise<Response>;
  };
}
declare module "itty-durable/proxy-durable.js" {
  /** Every property of what `get` returns is a call, `then` too: never await it, never return it from an async function. */
  export function proxyDurable(
    namespace: DurableObjectNamespace,
    options: { parse: true },
  ): { get(name: string): Record<string, (...given: string[]) => Promise<unknown>> };
}
