/**
 * Discord's REST interface, as far as setting up an application needs it. The token goes into a header, to this address alone,
 * and into no message.
 */
import { discordUserAgent } from "../../contract/chat/discord-agent.ts";
import { connectionReason } from "../../client/transport.ts";

export const DISCORD_API_URL = "https://discord.com/api/v10";
const REQUEST_TIMEOUT_MS = 15_000;

/** Discord refused a request, or did not answer: then there is no status. */
export class DiscordError extends Error {
  override readonly name = "DiscordError";
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }
}

export interface DiscordRest {
  /** Throws DiscordError. */
  request<Answer>(method: "GET" | "PUT" | "PATCH", path: string, body?: unknown): Promise<Answer>;
}

/** @param edgeUrl where the edge is reached for which this speaks */
export function createDiscordRest(token: string, url: string, edgeUrl: string): DiscordRest {
  const base = url.replace(/\/+$/, "");
  const userAgent = discordUserAgent(edgeUrl);
  return {
    async request<Answer>(method: string, path: string, body?: unknown): Promise<Answer> {
      let response: Response;
      let text: string;
      try {
        response = await fetch(base + path, {
          method,
          headers: {
            authorization: `Bot ${token}`,
            "user-agent": userAgent,
            ...(body === undefined ? {} : { "content-type": "application/json" }),
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
        });
        text = await response.text();
      } catch (error) {
        throw new DiscordError(connectionReason(error));
      }
      if (response.ok) return JSON.parse(text) as Answer;
      throw new DiscordError(`${response.status} ${reasonsIn(text)}`.trim(), response.status);
    },
  };
}

/** Discord says what is wrong at the bottom of a tree of fields. */
function reasonsIn(text: string): string {
  const said: string[] = [];
  try {
    JSON.parse(text, (name, value: unknown) => {
      if (name === "message" && typeof value === "string") said.push(value);
      return value;
    });
  } catch {
    return text.slice(0, 200);
  }
  return said.reverse().join(": ");
}
