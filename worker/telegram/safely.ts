/**
 * What an admitted act throws and nobody expected, as an answer: the update is admitted and does not come again, so who
 * asked has to be told, and look whether it was done.
 */
import { FlowError } from "../../contract/errors.ts";
import { refused, type ChatAnswer } from "../chat/answer.ts";

export async function safely(act: () => Promise<ChatAnswer> | ChatAnswer): Promise<ChatAnswer> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof FlowError) throw error;
    console.error(JSON.stringify({ message: "an act from a chat failed", error: String(error) }));
    return refused("failed", "The edge failed while it did this", [
      "Look whether it was done, and ask again if not.",
    ]);
  }
}
