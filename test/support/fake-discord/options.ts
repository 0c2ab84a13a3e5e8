/** What a test may choose when it starts the fake; everything has the value that Discord is known to have. */

/** At most `limit` in `windowMs`, which begins with the first. */
export interface Limit {
  limit: number;
  windowMs: number;
}

/** A cap per channel that no header tells of; who hits it learns from a 429. */
export interface HiddenCap extends Limit {
  route: string;
  scope: "user" | "shared";
}

export interface LimitOptions {
  /** By route, as `POST /channels/{channel_id}/messages`; those that are not given keep Discord's. */
  routes: Record<string, Limit>;
  /** Of every other route. */
  other: Limit;
  /** Of the bot over all routes but those of interactions. */
  global: Limit;
  hidden: HiddenCap[];
  /** Edits of messages older than `afterMs`, per channel: 30046 beyond them. */
  oldEdits: Limit & { afterMs: number };
  /** 401, 403 and 429 (but `shared` ones); beyond them Cloudflare blocks the address. */
  invalid: Limit;
}

export interface Options {
  limits?: Partial<LimitOptions>;
  /** Follow-ups get 10015 for so long after an interaction was answered. */
  followUpRaceMs?: number;
  /** How long a nonce with `enforce_nonce` makes creation idempotent. */
  nonceLifeMs?: number;
  /** A message of the bot without `nonce` and `enforce_nonce` is a fault. */
  requireNonce?: boolean;
  /** How long Discord waits for the answer to an interaction. */
  answerMs?: number;
  /** Hex of a private key's 32 bytes; a new one when absent. */
  seed?: string;
  botToken?: string;
  /** 0 takes any. */
  port?: number;
  /** The fake's clock stands still but for `advance`: limits that do not hang on the speed of the machine. */
  heldClock?: boolean;
}

export interface ResolvedOptions extends Required<Omit<Options, "limits" | "seed">> {
  limits: LimitOptions;
  seed: string | undefined;
}

/** Create and edit of messages 5 per 5 s; webhooks 5 per 2 s and, hidden, 30 per minute; old edits 3 per 6 s. */
const LIMITS: LimitOptions = {
  routes: {
    "POST /channels/{channel_id}/messages": { limit: 5, windowMs: 5_000 },
    "PATCH /channels/{channel_id}/messages/{message_id}": { limit: 5, windowMs: 5_000 },
    "POST /webhooks/{webhook_id}/{webhook_token}": { limit: 5, windowMs: 2_000 },
    "PUT /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me": {
      limit: 1,
      windowMs: 250,
    },
  },
  other: { limit: 10, windowMs: 10_000 },
  global: { limit: 50, windowMs: 1_000 },
  hidden: [
    { route: "POST /webhooks/{webhook_id}/{webhook_token}", limit: 30, windowMs: 60_000, scope: "shared" },
  ],
  oldEdits: { limit: 3, windowMs: 6_000, afterMs: 3_600_000 },
  invalid: { limit: 10_000, windowMs: 600_000 },
};

const ANY: Limit = { limit: 1_000_000, windowMs: 1_000 };

/** For tests that are not about limits. */
export const NO_LIMITS: LimitOptions = {
  routes: Object.fromEntries(Object.keys(LIMITS.routes).map((route) => [route, ANY])),
  other: ANY,
  global: ANY,
  hidden: [],
  oldEdits: { ...ANY, afterMs: 3_600_000 },
  invalid: ANY,
};

export function resolveOptions(given: Options): ResolvedOptions {
  return {
    followUpRaceMs: 0,
    nonceLifeMs: 5 * 60_000,
    requireNonce: true,
    answerMs: 3_000,
    seed: undefined,
    botToken: "MTIzNDU2Nzg5.fake.bot-token",
    port: 0,
    heldClock: false,
    ...given,
    limits: {
      ...LIMITS,
      ...given.limits,
      routes: { ...LIMITS.routes, ...given.limits?.routes },
    },
  };
}
