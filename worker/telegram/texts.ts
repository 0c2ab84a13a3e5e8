/**
 * A plain message in a chat that the bot hears. Most of them are people who talk to each other: only what is clearly meant
 * for a run, or for Codex where the chat's settings say so, is taken, and nothing else is answered or kept.
 *
 *   a reply to the bot's message about a run, or a message in a run's topic → said to that run; when it is over, a new prompt
 *   otherwise, outside of topics, where `prompts` is on                     → a new prompt
 */
import type { ChatPlace } from "../../contract/chat/place.ts";
import { glanceAtSettings } from "../../durable-objects/channel-settings/client.ts";
import type { Env } from "../env.ts";
import { mayNow, withAdmission } from "../chat/access.ts";
import { refused, type ChatAnswer } from "../chat/answer.ts";
import type { Asker } from "../chat/asker.ts";
import { locateRun } from "../chat/located.ts";
import { runOfPlace } from "../chat/outbox.ts";
import { noteStranger } from "../chat/refusals.ts";
import { ask, ASK_TYPE } from "../chat/start.ts";
import { say } from "../chat/steer.ts";
import { acknowledge, isGood, postAnswer, type WebhookReply } from "./deliver.ts";
import { runRepliedTo } from "./replied.ts";
import type { TextRequest } from "./update.ts";

export async function hearText(
  env: Env,
  asker: Asker,
  request: TextRequest,
): Promise<WebhookReply | undefined> {
  const { text, repliedTo, messageId } = request;
  const replied = await runRepliedTo(env, asker, repliedTo);
  const runId = replied ?? (await runOfPlace(env, asker.place));
  if (runId === undefined && !(await takesPrompts(env, asker.place))) return undefined;
  const scope = runId === undefined ? "run:start" : "run:reply";
  // Somebody who only talks in a run's topic is not answered; that he did is counted, and nothing of what he said is kept.
  if (replied === undefined && !(await mayNow(env, asker, scope))) {
    await noteStranger(env, asker, runId === undefined ? "prompt" : "reply", "missing_scope");
    return undefined;
  }
  const asked = { scope, act: runId === undefined ? "prompt" : "reply" } as const;
  const isUnheard = (answer: ChatAnswer): boolean =>
    answer.kind === "message" && answer.outcome === NOT_LISTENING && replied === undefined;
  const answer = await withAdmission(
    env,
    asker,
    runId === undefined ? asked : { ...asked, subject: runId },
    (scopes) =>
      runId === undefined
        ? ask(env, asker, { prompt: text })
        : sayOrAsk(env, asker, runId, text, scopes.has("run:start")),
    async (given) => {
      if (!isUnheard(given) && !isGood(given)) await postAnswer(env, asker, given);
    },
  );
  return isGood(answer) ? acknowledge(asker, messageId) : undefined;
}

/** What `say` concludes of a step whose kind takes no messages. */
const NOT_LISTENING = "refused: not_listening";

/** Whether plain messages of this place that are about no run are prompts. */
export async function takesPrompts(env: Env, place: ChatPlace): Promise<boolean> {
  if (place.thread !== undefined) return false;
  return (await glanceAtSettings(env, place)).prompts;
}

/** Said to a run that is over, it begins a new one, in the same session. */
async function sayOrAsk(
  env: Env,
  asker: Asker,
  runId: string,
  text: string,
  mayStart: boolean,
): Promise<ChatAnswer> {
  const answer = await say(env, asker, runId, text);
  if (answer.kind !== "message" || answer.outcome !== "refused: run_over") return answer;
  const event = await locateRun(env, runId).object.storedEvent();
  if (event?.type !== ASK_TYPE) return answer;
  if (!mayStart) return refused("missing_scope", "This run is over, and a new one needs the scope run:start");
  const { project, workdir } = (event.payload ?? {}) as { project?: unknown; workdir?: unknown };
  return ask(env, asker, {
    prompt: text,
    session: "auto",
    ...(typeof project === "string" ? { project } : {}),
    ...(typeof workdir === "string" ? { workdir } : {}),
  });
}
