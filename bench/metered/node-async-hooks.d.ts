/** The one thing of `node:async_hooks` that the meter uses; the runtime has it, its types are Node's. */
declare module "node:async_hooks" {
  export class AsyncLocalStorage<T> {
    run<Result>(store: T, work: () => Result): Result;
    getStore(): T | undefined;
  }
}
