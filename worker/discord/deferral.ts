/**
 * Deferrals: an interaction whose answer is not there soon is acknowledged without it. Its asker sees that something is
 * being done, and the outbox brings the answer into the place of that.
 *
 * 1. A form and a choice can stand in the response alone. What may answer so (`inline`) is waited for nearly as long as
 *    Discord waits.
 * 2. A deferral fixes who will see the answer, and ours says the asker alone. So an act that may answer for all to see is
 *    inline too; and a press is never deferred as an update: a late denial would take the place of what all see. A decision
 *    that would take the place of its approval's message needs not: the outbox rewrites that one, whoever decides.
 * 3. What was acknowledged is answered, once. A repetition that is found out late says nothing: the answer is the
 *    first one's.
 */
import type { ChatMessage } from "../../contract/chat/message.ts";
import { within } from "../../durable-objects/kit/deadline.ts";
import type { DiscordAnswer } from "./answers.ts";

/**
 * From the arrival of the request to a deferral. Most answers of an edge that is not busy are there by then, cold objects
 * included (80 to 140 ms on two cores), and need no deferral; and it leaves a third of the 300 ms within which everybody is
 * to be acknowledged for the road. Many at once are crowd.ts's concern (`npm run bench -- --only discord` has both).
 */
export const DEFER_AFTER_MS = 200;
/** The same for what may have to answer inline; the rest of Discord's three seconds is the road's. */
export const INLINE_MAX_MS = 2_000;
/** For the act after that, of the 30 s that a Worker lives on behind its response. */
export const ACT_MAX_MS = 20_000;
/** Between the tries to give an answer to the outbox. */
const HAND_OVER_PAUSES_MS: readonly number[] = [250, 1_000, 3_000];

/** How long an answer is still waited for, ms. Times are epoch ms. */
export function patienceMs(inline: boolean, arrivedAt: number, now: number): number {
  return Math.max(0, arrivedAt + (inline ? INLINE_MAX_MS : DEFER_AFTER_MS) - now);
}

/** What follows a deferral when the act ends; undefined: nothing does. Of an act that does not end, that it does not. */
export async function lateMessage(answering: Promise<DiscordAnswer>): Promise<ChatMessage | undefined> {
  const answer = await within(answering, ACT_MAX_MS, () => undefined);
  switch (answer?.kind) {
    case "message":
    case "confirm":
    case "denied":
      return answer.message;
    case "replayed":
      return undefined;
    case undefined:
      return {
        tone: "attention",
        title: "That takes too long",
        lines: ["It may still be done: look at /flow runs before you try it again."],
      };
    case "form":
    case "choose":
      console.warn(
        JSON.stringify({ message: "too late for an answer that cannot follow", kind: answer.kind }),
      );
      return { tone: "attention", title: "That took too long", lines: ["Please ask once more."] };
  }
}

/** Tries again when it throws, a few times; whoever asked would see for ever that something is being done. */
export async function handOver(give: () => Promise<void>): Promise<void> {
  for (const pause of HAND_OVER_PAUSES_MS) {
    try {
      await give();
      return;
    } catch (error) {
      console.warn(JSON.stringify({ message: "the outbox did not take an answer", error: String(error) }));
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
  await give();
}
