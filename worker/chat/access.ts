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
import { DIRECT_MESSAGES, placeOf, requestKey, standingOf, type Asker } from "./asker.ts";

/** What is asked for. */
export interface Asked {
  /** Absent: anybody may, and it is only kept from being replayed. */
  scope?: ChatScope;
  /** In a few words, for the audit. */
  act: string;
  /** Run, event id. */
  subject?: string;
}

/** An object that has just been reset is there again at the second call. */
const CONCLUDE_TRIES = 2;

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
  const key = requestKey(asker);
  const { platform } = asker.place;
  const admission = await access.admit({
    key,
    place: placeOf(asker),
    ...standingOf(asker),
    ...asked,
  });
  if (admission.verdict === "replayed") return { kind: "replayed" };
  const comesAgain = BRINGS_AGAIN[platform] && !admission.again;
  const conclude = (outcome: string): Promise<void> =>
    noteOutcome(
      ({ row, outcome: known }) => access.conclude(row, known, key),
      { row: admission.row, outcome },
      comesAgain,
    );
  let answer: Answer | ChatAnswer;
  try {
    answer =
      admission.verdict === "denied"
        ? denied(asker, asked, admission)
        : await answerOf(() => act(new Set(admission.scopes)));
    await tell?.(answer);
  } catch (error) {
    if (comesAgain) throw error;
    await conclude(FAILED);
    if (!BRINGS_AGAIN[platform]) throw error;
    console.error(JSON.stringify({ message: "an act from a chat failed twice", error: String(error) }));
    const failed = refused("failed", "The edge failed while it did this", [
      "Look whether it was done, and ask again if not.",
    ]);
    await tell?.(failed).catch(() => undefined);
    return failed;
  }
  await conclude(outcomeOf(answer));
  return answer;
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

/** Of a row of the audit. */
interface Noted {
  row: number;
  outcome: string;
}

/**
 * What was done is done, and who asked is told so, whether or not it could be written down. Throws only where the request
 * comes again: it is noted then.
 */
async function noteOutcome(
  conclude: (noted: Noted) => Promise<void>,
  noted: Noted,
  comesAgain: boolean,
): Promise<void> {
  for (let tries = CONCLUDE_TRIES; tries > 0; tries -= 1)
    try {
      await conclude(noted);
      return;
    } catch (error) {
      if (tries > 1) continue;
      if (comesAgain) throw error;
      console.error(
        JSON.stringify({ message: "an outcome is not in the audit", ...noted, error: String(error) }),
      );
    }
}

function outcomeOf(answer: { kind: string }): string {
  return "outcome" in answer ? String(answer.outcome) : answer.kind;
}

/** Whether somebody may, for a list of choices; nothing is written down. */
export async function mayNow(env: Env, asker: Asker, scope: ChatScope): Promise<boolean> {
  const scopes = await env.CHAT_ACCESS.getByName(CHAT_ACCESS).scopesOf(standingOf(asker));
  return scopes.includes(scope);
}

function denied({ place, tenant }: Asker, { scope, act }: Asked, { reason }: Denial): ChatAnswer {
  const title = `You may not do this: ${act}`;
  if (reason === "unknown_server")
    return { kind: "denied", message: { tone: "bad", title, lines: strangers(tenant) } };
  const giver =
    place.platform === "discord"
      ? "An administrator of this server, or somebody with the scope admin, gives it with /roles set."
      : "Somebody with the scope admin gives it with /roles, and the owner of the edge names the first ones in TELEGRAM_ADMINS.";
  const why: Record<typeof reason, string> = {
    denied_role: "A role or an entry of yours is denied everything here, whatever else you have.",
    missing_scope: `It needs the scope ${scope ?? ""}, which none of your roles has.`,
    unconfigured: `It needs the scope ${scope ?? ""}, and nobody here has been given any yet.`,
  };
  return {
    kind: "denied",
    message: { tone: "bad", title, lines: [why[reason], giver, "Nothing was done."] },
  };
}

/** To whom the edge does not know: what its owner would have to do. */
function strangers(tenant: string): string[] {
  return tenant === DIRECT_MESSAGES
    ? ["Only in a server that has the bot and that the owner of the edge has let in.", "Nothing was done."]
    : [
        "The owner of the edge has not let this server in, so nobody here may do anything, its administrators neither.",
        `The owner does it in a terminal: codex-flow discord allow ${tenant}`,
        "Nothing was done.",
      ];
}
