/** Calls of the fake Discord as a right client makes them, for the fake's own tests. */
import type { FakeDiscord } from "./fake-discord/index.ts";

export interface Answered {
  status: number;
  headers: Headers;
  text: string;
  body: Record<string, unknown> & { id: string; code?: number; errors?: unknown; retry_after?: number };
  list: Array<Record<string, unknown> & { id: string; content: string }>;
}

export const QUIET = { allowed_mentions: { parse: [] } };
export const V2 = 1 << 15;

export const button = (custom_id: string) => ({ type: 2, style: 1, label: "Go", custom_id });
export const row = (...components: unknown[]) => ({ type: 1, components });
export const text = (content: string) => ({ type: 10, content });

/** `more` are headers; an empty one is left out. */
export async function call(
  fake: FakeDiscord,
  method: string,
  path: string,
  body?: unknown,
  more: Record<string, string> = {},
): Promise<Answered> {
  const headers = {
    authorization: `Bot ${fake.botToken}`,
    "user-agent": "DiscordBot (https://example.com, 1.0)",
    ...(body === undefined ? {} : { "content-type": "application/json" }),
    ...more,
  };
  const response = await fetch(fake.apiUrl + path, {
    method,
    headers: Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== "")),
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const said = await response.text();
  const json: unknown = said.startsWith("{") || said.startsWith("[") ? JSON.parse(said) : {};
  return {
    status: response.status,
    headers: response.headers,
    text: said,
    body: json as Answered["body"],
    list: json as Answered["list"],
  };
}

let nonces = 0;

/** Posts into the fake's text channel, or another, with what a right message has. */
export async function post(
  fake: FakeDiscord,
  body: Record<string, unknown>,
  channel = fake.text.id,
): Promise<Answered> {
  nonces += 1;
  const right = { ...QUIET, nonce: `n${nonces}`, enforce_nonce: true };
  return call(fake, "POST", `/channels/${channel}/messages`, { ...right, ...body });
}

export async function edit(
  fake: FakeDiscord,
  id: string,
  body: Record<string, unknown>,
  channel = fake.text.id,
): Promise<Answered> {
  return call(fake, "PATCH", `/channels/${channel}/messages/${id}`, { ...QUIET, ...body });
}
