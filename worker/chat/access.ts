/**
 * Admission around an act: nothing is done, and nothing of a run is looked at, before ChatAccess has admitted the request
 * and written it down; and whatever came of it is written down as well. Asked again at every click, of what the clicker may
 * do now: buttons stay in a chat for ever.
 */
import { FlowError } from "../../contract/errors.ts";
import type { ChatPlatform } from "../../contract/chat/place.ts";
import type { ChatScope } from "../../contract/chat/scopes.ts";
import type { Admission } from "../../durable-objects/chat-access/calls.ts";
import { CHAT_ACCESS } from "../../durable-objects/chat-access/naming.ts";
import type { Env } from "../env.ts";
import { refused, type ChatAnswer } from "./answer.ts";
import { placeOf, requestKey, type Asker } from "./asker.ts";

/** What is asked for. */
export interface Asked {
  /** Absent: anybody may, and it is only kept from being replayed. */
  scope?: ChatScope;
  /** In a few words, for the audit. */
  act: string;
  /** Run, event id. */
  subject?: string;
}

type Denial = Extract<Admission, { verdict: "denied" }>;

/** Platforms that bring a request again when they are answered with an error. */
const BRINGS_AGAIN: Record<ChatPlatform, boolean> = { discord: false, telegram: true };

/**
 * Admits the request, acts, tells what came of it, and only then notes it as done: until then a platform that repeats its
 * requests gets it done by repeating it (chat-access/rules, A3). What the act throws as a FlowError is an answer. Anything else is
 * thrown on, so that the request comes again; one that has come again, or cannot, is over with that.
 *
 * @param tell gets the answer to where it is read, where that is not the caller's own response
 */
export async function withAdmission<Answer extends { kind: string }>(
  env: Env,
  asker: Asker,
  asked: Asked,
  act: (scopes: ReadonlySet<ChatScope>) => Promise<Answer> | Answer,
  tell?: (answer: Answer | ChatAnswer) => Promise<void>,
): Promise<Answer | ChatAnswer> {
  const access = env.CHAT_ACCESS.getByName(CHAT_ACCESS);
  const { tenant, user, roles, administrator, place } = asker;
  const key = requestKey(asker);
  const admission = await access.admit({
    key,
    platform: place.platform,
    tenant,
    place: placeOf(asker),
    user,
    roles,
    administrator,
    ...asked,
  });
  if (admission.verdict === "replayed") return { kind: "replayed" };
  const comesAgain = BRINGS_AGAIN[place.platform] && !admission.again;
  try {
    const answer =
      admission.verdict === "denied"
        ? denied(asker, asked, admission)
        : await answerOf(() => act(new Set(admission.scopes)));
    await tell?.(answer);
    await access.conclude(admission.row, outcomeOf(answer), key);
    return answer;
  } catch (error) {
    if (comesAgain) throw error;
    await access.conclude(admission.row, FAILED, key);
    if (!BRINGS_AGAIN[place.platform]) throw error;
    console.error(JSON.stringify({ message: "an act from a chat failed twice", error: String(error) }));
    const answer = refused("failed", "The edge failed while it did this", [
      "Look whether it was done, and ask again if not.",
    ]);
    await tell?.(answer).catch(() => undefined);
    return answer;
  }
}

const FAILED = "failed: the edge could not do it";

async function answerOf<Answer>(act: () => Promise<Answer> | Answer): Promise<Answer | ChatAnswer> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof FlowError)) throw error;
    return refused(
      error.code,
      error.message,
      error.details.map(({ path, message }) => `${path} ${message}`),
    );
  }
}

function outcomeOf(answer: { kind: string }): string {
  return "outcome" in answer ? String(answer.outcome) : answer.kind;
}

/** Whether somebody may, for a list of choices; nothing is written down. */
export async function mayNow(env: Env, asker: Asker, scope: ChatScope): Promise<boolean> {
  const { tenant, user, roles, administrator } = asker;
  const scopes = await env.CHAT_ACCESS.getByName(CHAT_ACCESS).scopesOf({
    tenant,
    user,
    roles,
    administrator,
  });
  return scopes.includes(scope);
}

function denied({ place }: Asker, { scope, act }: Asked, { reason }: Denial): ChatAnswer {
  const giver =
    place.platform === "discord"
      ? "An administrator of this server, or somebody with the scope admin, gives it with /roles set."
      : "Somebody with the scope admin gives it with /roles, and the owner of the edge names the first ones in TELEGRAM_ADMINS.";
  const why: Record<Denial["reason"], string> = {
    denied_role: "A role or an entry of yours is denied everything here, whatever else you have.",
    missing_scope: `It needs the scope ${scope ?? ""}, which none of your roles has.`,
    unconfigured: `It needs the scope ${scope ?? ""}, and nobody here has been given any yet.`,
  };
  return {
    kind: "denied",
    message: {
      tone: "bad",
      title: `You may not do this: ${act}`,
      lines: [why[reason], giver, "Nothing was done."],
    },
  };
}
