/**
 * An object as its callers see it. The platform's own type turns every method that returns an `unknown` into `never`;
 * ours says what is true of the plain data that we pass: each method becomes a promise of the same.
 */

type Lifecycle =
  "alarm" | "fetch" | "webSocketMessage" | "webSocketClose" | "webSocketError" | "connect" | "ctx" | "env";

export type Remote<T> = {
  [Name in Exclude<keyof T, Lifecycle>]: T[Name] extends (...given: infer Given) => infer Answer
    ? (...given: Given) => Promise<Awaited<Answer>>
    : never;
} & { fetch(request: Request): Promise<Response> };

/** A binding to a class of objects, each reached by its name. */
export interface ObjectNamespace<T> {
  getByName(name: string): Remote<T>;
}
