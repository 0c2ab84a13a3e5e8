/**
 * A run's card has buttons of an approval, too. But only the outbox writes cards: an answer that took the place of one
 * could come after the card of the new state, and nothing would ever bring that one back.
 */
import type { APIMessage } from "discord-api-types/v10";
import { parseAction, type ChatActionName } from "../../contract/chat/action.ts";
import type { DiscordAnswer } from "./answers.ts";

/** All that the message of an approval has; a card has others beside them. */
const OF_APPROVALS: readonly ChatActionName[] = ["approve", "approve_session", "deny", "details"];

/** The answer to a press on this message; on a card, only who has pressed sees it. */
export function besideCard(
  message: Pick<APIMessage, "components"> | undefined,
  answer: DiscordAnswer,
): DiscordAnswer {
  if (answer.kind !== "message" || answer.replaces !== true || !isCard(message?.components)) return answer;
  return { ...answer, replaces: false, open: false };
}

function isCard(components: unknown): boolean {
  if (!Array.isArray(components)) return false;
  return (components as { custom_id?: unknown; components?: unknown }[]).some(
    ({ custom_id, components: inner }) => {
      const action = typeof custom_id === "string" ? parseAction(custom_id) : undefined;
      return action === undefined ? isCard(inner) : !OF_APPROVALS.includes(action.act);
    },
  );
}
