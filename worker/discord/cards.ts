/**
 * What the pressed message shows of an approval. It is the bot's own, as it was drawn; it decides nothing but how a press is
 * answered.
 *
 * A run's card has buttons of an approval, too. But only the outbox writes cards: an answer that took the place of one
 * could come after the card of the new state, and nothing would ever bring that one back.
 */
import type { APIMessage } from "discord-api-types/v10";
import { parseAction, type ChatAction, type ChatActionName } from "../../contract/chat/action.ts";
import type { DiscordAnswer } from "./answers.ts";

/** Discord's number. */
const GREEN = 3;
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
  return buttonsIn(components).some(({ id }) => {
    const action = parseAction(id);
    return action !== undefined && !OF_APPROVALS.includes(action.act);
  });
}

/** Whether its Approve is green: then nobody is asked to confirm what he allows (chat-outbox/board/buttons.ts). */
export function isHarmless(
  message: Pick<APIMessage, "components"> | undefined,
  { runId, more }: ChatAction,
): boolean {
  return buttonsIn(message?.components).some(({ id, style }) => {
    const shown = style === GREEN ? parseAction(id) : undefined;
    return shown?.act === "approve" && shown.runId === runId && shown.more === more;
  });
}

function buttonsIn(components: unknown): { id: string; style: unknown }[] {
  if (!Array.isArray(components)) return [];
  return (components as { custom_id?: unknown; style?: unknown; components?: unknown }[]).flatMap(
    ({ custom_id: id, style, components: inner }) =>
      typeof id === "string" ? [{ id, style }] : buttonsIn(inner),
  );
}
