/**
 * Where Telegram brings its updates. Whatever fails with a 5xx or a 4xx it brings again, for about a day, and everything
 * behind it waits; so an update that is not understood is taken and forgotten.
 *
 * 1. Closed by default: without a bot and a secret everything is 401. The header is all that proves who speaks: there is
 *    no signature and no time.
 * 2. 200 says that an update was dealt with: admitted, done, its answer stored, and then noted as done. The same update again does
 *    nothing.
 * 3. Cut off anywhere before, by a crash or a failure (503), it comes again and is done then: what was done of it already is not
 *    done twice, since everything that it makes has an id of the update's (chat-access/rules, A3).
 */
import { Hono, type Context } from "hono";
import { FlowError, OverloadedError, UnauthorizedError } from "../../contract/errors.ts";
import { TELEGRAM_BOT_QUERY, TELEGRAM_WEBHOOK_PATH } from "../../contract/chat/telegram-commands.ts";
import { TELEGRAM_UPDATE_MAX_BYTES } from "../../contract/limits.ts";
import { checkTelegramUpdate } from "../../contract/validate.ts";
import { botId } from "../../durable-objects/chat-outbox/naming.ts";
import type { AppContext } from "../app-context.ts";
import { matchesAny, secretList } from "../auth/secrets.ts";
import { readBytes, readJson } from "../body.ts";
import { noteRefusal } from "../chat/refusals.ts";
import { withPublicUrl } from "../chat/public-url.ts";
import { obey } from "./obey.ts";
import { readUpdate } from "./update.ts";

const SECRET_HEADER = "x-telegram-bot-api-secret-token";

/** Telegram's interface and not ours, so it stands in no OpenAPI document; closed whatever the method. */
export const telegramRoutes = new Hono<AppContext>().all(TELEGRAM_WEBHOOK_PATH, receive);

async function receive(context: Context<AppContext>): Promise<Response> {
  const { req } = context;
  const env = withPublicUrl(context.env, req.raw);
  const refused = (act: string, reason: string): void => {
    context.executionCtx.waitUntil(noteRefusal(env, { platform: "telegram", act, reason }));
  };
  const id = await authenticatedBot(context).catch((error: unknown) => {
    refused("forged update", "wrong secret");
    throw error;
  });
  const given = await readUpdateBody(req.raw).catch((error: unknown) => {
    if (error instanceof FlowError) refused("unreadable update", error.code);
    throw error;
  });
  const update = checkTelegramUpdate(given);
  if (!update.ok) {
    // A kind or a form that this version does not know: it would come again for ever.
    refused("unknown update", "not understood");
    return context.json({});
  }
  const request = readUpdate(update.value, { id, name: req.query(TELEGRAM_BOT_QUERY) });
  try {
    return context.json((await obey(env, id, update.value.update_id, request)) ?? {});
  } catch (error) {
    console.error(
      JSON.stringify({
        message: "an update of Telegram was not taken",
        requestId: context.get("requestId"),
        updateId: update.value.update_id,
        error: String(error),
      }),
    );
    throw new OverloadedError("the update was not dealt with; send it again");
  }
}

async function readUpdateBody(request: Request): Promise<unknown> {
  const body = await readBytes(request, "the update", TELEGRAM_UPDATE_MAX_BYTES);
  return readJson(request, body).value;
}

/** Id of the bot that the secret belongs to. Throws UnauthorizedError. */
async function authenticatedBot({ env, req }: Context<AppContext>): Promise<string> {
  const id = botId(env, "telegram");
  const given = req.header(SECRET_HEADER) ?? "";
  const known = await matchesAny(given, secretList(env, "TELEGRAM_WEBHOOK_SECRETS"));
  if (id === undefined || !known)
    throw new UnauthorizedError("this is for Telegram, with the secret that setWebhook was given", [
      { path: SECRET_HEADER, message: "is no configured secret" },
    ]);
  return id;
}
