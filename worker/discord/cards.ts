/**
 * What the pressed message shows of an approval. It is the bot's own, as it was drawn; it decides nothing but how a press is
 * answered.
 *
 * A run's card has buttons of an approval, too. But only the outbox writes cards: an answer that took the place of one
 * could come after the card of the new state, and nothing would ever bring that one back.
 */
import type { APIMessage } from "discord-api-types/v10";
import { parseAction, type ChatActionName } from "../../contract/chat/action.ts";
import type { DiscordAnswer } from "./answers.ts";

/** All buttons of an approval's message, and of the message that asks to confirm one; a card has others beside them. */
const OF_APPROVALS: readonly ChatActionName[] = ["approve", "approve_session", "deny", "details", "confirm"];

/** The answer to a press on this message; on a card, only who has pressed sees it. */
export function besideCard(
  message: Pick<APIMessage, "components"> | undefined,
  answer: DiscordAnswer,
): DiscordAnswer {
  if (answer.kind !== "message" || answer.replaces !== true || !isCard(message?.components)) return answer;
  return { ...answer, replaces: false, open: false };
}

function isCard(components: unknown): boolean {
  return buttonsIn(components).some((id) => {
    const action = parseAction(id);
    return action !== undefined && !OF_APPROVALS.includes(action.act);
  });
}

function buttonsIn(components: unknown): string[] {
  if (!Array.isArray(components)) return [];
  return (components as { custom_id?: unknown; components?: unknown }[]).flatMap(
    ({ custom_id: id, components: inner }) => (typeof id === "string" ? [id] : buttonsIn(inner)),
  );
}
