/**
 * From a verified interaction to its answer. Discord waits for three seconds and shows "This interaction failed" for
 * anything but an answer of its own form, so whatever goes wrong is said in one. What takes longer is answered later, by the
 * outbox.
 */
import type { APIInteraction } from "discord-api-types/v10";
import { SEND_TO_CODEX } from "../../contract/chat/discord-commands.ts";
import type { ChatMessage } from "../../contract/chat/message.ts";
import { FlowError } from "../../contract/errors.ts";
import { withAdmission } from "../chat/access.ts";
import { refused } from "../chat/answer.ts";
import type { Asker } from "../chat/asker.ts";
import { outboxOf, runOfPlace } from "../chat/outbox.ts";
import type { Env } from "../env.ts";
import { DEFERRED, drawAnswer, drawChoices, PONG, type DiscordAnswer } from "./answers.ts";
import { choicesFor } from "./choices.ts";
import { COMMANDS } from "./commands/index.ts";
import { outOfDate, pressOf, type Press } from "./components.ts";
import { askForm, promptOf } from "./forms.ts";
import { askerOf, DIRECT_MESSAGES, Options, readCommand } from "./interaction.ts";
import { submissionOf } from "./modals.ts";

/** Discord's numbers of kinds of interactions; its own enums would cost 89 KB. */
const INTERACTION = { ping: 1, command: 2, component: 3, autocomplete: 4, modal: 5 } as const;
const SLASH_COMMAND = 1;
const MESSAGE_COMMAND = 3;
/** Time for an answer in the response itself; the rest of Discord's three seconds is the road's. */
const INLINE_MS = 2_000;

export interface Waiting {
  waitUntil(promise: Promise<unknown>): void;
}

/** The answer, as JSON for Discord. Throws ConflictError for an interaction that was admitted before. */
export async function answerInteraction(
  env: Env,
  interaction: APIInteraction,
  waiting: Waiting,
): Promise<object> {
  const { type } = interaction;
  const known: number[] = Object.values(INTERACTION);
  if (!known.includes(type))
    return drawAnswer(refused("unknown_interaction", "This is not known here"), false);
  if (type === INTERACTION.ping) return PONG;
  if (type === INTERACTION.autocomplete) return drawChoices(await choices(env, interaction));
  return inTime(env, interaction, answerAct(env, interaction), waiting);
}

async function choices(
  env: Env,
  interaction: Extract<APIInteraction, { type: 4 }>,
): Promise<{ name: string; value: string }[]> {
  const asker = askerOf(interaction);
  if (asker.tenant === DIRECT_MESSAGES) return [];
  try {
    return await choicesFor(env, asker, readCommand(interaction.data));
  } catch (error) {
    logFailure(interaction, error);
    return [];
  }
}

type Act = Extract<APIInteraction, { type: 2 | 3 | 5 }>;

async function answerAct(env: Env, interaction: Act): Promise<DiscordAnswer> {
  try {
    const asker = askerOf(interaction);
    const { asked, act } = await pressed(env, asker, interaction);
    const options =
      interaction.type === INTERACTION.command ? optionsOf(interaction) : new Options(new Map());
    // In direct messages nobody has roles: no command is offered there, and one that comes all the same is refused.
    const needed = asker.tenant === DIRECT_MESSAGES ? { ...asked, scope: asked.scope ?? "run:read" } : asked;
    return await withAdmission<DiscordAnswer>(env, asker, needed, (scopes) =>
      act({ env, asker, options, scopes }),
    );
  } catch (error) {
    if (error instanceof FlowError) return refused(error.code, error.message);
    logFailure(interaction, error);
    return refused("internal", "The edge failed", ["Look at /flow runs before you try it again."]);
  }
}

async function pressed(env: Env, asker: Asker, interaction: Act): Promise<Press> {
  if (interaction.type === INTERACTION.component) return pressOf(interaction);
  if (interaction.type === INTERACTION.modal) return submissionOf(interaction);
  const { data } = interaction;
  if (data.type === MESSAGE_COMMAND && data.name === SEND_TO_CODEX) {
    const text = promptOf(data.resolved.messages[data.target_id]);
    return { asked: { scope: "run:start", act: SEND_TO_CODEX }, act: () => askForm({ prompt: text }) };
  }
  if (data.type !== SLASH_COMMAND) return outOfDate("command");
  const { path, options } = readCommand(data);
  const command = Object.hasOwn(COMMANDS, path) ? COMMANDS[path] : undefined;
  if (command === undefined) return outOfDate("command");
  const subject =
    options.text("run") ??
    options.text("event") ??
    options.text("type") ??
    options.text("who") ??
    (await runOfPlace(env, asker.place));
  return {
    asked: { scope: command.scope, act: path, ...(subject === undefined ? {} : { subject }) },
    act: (invocation) => command.run(invocation),
  };
}

function optionsOf({ data }: Extract<APIInteraction, { type: 2 }>): Options {
  return data.type === SLASH_COMMAND ? readCommand(data).options : new Options(new Map());
}

/** The answer itself, or word that it comes later. Without an outbox nobody could bring it: then it is waited for. */
async function inTime(
  env: Env,
  interaction: Act,
  answering: Promise<DiscordAnswer>,
  waiting: Waiting,
): Promise<object> {
  const onMessage = interaction.type !== INTERACTION.command && interaction.message !== undefined;
  const outbox = outboxOf(env, "discord");
  if (outbox === undefined) return drawAnswer(await answering, onMessage);
  const at = Date.now();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), INLINE_MS);
  });
  const answer = await Promise.race([answering, late]);
  if (timer !== undefined) clearTimeout(timer);
  if (answer !== undefined) return drawAnswer(answer, onMessage);
  waiting.waitUntil(
    answering.then((slow) =>
      outbox.reply({
        key: interaction.id,
        applicationId: interaction.application_id,
        interactionToken: interaction.token,
        at,
        message: lateMessage(slow),
      }),
    ),
  );
  return DEFERRED;
}

/** A form cannot follow a deferral. */
function lateMessage(answer: DiscordAnswer): ChatMessage {
  if (answer.kind === "message" || answer.kind === "denied") return answer.message;
  return { tone: "attention", title: "That took too long", lines: ["Please ask once more."] };
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
