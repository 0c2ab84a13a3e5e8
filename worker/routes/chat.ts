/** Chats by HTTP: what a script says in a channel, and how delivery stands. People in chats come by other doors. */
import { Hono } from "hono";
import { CHAT_PLATFORMS, type ChatPlatform } from "../../contract/chat/place.ts";
import { ConflictError, OverloadedError } from "../../contract/errors.ts";
import { REQUEST_MAX_BYTES } from "../../contract/limits.ts";
import { checkChatPostRequest } from "../../contract/validate.ts";
import { outboxName, outboxNameToAsk } from "../../durable-objects/chat-outbox/naming.ts";
import type { AppContext } from "../app-context.ts";
import { authorize } from "../auth/authorize.ts";
import { parseJson, readBytes } from "../body.ts";

export const chatRoutes = new Hono<AppContext>()
  .post("/chat/messages", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["admin"]);
    const bytes = await readBytes(context.req.raw, "the request", REQUEST_MAX_BYTES);
    const { place, key, ...post } = parseJson(context.req.raw, bytes, checkChatPostRequest);
    const name = outboxName(context.env, place.platform);
    if (name === undefined) throw noBot(place.platform);
    // The board has keys of its own.
    const answer = await context.env.CHAT_OUTBOXES.getByName(name).post({
      ...post,
      place,
      key: `api:${key}`,
    });
    if (answer.status === "full")
      throw new OverloadedError(
        "too many chat messages wait already; nothing was stored, send it again later",
      );
    return context.json({ status: answer.status }, 202);
  })
  .get("/chat/status", async (context) => {
    await authorize(context.req.raw.headers, context.env, ["runs:read"]);
    const outboxes = await Promise.all(
      CHAT_PLATFORMS.map(async (platform) => {
        const name = outboxNameToAsk(context.env, platform);
        if (name === undefined) return [];
        return [{ platform, ...(await context.env.CHAT_OUTBOXES.getByName(name).status()) }];
      }),
    );
    return context.json({ outboxes: outboxes.flat() });
  });

function noBot(platform: ChatPlatform): ConflictError {
  const names =
    platform === "discord" ? "DISCORD_APPLICATION_ID and DISCORD_BOT_TOKEN" : "TELEGRAM_BOT_TOKEN";
  return new ConflictError("no_bot", `this edge has no bot of ${platform}: set ${names}`, [
    { path: "/place/platform", message: "has no bot here" },
  ]);
}
