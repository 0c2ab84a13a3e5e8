/**
 * What people do to a run from a chat: stop it, speak to it, decide what it asks, give it more, run it again, watch it.
 * Each is done at the event object, which decides alone: of many who press at once, one is first, and the others are told who.
 */
import type { ApprovalDecision, ApprovalView } from "../../contract/approvals.ts";
import type { BudgetUse } from "../../contract/budget.ts";
import { MESSAGES_PENDING_MAX, MESSAGE_MAX_CHARS } from "../../contract/limits.ts";
import type { RunView } from "../../contract/run-view.ts";
import { nameIn } from "../../durable-objects/chat-outbox/board/cards.ts";
import { continueRun } from "../continue-run.ts";
import type { Env } from "../env.ts";
import { replayEvent } from "../replay.ts";
import { cancelWaitMs } from "../wait.ts";
import { refused, said, type ChatAnswer } from "./answer.ts";
import { askedBy, byOf, requestKey, type Asker } from "./asker.ts";
import { confirmationMessage, readConfirmation } from "./confirmation.ts";
import { locateRun, unknownRun } from "./located.ts";
import { askOutbox } from "./outbox.ts";
import { started } from "./start.ts";

/** How long a card moves with its run's output after somebody has pressed Follow. */
const FOLLOW_MS = 10 * 60_000;

export async function cancel(env: Env, asker: Asker, runId: string): Promise<ChatAnswer> {
  const { object, n } = locateRun(env, runId);
  const answer = await object.cancel(n, byOf(asker), cancelWaitMs(undefined));
  if (answer === undefined) throw unknownRun(runId);
  if (answer.kind === "over") return over(answer.run);
  const { cancel: canceled, status } = answer.run;
  const done = status === "canceled";
  return said(done ? "canceled" : "asked to stop", done ? "Canceled" : "Stopping…", {
    tone: "stopped",
    lines: [`${nameOf(answer.run)} ${runId}`],
    ...(canceled === undefined ? {} : { fields: [{ name: "by", value: nameIn(canceled.by) }] }),
  });
}

export async function say(env: Env, asker: Asker, runId: string, given: string): Promise<ChatAnswer> {
  const text = given.trim();
  if (text === "") return refused("text_missing", "Say something");
  if (text.length > MESSAGE_MAX_CHARS)
    return refused("text_too_long", `A message has at most ${MESSAGE_MAX_CHARS} characters`);
  const { object, n } = locateRun(env, runId);
  const answer = await object.say(n, { text, by: byOf(asker), request: requestKey(asker) });
  switch (answer?.kind) {
    case "said":
      return said(`said ${answer.message.id}`, "Message sent", { lines: [text] });
    case "deaf":
      return refused(...takesNoMessages(answer.run));
    case "full":
      return refused(
        "too_many_messages",
        `${MESSAGES_PENDING_MAX} messages already wait for this run. Try again later.`,
      );
    case "over":
      return over(answer.run);
    case undefined:
      throw unknownRun(runId);
  }
}

function takesNoMessages(run: RunView): [code: string, title: string, lines: string[]] {
  return run.runner === "relay"
    ? [
        "not_listening",
        "This session takes no messages now",
        ["Its program reads its input from a pipe or has closed it. Start a new session with your message."],
      ]
    : ["not_listening", "This step takes no messages", ["Only Codex steps and some relayed sessions do."]];
}

export interface Decision {
  runId: string;
  approval: string;
  decision: ApprovalDecision;
  /** This is the second press that something dangerous needs. */
  confirmed?: boolean;
}

/** Decides an approval. The first answer wins. Approving something dangerous takes a second press. */
export async function decide(env: Env, asker: Asker, given: Decision): Promise<ChatAnswer> {
  const { runId, approval: id, decision, confirmed: confirm = false } = given;
  const { object, n } = locateRun(env, runId);
  const answer = await object.decide(n, { approval: id, decision, by: byOf(asker), confirm });
  switch (answer?.kind) {
    case "decided":
      await nobodyConfirms(env, answer.approval);
      return { ...decidedAnswer(answer.approval, decision), replaces: true };
    case "over":
      await nobodyConfirms(env, answer.approval);
      // Who decided has changed the message already; one that nobody decided is taken away here.
      return { ...alreadyOver(answer.approval), replaces: answer.approval.state !== "decided" };
    case "unconfirmed":
      return {
        kind: "confirm",
        runId,
        approval: id,
        message: confirmationMessage(asker, { ...given, title: answer.approval.title }, Date.now()),
        outcome: "asked to confirm",
      };
    case "not_offered":
      return refused("not_offered", `It can be answered with ${answer.approval.decisions.join(", ")}`);
    case "unknown_approval":
      return refused("approval_not_found", `Run ${runId} has asked for no ${id}`);
    case undefined:
      throw unknownRun(runId);
  }
}

/** The second press of something dangerous: `text` is what its button carries (confirmation.ts). */
export async function confirmDecision(
  env: Env,
  asker: Asker,
  runId: string,
  text: string,
): Promise<ChatAnswer> {
  const confirmed = readConfirmation(text);
  if (confirmed === undefined) return refused("out_of_date", "This button is out of date");
  const { decision, approval, user, expiresAt } = confirmed;
  if (user !== asker.user.id)
    return refused("not_yours", "Somebody else was asked to confirm this", ["Press Approve yourself."]);
  if (Date.now() > expiresAt)
    return refused("out_of_date", "This confirmation has expired, and nothing was approved", [
      "Press Approve again.",
    ]);
  return decide(env, asker, { runId, approval, decision, confirmed: true });
}

/** In a Telegram group, the message that asks for the second press stays in the chat: its buttons are removed. */
async function nobodyConfirms(env: Env, approval: ApprovalView): Promise<void> {
  if (approval.dangerous === true)
    await askOutbox(env, "telegram", (outbox) => outbox.approvalOver(approval));
}

type Said = Extract<ChatAnswer, { kind: "message" }>;

const WORDS: Record<ApprovalDecision, string> = {
  accept: "Approved",
  accept_for_session: "Approved for the session",
  decline: "Denied",
  cancel: "Denied, and its turn interrupted",
};

function decidedAnswer(approval: ApprovalView, decision: ApprovalDecision): Said {
  return {
    kind: "message",
    open: true,
    outcome: `decided ${approval.id}: ${decision}`,
    message: approvalMessage(approval, `${WORDS[decision]} by ${deciderOf(approval)}`),
  };
}

function alreadyOver(approval: ApprovalView): Said {
  const { state, decision, decidedBy } = approval;
  const how =
    state === "withdrawn"
      ? "The step no longer waits for it"
      : state === "expired"
        ? "Denied: nobody answered in time"
        : `Already ${WORDS[decision ?? "decline"].toLowerCase()} by ${deciderOf(approval)}`;
  return {
    kind: "message",
    outcome: `too late for ${approval.id}: ${state} ${decidedBy ?? ""}`.trimEnd(),
    message: approvalMessage(approval, how),
  };
}

/** A name for people to read; the audit keeps the id. */
function deciderOf({ decidedBy }: ApprovalView): string {
  return decidedBy === undefined ? "somebody" : nameIn(decidedBy);
}

function approvalMessage(approval: ApprovalView, title: string): Said["message"] {
  const allowed = approval.decision === "accept" || approval.decision === "accept_for_session";
  return { tone: allowed ? "good" : "stopped", title, lines: [approval.title, approval.runId] };
}

/** Raises the budget; a run that it has stopped goes on in a new one. */
export async function raiseBudget(
  env: Env,
  asker: Asker,
  runId: string,
  addition: BudgetUse,
): Promise<ChatAnswer> {
  const words = Object.entries(addition).map(([unit, amount]) => `${amount} ${unit}`);
  if (words.length === 0) return refused("nothing_to_add", "Say how much to add: tokens, seconds or usd");
  const located = locateRun(env, runId);
  const answer = await located.object.raiseBudget(located.n, addition, requestKey(asker));
  switch (answer?.kind) {
    case "raised":
      return said(`added ${words.join(", ")}`, `Added ${words.join(", ")}`, {
        lines: [answer.run.id],
      });
    case "stopped": {
      return started([await continueRun(located, answer, addition, askedBy(asker))]);
    }
    case "unlimited":
      return refused("not_limited", `Its step has no budget of ${answer.units.join(" and ")}`);
    case "over":
      return over(answer.run);
    case undefined:
      throw unknownRun(runId);
  }
}

/** New runs of the event that a run came from, or of an event itself. */
export async function replay(
  env: Env,
  asker: Asker,
  given: { runId: string } | { eventId: string; flow?: string; step?: string },
): Promise<ChatAnswer> {
  const repeated =
    "runId" in given
      ? await stepOfRun(env, given.runId)
      : { id: given.eventId, only: { flow: given.flow, step: given.step } };
  if (repeated === "relayed")
    return refused("relayed", "Only the machine of a relayed session can start it again", [
      "On that machine: codex-flow relay … -- <agent command>. --reuse-session continues the same session.",
    ]);
  const { id, only } = repeated;
  const { runs } = await replayEvent(env, id, only, askedBy(asker));
  if (runs.length === 0) return refused("nothing_matched", "No deployed flow matches this event any more");
  return started(runs);
}

async function stepOfRun(
  env: Env,
  runId: string,
): Promise<{ id: string; only: { flow: string; step: string } } | "relayed"> {
  const { object, n } = locateRun(env, runId);
  const run = await object.runView(n);
  if (run === undefined) throw unknownRun(runId);
  if (run.runner === "relay") return "relayed";
  return { id: run.eventId, only: { flow: run.flowName, step: run.stepName } };
}

/** The run's card moves with its output for a while. */
export async function follow(env: Env, asker: Asker, runId: string): Promise<ChatAnswer> {
  const { object, n } = locateRun(env, runId);
  if ((await object.runView(n)) === undefined) throw unknownRun(runId);
  const done = await askOutbox(env, asker.place.platform, async (outbox) => {
    await outbox.follow(runId, asker.place, Date.now() + FOLLOW_MS);
    return true;
  });
  return done === true
    ? said("following", `Followed here for ${FOLLOW_MS / 60_000} minutes`, { lines: [runId] })
    : refused("no_outbox", "The bot cannot post here now", ["/status says why."]);
}

function over(run: RunView): ChatAnswer {
  const what = run.runner === "relay" ? "session" : "run";
  return refused("run_over", `This ${what} has ended: ${run.effectiveStatus.replaceAll("_", " ")}`, [
    `${nameOf(run)} ${run.id}`,
  ]);
}

function nameOf(run: RunView): string {
  return `${run.flowName}/${run.stepName}`;
}
