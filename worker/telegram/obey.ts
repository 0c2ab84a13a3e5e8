/**
 * From what an update asks for to what is said about it. Whether it is heard at all is decided here, what it does in
 * commands.ts, presses.ts and texts.ts, and whoever may is known to ChatAccess alone.
 *
 * 1. A group that no administrator of the bot has bound is deaf but for `/codeflow`, `/bind` and `/help` of such an
 *    administrator: whoever adds the bot to a group of his own gets not even an answer.
 * 2. Nobody who cannot be known does anything: channels, anonymous administrators.
 * 3. Words that the sender has not written, forwarded or from an inline bot, do nothing. They are counted in the audit where
 *    they would have asked for something, and in a private chat the sender is told so.
 * 4. What strangers ask for is in the audit, counted by sender; of what people only say to each other nothing is kept.
 */
import { NOBODY_ID } from "../../contract/chat/place.ts";
import type { TelegramCommandName } from "../../contract/chat/telegram-commands.ts";
import type { Env } from "../env.ts";
import { mayNow, withAdmission } from "../chat/access.ts";
import { refused, type ChatAnswer } from "../chat/answer.ts";
import type { Asker } from "../chat/asker.ts";
import { runOfPlace } from "../chat/outbox.ts";
import { noteStranger } from "../chat/refusals.ts";
import { isBound, moveChat } from "./chats.ts";
import { COMMANDS, scopeFor, unknownCommand } from "./commands.ts";
import { acknowledge, isGood, postAnswer, toast, type WebhookReply } from "./deliver.ts";
import { press } from "./presses.ts";
import { runRepliedTo } from "./replied.ts";
import { hearText, takesPrompts } from "./texts.ts";
import type {
  Asked,
  CommandRequest,
  ForeignRequest,
  PressRequest,
  TelegramRequest,
  TextRequest,
} from "./update.ts";
import { chooseCommand, leadingRun } from "./words.ts";

/** What an administrator may ask for in a chat that is not bound. */
const ANYWHERE: readonly TelegramCommandName[] = ["codeflow", "bind", "help"];

/** Does what is asked. Answers with a call of one method, which Telegram takes from the response, or nothing. */
export async function obey(
  env: Env,
  bot: string,
  updateId: number,
  request: TelegramRequest,
): Promise<WebhookReply | undefined> {
  switch (request.kind) {
    case "nothing":
      return undefined;
    case "moved":
      await moveChat(env, request.from, request.to);
      return undefined;
    case "foreign":
      await refuseForeign(env, bot, updateId, request);
      return undefined;
    case "command":
      return obeyCommand(env, bot, askerOf(env, bot, updateId, request), request);
    case "press":
      return obeyPress(env, bot, askerOf(env, bot, updateId, request), request);
    case "text": {
      const asker = askerOf(env, bot, updateId, request);
      if (asker !== undefined && (await isBound(env, asker, request.isPrivate)))
        return hearText(env, asker, request);
      const { ownMessage, runId } = request.repliedTo ?? {};
      const isForUs = request.isPrivate || (ownMessage ?? runId) !== undefined;
      if (isForUs) await strangerAsks(env, asker ?? anonymous(bot, request), "message");
      return undefined;
    }
  }
}

async function obeyCommand(
  env: Env,
  bot: string,
  asker: Asker | undefined,
  request: CommandRequest,
): Promise<WebhookReply | undefined> {
  const chosen = chooseCommand(request.name, request.rest);
  if (asker === undefined) {
    if (chosen !== undefined) await strangerAsks(env, anonymous(bot, request), `/${chosen.name}`);
    return undefined;
  }
  const bound = await isBound(env, asker, request.isPrivate);
  if (chosen === undefined) {
    // In a group it may be meant for another bot.
    if (!request.addressed) return undefined;
    if (!bound) {
      await strangerAsks(env, asker, "unknown command");
      return undefined;
    }
    await withAdmission(
      env,
      asker,
      { act: `/${request.name}` },
      () => unknownCommand(request.name),
      (answer) => postAnswer(env, asker, answer),
    );
    return undefined;
  }
  const { name, rest } = chosen;
  if (!bound && !(ANYWHERE.includes(name) && (await mayNow(env, asker, "admin")))) {
    await strangerAsks(env, asker, `/${name}`);
    return undefined;
  }
  const command = COMMANDS[name];
  const runId =
    command.about === "run"
      ? (leadingRun(rest).runId ??
        (await runRepliedTo(env, asker, request.repliedTo)) ??
        (await runOfPlace(env, asker.place)))
      : undefined;
  const scope = bound ? scopeFor(command, rest) : "admin";
  const asked = {
    act: `/${name}`,
    ...(scope === undefined ? {} : { scope }),
    ...(runId === undefined ? {} : { subject: runId }),
  };
  const isMark = (answer: ChatAnswer): boolean => command.acknowledged === true && isGood(answer);
  const answer = await withAdmission(
    env,
    asker,
    asked,
    (scopes) => command.run({ env, asker, rest, runId, repliedTo: request.repliedTo, scopes }),
    async (given) => {
      const isSilent = isMark(given) || (!bound && given.kind === "denied");
      if (!isSilent) await postAnswer(env, asker, given);
    },
  );
  return isMark(answer) ? acknowledge(asker, request.messageId) : undefined;
}

async function obeyPress(
  env: Env,
  bot: string,
  asker: Asker | undefined,
  request: PressRequest,
): Promise<WebhookReply | undefined> {
  if (asker === undefined) {
    await strangerAsks(env, anonymous(bot, request), "press");
    return toast(request.callbackId, "Telegram does not say who you are", true);
  }
  if (!(await isBound(env, asker, request.isPrivate))) {
    await strangerAsks(env, asker, "press");
    return toast(
      request.callbackId,
      "This chat is not bound: an administrator of the bot does it with /bind",
      true,
    );
  }
  return press(env, asker, request);
}

async function refuseForeign(
  env: Env,
  bot: string,
  updateId: number,
  { why, request }: ForeignRequest,
): Promise<void> {
  const asker = askerOf(env, bot, updateId, request);
  const act = await foreignAct(env, asker, request);
  if (act === undefined) return;
  await noteStranger(env, asker ?? anonymous(bot, request), act, why);
  if (asker === undefined || !request.isPrivate || !(await isBound(env, asker, true))) return;
  await postAnswer(env, asker, FOREIGN);
}

const FOREIGN = refused("foreign_words", "I only follow what you write yourself", [
  "Forwarded messages and results of other bots do nothing here. Type the text, or copy it into a message of your own.",
]);

/** What the message would have asked for, for the audit; undefined where people only talk to each other. */
async function foreignAct(
  env: Env,
  asker: Asker | undefined,
  request: CommandRequest | TextRequest,
): Promise<string | undefined> {
  if (request.kind === "command") {
    const chosen = chooseCommand(request.name, request.rest);
    if (chosen !== undefined) return `/${chosen.name}`;
    return request.addressed ? "unknown command" : undefined;
  }
  const { ownMessage, runId } = request.repliedTo ?? {};
  if (request.isPrivate || (ownMessage ?? runId) !== undefined) return "message";
  if (asker === undefined || !(await isBound(env, asker, false))) return undefined;
  const isHeard =
    (await runOfPlace(env, asker.place)) !== undefined || (await takesPrompts(env, asker.place));
  return isHeard ? "message" : undefined;
}

/** Not heard, and not answered with a word of the chat. */
async function strangerAsks(env: Env, asker: Asker, act: string): Promise<void> {
  await noteStranger(env, asker, act, asker.user.id === NOBODY_ID ? "anonymous" : "not_bound");
}

/** Who stands in the audit for those whom Telegram does not name. */
function anonymous(bot: string, { place }: Asked): Asker {
  const user = { id: NOBODY_ID, name: "anonymous" };
  return { place, tenant: bot, user, roles: [], administrator: false, requestId: "0" };
}

function askerOf(env: Env, bot: string, updateId: number, { place, user }: Asked): Asker | undefined {
  if (user === undefined) return undefined;
  // Telegram's own administrators are those of one group, and anybody can make a group.
  const administrator = (env.TELEGRAM_ADMINS ?? "").split(/[\s,]+/).includes(user.id);
  return { place, tenant: bot, user, roles: [], administrator, requestId: String(updateId) };
}
