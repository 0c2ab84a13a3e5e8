/** What a test may choose when it starts the fake. Telegram states no limits; these are those that are known. */

/** At most `limit` in any `windowMs`. */
export interface Limit {
  limit: number;
  windowMs: number;
}

export interface LimitOptions {
  /** Messages and edits in one chat. */
  chat: Limit;
  /** The same in a group, over all its topics. */
  group: Limit;
  /** The same over all chats. */
  all: Limit;
}

export interface Options {
  limits?: Partial<LimitOptions>;
  token?: string;
  /** 0 takes any. */
  port?: number;
  /** The fake's clock stands still but for `advance`: limits that do not hang on the speed of the machine. */
  heldClock?: boolean;
  /** Between two deliveries of an update that was not taken. */
  redeliverMs?: number;
  /** How often an update is delivered before Telegram gives up. */
  deliveries?: number;
}

export interface ResolvedOptions extends Required<Omit<Options, "limits">> {
  limits: LimitOptions;
}

const LIMITS: LimitOptions = {
  chat: { limit: 1, windowMs: 1_000 },
  group: { limit: 20, windowMs: 60_000 },
  all: { limit: 30, windowMs: 1_000 },
};

const ANY: Limit = { limit: 1_000_000, windowMs: 1_000 };

/** For tests that are not about limits. */
export const NO_LIMITS: LimitOptions = { chat: ANY, group: ANY, all: ANY };

export function resolveOptions(given: Options): ResolvedOptions {
  return {
    token: "123456789:fake-token-of-the-test",
    port: 0,
    heldClock: false,
    redeliverMs: 50,
    deliveries: 100,
    ...given,
    limits: { ...LIMITS, ...given.limits },
  };
}
