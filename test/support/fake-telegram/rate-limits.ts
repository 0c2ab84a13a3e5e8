/**
 * Telegram's limits, as far as they are known: per chat, per group over all its topics, and over all. What is refused
 * does not count, but whoever asks again before `retry_after` is over commits a fault: that is what gets bots banned.
 */
import { TelegramError } from "./errors.ts";
import type { Limit, LimitOptions } from "./options.ts";
import type { Chat } from "./world.ts";

export interface Limited {
  limit: "chat" | "group" | "all";
  method: string;
  chatId: number;
  atMs: number;
  retryAfter: number;
}

/** Requests that were under way when the 429 came are not blamed for it. */
const IN_FLIGHT_GRACE_MS = 250;

export class RateLimits {
  /** Every 429 that was given, in its order. */
  readonly given: Limited[] = [];
  readonly #options: LimitOptions;
  readonly #taken = new Map<string, number[]>();
  /** Until when a chat was told to wait, and since when it knows. */
  readonly #told = new Map<string, { untilMs: number; sinceMs: number }>();

  constructor(options: LimitOptions) {
    this.#options = options;
  }

  /** Throws the 429. `early` is called for a request that ignores one. */
  take(method: string, chat: Chat, nowMs: number, early: (message: string) => void): void {
    const group = chat.type !== "private";
    const scopes: Array<{ name: Limited["limit"]; key: string; limit: Limit }> = [
      { name: "all", key: "all", limit: this.#options.all },
      ...(group ? [{ name: "group" as const, key: `group ${chat.id}`, limit: this.#options.group }] : []),
      { name: "chat", key: `chat ${chat.id}`, limit: this.#options.chat },
    ];
    for (const { name, key, limit } of scopes) {
      const inWindow = (this.#taken.get(key) ?? []).filter((at) => nowMs - at < limit.windowMs);
      this.#taken.set(key, inWindow);
      const [first] = inWindow;
      if (inWindow.length < limit.limit || first === undefined) continue;
      const told = this.#told.get(key);
      if (told !== undefined && told.untilMs > nowMs && nowMs - told.sinceMs > IN_FLIGHT_GRACE_MS)
        early(`${method} in ${chat.id} before retry_after was over`);
      const retryAfter = Math.max(1, Math.ceil((first + limit.windowMs - nowMs) / 1000));
      if (told === undefined || told.untilMs <= nowMs)
        this.#told.set(key, { untilMs: first + limit.windowMs, sinceMs: nowMs });
      this.given.push({ limit: name, method, chatId: chat.id, atMs: nowMs, retryAfter });
      throw new TelegramError(429, `Too Many Requests: retry after ${retryAfter}`, {
        retry_after: retryAfter,
      });
    }
    for (const { key } of scopes) this.#taken.get(key)?.push(nowMs);
  }
}
