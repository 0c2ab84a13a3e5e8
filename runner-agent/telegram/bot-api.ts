/**
 * Telegram's Bot API, as far as setting up a bot needs it. The token stands in the path of every request, so whatever is
 * said about one that failed goes through `withoutToken`: no error and no output ever holds it.
 */
import { connectionReason } from "../../client/transport.ts";

export const TELEGRAM_API_URL = "https://api.telegram.org";
const REQUEST_TIMEOUT_MS = 15_000;
const UNAUTHORIZED = 401;
const NOT_FOUND = 404;

/** Telegram refused a call, or did not answer. `status` is absent when nothing came back. */
export class TelegramError extends Error {
  override readonly name = "TelegramError";
  readonly method: string;
  readonly status: number | undefined;

  constructor(method: string, status: number | undefined, message: string) {
    super(message);
    this.method = method;
    this.status = status;
  }

  /** The token is none, or none any more: Telegram says 404 to what does not even look like one. */
  get refusesToken(): boolean {
    return this.status === UNAUTHORIZED || this.status === NOT_FOUND;
  }
}

export interface BotApi {
  /** The result of a method. Throws TelegramError. */
  call<Result>(method: string, parameters?: Record<string, unknown>): Promise<Result>;
}

/** @param url where the Bot API is, without the token */
export function createBotApi(token: string, url: string): BotApi {
  const base = url.replace(/\/+$/, "");
  const withoutToken = (text: string): string =>
    text.replaceAll(token, "<token>").replaceAll(encodeURIComponent(token), "<token>");
  return {
    async call<Result>(method: string, parameters: Record<string, unknown> = {}): Promise<Result> {
      let status: number | undefined;
      try {
        const response = await fetch(`${base}/bot${token}/${method}`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(parameters),
          signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
        });
        status = response.status;
        const body = readBody(await response.text());
        if (body?.ok === true) return body.result as Result;
        throw new TelegramError(method, status, withoutToken(body?.description ?? `answered ${status}`));
      } catch (error) {
        if (error instanceof TelegramError) throw error;
        throw new TelegramError(method, status, withoutToken(connectionReason(error)));
      }
    },
  };
}

function readBody(text: string): { ok?: unknown; result?: unknown; description?: string } | undefined {
  try {
    const body = JSON.parse(text) as unknown;
    if (typeof body !== "object" || body === null) return undefined;
    const { ok, result, description } = body as Record<string, unknown>;
    return { ok, result, ...(typeof description === "string" ? { description } : {}) };
  } catch {
    return undefined;
  }
}
