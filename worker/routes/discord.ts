/**
 * Interactions of Discord: signed by it, answered in the response. Discord's interface and not ours, so it stands in no OpenAPI
 * document, and whatever is not signed gets the 401 by which Discord tests the address, whatever its method.
 */
import { Hono } from "hono";
import type { APIInteraction } from "discord-api-types/v10";
import { DISCORD_INTERACTIONS_PATH } from "../../contract/chat/discord-commands.ts";
import { BadRequestError, FlowError } from "../../contract/errors.ts";
import { INTERACTION_MAX_BYTES } from "../../contract/limits.ts";
import type { AppContext } from "../app-context.ts";
import { readBytes, readJson, type SentBody } from "../body.ts";
import { noteRefusal } from "../chat/refusals.ts";
import { withPublicUrl } from "../chat/public-url.ts";
import { answerInteraction } from "../discord/router.ts";
import { UnsignedError, verifyInteraction } from "../discord/verify.ts";
import type { Env } from "../env.ts";

export const discordRoutes = new Hono<AppContext>().all(DISCORD_INTERACTIONS_PATH, async (context) => {
  const { req, executionCtx } = context;
  const env = withPublicUrl(context.env, req.raw);
  const at = Date.now();
  const interaction = await signedInteraction(req.raw, env).catch((error: unknown) => {
    const refused = refusedAs(error);
    // Nobody waits for it: Discord, which tests the address with bad signatures, is answered at once.
    if (refused !== undefined) executionCtx.waitUntil(noteRefusal(env, { platform: "discord", ...refused }));
    throw error;
  });
  const waitUntil = (promise: Promise<unknown>): void => executionCtx.waitUntil(promise);
  return context.json(await answerInteraction(env, interaction, { at, waitUntil }));
});

async function signedInteraction(request: Request, env: Env): Promise<APIInteraction> {
  const body = await readBytes(request, "the interaction", INTERACTION_MAX_BYTES);
  await verifyInteraction(request.headers, body.bytes, env, Date.now());
  return parsed(request, body);
}

/** What the audit says of one that was refused here. What bears no right signature may be cut off, or tampered with. */
function refusedAs(error: unknown): { act: string; reason: string } | undefined {
  if (error instanceof UnsignedError)
    return { act: `${error.kind} interaction`, reason: "invalid signature" };
  return error instanceof FlowError ? { act: "unreadable interaction", reason: error.code } : undefined;
}

/** Signed by Discord, so its form is Discord's; it is looked at only as far as it would break the reader. */
function parsed(request: Request, body: SentBody): APIInteraction {
  const { value } = readJson(request, body);
  if (value === null || typeof value !== "object" || !("type" in value) || !("id" in value))
    throw new BadRequestError("invalid_interaction", "this is no interaction");
  return value as APIInteraction;
}
