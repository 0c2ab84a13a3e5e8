/**
 * What went wrong, in both directions: the faults of protocol that the client made (a ledger that a test asserts to be
 * empty), and the faults that a test asks the fake to make.
 */
import type { RequestRecord } from "./requests.ts";

/** A rule that the client broke. */
export interface ProtocolFault {
  /** Short name, as `mentions_on`; `schema` for what the OpenAPI of Discord forbids. */
  rule: string;
  message: string;
  /** Route or interaction in which it happened. */
  where: string;
  /** Discord would have taken it, and so did the fake. */
  tolerated: boolean;
  body?: unknown;
}

/**
 * - a number: that status, with a JSON body of no use;
 * - `reset`: the connection goes before anything is done; `hang`: it stays, and nothing is done or answered;
 * - `done_then_reset`, `done_then_hang`: the same, after everything was done: the client cannot know it;
 * - `blocked`: Cloudflare's 1015, a 429 of HTML without rate-limit headers;
 * - `limited`: a 429 with scope `shared` and the `retryAfter` of the order;
 * - an object: Discord's error with that code.
 */
export type Misbehaviour =
  | number
  | "reset"
  | "hang"
  | "done_then_reset"
  | "done_then_hang"
  | "blocked"
  | "limited"
  | { status: number; code: number; message: string };

export interface FaultOrder {
  /** As `POST /channels/{channel_id}/messages`; absent: any. */
  route?: string;
  /** A closer choice among the requests of the route. */
  when?: (request: RequestRecord) => boolean;
  /** How many requests; 1 when absent. */
  times?: number;
  with: Misbehaviour;
  /** Seconds, for `limited`; 1 when absent. */
  retryAfter?: number;
}

export class FaultOrders {
  #orders: Array<FaultOrder & { left: number }> = [];

  add(order: FaultOrder): void {
    this.#orders.push({ ...order, left: order.times ?? 1 });
  }

  /** What this request suffers, if anything; the oldest order that fits counts down. */
  take(route: string | undefined, request: RequestRecord): FaultOrder | undefined {
    const order = this.#orders.find(
      (one) =>
        one.left > 0 &&
        (one.route === undefined || one.route === route) &&
        (one.when === undefined || one.when(request)),
    );
    if (order !== undefined) order.left -= 1;
    return order;
  }

  clear(): void {
    this.#orders = [];
  }
}
