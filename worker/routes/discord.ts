/**
 * Interactions of Discord: signed by it, answered in the response. Discord's interface and not ours, so it stands in no OpenAPI
 * document, and whatever is not signed gets the 401 by which Discord tests the address, whatever its method.
 */
import { Hono } from "hono";
import type { APIInteraction } from "discord-api-types/v10";
import { DISCORD_INTERACTIONS_PATH } from "../../contract/chat/discord-commands.ts";
import { BadRequestError } from "../../contract/errors.ts";
import { INTERACTION_MAX_BYTES } from "../../contract/limits.ts";
import { notJson } from "../../contract/validate.ts";
import type { AppContext } from "../app-context.ts";
import { readBytes } from "../body.ts";
import { answerInteraction } from "../discord/router.ts";
import { verifyInteraction } from "../discord/verify.ts";

export const discordRoutes = new Hono<AppContext>().all(DISCORD_INTERACTIONS_PATH, async (context) => {
  const at = Date.now();
  const bytes = await readBytes(context.req.raw, "the interaction", INTERACTION_MAX_BYTES);
  await verifyInteraction(context.req.raw.headers, bytes, context.env, Date.now());
  const waitUntil = (promise: Promise<unknown>): void => context.executionCtx.waitUntil(promise);
  return context.json(await answerInteraction(context.env, parsed(bytes), { at, waitUntil }));
});

/** Signed by Discord, so its form is Discord's; it is looked at only as far as it would break the reader. */
function parsed(bytes: Uint8Array): APIInteraction {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new BadRequestError("invalid_json", `the interaction ${notJson(error)}`);
  }
  if (value === null || typeof value !== "object" || !("type" in value) || !("id" in value))
    throw new BadRequestError("invalid_interaction", "this is no interaction");
  return value as APIInteraction;
}
