/** Presses of buttons, and choices. A message stands for ever, so what its button says is read as a stranger's word. */
import type { APIMessageComponentInteraction } from "discord-api-types/v10";
import { parseAction, type ChatAction, type ChatActionName } from "../../contract/chat/action.ts";
import { ACTION_SCOPES } from "../chat/action-scopes.ts";
import { refused } from "../chat/answer.ts";
import type { Asked } from "../chat/access.ts";
import { cancel, confirmDecision, decide, follow, replay } from "../chat/steer.ts";
import { approvalDetails, diff, logs } from "../chat/watch.ts";
import type { DiscordAnswer } from "./answers.ts";
import { besideCard } from "./cards.ts";
import type { Invocation } from "./commands/command.ts";
import { GRANT_CHOICE, grantChosen } from "./commands/deployment.ts";
import { budgetForm, sayForm } from "./forms.ts";
import { chosen } from "./interaction.ts";

/** What a press asks for, and does once it is admitted. */
export interface Press {
  asked: Asked;
  /** When no run was named, it is about the one whose thread this is. */
  aboutPlace?: boolean;
  /** Its answer may be one that can stand in the response alone (deferral.ts, 1 and 2). */
  inline: boolean;
  act(invocation: Invocation): Promise<DiscordAnswer> | DiscordAnswer;
}

/** What answers with a form. */
const INLINE: Record<ChatActionName, boolean> = {
  cancel: false,
  reply: true,
  follow: false,
  logs: false,
  replay: false,
  diff: false,
  budget: true,
  approve: false,
  approve_session: false,
  deny: false,
  details: false,
  confirm: false,
};

const SUBJECT = /^(role|user):\d{1,20}$/;

export function pressOf(interaction: APIMessageComponentInteraction): Press {
  const { custom_id: customId } = interaction.data;
  const subject = customId.startsWith(GRANT_CHOICE) ? customId.slice(GRANT_CHOICE.length) : undefined;
  if (subject !== undefined && SUBJECT.test(subject))
    return {
      asked: { scope: "admin", act: "roles set", subject },
      inline: false,
      act: (invocation) => grantChosen(invocation, subject, chosen(interaction)),
    };
  const action = parseAction(customId);
  if (action === undefined) return outOfDate("button");
  return {
    asked: { scope: ACTION_SCOPES[action.act], act: action.act, subject: action.runId },
    inline: INLINE[action.act],
    act: async (invocation) => besideCard(interaction.message, await perform(action, invocation)),
  };
}

/** Something that no version of ours reads: it starts nothing, and is written down all the same. */
export function outOfDate(what: string): Press {
  return {
    asked: { act: `unknown ${what}` },
    inline: false,
    act: () => refused("out_of_date", `This ${what} is out of date`, ["Ask again with a command."]),
  };
}

function perform(
  { act, runId, more }: ChatAction,
  { env, asker }: Invocation,
): Promise<DiscordAnswer> | DiscordAnswer {
  const approval = more ?? "";
  switch (act) {
    case "cancel":
      return cancel(env, asker, runId);
    case "reply":
      return sayForm(runId);
    case "follow":
      return follow(env, asker, runId);
    case "logs":
      return logs(env, asker, runId);
    case "replay":
      return replay(env, asker, { runId });
    case "diff":
      return diff(env, asker, runId);
    case "budget":
      return budgetForm(runId);
    case "approve":
      return decide(env, asker, { runId, approval, decision: "accept" });
    case "approve_session":
      return decide(env, asker, { runId, approval, decision: "accept_for_session" });
    case "deny":
      return decide(env, asker, { runId, approval, decision: "decline" });
    case "details":
      return approvalDetails(env, asker, runId, approval);
    case "confirm":
      return confirmDecision(env, asker, runId, approval);
  }
}
