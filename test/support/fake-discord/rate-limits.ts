/**
 * Discord's rate limits: a bucket per route and major parameter, told in headers; the bot's global limit; caps that no
 * header tells of; the pace of edits to old messages; the ban of whoever goes on making invalid requests.
 *
 * L1. The bucket's hash is the same in all channels: only together with the major parameter it names a bucket.
 * L2. A refused request does not count in its bucket.
 * L3. `shared` 429s are not the client's fault and do not count as invalid.
 */
import { createHash } from "node:crypto";
import type { Limit, LimitOptions } from "./options.ts";
import { refusal } from "./errors.ts";

export interface Limited {
  scope: "user" | "global" | "shared";
  route: string;
  /** Channel, guild or webhook. */
  major: string;
  atMs: number;
  /** Undefined for those that headers did tell of. */
  hidden: boolean;
  code: number | undefined;
}

export interface RateReply {
  headers: Record<string, string>;
  /** The 429's; undefined when the request may go on. */
  body: Record<string, unknown> | undefined;
}

/** Requests that were under way when the 429 came are not blamed for it. */
const IN_FLIGHT_GRACE_MS = 250;

interface Window {
  endMs: number;
  used: number;
  /** When a 429 was given first in this window. */
  limitedAtMs: number | undefined;
}

export class RateLimits {
  /** Every 429 that was given, in its order. */
  readonly given: Limited[] = [];
  readonly #options: LimitOptions;
  readonly #windows = new Map<string, Window>();
  #invalidAtMs: number[] = [];

  constructor(options: LimitOptions) {
    this.#options = options;
  }

  /** `exempt` from the global limit are interactions. `early` is called for a request that ignores a 429. */
  take(
    route: string,
    major: string,
    exempt: boolean,
    nowMs: number,
    early: (message: string) => void,
  ): RateReply {
    const bucket = this.#options.routes[route] ?? this.#options.other;
    const hash = createHash("sha256").update(route).digest("hex").slice(0, 32);
    const key = `${hash}:${major}`;
    const global = this.#window("global", this.#options.global, nowMs);
    if (!exempt && global.used >= this.#options.global.limit) {
      this.#blame(global, nowMs, early, "the global limit");
      return this.#refuse({ scope: "global", route, major, hidden: false }, global, nowMs, {});
    }
    const window = this.#window(key, bucket, nowMs);
    if (window.used >= bucket.limit) {
      this.#blame(window, nowMs, early, `${route} of ${major}`);
      const headers = bucketHeaders(hash, bucket, window, nowMs);
      return this.#refuse({ scope: "user", route, major, hidden: false }, window, nowMs, headers);
    }
    for (const cap of this.#options.hidden.filter((one) => one.route === route)) {
      const hidden = this.#window(`hidden:${route}:${major}:${cap.windowMs}`, cap, nowMs);
      if (hidden.used >= cap.limit) {
        this.#blame(hidden, nowMs, early, `${route} of ${major}`);
        return this.#refuse({ scope: cap.scope, route, major, hidden: true }, hidden, nowMs, {});
      }
      hidden.used += 1;
    }
    if (!exempt) global.used += 1;
    window.used += 1;
    return { headers: bucketHeaders(hash, bucket, window, nowMs), body: undefined };
  }

  /** An edit of a message of this age; undefined when it may go on. */
  takeEdit(route: string, channelId: string, ageMs: number, nowMs: number): RateReply | undefined {
    const { oldEdits } = this.#options;
    if (ageMs <= oldEdits.afterMs) return undefined;
    const window = this.#window(`old:${channelId}`, oldEdits, nowMs);
    if (window.used < oldEdits.limit) {
      window.used += 1;
      return undefined;
    }
    const { code, message } = refusal("tooManyOldEdits");
    const limited = { scope: "user" as const, route, major: channelId, hidden: true };
    const reply = this.#refuse(limited, window, nowMs, {}, code);
    return { ...reply, body: { ...reply.body, code, message } };
  }

  /** To be told of each answer, whoever made it. */
  count(status: number, scope: string | undefined, nowMs: number): void {
    if ([401, 403, 429].includes(status) && scope !== "shared") this.#invalidAtMs.push(nowMs);
  }

  /** Invalid requests in the window that ends now. */
  invalid(nowMs: number): number {
    const { windowMs } = this.#options.invalid;
    this.#invalidAtMs = this.#invalidAtMs.filter((at) => nowMs - at < windowMs);
    return this.#invalidAtMs.length;
  }

  banned(nowMs: number): boolean {
    return this.invalid(nowMs) >= this.#options.invalid.limit;
  }

  #window(key: string, { windowMs }: Limit, nowMs: number): Window {
    const present = this.#windows.get(key);
    if (present !== undefined && present.endMs > nowMs) return present;
    const fresh = { endMs: nowMs + windowMs, used: 0, limitedAtMs: undefined };
    this.#windows.set(key, fresh);
    return fresh;
  }

  #blame(window: Window, nowMs: number, early: (message: string) => void, what: string): void {
    if (window.limitedAtMs !== undefined && nowMs - window.limitedAtMs > IN_FLIGHT_GRACE_MS)
      early(`asked again before the time of a 429 was over: ${what}`);
    window.limitedAtMs ??= nowMs;
  }

  #refuse(
    limited: Omit<Limited, "atMs" | "code">,
    window: Window,
    nowMs: number,
    more: Record<string, string>,
    code?: number,
  ): RateReply {
    this.given.push({ ...limited, atMs: nowMs, code });
    const seconds = (window.endMs - nowMs) / 1000;
    const global = limited.scope === "global";
    return {
      headers: {
        ...more,
        "retry-after": String(Math.ceil(seconds)),
        "x-ratelimit-scope": limited.scope,
        ...(global ? { "x-ratelimit-global": "true" } : {}),
      },
      body: { message: "You are being rate limited.", retry_after: seconds, global },
    };
  }
}

function bucketHeaders(
  hash: string,
  { limit }: Limit,
  window: Window,
  nowMs: number,
): Record<string, string> {
  return {
    "x-ratelimit-limit": String(limit),
    "x-ratelimit-remaining": String(limit - window.used),
    "x-ratelimit-reset": (window.endMs / 1000).toFixed(3),
    "x-ratelimit-reset-after": ((window.endMs - nowMs) / 1000).toFixed(3),
    "x-ratelimit-bucket": hash,
  };
}
