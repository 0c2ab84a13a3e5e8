/**
 * From a verified interaction to its answer. Discord waits for three seconds and shows "This interaction failed" for
 * anything but an answer of its own form, so whatever goes wrong is said in one. What takes longer is deferred
 * (deferral.ts).
 */
import type { APIInteraction } from "discord-api-types/v10";
import { SEND_TO_CODEX } from "../../contract/chat/discord-commands.ts";
import { FlowError } from "../../contract/errors.ts";
import { within } from "../../durable-objects/kit/deadline.ts";
import { withAdmission } from "../chat/access.ts";
import { refused } from "../chat/answer.ts";
import { DIRECT_MESSAGES, type Asker } from "../chat/asker.ts";
import { outboxOf, runOfPlace } from "../chat/outbox.ts";
import { noteRefusal } from "../chat/refusals.ts";
import type { Env } from "../env.ts";
import { DEFERRED, drawAnswer, drawChoices, PONG, type DiscordAnswer } from "./answers.ts";
import { choicesFor } from "./choices.ts";
import { COMMANDS } from "./commands/index.ts";
import { outOfDate, pressOf, type Press } from "./components.ts";
import { AT_ONCE_MAX, Crowd, turnIn } from "./crowd.ts";
import { handOver, lateMessage, patienceMs } from "./deferral.ts";
import { askForm, promptOf } from "./forms.ts";
import { askerOf, Options, readCommand } from "./interaction.ts";
import { submissionOf } from "./modals.ts";

/** Discord's numbers of kinds of interactions; its own enums would cost 89 KB. */
const INTERACTION = { ping: 1, command: 2, component: 3, autocomplete: 4, modal: 5 } as const;
const SLASH_COMMAND = 1;
const MESSAGE_COMMAND = 3;
const NO_OPTIONS = new Options(new Map());
/** The same words for what cannot be parsed at all (worker/routes/discord.ts). */
const UNREADABLE_ACT = "unreadable interaction";
const crowd = new Crowd();
const FAILED = refused("internal", "The edge failed", ["Look at /flow runs before you try it again."]);

/** A request, as far as its answer may come later. */
export interface Arrival {
  /** Epoch ms: before its signature was looked at. */
  at: number;
  waitUntil: (promise: Promise<unknown>) => void;
}

/** The answer, as JSON for Discord. Throws ConflictError for an interaction that was admitted before. */
export async function answerInteraction(
  env: Env,
  interaction: APIInteraction,
  arrival: Arrival,
): Promise<object> {
  const { type } = interaction;
  const known: number[] = Object.values(INTERACTION);
  if (!known.includes(type)) return drawAnswer(await answerUnknown(env, interaction), false);
  if (type === INTERACTION.ping) return PONG;
  if (type === INTERACTION.autocomplete) return drawChoices(await choices(env, interaction));
  return inTime(env, interaction, arrival, actAsked(interaction));
}

/** Of a kind that no version of ours knows: nothing is done, and it is written down. */
async function answerUnknown(env: Env, interaction: APIInteraction): Promise<DiscordAnswer> {
  const asker = await readAsker(env, interaction);
  if (asker === undefined) return UNREADABLE;
  return withAdmission<DiscordAnswer>(env, asker, { act: "unknown interaction" }, () =>
    refused("unknown_interaction", "This is not known here"),
  );
}

async function choices(
  env: Env,
  interaction: Extract<APIInteraction, { type: 4 }>,
): Promise<{ name: string; value: string }[]> {
  try {
    const asker = askerOf(interaction);
    if (asker.tenant === DIRECT_MESSAGES) return [];
    return await choicesFor(env, asker, readCommand(interaction.data));
  } catch (error) {
    logFailure(interaction, error);
    return [];
  }
}

type Act = Extract<APIInteraction, { type: 2 | 3 | 5 }>;

/** What an interaction asks for. One that cannot be read asks for nothing, and is logged. */
export function actAsked(interaction: Act): Press {
  try {
    if (interaction.type === INTERACTION.component) return pressOf(interaction);
    return interaction.type === INTERACTION.modal ? submissionOf(interaction) : commandOf(interaction);
  } catch (error) {
    logFailure(interaction, error);
    return UNREADABLE_PRESS;
  }
}

const UNREADABLE = refused("unreadable_interaction", "The edge cannot read this request", [
  "Nothing was done. Try it again; if that does not help, register the bot's commands again.",
]);

/** It does nothing, and is in the audit like any other request. */
const UNREADABLE_PRESS: Press = {
  asked: { act: UNREADABLE_ACT },
  inline: false,
  act: () => UNREADABLE,
};

/** Who asks; undefined, and counted in the audit, when the interaction does not say it in a form that can be read. */
async function readAsker(env: Env, interaction: APIInteraction): Promise<Asker | undefined> {
  try {
    return askerOf(interaction);
  } catch (error) {
    logFailure(interaction, error);
    await noteRefusal(env, { platform: "discord", act: UNREADABLE_ACT, reason: "unreadable_interaction" });
    return undefined;
  }
}

function commandOf({ data }: Extract<APIInteraction, { type: 2 }>): Press {
  if (data.type === MESSAGE_COMMAND && data.name === SEND_TO_CODEX) {
    const text = promptOf(data.resolved.messages[data.target_id]);
    const asked = { scope: "run:start", act: SEND_TO_CODEX } as const;
    return { asked, inline: true, act: () => askForm({ prompt: text }) };
  }
  if (data.type !== SLASH_COMMAND) return outOfDate("command");
  const { path, options } = readCommand(data);
  const command = Object.hasOwn(COMMANDS, path) ? COMMANDS[path] : undefined;
  if (command === undefined) return outOfDate("command");
  const subject = options.text("run") ?? options.text("event") ?? options.text("type") ?? options.text("who");
  return {
    asked: { scope: command.scope, act: path, ...(subject === undefined ? {} : { subject }) },
    aboutPlace: true,
    inline: command.inline?.(options) ?? false,
    act: (invocation) => command.run({ ...invocation, options }),
  };
}

/** Never rejects. */
async function answerAct(env: Env, interaction: Act, press: Press): Promise<DiscordAnswer> {
  const { asked, aboutPlace, act } = press;
  try {
    const asker = await readAsker(env, interaction);
    if (asker === undefined) return UNREADABLE;
    const subject = asked.subject ?? (aboutPlace === true ? await runOfPlace(env, asker.place) : undefined);
    // In direct messages nobody has roles: no command is offered there, and one that comes all the same is refused.
    const scope = asked.scope ?? (asker.tenant === DIRECT_MESSAGES ? "run:read" : undefined);
    return await withAdmission<DiscordAnswer>(
      env,
      asker,
      {
        act: asked.act,
        ...(scope === undefined ? {} : { scope }),
        ...(subject === undefined ? {} : { subject }),
      },
      (scopes) => act({ env, asker, options: NO_OPTIONS, scopes }),
    );
  } catch (error) {
    if (error instanceof FlowError) return refused(error.code, error.message);
    logFailure(interaction, error);
    return FAILED;
  }
}

/** The answer itself, or word that it comes later. Without an outbox nobody could bring it: then it is waited for. */
async function inTime(env: Env, interaction: Act, { at, waitUntil }: Arrival, press: Press): Promise<object> {
  const onMessage = interaction.type !== INTERACTION.command && interaction.message !== undefined;
  const inline = press.inline;
  const canFollow = outboxOf(env, "discord") !== undefined;
  const { place, leave } = crowd.enter(at);
  const crowded = canFollow && !inline && place >= AT_ONCE_MAX;
  const answering = (crowded ? turnIn(crowd, place) : Promise.resolve())
    .then(() => answerAct(env, interaction, press))
    .finally(leave);
  if (!canFollow) return drawAnswer(await answering, onMessage);
  const answer = crowded
    ? undefined
    : await within(answering, patienceMs(inline, at, Date.now()), () => undefined);
  if (answer !== undefined) return drawAnswer(answer, onMessage);
  waitUntil(answerLater(env, interaction, at, answering));
  return DEFERRED;
}

async function answerLater(
  env: Env,
  interaction: Act,
  at: number,
  answering: Promise<DiscordAnswer>,
): Promise<void> {
  const { id: key, application_id: applicationId, token: interactionToken } = interaction;
  const message = await lateMessage(answering);
  if (message === undefined) return;
  try {
    // A stub that has failed once may fail for good.
    await handOver(async () =>
      outboxOf(env, "discord")?.reply({ key, applicationId, interactionToken, at, message }),
    );
  } catch (error) {
    logFailure(interaction, error);
  }
}

function logFailure({ id, type }: { id: string; type: number }, error: unknown): void {
  console.error(
    JSON.stringify({
      message: "an interaction failed",
      interaction: id,
      type,
      error: String(error),
      stack: error instanceof Error ? error.stack : undefined,
    }),
  );
}
